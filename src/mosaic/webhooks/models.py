"""Rows of subscriptions, of what is delivered to them, and of deliveries that came in; they never leave this room."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import Json, UtcDateTime, metadata

__all__ = ["event_webhook", "event_webhook_delivery", "hook_delivery"]

event_webhook = Table(
    "event_webhook",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("url", Text, nullable=False),
    # Patterns of event types.
    Column("events", Json, nullable=False),
    Column("project_id", String(64)),
    # What a delivery looks like: an event, or the artifacts of a run.
    Column("form", String(16), nullable=False),
    Column("at_once", Integer, nullable=False),
    # The secret is not here: it is made from the installation's key and the salt. `key_id` tells which key that was.
    Column("key_id", String(16), nullable=False),
    Column("salt", String(64), nullable=False),
    # After a rotation the salt before it, which signs too until then.
    Column("old_salt", String(64)),
    Column("old_until", UtcDateTime),
    Column("status", String(16), nullable=False),
    # Why it is not active.
    Column("reason", Text),
    # Attempts that failed since the last one that arrived.
    Column("failures", Integer, nullable=False),
    Column("failing_since", UtcDateTime),
    # How far the journal has been looked through.
    Column("seq", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    # The process that delivers to it, and for how long unless it says so again.
    Column("leased_by", String(100)),
    Column("leased_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("uq_event_webhook_name", "tenant_id", "name", unique=True),
)

# One row for each event and subscription: what waits, what was given up, and for a while what arrived.
event_webhook_delivery = Table(
    "event_webhook_delivery",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("webhook_id", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("type", String(200), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("replay", Boolean, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("answer", Integer),
    Column("error", Text),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_event_webhook_delivery_status", "tenant_id", "webhook_id", "status", "seq"),
)

# Messages from outside that were taken: a second one of the same id changes nothing.
hook_delivery = Table(
    "hook_delivery",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("hook", String(64), nullable=False),
    Column("delivery_id", String(200), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("run_id", String(64)),
    Column("error", Text),
    PrimaryKeyConstraint("tenant_id", "hook", "delivery_id"),
    Index("ix_hook_delivery_received", "tenant_id", "received_at"),
)
