"""Rows of the cost room. Money is in billionths of a US dollar (`nanos`)."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from mosaic.storage import UtcDateTime, metadata

__all__ = ["budget", "model_call", "reservation"]

# One row per model call that was made: what was used and what it cost. `nanos` is null where nobody knows the price.
model_call = Table(
    "model_call",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("run_id", String(64), primary_key=True),
    Column("call_key", Text, primary_key=True),
    Column("root_run_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("agent", String(128)),
    Column("provider", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("response_id", String(256)),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("nanos", BigInteger),
    Column("occurred_at", UtcDateTime, nullable=False),
    Index("ix_model_call_root", "tenant_id", "root_run_id"),
    Index("ix_model_call_time", "tenant_id", "occurred_at"),
)

# One row per run. The counters and limits of a family of runs are those of the root's row; a child's row only
# points there, and its own counters stay 0.
budget = Table(
    "budget",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("run_id", String(64), primary_key=True),
    Column("root_run_id", String(64), nullable=False),
    Column("limit_nanos", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("spent_nanos", BigInteger, nullable=False, default=0),
    Column("reserved_nanos", BigInteger, nullable=False, default=0),
    Column("spent_tokens", BigInteger, nullable=False, default=0),
    Column("reserved_tokens", BigInteger, nullable=False, default=0),
    Index("ix_budget_root", "tenant_id", "root_run_id"),
)

# One row per attempt at a model call: what was set aside for it before it was sent.
reservation = Table(
    "reservation",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("run_id", String(64), primary_key=True),
    Column("call_key", Text, primary_key=True),
    # 1 for the first time a call was sent, 2 when a crash made us send it again, and so on.
    Column("turn", Integer, primary_key=True),
    Column("root_run_id", String(64), nullable=False),
    Column("nanos", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    # open: set aside; settled: spent, see the ledger; released: nothing was used; unconfirmed: the answer was
    # lost, so the amount counts as spent for ever.
    Column("status", String(16), nullable=False),
    Column("reserved_at", UtcDateTime, nullable=False),
    Index("ix_reservation_root", "tenant_id", "root_run_id", "status"),
)
