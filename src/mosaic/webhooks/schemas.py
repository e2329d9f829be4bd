"""Subscriptions and deliveries as other rooms see them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from mosaic.core.values import JsonObject
from mosaic.outbound import RETRY_S

__all__ = [
    "CONTROL_PLANE",
    "DEFAULT_AT_ONCE",
    "Delivery",
    "DeliveryStatus",
    "Form",
    "NewWebhook",
    "Webhook",
    "WebhookSettings",
    "WebhookStatus",
]

WebhookStatus = Literal["active", "disabled"]
DeliveryStatus = Literal["waiting", "delivered", "dead"]
Form = Literal["event", "artifacts"]

CONTROL_PLANE = "control-plane"
"""The name of the one subscription that the settings make."""

DEFAULT_AT_ONCE = 1


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What a subscription is made with.

    Attributes:
        name: how people call it.
        url: where events go.
        events: patterns of event types, such as ``run.*``.
        project: only events of this project; None for all of the tenant.
        at_once: deliveries in flight. One keeps the order of the journal: what fails holds back what comes after it.
        after: the journal sequence after which it begins; None for now.
    """

    name: str
    url: str
    events: tuple[str, ...] = ("*",)
    project: str | None = None
    at_once: int = DEFAULT_AT_ONCE
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A subscription: an address that is told of events.

    Attributes:
        form: what it is sent: the event, or the artifacts of a run that has succeeded.
        key_id: which key its secret was made with; `salt` is the other half, and secret as long as the key is not.
        old_until: until when the secret before the last rotation signs too.
        reason: why it is not active.
        failures: attempts that failed since the last one that arrived.
        seq: how far the journal has been looked through for it.
        version: counts changes.
    """

    id: str
    tenant: str
    name: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    project: str | None
    form: Form
    at_once: int
    key_id: str
    salt: str = field(repr=False)
    old_salt: str | None = field(repr=False)
    old_until: datetime | None
    status: WebhookStatus
    reason: str | None
    failures: int
    failing_since: datetime | None
    seq: int
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime

    @property
    def host(self) -> str:
        """The address as far as it holds no secret."""
        return _host(self.url)

    def to_json(self) -> JsonObject:
        """Return the subscription as its owner sees it: without its secret, its address as it was given."""
        return {
            "id": self.id,
            "name": self.name,
            "url": self.url,
            "events": list(self.events),
            "project": self.project,
            "form": self.form,
            "at_once": self.at_once,
            "status": self.status,
            "reason": self.reason,
            "failures": self.failures,
            "failing_since": _iso(self.failing_since),
            "seq": self.seq,
            "old_secret_until": _iso(self.old_until),
            "version": self.version,
            "created_at": _iso(self.created_at),
            "created_by": self.created_by,
            "updated_at": _iso(self.updated_at),
        }

    def journaled(self) -> JsonObject:
        """Return what the journal may hold of it: an address can be a secret."""
        return {"webhook": self.id, "name": self.name, "host": self.host, "events": list(self.events)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscription.

    Attributes:
        seq: the event's place in the journal.
        replay: somebody wanted it again.
        next_at: when the next attempt is due, while it waits.
        answer: the HTTP status of the last attempt.
        error: why the last attempt failed.
    """

    id: str
    webhook_id: str
    seq: int
    event_id: str
    type: str
    status: DeliveryStatus
    attempts: int
    replay: bool
    next_at: datetime
    created_at: datetime
    finished_at: datetime | None = None
    answer: int | None = None
    error: str | None = None

    def to_json(self) -> JsonObject:
        """Return the delivery as the API and the CLI show it."""
        return {
            "id": self.id,
            "webhook": self.webhook_id,
            "seq": self.seq,
            "event": self.event_id,
            "type": self.type,
            "status": self.status,
            "attempts": self.attempts,
            "replay": self.replay,
            "next_at": _iso(self.next_at) if self.status == "waiting" else None,
            "created_at": _iso(self.created_at),
            "finished_at": _iso(self.finished_at),
            "answer": self.answer,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How subscriptions are delivered to.

    Attributes:
        allowed_hosts: private hosts and networks that may be told all the same.
        retry_s: seconds between attempts; after the last one a delivery is dead.
        timeout_s: for one attempt.
        max_body_bytes: of one message; larger data is left out of it.
        most: subscriptions of a tenant.
        in_flight: deliveries at once of one process, to all subscriptions together.
        disable_after: attempts that must have failed in a row before a subscription is disabled.
        disable_after_s: and for how long nothing must have arrived.
        lease_s: for how long a process that says nothing stays the one that delivers.
        keep_s: for how long what has arrived is listed.
        most_waiting: deliveries of a subscription that wait at most; the rest stays in the journal.
    """

    allowed_hosts: tuple[str, ...] = ()
    retry_s: tuple[float, ...] = RETRY_S
    timeout_s: float = 15.0
    max_body_bytes: int = 262_144
    most: int = 100
    in_flight: int = 16
    disable_after: int = 10
    disable_after_s: float = 259_200.0
    lease_s: float = 60.0
    keep_s: float = 604_800.0
    most_waiting: int = 1_000


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
