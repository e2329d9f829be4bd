"""Standing rules and versions, as other rooms see them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.core.versions import version_of

__all__ = ["PolicyVersion", "StandingRule"]


@dataclass(frozen=True, slots=True)
class StandingRule:
    """A yes that lasts.

    Attributes:
        id: ``trl_...``.
        arguments: which arguments it holds for, as `ArgumentPattern.to_json` writes it; None for any.
        scope: for the rest of its run, or for every run of its project.
        approval_id: the approval that granted it.
        roles: who could grant it; empty for any person.
        quorum: how many had to.
    """

    id: str
    project: str
    tool: str
    arguments: JsonObject | None
    scope: Literal["run", "always"]
    run_id: str
    approval_id: str
    roles: tuple[str, ...]
    quorum: int
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def version(self) -> str:
        """Whether it holds; nothing else of it can change."""
        return version_of(self.revoked_at is not None)

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        return {
            "id": self.id,
            "project": self.project,
            "tool": self.tool,
            "arguments": self.arguments,
            "scope": self.scope,
            "run_id": self.run_id,
            "approval": self.approval_id,
            "roles": list(self.roles),
            "quorum": self.quorum,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "revoked_at": self.revoked_at.isoformat() if self.revoked_at is not None else None,
            "revoked_by": self.revoked_by,
        }


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy that was in force.

    Attributes:
        version: the hash of its files; the name of the blob that holds them.
        files: their names.
        rules: how many rules it has.
    """

    version: str
    files: tuple[str, ...]
    rules: int
    first_used_at: datetime

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        return {
            "version": self.version,
            "files": list(self.files),
            "rules": self.rules,
            "first_used_at": self.first_used_at.isoformat(),
        }
