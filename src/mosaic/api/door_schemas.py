"""What requests about keys, budgets and cost hold, and what answers look like."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from mosaic.api.schemas import Body, Document, Moment

__all__ = [
    "BillPage",
    "BudgetDocument",
    "BudgetPage",
    "CreateKey",
    "ForecastDocument",
    "KeyDocument",
    "KeyPage",
    "KeyWithBudgets",
    "LeasePage",
    "NewKeyDocument",
    "PriceDocument",
    "PricePage",
    "Reconcile",
    "Reconciled",
    "Removed",
    "Rotate",
    "SavingsDocument",
    "SavingsFigures",
    "SetBudget",
    "SetPrice",
    "UsagePage",
]

Scope = Literal["tenant", "project", "run", "agent", "key"]
Period = Literal["total", "day", "month"]


class Limits(Body):
    """How much at once; null where there is no limit."""

    requests_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    tokens_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    concurrency: int | None = Field(None, ge=1, le=2**31 - 1)


class KeyBudget(Body):
    """A budget of the key's own."""

    period: Period = "total"
    usd: float | None = Field(None, ge=0, le=1_000_000_000, allow_inf_nan=False)
    tokens: int | None = Field(None, ge=0, le=2**53)
    alert_at: list[int] | None = Field(None, max_length=20, description="percents")


class CreateKey(Body):
    """A key somebody wants."""

    name: str = Field(min_length=1, max_length=200)
    project: str | None = Field(None, max_length=64)
    models: list[str] = Field([], max_length=200, description="patterns with * and ?; empty admits all")
    routes: list[str] = Field([], max_length=200, description="patterns with * and ?; empty admits all")
    scopes: list[Literal["chat", "embed", "count_tokens", "models", "tools"]] = Field(
        [], description="empty admits all"
    )
    expires_at: Moment | None = None
    limits: Limits = Limits()
    budget: KeyBudget | None = None


class Rotate(Body):
    """How long the old secret stays good."""

    grace_s: float | None = Field(None, ge=0, le=31_536_000)


class SetBudget(Body):
    """A budget; there is one for each scope, subject and period."""

    scope: Scope
    subject: str | None = Field(None, max_length=500, description="the project, run, agent or key")
    period: Period = "total"
    usd: float | None = Field(None, ge=0, le=1_000_000_000, allow_inf_nan=False)
    tokens: int | None = Field(None, ge=0, le=2**53)
    alert_at: list[int] | None = Field(None, max_length=20, description="percents")


class Reconcile(Body):
    """What the leases of processes that are gone count for."""

    as_spent: bool


class SetPrice(Body):
    """A price in dollars for a million tokens; what is not given for the cache costs the same as other input."""

    model: str = Field(max_length=300, description="provider:model, with * and ? as wildcards")
    input_usd_per_mtok: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)
    output_usd_per_mtok: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)
    cached_input_usd_per_mtok: float | None = Field(None, ge=0, le=1_000_000, allow_inf_nan=False)
    cache_write_usd_per_mtok: float | None = Field(None, ge=0, le=1_000_000, allow_inf_nan=False)
    source: str = Field(min_length=1, max_length=300, description="where the price stands")
    valid_from: Moment | None = None


class SavingsFigures(Body):
    """Figures of a month from elsewhere."""

    ci: dict[str, float] | None = Field(
        None, description="minutes, large_builds, bandwidth_gb and their prices"
    )
    items: list[dict[str, Any]] = Field([], max_length=1000, description="category, advice, monthly_usd")


class KeyDocument(Document):
    """A key; its secret is shown when it is made, never again."""

    id: str
    name: str
    tenant: str
    project: str
    prefix: str
    status: Literal["active", "expired", "revoked"]
    models: list[str]
    routes: list[str]
    scopes: list[str]
    limits: Limits
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    old_secret_until: datetime | None


class NewKeyDocument(KeyDocument):
    """A key with its secret."""

    secret: str


class BudgetDocument(Document):
    """A budget and what became of it in its present period."""

    id: str
    scope: Scope
    subject: str | None
    period: Period
    current_period: str
    limit_usd: float | None
    spent_usd: float
    leased_usd: float = Field(
        description="taken by processes to spend; counts as spent until they give it back"
    )
    unconfirmed_usd: float = Field(description="the part of spent_usd whose answer was lost")
    left_usd: float | None
    limit_tokens: int | None
    spent_tokens: int
    leased_tokens: int
    alert_at: list[int]
    created_at: datetime
    created_by: str


class KeyWithBudgets(KeyDocument):
    """A key and the budgets it has of its own."""

    budgets: list[BudgetDocument]


class KeyPage(Document):
    """Keys, newest first."""

    items: list[KeyDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class BudgetPage(Document):
    """Budgets in the order in which they were set."""

    items: list[BudgetDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class LeaseDocument(Document):
    """What a process that is gone had leased."""

    budget: str
    scope: Scope
    subject: str | None
    period: str
    holder: str
    usd: float
    tokens: int
    last_seen: datetime | None


class LeasePage(Document):
    """Leases of processes that are gone."""

    items: list[LeaseDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class Reconciled(Document):
    """Leases that were ended."""

    items: list[LeaseDocument]
    as_spent: bool


class Removed(Document):
    """Something was removed."""

    id: str
    removed: bool


class UsagePage(Document):
    """Usage by dimensions, dearest first, and the sum of all."""

    by: list[str]
    items: list[dict[str, Any]]
    total: dict[str, Any]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class ForecastDocument(Document):
    """What a period will have cost at its end."""

    period: Period
    ends_at: datetime
    spent_usd: float
    expected_usd: float
    low_usd: float
    high_usd: float
    days_seen: int


class BillPage(Document):
    """Lines of a bill; `next_cursor` continues it."""

    text: str
    next_cursor: str | None


class SavingsDocument(Document):
    """What could be saved in a month."""

    savings: list[dict[str, Any]]
    by_category: dict[str, float]
    monthly_usd: float


class PriceDocument(Document):
    """A tenant's own price, in dollars for a million tokens."""

    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float
    cache_write_usd_per_mtok: float
    source: str
    as_of: datetime


class PricePage(Document):
    """A tenant's own prices, and what models cost it."""

    items: list[PriceDocument]
    models: list[dict[str, Any]]
    list: str
    next_cursor: str | None = Field(None, description="continues the page; null at the end")
