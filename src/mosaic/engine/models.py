"""The engine's rows. DBOS keeps its own, which only say who runs what; these hold what must not be lost.

An execution's result is not here: it is an effect in the journal, under the execution's `result_key`.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table

from mosaic.storage import ExactJson, UtcDateTime, metadata

__all__ = ["cancellation", "execution", "executor", "retry", "retry_budget", "schedule", "signal"]

execution = Table(
    "execution",
    metadata,
    # An execution is found by its id alone too (`Engine.wait`), so ids are unique among all tenants.
    Column("id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("project_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("path", String, nullable=False),
    Column("result_key", String, nullable=False),
    Column("handler", String, nullable=False),
    Column("input", ExactJson, nullable=False),
    Column("actor", String, nullable=False),
    Column("correlation", String),
    Column("causation", String),
    Column("queue", String),
    Column("priority", Integer, nullable=False),
    Column("status", String, nullable=False),
    # Of a failed, cancelled or dead one; the whole error of a failed one is in the journal.
    Column("error_code", String),
    # Which start of it DBOS knows: a requeued execution is a new workflow to DBOS.
    Column("generation", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    # How many effects were recorded when it last began: more of them the next time is progress.
    Column("progress", Integer, nullable=False),
    # It only waits (for a signal, a timer, a child): a crash now is not its fault.
    Column("parked", Boolean, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("node", String),
    Column("deadline_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'dead')", name="status"
    ),
    Index(None, "tenant_id", "run_id"),
    Index("ix_execution_status", "status", "node"),
)

signal = Table(
    "signal",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    # 0 is the one signal of its name; those that may come more than once count from 1.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("payload", ExactJson),
    Column("sender", String, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    # The effect that took a signal which may come more than once.
    Column("taken_by", String),
)

cancellation = Table(
    "cancellation",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("requested_by", String, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
)

retry_budget = Table(
    "retry_budget",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("retries_left", Integer, nullable=False),
)

# Each retry that was paid for: a crash between paying and recording must not make it cost twice.
retry = Table(
    "retry",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("retries_left", Integer, nullable=False),
)

schedule = Table(
    "schedule",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("cron", String, nullable=False),
    Column("timezone", String, nullable=False),
    Column("handler", String, nullable=False),
    Column("input", ExactJson, nullable=False),
    Column("next_at", UtcDateTime),
    Column("last_at", UtcDateTime),
    Index("ix_schedule_next_at", "next_at"),
)

# One row per start of a process. Not tenant data.
executor = Table(
    "executor",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("app_version", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("beat", UtcDateTime, nullable=False),
    Column("dead", Boolean, nullable=False),
    Index("ix_executor_dead", "dead", "beat"),
)
