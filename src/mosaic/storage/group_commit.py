"""Group commit: many small changes share one transaction and one wait for the disk.

A commit costs a flush of the disk, whatever it holds. So one thread with one connection takes all changes that
wait, runs them in one transaction, commits once and answers every caller. A lone caller pays one commit; fifty
callers pay one commit together.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from mosaic.core.errors import Fenced, StorageFull, Unavailable
from mosaic.storage.errors import is_crossed
from mosaic.storage.transaction import SyncTransaction
from mosaic.storage.wire import DRIVER_ERRORS, Wire, open_wire
from mosaic.storage.write_gate import WriteTurns

__all__ = ["GroupCommitter"]

_ATTEMPTS = 3

T = TypeVar("T")
log = logging.getLogger(__name__)


class _Waiting(Generic[T]):
    """One unit of work and where its answer goes."""

    __slots__ = ("error", "future", "loop", "result", "unit")

    def __init__(
        self,
        unit: Callable[[SyncTransaction], T],
        loop: asyncio.AbstractEventLoop | None,
        future: asyncio.Future[T] | None,
    ) -> None:
        self.unit = unit
        self.loop = loop
        self.future = future
        self.result: T | None = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future is None:
            if self.error is not None:
                log.warning("a change that nobody waits for failed: %s", self.error)
        elif not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)  # type: ignore[arg-type]  # the unit's own result


def _settle(answered: Sequence[_Waiting[Any]]) -> None:
    for waiting in answered:
        waiting.settle()


class GroupCommitter:
    """The one writer of journaled changes.

    Attributes:
        guards: run first in every batch; one that raises stops the whole batch (the engine's fence).
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
        self._make_engine = make_engine
        self._gate = gate
        self._translate = translate
        self._refuse_nested = refuse_nested
        self._turn_timeout_s = turn_timeout_s
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[_Waiting[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._engine: Engine | None = None
        self._wire: Wire | None = None

    async def commit(self, unit: Callable[[SyncTransaction], T]) -> T:
        """Run `unit` in the next batch's transaction and return its result once that is committed.

        `unit` runs in the committer's thread and may run more than once (a batch is repeated without its bad
        unit, or after a lost connection), so it must not change anything but the transaction. When the caller
        is cancelled while it waits, the unit is dropped if it has not begun, and committed if it has.

        Raises:
            Unavailable: if the database is locked or out of reach; nothing was written.
            StorageFull: if the disk is full; nothing was written.
            Refused: if a constraint refused a row, `Duplicate` if its key is taken; nothing was written.
            Fenced: if a guard refused, because this node lost its lease.
        """
        self._refuse_nested()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._enqueue(_Waiting(unit, loop, future))
        return await future

    def submit(self, unit: Callable[[SyncTransaction], object]) -> None:
        """Run `unit` in the next batch without waiting; a failure is logged. From any thread.

        Raises:
            Unavailable: if the database is closed.
        """
        self._enqueue(_Waiting(unit, None, None))

    async def close(self) -> None:
        """Write what waits, then end the thread. Changes that come later are refused."""
        with self._lock:
            already, self._closed = self._closed, True
            thread = self._thread
            if thread is not None and not already:
                self._queue.put(None)
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _enqueue(self, waiting: _Waiting[Any]) -> None:
        with self._lock:  # nothing may follow the end mark of `close`
            if self._closed:
                raise Unavailable("The database is closed.", hint="Open it again.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            self._queue.put(waiting)

    def _run(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if batch:
                try:
                    self._write(batch)
                except Exception as error:
                    # A mistake of ours must not leave callers waiting for ever.
                    log.exception("the group committer failed")
                    for waiting in batch:
                        waiting.error = waiting.error or error
                self._answer(batch)
        self._disconnect()

    def _next_batch(self) -> tuple[list[_Waiting[Any]], bool]:
        batch: list[_Waiting[Any]] = []
        waiting = self._queue.get()
        try:
            while waiting is not None:
                if waiting.future is None or not waiting.future.cancelled():
                    batch.append(waiting)
                if len(batch) >= self._max_batch:
                    return batch, False
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _answer(self, batch: list[_Waiting[Any]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[_Waiting[Any]]] = {}
        for waiting in batch:
            by_loop.setdefault(waiting.loop, []).append(waiting)
        for loop, answered in by_loop.items():
            if loop is None:
                _settle(answered)
                continue
            try:
                loop.call_soon_threadsafe(_settle, answered)
            except RuntimeError:
                log.warning("%d changes were written after their event loop had closed", len(answered))

    def _write(self, batch: list[_Waiting[Any]]) -> None:
        """Write the batch; when it fails for one unit's sake, each unit alone."""
        error = self._attempt(batch)
        alone = error is not None and len(batch) > 1 and not _is_about_everyone(error)
        for waiting in batch:
            waiting.error = self._attempt([waiting]) if alone else error

    def _attempt(self, batch: list[_Waiting[Any]]) -> BaseException | None:
        """Write the batch in one transaction; return what went wrong."""
        if not self._gate.acquire_blocking(self._turn_timeout_s):
            return Unavailable("The database is locked by another transaction of this process.")
        try:
            return self._attempt_in_turn(batch)
        finally:
            self._gate.release()

    def _attempt_in_turn(self, batch: list[_Waiting[Any]]) -> BaseException | None:
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

    def _transact(self, batch: list[_Waiting[Any]]) -> None:
        wire = self._connect()
        wire.begin()
        transaction = SyncTransaction(wire)
        for guard in self.guards:
            guard(transaction)
        for waiting in batch:
            waiting.result = waiting.unit(transaction)
        transaction.flush()
        wire.commit()
        transaction.committed()

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
        self._wire = None
        wire.close()
        return lost

    def _disconnect(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._engine is not None:
            self._engine.dispose()


def _is_about_everyone(error: BaseException) -> bool:
    """Say whether an error would meet each unit alone too: only then is it useless to try."""
    return isinstance(error, Fenced) or (
        isinstance(error, Unavailable) and not isinstance(error, StorageFull)
    )
