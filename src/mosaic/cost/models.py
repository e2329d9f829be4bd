"""Rows of the cost room. Money is in billionths of a US dollar (`nanos`)."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table
from sqlalchemy.sql import false

from mosaic.storage import ExactJson, UtcDateTime, metadata

__all__ = [
    "budget",
    "cost_revision",
    "model_call",
    "price_override",
    "reservation",
    "spend_holder",
    "spend_lease",
    "spend_limit",
    "spend_period",
]

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
    # Where the call came from: `run` for an agent's, `gateway` for an outside client's.
    Column("source", String, nullable=False, server_default="run"),
    Column("operation", String, nullable=False, server_default="chat"),
    Column("key_id", String),
    Column("route", String),
    # Answered from our cache: nothing was sent, nothing was paid.
    Column("cached", Boolean, nullable=False, server_default=false()),
    Column("latency_ms", Integer),
    # ``ok``, ``cancelled``, or the code of the error it ended with.
    Column("outcome", String, nullable=False, server_default="ok"),
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

# What a part of a tenant may spend. The counters stand in `spend_period`, one row for each period.
spend_limit = Table(
    "spend_limit",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("scope", String, nullable=False),
    # The project, run, agent or key it is about; empty for the tenant itself.
    Column("subject", String, nullable=False),
    Column("period", String, nullable=False),
    Column("limit_nanos", BigInteger),
    Column("limit_tokens", BigInteger),
    # Percents of the limit at which `budget.alerted` is journaled.
    Column("alert_at", ExactJson, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String, nullable=False),
    CheckConstraint("scope IN ('tenant', 'project', 'run', 'agent', 'key')", name="scope"),
    CheckConstraint("period IN ('total', 'day', 'month')", name="period"),
    Index(None, "tenant_id", "scope", "subject", "period", unique=True),
)

# spent + leased <= limit, except by what cost more than was set aside for it or when a limit is lowered.
spend_period = Table(
    "spend_period",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("limit_id", String, primary_key=True),
    # ``total``, ``2026-11`` or ``2026-11-28``, in UTC.
    Column("period", String, primary_key=True),
    # Copies of the limit's: one row says whether there is room.
    Column("limit_nanos", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("leased_nanos", BigInteger, nullable=False),
    Column("leased_tokens", BigInteger, nullable=False),
    # The part of `spent` whose answer was lost: it may have been billed.
    Column("unconfirmed_nanos", BigInteger, nullable=False),
    Column("alerted_percent", Integer, nullable=False),
)

# What one process may spend without asking again. Its own counters say how much of it is used.
spend_lease = Table(
    "spend_lease",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("limit_id", String, primary_key=True),
    Column("period", String, primary_key=True),
    Column("holder", String, primary_key=True),
    Column("nanos", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Index(None, "holder"),
)

# One row per process that holds leases. Not tenant data.
spend_holder = Table(
    "spend_holder",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("pid", BigInteger, nullable=False),
    # The last batch this process wrote: a batch repeated after a lost connection changes nothing.
    Column("batch", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
)

# A tenant's own price of a model; money is in nanos for a million tokens.
price_override = Table(
    "price_override",
    metadata,
    Column("tenant_id", String, primary_key=True),
    # ``provider:model``, with * and ? as wildcards.
    Column("pattern", String, primary_key=True),
    Column("input_nanos_per_mtok", BigInteger, nullable=False),
    Column("output_nanos_per_mtok", BigInteger, nullable=False),
    Column("cached_input_nanos_per_mtok", BigInteger),
    Column("cache_write_nanos_per_mtok", BigInteger),
    # Where the price stands: a contract, a price page.
    Column("source", String, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", String, nullable=False),
)

# One row, counted up by each change of limits or prices: other processes see that they must read again. Not tenant
# data.
cost_revision = Table(
    "cost_revision",
    metadata,
    Column("name", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
