"""Prices, the ledger and hard budgets of model calls."""

from collections.abc import Sequence
from dataclasses import replace

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import BudgetExceeded
from mosaic.core.ids import new_id
from mosaic.core.money import Money
from mosaic.cost.budgets import Budgets
from mosaic.cost.holds import Hold
from mosaic.cost.payer import Payer
from mosaic.cost.price_book import PriceBook
from mosaic.cost.prices import PriceList
from mosaic.cost.repository import Asked, CostRepository, Refused
from mosaic.cost.schemas import CostSettings, ModelCall, Reservation, RunCost
from mosaic.cost.token_cost import TokenCost
from mosaic.providers import ModelCapabilities, Usage
from mosaic.storage import Database, SyncTransaction, Transaction, Write

__all__ = ["Cost"]

_MOST_CALLS_LISTED = 10_000


class Cost:
    """What runs cost, and what they may cost.

    A run and all its child runs share the budget of their root. Every model call first sets aside the most it can
    cost, in the database, by one update that fails when the budget has no room; so calls that run at once, in any
    number of processes, never pass the limit together. When the answer is there, the amount is replaced by the real
    cost in the same transaction that records the answer.

    An amount whose call may have been billed without an answer reaching us (a crash, a timeout, a broken
    connection) stays set aside for ever: a hard limit counts what may have been spent.
    """

    def __init__(
        self, database: Database, settings: CostSettings | None = None, *, clock: Clock = now
    ) -> None:
        self._settings = settings or CostSettings()
        self._database = database
        self._clock = clock
        self._rows = CostRepository(database.dialect)
        self.prices = PriceList(self._settings.prices)
        self._budgets: Budgets | None = None
        self._own_prices: PriceBook | None = None
        self._holds: dict[tuple[str, str, str, int], Hold] = {}

    def draw_on(self, budgets: Budgets) -> None:
        """Have every call fit the budgets above its run, too."""
        self._budgets = budgets

    def prefer(self, own_prices: PriceBook) -> None:
        """Have a tenant's own price come before every other."""
        self._own_prices = own_prices

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        tenant: str,
        capabilities: ModelCapabilities | None = None,
    ) -> Money | None:
        """Return what `usage` costs a tenant; None when nobody knows. See `PriceList.price`."""
        own = self._own(provider, model, tenant)
        if own is not None:
            return Money(own.of(usage))
        return self.prices.price(provider, model, usage, capabilities=capabilities)

    def estimate(
        self,
        provider: str,
        model: str,
        *,
        tenant: str,
        input_tokens: int,
        max_output_tokens: int,
        capabilities: ModelCapabilities | None = None,
    ) -> Money | None:
        """Return the most that a call can cost a tenant; None when nobody knows. See `PriceList.estimate`."""
        own = self._own(provider, model, tenant)
        if own is not None:
            return Money(own.most(input_tokens, max_output_tokens))
        return self.prices.estimate(
            provider,
            model,
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            capabilities=capabilities,
        )

    def _own(self, provider: str, model: str, tenant: str) -> TokenCost | None:
        return self._own_prices.own(provider, model, tenant=tenant) if self._own_prices is not None else None

    async def open_budget(
        self,
        tx: Transaction,
        ctx: Context,
        run_id: str,
        *,
        root_run_id: str | None = None,
        usd: Money | None = None,
        tokens: int | None = None,
    ) -> None:
        """Set a run's limits when it is created. Idempotent: a budget that is open stays as it is.

        A child run (`root_run_id` names another) shares its root's budget; limits given for it are not used.
        """
        root = root_run_id or run_id
        own = root == run_id
        statement = self._rows.open_budget(
            ctx.tenant,
            run_id,
            root_run_id=root,
            nanos=usd.nanos if usd is not None and own else None,
            tokens=tokens if own else None,
        )
        await tx.execute(statement)

    def extension(
        self, ctx: Context, run_id: str, *, usd: Money | None, tokens: int | None
    ) -> tuple[Write, ...]:
        """Return the writes that raise a run's limits, its family's when it is a child; None leaves a limit alone.

        They belong in the transaction that records why, so that they happen once.
        """
        nanos = usd.nanos if usd is not None else None
        return (self._rows.raise_limits(ctx.tenant, run_id, nanos=nanos, tokens=tokens),)

    async def reserve(
        self,
        ctx: Context,
        run_id: str,
        key: str,
        *,
        money: Money | None,
        tokens: int,
        forget_lost: bool = False,
        agent: str | None = None,
    ) -> Reservation:
        """Set aside the most that the call `key` can cost, before it is sent. One commit, shared with others.

        When the same call holds an amount already, it was sent before a crash and its answer was lost: the
        reservation says `repeated`, and the lost amount stays counted unless `forget_lost`.

        Args:
            ctx: the tenant.
            run_id: the run that pays, or whose root does.
            key: the effect's key.
            money: the most the call can cost; None when nobody knows its price.
            tokens: the most tokens it can use.
            forget_lost: give a lost amount back: the provider costs nothing, or answers a repetition for free.
            agent: who asks, for a budget of its own.

        Raises:
            BudgetExceeded: if the run's budget, or one above it, has no room; `data` says what is left.
        """
        asked = Asked(
            tenant=ctx.tenant,
            run_id=run_id,
            key=key,
            nanos=money.nanos if money is not None else None,
            tokens=tokens,
            token=new_id("rsv"),
            at=self._clock(),
            forget_lost=forget_lost,
            refuse_unpriced=self._settings.unpriced == "refuse",
        )

        def unit(tx: SyncTransaction) -> Reservation | Refused:
            return self._rows.reserve(tx, asked)

        given = await self._database.committer.commit(unit)
        if isinstance(given, Refused):
            raise _exceeded(given, asked)
        if given.turn > 1:
            self._end_lost(given, was_free=forget_lost)
        await self._hold_above(ctx, given, agent, money, tokens)
        return given

    async def _hold_above(
        self, ctx: Context, given: Reservation, agent: str | None, money: Money | None, tokens: int
    ) -> None:
        """Hold the amount in the budgets above the run, or give it back to the run and say which has no room."""
        if self._budgets is None:
            return
        payer = Payer(ctx.tenant, ctx.project, given.root_run_id, agent)
        nanos = money.nanos if money is not None else None
        try:
            held = self._budgets.try_hold(payer, nanos, tokens) or await self._budgets.hold(
                payer, nanos, tokens
            )
        except BaseException:
            self.release_soon(given)
            raise
        if held.accounts:
            self._holds[_place(given)] = held

    def _end_lost(self, given: Reservation, *, was_free: bool) -> None:
        """End what an earlier sending of the same call still holds: nobody will settle it any more."""
        held = self._holds.pop(_place(replace(given, turn=given.turn - 1)), None)
        if held is None or self._budgets is None:
            return
        if was_free:
            self._budgets.release(held)
        else:
            self._budgets.leave_unconfirmed(held)

    def _settle_above(self, reservation: Reservation, call: ModelCall) -> None:
        held = self._holds.pop(_place(reservation), None)
        if held is not None and self._budgets is not None:
            nanos = call.money.nanos if call.money is not None else 0
            self._budgets.settle(held, nanos, call.usage.total_tokens)

    def _release_above(self, reservation: Reservation) -> None:
        held = self._holds.pop(_place(reservation), None)
        if held is not None and self._budgets is not None:
            self._budgets.release(held)

    def settle(self, ctx: Context, reservation: Reservation, call: ModelCall) -> tuple[Write, ...]:
        """Return the writes that replace a reservation by the real cost and enter the call in the ledger.

        They belong in the transaction that records the answer.
        """
        # The answer is here, and so is its bill, whatever becomes of the record.
        self._settle_above(reservation, call)
        return self._rows.settle(reservation, self._dated(call), ctx.project)

    async def settle_now(self, ctx: Context, reservation: Reservation, call: ModelCall) -> None:
        """Settle in a transaction of its own, for an answer that is an error and was billed. Idempotent."""
        self._settle_above(reservation, call)
        dated = self._dated(call)
        await self._database.committer.commit(
            lambda tx: self._rows.settle_now(tx, reservation, dated, ctx.project)
        )

    async def release(self, reservation: Reservation) -> None:
        """Give back what was set aside for a call that was certainly not billed. Idempotent."""
        self._release_above(reservation)
        await self._database.committer.commit(lambda tx: self._rows.release(tx, reservation))

    def release_soon(self, reservation: Reservation) -> None:
        """Give back without waiting, for a caller that is being cancelled."""
        self._release_above(reservation)
        self._database.committer.submit(lambda tx: self._rows.release(tx, reservation))

    async def leave_unconfirmed(self, reservation: Reservation) -> None:
        """Count the amount as spent for ever: the call may have been billed. Idempotent."""
        held = self._holds.pop(_place(reservation), None)
        if held is not None and self._budgets is not None:
            self._budgets.leave_unconfirmed(held)

        def unit(tx: SyncTransaction) -> None:
            self._rows.end(tx, reservation, "unconfirmed")

        await self._database.committer.commit(unit)

    async def run_cost(self, ctx: Context, run_id: str) -> RunCost:
        """Return what a run and its child runs have cost so far; zero for a run without calls."""
        return (await self.run_costs(ctx, [run_id]))[run_id]

    async def run_costs(self, ctx: Context, run_ids: Sequence[str]) -> dict[str, RunCost]:
        """Return what each of some runs has cost so far, with its child runs."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.run_costs(tx, ctx.tenant, run_ids)

    async def calls(self, ctx: Context, run_id: str, *, limit: int = _MOST_CALLS_LISTED) -> list[ModelCall]:
        """Return the ledger of a run and its child runs, oldest first, at most `limit` rows."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.calls(tx, ctx.tenant, run_id, limit)

    def _dated(self, call: ModelCall) -> ModelCall:
        return call if call.occurred_at is not None else replace(call, occurred_at=self._clock())


