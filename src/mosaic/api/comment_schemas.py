"""Comments, viewers and tickets as requests hold and answers show them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mosaic.api.schemas import Body, Document

__all__ = [
    "CommentDocument",
    "CommentPage",
    "EditComment",
    "SubjectBody",
    "SubjectKindName",
    "TicketDocument",
    "ViewerPage",
    "WriteComment",
]

SubjectKindName = Literal["run", "item", "approval", "plan"]
_LONGEST = 10_000
_BODY = "Markdown, kept as it is: whoever shows it renders it"


class SubjectBody(Body):
    """What is commented on."""

    kind: SubjectKindName
    id: str = Field(min_length=1, max_length=128, examples=["run_06f2a1b3c4d5e6f7g8h9j0k1m2"])
    plan_id: str | None = Field(
        None, min_length=1, max_length=128, description="of an item: the plan it is in"
    )


class WriteComment(Body):
    """A new comment."""

    subject: SubjectBody
    body: str = Field(min_length=1, max_length=_LONGEST, description=_BODY)
    reply_to: str | None = Field(
        None, min_length=1, max_length=128, description="a comment on the same thing"
    )


class EditComment(Body):
    """Other words for a comment."""

    body: str = Field(min_length=1, max_length=_LONGEST, description=_BODY)
    base_revision: int | None = Field(
        None, ge=1, le=2**31 - 1, description="the revision that was read; 409 when it has another one by now"
    )


class SubjectDocument(Document):
    """What something is about."""

    kind: SubjectKindName
    id: str


class CommentDocument(Document):
    """A comment; deleted ones keep their place and have no body."""

    id: str
    project: str
    subject: SubjectDocument
    run_id: str | None = Field(description="the run in whose journal it is")
    plan_id: str | None = Field(description="the plan it belongs to")
    body: str = Field(description=_BODY)
    author: str
    reply_to: str | None
    revision: int
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None


class CommentPage(Document):
    """Comments, oldest first."""

    items: list[CommentDocument]
    next_cursor: str | None


class ViewerDocument(Document):
    """Somebody who looks at something now."""

    id: str
    actor: str
    subject: SubjectDocument
    since: datetime


class ViewerPage(Document):
    """Who looks, the longest first."""

    items: list[ViewerDocument]


class TicketDocument(Document):
    """A ticket that opens one WebSocket: `wss://.../api/v1/ws?ticket=...`."""

    ticket: str = Field(description="good once, at the node that gave it out")
    expires_in_s: int
