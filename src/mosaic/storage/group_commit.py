"""Group commit: many small changes share one transaction and one wait for the disk.

A commit costs a flush of the disk, whatever it holds. So one thread with one connection takes all changes that
wait, runs them in one transaction, commits once and answers every caller. A lone caller pays one commit; fifty
callers pay one commit together.
"""

import asyncio
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from mosaic.core.errors import Fenced, StorageFull, Unavailable
from mosaic.storage.direct import Collector, Flight
from mosaic.storage.errors import is_crossed
from mosaic.storage.pending import Pending
from mosaic.storage.transaction import SyncTransaction
from mosaic.storage.wire import DRIVER_ERRORS, Wire, open_wire
from mosaic.storage.write_gate import WriteTurns

__all__ = ["GroupCommitter"]

_ATTEMPTS = 3

T = TypeVar("T")
log = logging.getLogger(__name__)


def _settle(answered: Sequence[Pending[Any]]) -> None:
    for pending in answered:
        pending.settle()


class GroupCommitter:
    """The one writer of journaled changes.

    Attributes:
        guards: run first in every batch; one that raises stops the whole batch (the engine's fence).
        limits: settings that the committer's session is held to, PostgreSQL only.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        *,
        gate: WriteTurns,
        translate: Callable[[BaseException], Exception | None],
        refuse_nested: Callable[[], None],
        turn_timeout_s: float,
        max_batch: int = 256,
    ) -> None:
        self.guards: list[Callable[[SyncTransaction], None]] = []
        self.limits: dict[str, str] = {}
        self._make_engine = make_engine
        self._gate = gate
        self._translate = translate
        self._refuse_nested = refuse_nested
        self._turn_timeout_s = turn_timeout_s
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[Pending[Any] | None] = queue.SimpleQueue()
        self._later: list[Pending[Any]] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._engine: Engine | None = None
        self._wire: Wire | None = None
        # Who holds it may use the wire: the thread for a batch, or the one change that takes the short way.
        self._turn = threading.Lock()
        self._flight: tuple[Flight, Pending[Any]] | None = None
        self._unfinished = 0
        self._was_alone = False

    async def commit(self, unit: Callable[[SyncTransaction], T]) -> T:
        """Run `unit` in the next batch's transaction and return its result once that is committed.

        `unit` runs in the committer's thread or here, and may run more than once (a batch is repeated without its
        bad unit, or after a lost connection), so it must not wait and must change nothing but the transaction.
        When the caller is cancelled while it waits, the unit is dropped if it has not begun, and committed if it
        has.

        Raises:
            Unavailable: if the database is locked or out of reach; nothing was written.
            StorageFull: if the disk is full; nothing was written.
            Refused: if a constraint refused a row, `Duplicate` if its key is taken; nothing was written.
            Fenced: if a guard refused, because this node lost its lease.
        """
        self._refuse_nested()
        pending = Pending(unit, loop=asyncio.get_running_loop(), is_kept=False)
        self._enqueue(pending)
        return await pending.wait()

    def begin(self, unit: Callable[[SyncTransaction], T]) -> Pending[T]:
        """Do what `commit` does without waiting yet; the unit is not dropped when its caller is cancelled.

        Raises:
            Unavailable: if the database is closed.
        """
        self._refuse_nested()
        pending = Pending(unit, loop=asyncio.get_running_loop())
        self._enqueue(pending)
        return pending

    def submit(self, unit: Callable[[SyncTransaction], object], *, delay_s: float = 0.0) -> None:
        """Run `unit` in the next batch after `delay_s` without waiting; a failure is logged. From any thread.

        Raises:
            Unavailable: if the database is closed.
        """
        self._enqueue(Pending(unit, due=time.monotonic() + delay_s if delay_s else 0.0))

    async def close(self) -> None:
        """Write what waits, then end the thread. Changes that come later are refused."""
        with self._lock:
            already, self._closed = self._closed, True
            thread = self._thread
            if thread is not None and not already:
                self._queue.put(None)
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _enqueue(self, pending: Pending[Any]) -> None:
        with self._lock:  # nothing may follow the end mark of `close`
            if self._closed:
                raise Unavailable("The database is closed.", hint="Open it again.")
            if not pending.due:
                self._unfinished += 1
            is_direct = self._may_fly(pending) and self._turn.acquire(blocking=False)
            if not is_direct:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                    self._thread.start()
                self._queue.put(pending)
        if is_direct:
            self._fly(pending)

    def _may_fly(self, pending: Pending[Any]) -> bool:
        """Say whether a change may take the short way: alone, as the last one was, and from an event loop."""
        wire = self._wire
        is_alone = self._was_alone and self._unfinished == 1 and not pending.due
        return is_alone and pending.loop is not None and wire is not None and wire.is_direct

    def _fly(self, pending: Pending[Any]) -> None:
        """Send one change from its own event loop; this holds the turn until it has landed."""
        assert self._wire is not None  # noqa: S101  # see `_may_fly`
        assert pending.loop is not None  # noqa: S101
        collector = Collector()
        transaction = SyncTransaction(collector)

        def landed(flight: Flight, error: BaseException | None) -> None:
            with self._lock:
                if self._flight is None or self._flight[0] is not flight:
                    return  # given up: the thread has done it
                self._flight = None
                self._unfinished -= error is None
            if error is not None:
                self._by_thread(pending)
                return
            self._turn.release()
            try:
                transaction.committed()
            finally:
                pending.settle()

        try:
            self._fill(transaction, [pending])
            # It cannot land before it is noted: it lands in this very loop.
            self._flight = self._wire.fly(collector.taken(), self.limits, pending.loop, landed), pending
        except BaseException as error:
            self._by_thread(pending)  # it finds out what is wrong and tells the caller
            if not isinstance(error, Exception):
                raise

    def _by_thread(self, pending: Pending[Any]) -> None:
        """Leave a change to the thread after all."""
        self._was_alone = False
        self._queue.put(pending)  # first: who takes the turn to end looks once more
        self._turn.release()

    def _take_turn(self) -> None:
        """Wait until the wire is free. A flight whose event loop does not run any more is given up."""
        while not self._turn.acquire(timeout=self._turn_timeout_s):
            with self._lock:
                left, self._flight = self._flight, None
            if left is not None:
                log.warning("an event loop left a change unanswered; it is written again")
                left[0].abandon()
                self._drop_wire()
                self._queue.put(left[1])
                return  # its turn is ours now

    def _run(self) -> None:
        is_ending = False
        while not is_ending:
            first = self._next()
            self._take_turn()
            try:
                batch, is_ending = self._gather(first)
                if batch:
                    self._write_or_tell(batch)
                if is_ending:
                    self._disconnect()
            finally:
                self._turn.release()
            # Only now: who is answered and writes again at once finds the short way free.
            self._answer(batch)

    def _write_or_tell(self, batch: list[Pending[Any]]) -> None:
        try:
            self._write(batch)
        except Exception as error:
            # A mistake of ours must not leave callers waiting for ever.
            log.exception("the group committer failed")
            for pending in batch:
                pending.error = pending.error or error
        with self._lock:
            self._unfinished -= sum(not pending.due for pending in batch)
            self._was_alone = len(batch) == 1 and not batch[0].due

    def _next(self) -> "Pending[Any] | Literal['due'] | None":
        """Wait for the next change; None is the end, ``due`` says that one was to wait and has."""
        try:
            return self._queue.get(timeout=self._until_due_s())
        except queue.Empty:
            return "due"

    def _gather(self, first: "Pending[Any] | Literal['due'] | None") -> tuple[list[Pending[Any]], bool]:
        """Return what can be written now, and whether it is the last."""
        batch: list[Pending[Any]] = []
        is_ending, taken = False, first
        while True:
            if taken is None:
                is_ending = True
            elif taken != "due":
                self._sort(taken, batch)
            if len(batch) >= self._max_batch and not is_ending:
                break
            try:
                taken = self._queue.get_nowait()
            except queue.Empty:
                break
        return batch + self._due_now(math.inf if is_ending else time.monotonic()), is_ending

    def _sort(self, pending: Pending[Any], batch: list[Pending[Any]]) -> None:
        if pending.due:
            self._later.append(pending)
        elif pending.is_dropped:
            with self._lock:
                self._unfinished -= 1
        else:
            batch.append(pending)

    def _until_due_s(self) -> float | None:
        if not self._later:
            return None
        return max(0.0, min(pending.due for pending in self._later) - time.monotonic())

    def _due_now(self, moment: float) -> list[Pending[Any]]:
        if not self._later:
            return []
        due = [pending for pending in self._later if pending.due <= moment]
        self._later = [pending for pending in self._later if pending.due > moment]
        return due

    def _answer(self, batch: list[Pending[Any]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Pending[Any]]] = {}
        for pending in batch:
            by_loop.setdefault(pending.loop, []).append(pending)
        for loop, answered in by_loop.items():
            if loop is None:
                _settle(answered)
                continue
            try:
                loop.call_soon_threadsafe(_settle, answered)
            except RuntimeError:
                log.warning("%d changes were written after their event loop had closed", len(answered))

    def _write(self, batch: list[Pending[Any]]) -> None:
        """Write the batch; when it fails for one unit's sake, each unit alone."""
        error = self._attempt(batch)
        alone = error is not None and len(batch) > 1 and not _is_about_everyone(error)
        for pending in batch:
            pending.error = self._attempt([pending]) if alone else error

    def _attempt(self, batch: list[Pending[Any]]) -> BaseException | None:
        """Write the batch in one transaction; return what went wrong."""
        if not self._gate.acquire_blocking(self._turn_timeout_s):
            return Unavailable("The database is locked by another transaction of this process.")
        try:
            return self._attempt_in_turn(batch)
        finally:
            self._gate.release()

    def _attempt_in_turn(self, batch: list[Pending[Any]]) -> BaseException | None:
        error: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                self._transact(batch)
            except Exception as failure:  # noqa: BLE001  # a worker: every error goes to the caller it belongs to
                error = failure
            else:
                return None
            # Units are re-runnable: a connection that died, even during its commit, or two writers that waited
            # for each other cost no more than another attempt.
            if not self._recover(error) and not is_crossed(error):
                break
        return self._translate(error) or error if error else None

    def _transact(self, batch: list[Pending[Any]]) -> None:
        wire = self._connect()
        wire.limit(self.limits)
        wire.begin()
        transaction = SyncTransaction(wire)
        try:
            self._fill(transaction, batch)
            wire.commit()
        except DRIVER_ERRORS as error:
            meaning = transaction.explained(error)
            if meaning is error:
                raise
            raise meaning from error
        transaction.committed()

    def _fill(self, transaction: SyncTransaction, batch: list[Pending[Any]]) -> None:
        for guard in self.guards:
            guard(transaction)
        for pending in batch:
            pending.result = pending.unit(transaction)
        transaction.flush()

    def _connect(self) -> Wire:
        if self._wire is None:
            if self._engine is None:
                self._engine = self._make_engine()
            self._wire = open_wire(self._engine)
        return self._wire

    def _recover(self, error: Exception) -> bool:
        """Make the connection usable again, or drop it; True when it was lost."""
        wire = self._wire
        if wire is None:
            return False  # it could not be opened
        lost = wire.lost(error)
        if not lost:
            try:
                wire.rollback()
            except (SQLAlchemyError, *DRIVER_ERRORS):
                log.warning("a rollback failed; the connection is replaced", exc_info=True)
            else:
                return False
        self._drop_wire()
        return lost

    def _drop_wire(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _disconnect(self) -> None:
        self._drop_wire()
        if self._engine is not None:
            self._engine.dispose()


def _is_about_everyone(error: BaseException) -> bool:
    """Say whether an error would meet each unit alone too: only then is it useless to try."""
    return isinstance(error, Fenced) or (
        isinstance(error, Unavailable) and not isinstance(error, StorageFull)
    )
