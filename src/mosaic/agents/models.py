"""Rows of agents and their conversations; they never leave this room."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from mosaic.storage import Json, UtcDateTime, metadata

__all__ = ["agent", "conversation"]

agent = Table(
    "agent",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", String),
    Column("description", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("affinities", Json, nullable=False),
    # As last set; the state that readers see also knows the heartbeat and the load.
    Column("availability", String, nullable=False),
    Column("detail", String),
    Column("capacity", Integer, nullable=False),
    Column("pool", String, nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    CheckConstraint("availability IN ('online', 'busy', 'offline', 'error')", name="availability"),
)

# One row for each job of an agent. The number of active rows is the agent's load: it cannot drift, because the
# row changes in the transaction of the effect that changes the state.
conversation = Table(
    "conversation",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("agent", String, nullable=False),
    Column("state", String, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("model", String, nullable=False),
    # Digest of the newest segment of messages; each segment names the one before it.
    Column("messages", String),
    Column("started_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "tenant_id", "agent", "state"),
)
