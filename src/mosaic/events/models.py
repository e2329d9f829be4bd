"""The rows of the journal."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table

from mosaic.storage import ExactJson, UtcDateTime, metadata

__all__ = ["bus_notice", "effect", "event", "journal_head"]

journal_head = Table(
    "journal_head",
    metadata,
    Column("tenant_id", String, primary_key=True),
    # The last sequence number given out. Its row lock orders the writers of a tenant.
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("project_id", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("correlation", String),
    Column("causation", String),
    Column("run_id", String),
    Column("path", String),
    Column("data", ExactJson, nullable=False),
    Index(None, "tenant_id", "run_id", "seq"),
    info={"append_only": True},
    # One tree instead of two on SQLite: an effect's commit writes half as many pages.
    sqlite_with_rowid=False,
)

effect = Table(
    "effect",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("result", ExactJson),
    Column("error", ExactJson),
    # The last event of its commit; 0 when it had none.
    Column("event_seq", BigInteger, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    # The id of its first event, or an id of its own: it tells a repeated write from a second one.
    Column("event_id", String),
    CheckConstraint("status IN ('started', 'done', 'failed')", name="status"),
    sqlite_with_rowid=False,
)

# SQLite only in use: what other processes changed (see `sqlite_bus`). Not tenant data.
bus_notice = Table(
    "bus_notice",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String, nullable=False),
    Column("topic", String, nullable=False),
)
