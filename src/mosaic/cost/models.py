"""Rows of the cost room. Money is in billionths of a US dollar (`nanos`)."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from mosaic.storage import UtcDateTime, metadata

__all__ = ["budget", "model_call", "reservation"]

# One row per model call that was answered: what was used and what it cost. `nanos` is null where nobody knows the
# price.
model_call = Table(
    "model_call",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("call_key", String, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("root_run_id", String, nullable=False),
    Column("project_id", String, nullable=False),
    Column("path", String, nullable=False),
    Column("agent", String),
    Column("provider", String, nullable=False),
    Column("model", String, nullable=False),
    Column("response_id", String),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    # The provider did not say what was used; the figures are our estimate.
    Column("estimated", Boolean, nullable=False),
    Column("nanos", BigInteger),
    Column("occurred_at", UtcDateTime, nullable=False),
    Index(None, "tenant_id", "root_run_id"),
    Index(None, "tenant_id", "occurred_at"),
)

# One row per run. The counters and limits of a family of runs are those of its root's row; a child's row only
# points there.
budget = Table(
    "budget",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("root_run_id", String, nullable=False),
    Column("limit_nanos", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("reserved_nanos", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("reserved_tokens", BigInteger, nullable=False),
)

# One row for every time a model call was sent: what was set aside for it before.
reservation = Table(
    "reservation",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("run_id", String, primary_key=True),
    Column("call_key", String, primary_key=True),
    # 1 for the first time, 2 when a crash made us send it again, and so on.
    Column("turn", Integer, primary_key=True, autoincrement=False),
    # Tells a repeated write of one sending from another sending.
    Column("token", String, nullable=False),
    Column("root_run_id", String, nullable=False),
    Column("nanos", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    # open: set aside. settled: spent, the ledger says what. released: nothing was used. unconfirmed: the answer was
    # lost and the call may have been billed, so the amount counts as spent for ever.
    Column("status", String, nullable=False),
    Column("reserved_at", UtcDateTime, nullable=False),
    Index(None, "tenant_id", "root_run_id", "status"),
)
