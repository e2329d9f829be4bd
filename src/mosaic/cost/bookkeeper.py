"""The one writer of this process's spends, leases and ledger rows: one batch at a time, each one commit."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from mosaic.core.errors import Fenced, Unavailable
from mosaic.core.ids import new_id
from mosaic.cost.accounts import Account, Change
from mosaic.cost.entries import EntryWriter, LedgerEntry, stored_now
from mosaic.cost.limits import Budget, BudgetSettings
from mosaic.cost.spending import HolderLost, Spending
from mosaic.events import Journal
from mosaic.storage import Database, SyncTransaction

__all__ = ["Bookkeeper"]

log = logging.getLogger(__name__)
_MANY = 16
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

Waiter: TypeAlias = "asyncio.Future[None]"


class _Batch:
    """What one commit writes; the same however often it is tried."""

    __slots__ = ("applied", "changes", "entries", "leaves", "sent_at", "token", "waiters")

    def __init__(
        self, changes: list[Change], entries: list[LedgerEntry], waiters: list[Waiter], *, leaves: bool
    ) -> None:
        self.token = new_id("bat")
        self.changes = changes
        self.entries = entries
        self.waiters = waiters
        self.leaves = leaves
        self.sent_at = 0.0
        self.applied = False


class Bookkeeper:
    """Collects what was spent and recorded, and writes it a few milliseconds later in one commit.

    One batch is under way at a time and is repeated until it is written, so rows keep their order and nothing is
    written twice. `lock` guards every account.

    Attributes:
        lock: held for anything that reads or changes an account.
        valid_until: until when leases may be spent without a sign of life, in monotonic seconds.
        lost_entries: ledger rows that the database refused; each was logged.
    """

    def __init__(self, database: Database, journal: Journal, settings: BudgetSettings | None = None) -> None:
        self.settings = settings or BudgetSettings()
        self.lock = threading.Lock()
        self.valid_until = 0.0
        self.lost_entries = 0
        self._database = database
        self._spending = Spending(database.dialect)
        self._writer = EntryWriter(database.dialect, journal)
        self._holder = new_id("hol")
        self._batch_before = ""
        self._entered = False
        self._accounts: dict[tuple[str, str, str], Account] = {}
        self._changed: list[Account] = []
        self._entries: deque[LedgerEntry] = deque()
        self._suspects: deque[LedgerEntry] = deque()
        self._waiters: list[Waiter] = []
        self._flight: _Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._pump_lock = threading.Lock()
        self._armed = False
        self._is_busy = False
        self._closing = False
        self._recorded = 0
        self._finished = 0

    @property
    def holder(self) -> str | None:
        """This process's id among those that hold leases; None while it has none."""
        return self._holder if self._entered else None

    @property
    def behind(self) -> int:
        """How many ledger rows are not written yet."""
        return self._recorded - self._finished

    @property
    def is_full(self) -> bool:
        """Too many ledger rows wait: no further call should be let in."""
        return len(self._entries) >= self.settings.most_behind

    # What others hand over

    def account(self, budget: Budget, period: str, ends_at: float) -> Account:
        """Return this process's account of a budget in a period, made on first use. The caller holds the lock."""
        place = (budget.tenant, budget.id, period)
        account = self._accounts.get(place)
        if account is None:
            account = self._accounts[place] = Account(budget, period, ends_at)
        return account

    def accounts(self) -> list[Account]:
        """Return every account. The caller holds the lock."""
        return list(self._accounts.values())

    def forget(self, account: Account) -> None:
        """Forget an account that is idle and has no lease. The caller holds the lock."""
        self._accounts.pop(account.key, None)

    def add_entry(self, entry: LedgerEntry) -> None:
        """Have a ledger row written with the next batch."""
        with self.lock:
            self._entries.append(entry)
            self._recorded += 1
        if not self._armed:
            self._arm()

    def change(self, account: Account) -> None:
        """Have an account's change written with the next batch. The caller holds the lock."""
        account.changed = True
        self._changed.append(account)
        if not self._armed:
            self._arm()

    def wait_for_batch(self) -> Waiter:
        """Return what ends when everything handed over so far is written; it is sent at once.

        Raises (from the future):
            MosaicError: if it could not be written yet; it is tried again all the same.
        """
        waiter: Waiter = asyncio.get_running_loop().create_future()
        with self.lock:
            self._waiters.append(waiter)
        self._arm(urgent=True)
        return waiter

    async def flush(self) -> None:
        """Write everything handed over so far.

        Raises:
            MosaicError: if it could not be written yet; it is tried again all the same.
        """
        recorded = self._recorded
        await self.wait_for_batch()
        while self._finished < recorded:
            await self.wait_for_batch()

    async def close(self) -> None:
        """Write everything that waits, and end. Leases must have been given back before."""
        self._closing = True
        if not self._has_work():
            return
        self._arm(urgent=True)
        pump = self._pump
        if pump is not None:
            await asyncio.wait((pump,), timeout=self.settings.holder_ttl_s)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if self.behind:
            log.error("%d ledger rows could not be written before the end", self.behind)

    # The pump

    def _arm(self, *, urgent: bool = False) -> None:
        """Have the pump wake: at once, or when others may have come to share the commit."""
        running = _running_loop()
        with self._pump_lock:
            loop = self._pumping_loop(running)
            self._armed = loop is not None
        if loop is None:
            return  # the next call from an event loop takes it along
        if running is not loop:
            loop.call_soon_threadsafe(self._wake.set)
        elif urgent:
            self._wake.set()
        else:
            settings = self.settings
            loop.call_later(settings.busy_flush_s if self._is_busy else settings.flush_s, self._wake.set)

    def _pumping_loop(self, running: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop | None:
        """Return the event loop of the pump, which is started in this one where there is none."""
        loop = self._loop
        if loop is None or loop.is_closed() or self._pump is None or self._pump.done():
            if running is None:
                return None
            loop = self._loop = running
            self._wake = asyncio.Event()
            self._pump = running.create_task(self._run(), name="bookkeeper")
        return loop

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._armed = False
            while self._has_work():
                await self._send()
                if not self._is_pressing():
                    break
            if self._closing and not self._has_work():
                return
            if self._has_work() and not self._armed:
                self._arm()

    def _has_work(self) -> bool:
        waits = self._entries or self._suspects or self._changed or self._waiters or self._flight
        return bool(waits) or (self._closing and self._entered)

    def _is_pressing(self) -> bool:
        return bool(
            self._closing or self._waiters or self._suspects or len(self._entries) >= self.settings.batch
        )

    def _next(self) -> _Batch:
        with self.lock:
            changed, self._changed = self._changed, []
            changes = [change for account in changed if (change := self._taken(account)) is not None]
            waiters, self._waiters = self._waiters, []
        if self._suspects:
            entries = [self._suspects.popleft()]
        else:
            most = min(self.settings.batch, len(self._entries))
            entries = [self._entries.popleft() for _ in range(most)]
        # A commit costs as much as some fifty rows: while there are many, they wait for each other a little longer.
        self._is_busy = len(entries) >= _MANY
        leaves = self._closing and not (self._entries or self._suspects)
        return _Batch(changes, entries, waiters, leaves=leaves)

    def _taken(self, account: Account) -> Change | None:
        if not account.changed:
            return None
        change = account.take_change()
        if change.is_empty:
            account.flight = None
            return None
        return change

    async def _send(self) -> None:
        """Write one batch, however long it takes. Cancelled, it is the next one's turn again."""
        batch = self._flight = self._flight or self._next()
        attempt = 0
        while not batch.applied:
            try:
                await self._commit(batch)
            except HolderLost:
                self._start_anew()
            except (Unavailable, Fenced) as error:
                self._fail_waiters(batch, error)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            except Exception as error:
                if not batch.entries:
                    self._fail_waiters(batch, error)
                    raise
                self._set_apart(batch, error)
        self._flight = None

    async def _commit(self, batch: _Batch) -> None:
        batch.sent_at = time.monotonic()
        holder, before, entered = self._holder, self._batch_before, self._entered

        def unit(tx: SyncTransaction) -> None:
            at = stored_now()
            if not entered:
                self._spending.enter(tx, holder, host=socket.gethostname(), pid=os.getpid(), at=at)
            if self._spending.begin(tx, holder, batch=batch.token, before=before, at=at):
                self._spending.write(tx, holder, batch.changes)
                self._writer.write(tx, batch.entries)
                if batch.leaves:
                    self._spending.leave(tx, holder)
            else:
                self._spending.reread(tx, holder, batch.changes)
            tx.after_commit(lambda: self._applied(batch))

        await self._database.committer.commit(unit)

    def _applied(self, batch: _Batch) -> None:
        """Take over what a batch has written; in the committer's thread, once."""
        with self.lock:
            if batch.applied:
                return
            batch.applied = True
            now = time.monotonic()
            for change in batch.changes:
                change.account.applied(change, now=now)
            self._finished += len(batch.entries)
            self._entered = not batch.leaves
            self._batch_before = batch.token
            self.valid_until = batch.sent_at + self.settings.holder_ttl_s / 2
        _answer(batch.waiters, None)

    def _start_anew(self) -> None:
        """Go on as a new holder without leases; what was spent is still written."""
        log.warning("the leases of %s were reconciled while it lived; it takes new ones", self._holder)
        with self.lock:
            for account in self._accounts.values():
                account.lose_lease()
            self._holder, self._batch_before, self._entered = new_id("hol"), "", False

    def _fail_waiters(self, batch: _Batch, error: Exception) -> None:
        waiters, batch.waiters = batch.waiters, []
        _answer(waiters, error)

    def _set_apart(self, batch: _Batch, error: Exception) -> None:
        """Take the rows out of a batch that was refused; each is tried alone, and one refused alone is given up."""
        entries, batch.entries = batch.entries, []
        if len(entries) == 1 and entries[0].is_cleaned:
            with self.lock:
                self.lost_entries += 1
                self._finished += 1
            log.error("the ledger row of the call %s was refused: %s", entries[0].call_key, error)
            return
        log.warning(
            "a batch of the ledger was refused (%s); its %d rows are tried alone", error, len(entries)
        )
        self._suspects.extend(entry.cleaned() for entry in entries)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _answer(waiters: Sequence[Waiter], error: Exception | None) -> None:
    """Wake waiters, each in its event loop; from any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, group in by_loop.items():
        with contextlib.suppress(RuntimeError):  # its loop has ended, and the waiters with it
            loop.call_soon_threadsafe(_wake, group, error)


def _wake(waiters: Sequence[Waiter], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)
