"""A transaction as services see it: a value they pass on, whose statements only repositories make."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import CursorResult, Executable, RowMapping, UpdateBase
from sqlalchemy.ext.asyncio import AsyncConnection

from mosaic.storage.prepared import Prepared
from mosaic.storage.wire import Statements

__all__ = ["Announcer", "Executable", "Parameters", "SyncTransaction", "Transaction"]

log = logging.getLogger(__name__)

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Announcer(Protocol):
    """Someone who tells others what a transaction changed: other processes in it, this one after it."""

    async def announce(self, tx: "Transaction", topics: Sequence[str]) -> None:
        """Tell other processes, by statements that take effect with the commit."""

    def announce_sync(self, tx: "SyncTransaction", topics: Sequence[str]) -> None:
        """Tell other processes, by statements that take effect with the commit."""

    def announced(self, topics: Sequence[str]) -> None:
        """Tell this process; called once, after the commit, from any thread. Must not block or raise."""


class _Afterwards:
    """What a transaction does around its commit."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._outbox: dict[Announcer, dict[str, None]] = {}

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction is committed; never if it is not. Its errors are logged.

        It must not wait. In a unit of the group committer it is called in the committer's thread or in the unit's
        event loop.
        """
        self._callbacks.append(callback)

    def announce(self, announcer: Announcer, *topics: str) -> None:
        """Have `announcer` tell everyone about `topics` if and when this transaction commits."""
        self._outbox.setdefault(announcer, {}).update(dict.fromkeys(topics))

    def outbox(self) -> list[tuple[Announcer, tuple[str, ...]]]:
        """Return who has to tell what."""
        return [(announcer, tuple(topics)) for announcer, topics in self._outbox.items()]

    def committed(self) -> None:
        """Do what was asked for after the commit."""
        for announcer, topics in self.outbox():
            announcer.announced(topics)
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                # The rows are written: whoever wrote them must not be told otherwise.
                log.exception("what should follow a commit failed")


class Transaction(_Afterwards):
    """An open transaction. `Database.transaction` commits it; nothing else does."""

    def __init__(self, connection: AsyncConnection, *, read_only: bool) -> None:
        super().__init__()
        self._connection = connection
        self.read_only = read_only

    async def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        if self.read_only and isinstance(statement, UpdateBase):
            raise RuntimeError("this transaction only reads")
        return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """Return the first column of the first row; None when there is no row."""
        return (await self.execute(statement, parameters)).scalar()

    async def rows(self, statement: Executable, parameters: Parameters = None) -> list[RowMapping]:
        """Return every row."""
        return list((await self.execute(statement, parameters)).mappings())

    async def row(self, statement: Executable, parameters: Parameters = None) -> RowMapping | None:
        """Return the first row; None when there is none."""
        return (await self.execute(statement, parameters)).mappings().first()


class SyncTransaction(_Afterwards):
    """The transaction of one batch of the group committer, in its thread."""

    def __init__(self, wire: Statements) -> None:
        super().__init__()
        self._wire = wire
        self._explanations: list[Callable[[BaseException], Exception | None]] = []
        self._deferred: dict[Callable[[SyncTransaction, list[Any]], None], list[Any]] = {}

    def send(self, statement: Executable, parameters: Parameters = None) -> None:
        """Run one statement whose result nobody needs."""
        self._wire.send(statement, parameters)

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a prepared statement for each row: cheaper than `send`, on PostgreSQL without a round trip.

        Its error may come as late as the commit, so do not try to catch it here.
        """
        self._wire.run(prepared, rows)

    def ask(self, prepared: Prepared, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a prepared statement and return its rows."""
        return self._wire.ask(prepared, row)

    def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        return self._wire.execute(statement, parameters)

    def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """Return the first column of the first row; None when there is no row."""
        return self._wire.execute(statement, parameters).scalar()

    def rows(self, statement: Executable, parameters: Parameters = None) -> list[RowMapping]:
        """Return every row."""
        return list(self._wire.execute(statement, parameters).mappings())

    def row(self, statement: Executable, parameters: Parameters = None) -> RowMapping | None:
        """Return the first row; None when there is none."""
        return self._wire.execute(statement, parameters).mappings().first()

    def explain(self, explanation: Callable[[BaseException], Exception | None]) -> None:
        """Ask `explanation` what an error of this batch means; None when it does not know.

        For a statement of `run` that the database refuses on purpose: its error comes later, out of a batch.
        """
        self._explanations.append(explanation)

    def explained(self, error: Exception) -> Exception:
        """Return what `error` means to whoever knows, or `error`."""
        known = (explanation(error) for explanation in self._explanations)
        return next((meaning for meaning in known if meaning is not None), error)

    def defer(self, flush: "Callable[[SyncTransaction, list[Any]], None]", item: object) -> None:
        """Have `flush` write `item` just before the commit, together with all others of this batch.

        One `flush` is called once per batch with its items in order, so that many units cost one statement.
        """
        self._deferred.setdefault(flush, []).append(item)

    def flush(self) -> None:
        """Write what was deferred, then the announcements."""
        while self._deferred:
            deferred, self._deferred = self._deferred, {}
            for flush, items in deferred.items():
                flush(self, items)
        for announcer, topics in self.outbox():
            announcer.announce_sync(self, topics)
