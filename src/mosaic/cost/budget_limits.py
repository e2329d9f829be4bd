"""Budgets as people set them: set, show, remove, and put right what a crash left behind."""

from collections.abc import Collection
from dataclasses import replace

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.ids import new_id
from mosaic.core.values import JsonObject
from mosaic.core.versions import require_version
from mosaic.cost.bookkeeper import Bookkeeper
from mosaic.cost.budget_repository import BudgetRepository
from mosaic.cost.budgets import LIMITS_CHANGED
from mosaic.cost.limits import Budget, BudgetState, Lease, NewBudget
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database, Transaction

__all__ = ["BudgetLimits"]


class BudgetLimits:
    """The limits of budgets. Every change is journaled and reaches every process."""

    def __init__(
        self, database: Database, journal: Journal, bus: Bus, books: Bookkeeper, *, clock: Clock = now
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._books = books
        self._clock = clock
        self._rows = BudgetRepository(database.dialect)

    async def set(self, ctx: Context, wanted: NewBudget, *, only: Collection[str] | None = None) -> Budget:
        """Set a limit; there is one for each scope, subject and period, and what is spent of it stays spent.

        Args:
            ctx: the tenant.
            wanted: the limit.
            only: set it only if there is one that has one of these versions.

        Raises:
            InvalidInput: naming each field that is wrong.
            Stale: if it has another version.
        """
        async with self._database.transaction() as tx:
            return await self.set_in(tx, ctx, wanted, only=only)

    async def set_in(
        self, tx: Transaction, ctx: Context, wanted: NewBudget, *, only: Collection[str] | None = None
    ) -> Budget:
        """Do what `set` does, in the caller's transaction.

        Raises:
            InvalidInput: naming each field that is wrong.
            Stale: if it has another version.
        """
        wanted.check()
        # First: it makes two who set the same limit wait for each other.
        await self._rows.changed(tx)
        before = await self._rows.same(tx, ctx.tenant, wanted.scope, wanted.subject, wanted.period)
        require_version(before.version if before is not None else None, only, what="budget")
        alert_at = tuple(sorted(set(wanted.alert_at)))
        if before is not None:
            budget = replace(before, nanos=wanted.nanos, tokens=wanted.tokens, alert_at=alert_at)
            await self._rows.change(tx, budget)
        else:
            budget = Budget(
                new_id("bud"), ctx.tenant, wanted.scope, wanted.subject, wanted.period, wanted.nanos,
                wanted.tokens, alert_at, self._clock(), str(ctx.actor),
            )  # fmt: skip
            await self._rows.add(tx, budget)
        await self._note(
            tx, ctx, "budget.set", _about(budget) | {"usd": _usd(budget), "tokens": budget.tokens}
        )
        return budget

    async def states(
        self, ctx: Context, *, scope: str | None = None, subject: str | None = None
    ) -> list[BudgetState]:
        """Return the tenant's budgets with what became of them in their present periods."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.states(tx, ctx.tenant, self._clock(), scope=scope, subject=subject)

    async def get(self, ctx: Context, budget_id: str) -> BudgetState:
        """Return one budget.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        for state in await self.states(ctx):
            if state.budget.id == budget_id:
                return state
        raise _missing(budget_id)

    async def remove(self, ctx: Context, budget_id: str, *, only: Collection[str] | None = None) -> None:
        """Remove a limit and its counters; the ledger keeps what was spent.

        Raises:
            NotFound: if the tenant has none with that id.
            Stale: if it has a version that is not among `only`.
        """
        async with self._database.transaction() as tx:
            await self._rows.changed(tx)
            budget = await self._rows.get(tx, ctx.tenant, budget_id)
            if budget is None:
                raise _missing(budget_id)
            require_version(budget.version, only, what="budget")
            await self._rows.remove(tx, ctx.tenant, budget_id)
            await self._note(tx, ctx, "budget.removed", _about(budget))

    async def lost(self, ctx: Context) -> list[Lease]:
        """Return what processes that are gone had leased of the tenant's budgets; it counts as spent."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._lost(tx, ctx)

    async def reconcile(self, ctx: Context, *, as_spent: bool) -> list[Lease]:
        """End the leases of processes that are gone, and return them.

        A process that was taken for dead and is not finds its leases ended and takes new ones; it stopped spending
        the old ones before anybody could take it for dead.

        Args:
            ctx: the tenant.
            as_spent: count them as spent for good; else they are given back, and what the process had spent and not
                written is known only to the provider.
        """
        async with self._database.transaction() as tx:
            await self._rows.changed(tx)
            lost = await self._lost(tx, ctx)
            ended = [lease for lease in lost if await self._ends(tx, ctx, lease, as_spent=as_spent)]
            if ended:
                shown = [lease.to_json() for lease in ended]
                await self._note(tx, ctx, "budget.reconciled", {"leases": shown, "as_spent": as_spent})
        return ended

    async def _lost(self, tx: Transaction, ctx: Context) -> list[Lease]:
        ttl_s = self._books.settings.holder_ttl_s
        return await self._rows.lost_leases(tx, ctx.tenant, self._clock(), ttl_s, besides=self._books.holder)

    async def _ends(self, tx: Transaction, ctx: Context, lease: Lease, *, as_spent: bool) -> bool:
        ttl_s = self._books.settings.holder_ttl_s
        await self._rows.end_holder(tx, lease.holder, self._clock(), ttl_s)
        if await self._rows.holder_lives(tx, lease.holder):
            return False  # it has written in this very moment
        return await self._rows.settle_lease(tx, ctx.tenant, lease, as_spent=as_spent)

    async def _note(self, tx: Transaction, ctx: Context, event: str, data: JsonObject) -> None:
        self._bus.publish_in(tx, LIMITS_CHANGED)
        await self._journal.append(tx, ctx, [NewEvent(event, data)])


def _about(budget: Budget) -> JsonObject:
    return {
        "budget": budget.id,
        "scope": budget.scope,
        "subject": budget.subject or None,
        "period": budget.period,
    }


def _usd(budget: Budget) -> float | None:
    return budget.nanos / 1_000_000_000 if budget.nanos is not None else None


def _missing(budget_id: str) -> NotFound:
    return NotFound(f"There is no budget {budget_id}.", hint="`mosaic budgets list` shows them.")
