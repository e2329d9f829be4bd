"""The frozen values of workspaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic.core.values import JsonObject

__all__ = ["CommitInfo", "Workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """One run's own checkout.

    Attributes:
        run_id: the run it belongs to.
        path: the worktree; agents work here.
        repository: where a person finds the branch: their repository, or the one their directory was imported into.
        branch: ``mosaic/<run_id>``.
        base_commit: the commit the run started from.
        store: our own repository behind the worktree; nobody else configures it.
    """

    run_id: str
    path: Path
    repository: Path
    branch: str
    base_commit: str
    store: Path

    @property
    def scratch(self) -> Path:
        """The directory beside the worktree where commands keep their home and caches; never committed."""
        return self.path.with_name(f"{self.path.name}.scratch")

    def to_json(self) -> JsonObject:
        """Return the workspace as a step's recorded result."""
        return {
            "run_id": self.run_id,
            "path": str(self.path),
            "repository": str(self.repository),
            "branch": self.branch,
            "base_commit": self.base_commit,
            "store": str(self.store),
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "Workspace":
        """Return the workspace that `to_json` wrote."""
        return cls(
            run_id=str(shown["run_id"]),
            path=Path(shown["path"]),
            repository=Path(shown["repository"]),
            branch=str(shown["branch"]),
            base_commit=str(shown["base_commit"]),
            store=Path(shown["store"]),
        )


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit that the orchestrator made.

    Attributes:
        sha: the commit.
        files: the paths it changed, at most a thousand.
        files_changed: how many paths it changed.
        insertions: lines added; binary files count none.
        deletions: lines removed.
    """

    sha: str
    files: tuple[str, ...]
    files_changed: int
    insertions: int
    deletions: int

    def to_json(self) -> JsonObject:
        """Return the commit as a step's recorded result."""
        return {
            "sha": self.sha,
            "files": list(self.files),
            "files_changed": self.files_changed,
            "insertions": self.insertions,
            "deletions": self.deletions,
        }

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "CommitInfo":
        """Return the commit that `to_json` wrote."""
        return cls(
            sha=str(shown["sha"]),
            files=tuple(shown["files"]),
            files_changed=int(shown["files_changed"]),
            insertions=int(shown["insertions"]),
            deletions=int(shown["deletions"]),
        )
