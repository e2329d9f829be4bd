"""What budgets need beside the path of a call: alerts, signs of life, leases that nobody uses given back."""

from typing import TYPE_CHECKING

from mosaic.core.clock import Clock
from mosaic.core.context import Actor, Context
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.cost.accounts import Account
from mosaic.cost.bookkeeper import Bookkeeper
from mosaic.cost.budget_repository import BudgetRepository
from mosaic.cost.limits import Budget, usd
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

__all__ = ["Upkeep"]

_FORGOTTEN_AFTER_S = 600.0


class Upkeep:
    """Looks after the accounts of this process.

    Attributes:
        nodes: how many processes hold leases and live, this one included.
    """

    def __init__(
        self, database: Database, journal: Journal, books: Bookkeeper, rows: BudgetRepository, *, clock: Clock
    ) -> None:
        self.nodes = 1
        self._database = database
        self._journal = journal
        self._books = books
        self._rows = rows
        self._clock = clock
        self._alerts: dict[tuple[str, str, str], int] = {}

    async def alert(self) -> None:
        """Journal `budget.alerted` for every threshold that was passed; once, over all processes."""
        with self._books.lock:
            accounts = {a.key: a for a in self._books.accounts() if a.budget.alert_at and not a.gone}
        if not accounts:
            return
        async with self._database.transaction(read_only=True) as tx:
            rows = await self._rows.counters(tx, list(accounts))
        for row in rows:
            place = (row["tenant_id"], row["limit_id"], row["period"])
            budget = accounts[place].budget
            percent = _passed(budget, row)
            if percent > max(int(row["alerted_percent"]), self._alerts.get(place, 0)):
                await self._alert(budget, row, percent)
                self._alerts[place] = percent

    async def _alert(self, budget: Budget, row: "RowMapping", percent: int) -> None:
        ctx = Context(budget.tenant, _project(budget), Actor("system", "budgets"))
        async with self._database.transaction() as tx:
            if await self._rows.alerted(tx, budget.tenant, budget.id, row["period"], percent):
                await self._journal.append(
                    tx, ctx, [NewEvent("budget.alerted", _alert(budget, row, percent))]
                )

    async def live(self, *, now: float) -> None:
        """Show that this process lives, when it has not written for a while, and count the others."""
        books = self._books
        if books.holder is not None and books.valid_until - now < books.settings.holder_ttl_s / 4:
            await books.wait_for_batch()
        async with self._database.transaction(read_only=True) as tx:
            self.nodes = max(await self._rows.nodes(tx, self._clock(), books.settings.holder_ttl_s), 1)

    def give_back(self, *, now: float, wall: float) -> None:
        """Give back leases that nobody has used for a while, or whose period is over, and forget what is idle."""
        books = self._books
        with books.lock:
            for account in books.accounts():
                unused_s = now - account.used_at
                if account.is_idle and (
                    unused_s > _FORGOTTEN_AFTER_S or account.gone or wall >= account.ends_at
                ):
                    books.forget(account)
                elif account.has_lease and (unused_s > books.settings.idle_s or wall >= account.ends_at):
                    self._return(account)

    async def give_back_scarce(self) -> None:
        """Give back what is free of budgets that have nothing left to lease: another process waits for it."""
        with self._books.lock:
            accounts = {a.key: a for a in self._books.accounts() if a.has_lease}
        if not accounts:
            return
        async with self._database.transaction(read_only=True) as tx:
            rows = await self._rows.counters(tx, list(accounts))
        with self._books.lock:
            for row in rows:
                if _is_scarce(row):
                    self._return(accounts[row["tenant_id"], row["limit_id"], row["period"]])

    def _return(self, account: Account) -> None:
        account.returns = True
        if not account.changed:
            self._books.change(account)


def _passed(budget: Budget, row: "RowMapping") -> int:
    """Return the highest threshold that was passed; 0 when none was."""
    shares = [
        int(row[spent]) * 100 // limit if limit else 100
        for spent, limit in (("spent_nanos", budget.nanos), ("spent_tokens", budget.tokens))
        if limit is not None and (limit or row[spent])
    ]
    reached = max(shares, default=0)
    return max((percent for percent in budget.alert_at if percent <= reached), default=0)


def _is_scarce(row: "RowMapping") -> bool:
    """Say whether next to nothing is left to lease."""
    for what in ("nanos", "tokens"):
        limit = row[f"limit_{what}"]
        if limit is not None and limit - row[f"spent_{what}"] - row[f"leased_{what}"] <= limit // 64:
            return True
    return False


def _alert(budget: Budget, row: "RowMapping", percent: int) -> JsonObject:
    return {
        "budget": budget.id,
        "scope": budget.scope,
        "subject": budget.subject or None,
        "period": row["period"],
        "percent": percent,
        "limit_usd": usd(budget.nanos),
        "spent_usd": float(Money(int(row["spent_nanos"])).as_usd),
        "limit_tokens": budget.tokens,
        "spent_tokens": int(row["spent_tokens"]),
    }


def _project(budget: Budget) -> str:
    return budget.subject if budget.scope == "project" else ""