def _place(reservation: Reservation) -> tuple[str, str, str, int]:
    return (reservation.tenant, reservation.run_id, reservation.key, reservation.turn)


def _exceeded(refused: Refused, asked: Asked) -> BudgetExceeded:
    data: dict[str, object] = {"run_id": asked.run_id, "root_run_id": refused.root_run_id}
    if refused.limit_nanos is not None and asked.nanos is None:
        return BudgetExceeded(
            f"The run {refused.root_run_id} has a budget in dollars, and nobody knows the price of this model.",
            hint="Set its price under `cost.prices`, give the run a token limit instead, or allow unpriced models.",
            **data,
            reason="unpriced",
        )
    if refused.limit_nanos is not None and refused.used_nanos + (asked.nanos or 0) > refused.limit_nanos:
        limit, used, needed = Money(refused.limit_nanos), Money(refused.used_nanos), Money(asked.nanos or 0)
        return BudgetExceeded(
            f"The budget of {limit} is not enough: {used} is spent or set aside, the next model call may cost "
            f"{needed}.",
            hint="Raise the run's budget, or use a cheaper model or a lower max_output_tokens.",
            **data,
            reason="usd",
            limit_usd=float(limit.as_usd),
            used_usd=float(used.as_usd),
            needed_usd=float(needed.as_usd),
            left_nanos=max(refused.limit_nanos - refused.used_nanos, 0),
        )
    limit_tokens = refused.limit_tokens or 0
    return BudgetExceeded(
        f"The budget of {limit_tokens:,} tokens is not enough: {refused.used_tokens:,} are used or set aside, the "
        f"next model call may use {asked.tokens:,}.",
        hint="Raise the run's token limit, or use a lower max_output_tokens.",
        **data,
        reason="tokens",
        limit_tokens=limit_tokens,
        used_tokens=refused.used_tokens,
        needed_tokens=asked.tokens,
        left_tokens=max(limit_tokens - refused.used_tokens, 0),
    )
