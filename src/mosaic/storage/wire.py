"""The group committer's connection: the driver itself for prepared statements, SQLAlchemy for all others.

On PostgreSQL statements that need no answer travel in a pipeline: ``BEGIN``, the writes and ``COMMIT`` cost one
round trip together, so a batch takes about as long as a bare commit.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import Connection, CursorResult, Engine, Executable, Insert, Select
from sqlalchemy.exc import DBAPIError

from mosaic.storage.prepared import Prepared

__all__ = ["DRIVER_ERRORS", "PostgresWire", "SqliteWire", "Wire", "open_wire"]


# What the drivers raise when SQLAlchemy is not in between.
DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)


class Wire(Protocol):
    """One open connection. After `lost` it is of no more use."""

    def begin(self) -> None:
        """Begin a transaction."""

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row; an error may come as late as the commit."""

    def ask(self, prepared: Prepared, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""

    def send(self, statement: Executable, parameters: Any = None) -> None:
        """Run a Core statement whose result nobody needs; an error may come as late as the commit."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement and return its result."""

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

    def __init__(self, connection: Connection) -> None:
        self._core = connection
        self._driver = cast(sqlite3.Connection, connection.connection.driver_connection)

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
    """A psycopg connection in autocommit mode, so that BEGIN and COMMIT are statements like others."""

    def __init__(self, connection: Connection) -> None:
        self._core = connection
        self._driver = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
        self._cursor = self._driver.cursor()
        self._pipeline: AbstractContextManager[object] | None = None

    def begin(self) -> None:
        """Begin, in the first flight of the pipeline."""
        self._piped().execute("BEGIN")

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        cursor = self._piped()
        if len(rows) == 1:
            cursor.execute(prepared.sql, rows[0])
        else:
            cursor.executemany(prepared.sql, rows)

    def ask(self, prepared: Prepared, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows: one round trip, with all that was sent before."""
        cursor = self._piped()
        cursor.execute(prepared.sql, row)
        return cursor.fetchall()

    def send(self, statement: Executable, parameters: Any = None) -> None:
        """Run a Core statement."""
        if isinstance(statement, Select) or getattr(statement, "_returning", False):
            self.execute(statement, parameters).close()
            return
        if isinstance(statement, Insert):
            statement = statement.inline()  # or SQLAlchemy asks for the generated key, which is an answer
        self._piped()
        self._core.execute(statement, parameters)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a Core statement and return its result; SQLAlchemy cannot read one from a pipeline."""
        self._settle()
        return self._core.execute(statement, parameters)

    def commit(self) -> None:
        """Commit and wait for everything that was sent."""
        self._piped().execute("COMMIT")
        self._settle()
        if self._core.in_transaction():
            self._core.commit()  # SQLAlchemy's own notion of a transaction; the database is done

    def rollback(self) -> None:
        """Undo the transaction."""
        with contextlib.suppress(psycopg.Error):
            self._settle()  # the error that brought us here once more
        self._driver.rollback()
        self._core.rollback()

    def lost(self, error: BaseException) -> bool:
        """Say whether the connection is gone."""
        return self._driver.closed or (isinstance(error, DBAPIError) and error.connection_invalidated)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self._settle()
        self._driver.close()
        self._core.invalidate()
        self._core.close()

    def _piped(self) -> "psycopg.Cursor[tuple[Any, ...]]":
        if self._pipeline is None:
            pipeline = self._driver.pipeline()
            pipeline.__enter__()
            self._pipeline = pipeline
        return self._cursor

    def _settle(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.__exit__(None, None, None)


def open_wire(engine: Engine) -> Wire:
    """Connect."""
    connection = engine.connect()
    return SqliteWire(connection) if engine.dialect.name == "sqlite" else PostgresWire(connection)
