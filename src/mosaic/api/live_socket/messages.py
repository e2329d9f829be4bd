"""What a client may say on `/api/v1/ws`, checked before anything is done."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mosaic.api.topics import TopicName
from mosaic.collaboration import SubjectKind
from mosaic.core.errors import InvalidInput, Problem

__all__ = [
    "Authenticate",
    "CommentDelete",
    "CommentEdit",
    "CommentList",
    "CommentNew",
    "Look",
    "Ping",
    "Said",
    "SubjectName",
    "Subscribe",
    "Unsubscribe",
    "read_message",
]

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SubjectName(_Message):
    """Names what is commented on or looked at; an item needs its plan."""

    kind: SubjectKind
    id: Id
    plan_id: Id | None = None


class Authenticate(_Message):
    """Who I am: the first message of a client that could not say so when it connected."""

    type: Literal["auth"]
    token: Annotated[str, Field(min_length=1, max_length=1_000)]


class Subscribe(_Message):
    """Send me what belongs to a topic, after a place in the journal; without `after` what comes from now on."""

    type: Literal["subscribe"]
    id: Name
    topic: TopicName | Literal["presence"]
    subject: Id | None = None
    after: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None


class Unsubscribe(_Message):
    """Send me no more of that."""

    type: Literal["unsubscribe"]
    id: Name


class Look(_Message):
    """I look at this now; null: at nothing."""

    type: Literal["look"]
    id: Name | None = None
    subject: SubjectName | None


class Ping(_Message):
    """Are you there?"""

    type: Literal["ping"]
    id: Name | None = None


class CommentNew(_Message):
    """Write a comment."""

    type: Literal["comment.create"]
    id: Name
    subject: SubjectName
    body: str
    reply_to: Id | None = None


class CommentEdit(_Message):
    """Edit a comment."""

    type: Literal["comment.edit"]
    id: Name
    comment: Id
    body: str
    base_revision: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None


class CommentDelete(_Message):
    """Delete a comment."""

    type: Literal["comment.delete"]
    id: Name
    comment: Id


class CommentList(_Message):
    """Read the comments on something."""

    type: Literal["comment.list"]
    id: Name
    subject: SubjectName
    cursor: Id | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


Said = Annotated[
    Authenticate
    | Subscribe
    | Unsubscribe
    | Look
    | Ping
    | CommentNew
    | CommentEdit
    | CommentDelete
    | CommentList,
    Field(discriminator="type"),
]
_READER: TypeAdapter[Said] = TypeAdapter(Said)


def read_message(text: str) -> Said:
    """Return what a client said.

    Raises:
        InvalidInput: naming everything that is wrong with it.
    """
    try:
        return _READER.validate_json(text)
    except ValidationError as error:
        problems = [
            Problem(item["msg"][:200], path=".".join(str(part) for part in item["loc"])[:200])
            for item in error.errors(include_input=False, include_url=False)[:10]
        ]
    raise InvalidInput("The message is not one of those this socket takes.", problems=problems)
