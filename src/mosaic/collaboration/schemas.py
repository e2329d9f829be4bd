"""Comments and presences: what this room gives to others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from mosaic.core.values import JsonObject

__all__ = ["SUBJECTS", "Comment", "Subject", "SubjectKind", "Viewer"]

SubjectKind = Literal["run", "item", "approval", "plan"]

SUBJECTS: tuple[SubjectKind, ...] = get_args(SubjectKind)
"""What can be commented on and looked at."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is commented on, or looked at.

    Attributes:
        kind: the noun.
        id: which one.
        place: the plan of an item, the run of an approval; None for the others, which stand by themselves.
    """

    kind: SubjectKind
    id: str
    place: str | None = None

    @property
    def run_id(self) -> str | None:
        """The run in whose journal it belongs."""
        return self.id if self.kind == "run" else self.place if self.kind == "approval" else None

    @property
    def plan_id(self) -> str | None:
        """The plan it belongs to."""
        return self.id if self.kind == "plan" else self.place if self.kind == "item" else None


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said about something.

    Attributes:
        body: Markdown, as it was written: whoever shows it renders it, and trusts nothing in it. Empty once deleted.
        author: who said it, ``<kind>:<id>``.
        reply_to: the comment it answers, of the same subject.
        revision: 1 when it was written, one more with each edit.
    """

    tenant: str
    id: str
    project: str
    subject: Subject
    body: str
    author: str
    created_at: datetime
    reply_to: str | None = None
    revision: int = 1
    edited_at: datetime | None = None
    deleted_at: datetime | None = None

    def to_json(self) -> JsonObject:
        """Return the comment as clients see it."""
        return {
            "id": self.id,
            "project": self.project,
            "subject": {"kind": self.subject.kind, "id": self.subject.id},
            "run_id": self.subject.run_id,
            "plan_id": self.subject.plan_id,
            "body": self.body,
            "author": self.author,
            "reply_to": self.reply_to,
            "revision": self.revision,
            "created_at": _iso(self.created_at),
            "edited_at": _iso(self.edited_at) if self.edited_at else None,
            "deleted_at": _iso(self.deleted_at) if self.deleted_at else None,
        }


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at something now.

    Attributes:
        id: of this look: one person with two windows is two viewers.
        actor: who, ``<kind>:<id>``.
        since: when the look began.
    """

    id: str
    actor: str
    subject: Subject
    since: datetime

    def to_json(self) -> JsonObject:
        """Return the viewer as clients see it."""
        return {
            "id": self.id,
            "actor": self.actor,
            "subject": {"kind": self.subject.kind, "id": self.subject.id},
            "since": _iso(self.since),
        }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
