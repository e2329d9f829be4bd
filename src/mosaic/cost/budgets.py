"""Budgets above a run: tenant, project, run, agent, key. Held before a call, settled after it, never passed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count

from mosaic.core.clock import Clock, now
from mosaic.core.errors import BudgetExceeded, Unavailable
from mosaic.cost.accounts import Account
from mosaic.cost.bookkeeper import Bookkeeper
from mosaic.cost.budget_repository import BudgetRepository
from mosaic.cost.holds import Hold
from mosaic.cost.limits import Budget, period_end, period_name
from mosaic.cost.payer import Payer
from mosaic.cost.upkeep import Upkeep
from mosaic.cost.watch import Watch
from mosaic.events import Bus, Journal
from mosaic.storage import Database

__all__ = ["LIMITS_CHANGED", "RECALL", "Budgets"]

LIMITS_CHANGED = "budgets.changed"
RECALL = "budgets.recall"

_MOST_CHAINS = 20_000
_RECALL_POLL_S = 0.05
_PATIENCE = 3
_FOR_EVER = float("inf")


class _Chain:
    """The accounts a payer draws on, widest first, until the first of their periods ends."""

    __slots__ = ("accounts", "ends_at")

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        self.accounts = accounts
        self.ends_at = min((account.ends_at for account in accounts), default=_FOR_EVER)


class Budgets:
    """What may be spent, from this process's leases.

    A hold takes from amounts that this process has leased from the database, by an update that fails when limit, spent
    and leased amounts leave no room; so any number of processes together never pass a limit, and a call waits for a
    commit only when a lease has run out. What is leased counts as spent for everybody else: after a crash until
    somebody reconciles it.

    Args:
        on_nodes: told now and then how many processes spend, such as `Quotas.divide`.
        clock: the time.
        seconds: the time in seconds since 1970, for the path of a call.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        books: Bookkeeper,
        *,
        on_nodes: Callable[[int], None] | None = None,
        clock: Clock = now,
        seconds: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._bus = bus
        self._books = books
        self._settings = books.settings
        self._clock = clock
        self._seconds = seconds
        self._monotonic = monotonic
        self._rows = BudgetRepository(database.dialect)
        self._limits: dict[tuple[str, str, str], tuple[Budget, ...]] = {}
        self._chains: dict[Payer, _Chain] = {}
        self._revision = -1
        self._recalled_at = 0.0
        self._lock = books.lock
        self._on_nodes = on_nodes
        self._upkeep = Upkeep(database, journal, books, self._rows, clock=clock)
        every_s = self._settings.refresh_s
        self._watches = (
            Watch(bus, self.maintain, topics=(LIMITS_CHANGED,), every_s=every_s, name="budgets"),
            Watch(bus, self._recalled, topics=(RECALL,), every_s=60.0, name="recalled budgets"),
        )

    async def start(self) -> None:
        """Read the limits, and follow their changes until `close`."""
        await self.refresh()
        for watch in self._watches:
            watch.start()

    async def close(self) -> None:
        """Give back what is not used; what calls still hold counts as spent, since it may be billed."""
        for watch in self._watches:
            await watch.stop()
        with self._lock:
            for account in self._books.accounts():
                account.spend_held()
                account.returns = True
                self._books.change(account)
        await self._books.close()
        await self._upkeep.alert()

    @property
    def nodes(self) -> int:
        """How many processes hold leases and live: among so many are quotas shared (`Quotas.divide`)."""
        return self._upkeep.nodes

    # The path of a call

    def limited(self, payer: Payer) -> bool:
        """Say whether any budget applies to `payer`; true as long as the limits have not been read."""
        chain = self._chains.get(payer)
        if chain is None:
            if self._revision < 0:
                return True
            chain = self._chain(payer)
        return bool(chain.accounts)

    def try_hold(self, payer: Payer, nanos: int | None, tokens: int) -> Hold | None:
        """Set an amount aside in every budget above a call, or in none; None when `hold` must ask the database.

        Args:
            payer: who pays.
            nanos: the most it can cost, in billionths of a dollar; None when nobody knows its price.
            tokens: the most tokens it can use.

        Raises:
            BudgetExceeded: naming the budget that has no room; `data` says what it has left.
            Unavailable: if what calls used can no longer be written.
        """
        chain = self._chains.get(payer)
        if chain is None or self._seconds() >= chain.ends_at:
            if self._revision < 0:
                return None
            chain = self._chain(payer)
        if self._books.is_full:
            raise _behind()
        accounts = chain.accounts
        if not accounts:
            return Hold((), nanos or 0, tokens)
        amount = nanos if nanos is not None else self._unpriced(accounts)
        moment = self._monotonic()
        if moment >= self._books.valid_until:
            return None
        with self._lock:
            return self._take(payer, accounts, amount, tokens, moment)

    def _take(
        self, payer: Payer, accounts: tuple[Account, ...], nanos: int, tokens: int, moment: float
    ) -> Hold | None:
        for account in accounts:
            if account.free_nanos < nanos or account.free_tokens < tokens:
                if moment < account.refused_until and account.refuses(nanos, tokens):
                    raise account.refusal(nanos, tokens, payer)
                return None
        for account in accounts:
            account.free_nanos -= nanos
            account.free_tokens -= tokens
            account.used_at = moment
            is_low = account.free_nanos < account.low_nanos or account.free_tokens < account.low_tokens
            if is_low and not account.changed:
                self._books.change(account)
        return Hold(accounts, nanos, tokens)

    async def hold(self, payer: Payer, nanos: int | None, tokens: int) -> Hold:
        """Do what `try_hold` does, leasing more from the database when this process has too little.

        Raises:
            BudgetExceeded: naming the budget that has no room; `data` says what it has left.
            Unavailable: if the database cannot be reached.
        """
        if self._revision < 0:
            await self.refresh()
        give_up_at = self._monotonic() + self._settings.recall_s
        for attempt in count():
            if attempt > _PATIENCE:
                await self.refresh()  # the limit itself may have gone or changed
            try:
                held = self.try_hold(payer, nanos, tokens)
            except BudgetExceeded as refused:
                if not await self._may_come_back(refused, payer, nanos or 0, tokens, give_up_at):
                    raise
                held = None
            if held is not None:
                return held
            self._need(payer, nanos or 0, tokens)
            await self._books.wait_for_batch()
        raise AssertionError("unreachable")

    def settle(self, hold: Hold, nanos: int, tokens: int) -> None:
        """Replace what was set aside by what was used. Once; a second end of a hold does nothing."""
        if not hold.open:
            return
        hold.open = False
        if not hold.accounts:
            return
        back, back_tokens = hold.nanos - nanos, hold.tokens - tokens
        with self._lock:
            for account in hold.accounts:
                account.free_nanos += back
                account.free_tokens += back_tokens
                account.spent_nanos += nanos
                account.spent_tokens += tokens
                if not account.changed:
                    self._books.change(account)

    def release(self, hold: Hold) -> None:
        """Give back what was set aside for a call that was certainly not billed."""
        if not hold.open:
            return
        hold.open = False
        with self._lock:
            for account in hold.accounts:
                account.free_nanos += hold.nanos
                account.free_tokens += hold.tokens

    def leave_unconfirmed(self, hold: Hold) -> None:
        """Count what was set aside as spent, for ever: the call may have been billed."""
        if not hold.open:
            return
        with self._lock:
            for account in hold.accounts:
                account.unconfirmed_nanos += hold.nanos
        self.settle(hold, hold.nanos, hold.tokens)

    def _unpriced(self, accounts: Sequence[Account]) -> int:
        """Return what a call of unknown price counts for: nothing, where that is allowed."""
        if self._settings.unpriced == "refuse":
            for account in accounts:
                budget = account.budget
                if budget.nanos is not None:
                    raise BudgetExceeded(
                        f"The {budget} has a budget in dollars, and nobody knows the price of this model.",
                        hint="Set its price with `mosaic cost prices set`, or under `cost.prices`.",
                        budget=budget.id, scope=budget.scope, subject=budget.subject or None, period=budget.period,
                        reason="unpriced",
                    )  # fmt: skip
        return 0

    def _chain(self, payer: Payer) -> _Chain:
        if len(self._chains) >= _MOST_CHAINS:
            self._chains = {}
        moment = datetime.fromtimestamp(self._seconds(), UTC)
        subjects = (
            ("tenant", ""),
            ("project", payer.project),
            ("run", payer.run_id),
            ("agent", payer.agent),
            ("key", payer.key_id),
        )
        found: list[Account] = []
        with self._lock:
            for scope, subject in subjects:
                if subject is None:
                    continue
                for budget in self._limits.get((payer.tenant, scope, subject), ()):
                    end = period_end(budget.period, moment)
                    ends_at = end.timestamp() if end is not None else _FOR_EVER
                    found.append(self._books.account(budget, period_name(budget.period, moment), ends_at))
            chain = self._chains[payer] = _Chain(tuple(found))
        return chain

    def _need(self, payer: Payer, nanos: int, tokens: int) -> None:
        """Ask for a top-up of every account that has too little for a call."""
        chain = self._chains.get(payer) or self._chain(payer)
        with self._lock:
            for account in chain.accounts:
                if account.free_nanos >= nanos and account.free_tokens >= tokens:
                    continue
                account.needed_nanos += nanos
                account.needed_tokens += tokens
                if not account.changed:
                    self._books.change(account)

    async def _may_come_back(
        self, refused: BudgetExceeded, payer: Payer, nanos: int, tokens: int, give_up_at: float
    ) -> bool:
        """Ask other processes for what they leased and do not use; say whether it is worth another try."""
        moment = self._monotonic()
        if moment >= give_up_at or refused.data.get("reason") == "unpriced":
            return False
        chain = self._chains.get(payer)
        short = [a for a in chain.accounts if a.refuses(nanos, tokens)] if chain is not None else []
        if not short or not all(account.is_lent_elsewhere(nanos, tokens) for account in short):
            return False
        if moment - self._recalled_at >= self._settings.recall_s:
            self._recalled_at = moment
            self._bus.publish(RECALL)
        await asyncio.sleep(_RECALL_POLL_S)
        with self._lock:
            for account in short:
                account.refused_until = 0.0
        return True

    # Beside it

    async def refresh(self) -> None:
        """Read the limits again if anybody changed one."""
        async with self._database.transaction(read_only=True) as tx:
            revision = await self._rows.revision(tx)
            if revision == self._revision:
                return
            budgets = await self._rows.every_limit(tx)
        limits: dict[tuple[str, str, str], tuple[Budget, ...]] = {}
        for budget in budgets:
            place = (budget.tenant, budget.scope, budget.subject)
            limits[place] = (*limits.get(place, ()), budget)
        known = {(budget.tenant, budget.id): budget for budget in budgets}
        with self._lock:
            for account in self._books.accounts():
                account.renew(known.get((account.budget.tenant, account.budget.id)))
                self._books.change(account)
            self._limits, self._revision, self._chains = limits, revision, {}

    async def maintain(self) -> None:
        """Read changes, give alerts, give back what is not used, show that this process lives."""
        await self.refresh()
        await self._upkeep.alert()
        self._upkeep.give_back(now=self._monotonic(), wall=self._seconds())
        await self._upkeep.live(now=self._monotonic())
        if self._on_nodes is not None:
            self._on_nodes(self._upkeep.nodes)

    async def _recalled(self) -> None:
        # Our own call wakes us, too; what we are short of is not ours to give.
        if self._monotonic() - self._recalled_at > self._settings.recall_s / 2:
            await self._upkeep.give_back_scarce()


def _behind() -> Unavailable:
    return Unavailable(
        "What calls use cannot be written down at the moment; no more are let in.",
        hint="See whether the database answers.",
        retry_after_s=1.0,
    )
