"""Readers of SQLite: each statement goes to a thread and comes back with all its rows, in one trip.

A driver with a trip for each of its steps (begin, execute, fetch, close, roll back) makes ten of them for a lookup, and
on a busy process every trip waits for the interpreter's lock: that is most of what a small read costs.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, RowMapping, UpdateBase

from mosaic.core.errors import Unavailable
from mosaic.storage.transaction import Executable, Parameters, Transaction

__all__ = ["ReaderThreads"]

_Answer = TypeVar("_Answer")
_PATIENCE_S = 30.0
# More would not read faster: they would wait for the interpreter's lock, and the event loop for them.
_THREADS = 3


class ReaderThreads:
    """Read-only transactions of one SQLite file.

    Args:
        engine: whose transactions read; it must not run out of connections before `size` are open.
        size: how many transactions are open at once, in each event loop.
        where: the database as a user knows it.
    """

    def __init__(self, engine: Engine, *, size: int, where: str) -> None:
        self.engine = engine
        self._size = size
        self._where = where
        self._threads = ThreadPoolExecutor(min(size, _THREADS), thread_name_prefix="reader")
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one moment, from its first statement on.

        Raises:
            Unavailable: if others keep every connection for half a minute.
        """
        turns = await self._turn()
        reading = _Reading(self.engine, self._threads)
        try:
            yield reading
        finally:
            reading.end(turns.release)

    async def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        if turns is None:
            turns = self._turns[loop] = asyncio.Semaphore(self._size)
        try:
            async with asyncio.timeout(_PATIENCE_S if turns.locked() else None):
                await turns.acquire()
        except TimeoutError:
            raise Unavailable(f"Every reader of the database {self._where} is busy.") from None
        return turns

    def close(self) -> None:
        """Wait for the last statement and close every connection; for a thread."""
        self._threads.shutdown()
        self.engine.dispose()


class _Reading(Transaction):
    """A transaction in the making: its connection is taken with the first statement."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._threads = threads
        self._open: Connection | None = None
        self._running: Future[Any] | None = None
        super().__init__(None, read_only=True)  # type: ignore[arg-type]  # every method that uses it is ours

    async def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; its rows are fetched already."""
        if self.read_only and isinstance(statement, UpdateBase):
            raise RuntimeError("this transaction only reads")
        return await self._ask(statement, parameters, lambda result: result)

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """Return the first column of the first row; None when there is no row."""
        return await self._ask(statement, parameters, lambda result: result.scalar())

    async def rows(self, statement: Executable, parameters: Parameters = None) -> list[RowMapping]:
        """Return every row."""
        return await self._ask(statement, parameters, lambda result: list(result.mappings()))

    async def row(self, statement: Executable, parameters: Parameters = None) -> RowMapping | None:
        """Return the first row; None when there is none."""
        return await self._ask(statement, parameters, lambda result: result.mappings().first())

    async def _ask(
        self, statement: Executable, parameters: Parameters, take: Callable[[CursorResult[Any]], _Answer]
    ) -> _Answer:
        def ask() -> _Answer:
            if self._open is None:
                self._open = self._engine.connect()
                self._open.begin()
            return take(self._open.execute(statement, parameters))

        self._running = self._threads.submit(ask)
        return await asyncio.wrap_future(self._running)

    def end(self, release: Callable[[], None]) -> None:
        """Give the connection back; when a statement still runs (its caller was cancelled), after that."""
        running, self._running = self._running, None
        if running is None or running.done():
            self._close()
            release()
            return
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            self._close()
            try:
                loop.call_soon_threadsafe(release)
            except RuntimeError:  # the loop has ended, and everyone who waited in it
                return

        running.add_done_callback(ended)

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
