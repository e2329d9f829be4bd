"""The group committer's connection: the driver itself for prepared statements, SQLAlchemy for all others.

On PostgreSQL prepared statements that need no answer travel together, and a batch of nothing else is one message
that the server treats as one transaction: it takes one round trip, about as long as a bare commit.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.exc import DBAPIError

from mosaic.storage.burst import Burst
from mosaic.storage.direct import Collected, Flight, NeedsThread
from mosaic.storage.prepared import Prepared

__all__ = ["DRIVER_ERRORS", "PostgresWire", "SqliteWire", "Statements", "Wire", "open_wire"]


# What the drivers raise when SQLAlchemy is not in between.
DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)

_HAS_TRANSACTION_TIMEOUT = 170_000
_BEGIN = ("BEGIN", ((),))
_COMMIT = ("COMMIT", ((),))


class Statements(Protocol):
    """Where the statements of a transaction go."""

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row; an error may come as late as the commit."""

    def ask(self, prepared: Prepared, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""

    def send(self, statement: Executable, parameters: Any = None) -> None:
        """Run a Core statement whose result nobody needs."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement and return its result."""


class Wire(Statements, Protocol):
    """One open connection. After `lost` it is of no more use.

    Attributes:
        is_direct: whether `fly` can be used.
    """

    is_direct: bool

    def limit(self, limits: Mapping[str, str]) -> None:
        """Hold the session to `limits`, settings of the server; between transactions."""

    def begin(self) -> None:
        """Begin a transaction."""

    def fly(
        self,
        collected: Collected,
        limits: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        landed: Callable[[Flight, BaseException | None], None],
    ) -> Flight:
        """Send a whole transaction from an event loop; `landed` is called there when its answer has come.

        Raises:
            NeedsThread: if that is not possible.
        """

    def commit(self) -> None:
        """Commit; raises what went wrong on the way here."""

    def rollback(self) -> None:
        """Undo the transaction."""

    def lost(self, error: BaseException) -> bool:
        """Say whether `error` means that the connection is gone."""

    def close(self) -> None:
        """Close the connection; does not raise."""


class SqliteWire:
    """A SQLite connection whose transactions we begin and end ourselves."""

    is_direct = False  # a commit waits for the disk in the calling thread

    def __init__(self, connection: Connection) -> None:
        self._core = connection
        self._driver = cast(sqlite3.Connection, connection.connection.driver_connection)

    def limit(self, limits: Mapping[str, str]) -> None:
        """A file has no settings of a session."""

    def begin(self) -> None:
        """Begin as a writer."""
        self._driver.execute("BEGIN IMMEDIATE")

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        if len(rows) == 1:
            self._driver.execute(prepared.sql, rows[0])
        else:
            self._driver.executemany(prepared.sql, rows)

    def ask(self, prepared: Prepared, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self._driver.execute(prepared.sql, row).fetchall()

    def send(self, statement: Executable, parameters: Any = None) -> None:
        """Run a Core statement."""
        self._core.execute(statement, parameters)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement and return its result."""
        return self._core.execute(statement, parameters)

    def fly(self, *_: Any, **__: Any) -> Flight:
        """Refuse."""
        raise NeedsThread("a SQLite commit waits for the disk")

    def commit(self) -> None:
        """Commit."""
        self._driver.commit()
        if self._core.in_transaction():
            self._core.commit()  # SQLAlchemy's own notion of a transaction; the database is done

    def rollback(self) -> None:
        """Undo the transaction."""
        self._driver.rollback()
        self._core.rollback()

    def lost(self, error: BaseException) -> bool:
        """A file is never lost."""
        del error
        return False

    def close(self) -> None:
        """Close the connection."""
        self._core.close()


class PostgresWire:
    """A psycopg connection in autocommit mode, so that BEGIN and COMMIT are statements like others.

    Prepared statements wait until an answer is needed and then travel in one burst. When none was needed before
    the commit, that burst is the whole transaction: the server begins one with its first statement and commits
    it at its end, or writes nothing of it.
    """

    is_direct = True

    def __init__(self, connection: Connection) -> None:
        self._core = connection
        self._driver = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
        # psycopg's own prepared statements end with DEALLOCATE ALL after a rollback: ours would go with them.
        self._driver.prepare_threshold = None
        self._burst = Burst(self._driver)
        self._pending: list[tuple[str, Sequence[Sequence[Any]]]] = []
        self._begun = False
        self._limits: dict[str, str] = {}
        if self._driver.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
            # For the instant in which a burst larger than a socket's buffer is on its way.
            self._driver.execute("SET transaction_timeout = '30s'")

    def limit(self, limits: Mapping[str, str]) -> None:
        """Hold the session to `limits`."""
        for name, value in limits.items():
            if self._limits.get(name) != value:
                self._driver.execute("SELECT set_config(%s, %s, false)", (name, value))
                self._limits[name] = value

    def begin(self) -> None:
        """Begin, with the first burst."""
        self._pending, self._begun = [], False

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, with the next burst."""
        self._pending.append((prepared.sql, rows))

    def ask(self, prepared: Prepared, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows: one round trip, with all that waits."""
        self._pending.append((prepared.sql, (row,)))
        return self._flush()

    def send(self, statement: Executable, parameters: Any = None) -> None:
        """Run a Core statement."""
        self.execute(statement, parameters).close()

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement and return its result."""
        if self._pending or not self._begun:
            self._flush()
        return self._core.execute(statement, parameters)

    def fly(
        self,
        collected: Collected,
        limits: Mapping[str, str],
        loop: asyncio.AbstractEventLoop,
        landed: Callable[[Flight, BaseException | None], None],
    ) -> Flight:
        """Send a whole transaction from an event loop."""
        is_held = all(self._limits.get(name) == value for name, value in limits.items())
        if self._driver.closed or not is_held or not self._burst.knows(collected):
            raise NeedsThread("the connection must be made ready first")
        answers = self._burst.answers(collected)
        flight = Flight(answers, file=self._driver.fileno(), loop=loop, landed=landed)
        flight.depart()
        return flight

    def commit(self) -> None:
        """Commit, with all that waits."""
        if self._begun:
            self._pending.append(_COMMIT)
        statements, self._pending = self._pending, []
        if statements:
            self._burst.send(statements)
        if self._core.in_transaction():
            self._core.commit()  # SQLAlchemy's own notion of a transaction; the database is done

    def rollback(self) -> None:
        """Undo the transaction."""
        self._pending = []
        self._driver.rollback()
        self._core.rollback()

    def lost(self, error: BaseException) -> bool:
        """Say whether the connection is gone."""
        return self._driver.closed or (isinstance(error, DBAPIError) and error.connection_invalidated)

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()
        self._core.invalidate()
        self._core.close()

    def _flush(self) -> list[tuple[Any, ...]]:
        statements, self._pending = self._pending, []
        if not self._begun:
            statements.insert(0, _BEGIN)
            self._begun = True
        return self._burst.send(statements)


def open_wire(engine: Engine) -> Wire:
    """Connect."""
    connection = engine.connect()
    return SqliteWire(connection) if engine.dialect.name == "sqlite" else PostgresWire(connection)
