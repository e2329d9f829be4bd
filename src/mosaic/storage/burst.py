"""Several prepared statements for PostgreSQL in one message and one answer.

Two reasons. Speed: a transaction's statements cost one round trip and one system call. And safety: a process may be
stopped at any instruction (a paused virtual machine, SIGSTOP, a lost network). Between two messages without a Sync
the server does not count a connection as idle in transaction, so it would keep that connection's locks, and other
nodes waiting, for as long as the process sleeps. A burst holds a lock only from messages that have all been sent
already, or ends in a state that the server's own timeout clears.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.waiting import Ready, Wait

__all__ = ["Burst"]

_FINE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY)

Row = Sequence[Any]


class Burst:
    """Sends statements together over one psycopg connection in autocommit mode, and nothing in between.

    Outside a transaction that was begun, one burst is a transaction of its own: the server begins it with the first
    statement and commits it at the Sync, when all of them succeeded.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._names: dict[str, bytes] = {}

    def send(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> list[tuple[Any, ...]]:
        """Run each statement for each of its rows; return the rows that the last one answers.

        Args:
            statements: texts with ``$1`` parameters that are cast to their types, and the values of each run.

        Raises:
            psycopg.Error: what the first statement that failed raised; those after it did not run.
        """
        for text, _ in statements:
            if text not in self._names:
                self._prepare(text)
        return self._rows(self._connection.wait(self._travel(self._filler(statements))))

    def knows(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> bool:
        """Say whether every statement is prepared, so that `answers` can send them."""
        return all(text in self._names for text, _ in statements)

    def answers(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> Generator[Wait, Ready | int, None]:
        """Do what `send` does as a generator that says what it waits for; the rows are not returned."""
        self._rows((yield from self._travel(self._filler(statements))))

    def _filler(self, statements: Sequence[tuple[str, Sequence[Row]]]) -> "Callable[[pq.abc.PGconn], None]":
        # Every value is written out before the first one goes: a half-filled pipeline cannot be left.
        ready = [
            (self._names[text], [_written(value) for value in row])
            for text, rows in statements
            for row in rows
        ]

        def fill(connection: "pq.abc.PGconn") -> None:
            for name, values in ready:
                connection.send_query_prepared(name, values)

        return fill

    def _prepare(self, text: str) -> None:
        name = f"mosaic_{len(self._names)}".encode()
        self._rows(
            self._connection.wait(
                self._travel(lambda connection: connection.send_prepare(name, text.encode()))
            )
        )
        self._names[text] = name

    def _travel(
        self, fill: "Callable[[pq.abc.PGconn], None]"
    ) -> "Generator[Wait, Ready | int, list[pq.abc.PGresult]]":
        connection = self._connection.pgconn
        connection.enter_pipeline_mode()
        try:
            fill(connection)
            connection.pipeline_sync()
            return (yield from _answers(connection))
        finally:
            # A connection that broke stays in the mode; it is of no more use anyway.
            if connection.status == pq.ConnStatus.OK:
                connection.exit_pipeline_mode()

    def _rows(self, results: "Sequence[pq.abc.PGresult]") -> list[tuple[Any, ...]]:
        for result in results:
            if result.status not in _FINE:
                raise psycopg.errors.error_from_result(result, self._connection.info.encoding)
        if not results or not results[-1].nfields:
            return []
        transformer = Transformer(self._connection)
        transformer.set_pgresult(results[-1])
        return transformer.load_rows(0, results[-1].ntuples, tuple)


def _answers(connection: "pq.abc.PGconn") -> Generator[Wait, Ready | int, "list[pq.abc.PGresult]"]:
    """Send what is buffered, then return every result up to the Sync. For `psycopg.Connection.wait`."""
    results: list[pq.abc.PGresult] = []
    while connection.flush():
        if (yield Wait.RW) & Ready.R:
            connection.consume_input()
    while True:
        while connection.is_busy():
            if (yield Wait.R) & Ready.R:
                connection.consume_input()
        result = connection.get_result()
        if result is None:  # the end of one statement's results
            if connection.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError("the connection was lost")
        elif result.status == pq.ExecStatus.PIPELINE_SYNC:
            return results
        else:
            results.append(result)


def _written(value: object) -> bytes | None:
    """Return a parameter as PostgreSQL reads it."""
    if isinstance(value, str):  # first: most of them are
        return value.encode()
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return repr(value).encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    raise TypeError(f"a prepared statement takes no {type(value).__name__}")
