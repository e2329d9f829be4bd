"""A transaction as services see it: a value they pass on, whose statements only repositories make."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, CursorResult, Executable, RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Announcer", "Executable", "Parameters", "SyncTransaction", "Transaction"]

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Announcer(Protocol):
    """Someone who tells others what a transaction changed: statements before the commit, deliveries after it."""

    def announcement(self, topics: Sequence[str]) -> Sequence[Executable]:
        """Return the statements that tell other processes, to run inside the transaction."""

    def announced(self, topics: Sequence[str]) -> None:
        """Tell this process; called once, after the commit, from any thread. Must not block or raise."""


class _Afterwards:
    """What a transaction does around its commit."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._outbox: dict[Announcer, dict[str, None]] = {}

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction is committed; never if it is not. It must not raise."""
        self._callbacks.append(callback)

    def announce(self, announcer: Announcer, *topics: str) -> None:
        """Have `announcer` tell everyone about `topics` if and when this transaction commits."""
        self._outbox.setdefault(announcer, {}).update(dict.fromkeys(topics))

    def announcements(self) -> list[Executable]:
        """Return the statements to run just before the commit."""
        return [s for who, topics in self._outbox.items() for s in who.announcement(tuple(topics))]

    def committed(self) -> None:
        """Do what was asked for after the commit."""
        for announcer, topics in self._outbox.items():
            announcer.announced(tuple(topics))
        for callback in self._callbacks:
            callback()


class Transaction(_Afterwards):
    """An open transaction. `Database.transaction` commits it; nothing else does."""

    def __init__(self, connection: AsyncConnection, *, read_only: bool) -> None:
        super().__init__()
        self._connection = connection
        self.read_only = read_only

    async def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """Return the first column of the first row; None when there is no row."""
        return (await self._connection.execute(statement, parameters)).scalar()

    async def rows(self, statement: Executable, parameters: Parameters = None) -> list[RowMapping]:
        """Return every row."""
        return list((await self._connection.execute(statement, parameters)).mappings())

    async def row(self, statement: Executable, parameters: Parameters = None) -> RowMapping | None:
        """Return the first row; None when there is none."""
        return (await self._connection.execute(statement, parameters)).mappings().first()


class SyncTransaction(_Afterwards):
    """The transaction of one batch of the group committer, in its thread."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._deferred: dict[Callable[[SyncTransaction, list[Any]], None], list[Any]] = {}

    @property
    def connection(self) -> Connection:
        """The connection, for repositories that prepare their own statements."""
        return self._connection

    def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Run one statement; with a list of parameters, once for each."""
        return self._connection.execute(statement, parameters)

    def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """Return the first column of the first row; None when there is no row."""
        return self._connection.execute(statement, parameters).scalar()

    def rows(self, statement: Executable, parameters: Parameters = None) -> list[RowMapping]:
        """Return every row."""
        return list(self._connection.execute(statement, parameters).mappings())

    def row(self, statement: Executable, parameters: Parameters = None) -> RowMapping | None:
        """Return the first row; None when there is none."""
        return self._connection.execute(statement, parameters).mappings().first()

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
        for statement in self.announcements():
            self._connection.execute(statement)
