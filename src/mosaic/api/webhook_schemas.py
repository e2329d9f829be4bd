"""What requests and answers on webhooks hold, both ways."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mosaic.api.schemas import Body, Document

__all__ = [
    "CreateWebhook",
    "DeliveryDocument",
    "DeliveryPage",
    "DeliveryStatusName",
    "HookMessagePage",
    "HookPage",
    "HookTaken",
    "NewWebhookDocument",
    "Replay",
    "RotateWebhook",
    "UpdateWebhook",
    "WebhookDocument",
    "WebhookRemoved",
    "WebhookSubscriptionPage",
    "WebhookTested",
]

DeliveryStatusName = Literal["waiting", "delivered", "dead"]
_Pattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.*-]{1,100}$")]
_Url = Annotated[str, Field(min_length=1, max_length=2_000, examples=["https://example.org/hooks/mosaic"])]
_Events = Annotated[
    list[_Pattern],
    Field(min_length=1, max_length=50, description="patterns of event types", examples=[["run.*"]]),
]
_AtOnce = Annotated[
    int, Field(ge=1, le=16, description="deliveries in flight; one keeps the order of the journal")
]
_Project = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="only events of this project; null for all"
    ),
]


class CreateWebhook(Body):
    """An address that is to be told of events."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["ci"])
    url: _Url
    events: _Events = Field(["*"])
    project: _Project | None = None
    at_once: _AtOnce = 1
    after: int | None = Field(
        None, ge=0, le=2**63 - 1, description="begin after this journal sequence instead of now"
    )


class UpdateWebhook(Body):
    """What is to be different; what is left out, or null, stays. Only `project` null means every project."""

    url: _Url | None = None
    events: _Events | None = None
    project: _Project | None = None
    at_once: _AtOnce | None = None
    enabled: bool | None = None


class RotateWebhook(Body):
    """How long the old secret signs, too."""

    overlap_s: float = Field(86_400, ge=0, le=2_592_000)


class Replay(Body):
    """From where everything is told again."""

    after: int = Field(ge=0, le=2**63 - 1, description="the journal sequence after which it begins")


class WebhookDocument(Document):
    """An address that is told of events."""

    id: str
    name: str
    url: str
    events: list[str]
    project: str | None
    form: Literal["event", "artifacts"]
    at_once: int
    status: Literal["active", "disabled"]
    reason: str | None = Field(description="why it is not active")
    failures: int = Field(description="attempts that failed since the last one that arrived")
    failing_since: datetime | None
    seq: int = Field(description="how far the journal has been looked through for it")
    behind: int = Field(description="events that have not been looked at yet")
    waiting: int = Field(description="deliveries that wait for an attempt")
    dead: int = Field(description="deliveries that were given up")
    problem: str | None = Field(description="why this server cannot sign for it")
    old_secret_until: datetime | None
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime


class NewWebhookDocument(WebhookDocument):
    """A webhook with its secret, which nothing shows again."""

    secret: str = Field(description="verifies signatures: https://www.standardwebhooks.com")


class WebhookSubscriptionPage(Document):
    """Webhooks."""

    items: list[WebhookDocument]
    next_cursor: str | None


class WebhookRemoved(Document):
    """What was removed."""

    id: str
    name: str
    removed: Literal[True]


class WebhookTested(Document):
    """What came of a message that was sent now."""

    arrived: bool
    answer: int | None = Field(description="the HTTP status")
    error: str | None
    took_s: float


class DeliveryDocument(Document):
    """One event on its way to one webhook."""

    id: str
    webhook: str
    seq: int
    event: str = Field(description="its id, which is also that of the message")
    type: str
    status: DeliveryStatusName
    attempts: int
    replay: bool
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    answer: int | None = Field(description="the HTTP status of the last attempt")
    error: str | None


class DeliveryPage(Document):
    """Deliveries, newest first."""

    items: list[DeliveryDocument]
    next_cursor: str | None


class HookDocument(Document):
    """A place where messages come in."""

    name: str
    verify: Literal["standard", "github", "bearer"]
    events: list[str]
    workflow: str | None
    signal: str | None
    project: str
    problem: str | None


class HookPage(Document):
    """Places where messages come in, from the settings."""

    items: list[HookDocument]


class HookMessage(Document):
    """A message that came in."""

    hook: str
    delivery_id: str
    received_at: datetime
    size_bytes: int
    status: Literal["taken", "done", "ignored", "failed"]
    run_id: str | None
    error: str | None


class HookMessagePage(Document):
    """Messages that came in, newest first."""

    items: list[HookMessage]


class HookTaken(Document):
    """What was done with a message."""

    status: Literal["accepted", "ignored", "duplicate"]
    delivery: str = Field(description="the id by which it is known")
    run_id: str | None
