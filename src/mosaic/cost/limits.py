"""Budgets as data: what a part of a tenant may spend in a period."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.core.versions import version_of

__all__ = [
    "SCOPES",
    "Budget",
    "BudgetPeriod",
    "BudgetScope",
    "BudgetSettings",
    "BudgetState",
    "Lease",
    "NewBudget",
    "period_end",
    "period_name",
    "period_start",
]

BudgetScope = Literal["tenant", "project", "run", "agent", "key"]
BudgetPeriod = Literal["total", "day", "month"]

SCOPES: tuple[BudgetScope, ...] = get_args(BudgetScope)
"""From the widest to the narrowest."""

_PERIODS: tuple[BudgetPeriod, ...] = get_args(BudgetPeriod)
_HIGHEST = 2**62
_LONGEST_SUBJECT = 500


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """How budgets are kept in memory.

    Attributes:
        refresh_s: how often limits are looked at again when no wake comes; alerts are as late at most.
        holder_ttl_s: a process that has not written for this long is taken for dead; it spends nothing more from
            half of this on, so that what was reconciled cannot be spent again.
        idle_s: how long an unused lease is kept.
        recall_s: how long a call waits for other processes to give back what they do not use, near a limit.
        flush_s: how long a settled call may wait for others to share its commit.
        busy_flush_s: the same while there are many.
        batch: how many ledger rows share one.
        most_behind: unwritten ledger rows from which on no further call is let in.
        unpriced: what a budget in dollars does about a model whose price nobody knows.
    """

    refresh_s: float = 2.0
    holder_ttl_s: float = 15.0
    idle_s: float = 10.0
    recall_s: float = 0.5
    flush_s: float = 0.005
    busy_flush_s: float = 0.025
    batch: int = 256
    most_behind: int = 50_000
    unpriced: Literal["refuse", "allow"] = "refuse"


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A limit somebody wants.

    Attributes:
        subject: the project, run, agent or key; empty for the tenant itself.
        nanos: billionths of a dollar; None for no limit in dollars.
        tokens: None for no limit in tokens.
        alert_at: percents of the limit at which `budget.alerted` is journaled.
    """

    scope: BudgetScope
    subject: str = ""
    period: BudgetPeriod = "total"
    nanos: int | None = None
    tokens: int | None = None
    alert_at: tuple[int, ...] = (50, 80, 100)

    def check(self) -> None:
        """Check every field.

        Raises:
            InvalidInput: naming each that is wrong.
        """
        problems: list[Problem] = []
        if self.scope not in SCOPES:
            problems.append(Problem(f"must be one of {', '.join(SCOPES)}", path="scope"))
        if self.period not in _PERIODS:
            problems.append(Problem(f"must be one of {', '.join(_PERIODS)}", path="period"))
        if self.scope == "tenant" and self.subject:
            problems.append(Problem("a tenant's budget has no subject", path="subject"))
        if self.scope != "tenant" and not (
            0 < len(self.subject) <= _LONGEST_SUBJECT and self.subject.isprintable()
        ):
            problems.append(Problem(f"must name the {self.scope}", path="subject"))
        if self.nanos is None and self.tokens is None:
            problems.append(Problem("give a limit in dollars, in tokens, or both", path="usd"))
        for path, value in (("usd", self.nanos), ("tokens", self.tokens)):
            if value is not None and not 0 <= value <= _HIGHEST:
                problems.append(Problem("must be from 0 and not astronomical", path=path))
        if len(self.alert_at) > 20 or any(not 1 <= percent <= 1000 for percent in self.alert_at):
            problems.append(Problem("must be at most 20 percents from 1 to 1000", path="alert_at"))
        if problems:
            raise InvalidInput("The budget cannot be set.", problems=problems)


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit, as it stands. See `NewBudget` for the fields it shares."""

    id: str
    tenant: str
    scope: BudgetScope
    subject: str
    period: BudgetPeriod
    nanos: int | None
    tokens: int | None
    alert_at: tuple[int, ...]
    created_at: datetime
    created_by: str

    @property
    def version(self) -> str:
        """What was set; not what is spent."""
        usd = float(Money(self.nanos).as_usd) if self.nanos is not None else None
        return version_of([usd, self.tokens, list(self.alert_at)])

    def __str__(self) -> str:
        """Return the budget's name for people."""
        what = f"{self.scope} {self.subject}".strip()
        return what if self.period == "total" else f"{what} for the {self.period}"


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget and what has become of it in one period.

    Attributes:
        period_name: ``total``, ``2026-11`` or ``2026-11-28``.
        spent: what settled calls cost, and what may have been billed for calls whose answer was lost.
        leased: what processes have taken to spend; it counts as spent until they give it back.
        unconfirmed: the part of `spent` that may not have been billed.
    """

    budget: Budget
    period_name: str
    spent: Money
    leased: Money
    unconfirmed: Money
    spent_tokens: int
    leased_tokens: int

    def to_json(self) -> JsonObject:
        """Return the budget as a JSON object."""
        budget = self.budget
        return {
            "id": budget.id,
            "scope": budget.scope,
            "subject": budget.subject or None,
            "period": budget.period,
            "current_period": self.period_name,
            "limit_usd": usd(budget.nanos),
            "spent_usd": usd(self.spent.nanos),
            "leased_usd": usd(self.leased.nanos),
            "unconfirmed_usd": usd(self.unconfirmed.nanos),
            "left_usd": usd(max(budget.nanos - self.spent.nanos, 0)) if budget.nanos is not None else None,
            "limit_tokens": budget.tokens,
            "spent_tokens": self.spent_tokens,
            "leased_tokens": self.leased_tokens,
            "alert_at": list(budget.alert_at),
            "created_at": budget.created_at.isoformat().replace("+00:00", "Z"),
            "created_by": budget.created_by,
        }


@dataclass(frozen=True, slots=True)
class Lease:
    """What a process that is gone had taken of a budget: it may have spent it."""

    budget_id: str
    scope: BudgetScope
    subject: str
    period_name: str
    holder: str
    nanos: int
    tokens: int
    last_seen: datetime | None

    def to_json(self) -> JsonObject:
        """Return the lease as a JSON object."""
        return {
            "budget": self.budget_id,
            "scope": self.scope,
            "subject": self.subject or None,
            "period": self.period_name,
            "holder": self.holder,
            "usd": usd(self.nanos),
            "tokens": self.tokens,
            "last_seen": self.last_seen.isoformat().replace("+00:00", "Z") if self.last_seen else None,
        }


def usd(nanos: int | None) -> float | None:
    """Return dollars as JSON has them."""
    return float(Money(nanos).as_usd) if nanos is not None else None


def period_name(period: BudgetPeriod, moment: datetime) -> str:
    """Return the name of the period that `moment` is in, in UTC."""
    if period == "total":
        return "total"
    day = moment.astimezone(UTC).date().isoformat()
    return day if period == "day" else day[:7]


def period_start(period: BudgetPeriod, moment: datetime) -> datetime | None:
    """Return when the period of `moment` began; None for the one that has no beginning."""
    if period == "total":
        return None
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return start if period == "day" else start.replace(day=1)


def period_end(period: BudgetPeriod, moment: datetime) -> datetime | None:
    """Return when the period of `moment` ends; None for the one that does not."""
    start = period_start(period, moment)
    if start is None:
        return None
    if period == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)
