"""The bus on PostgreSQL: NOTIFY inside the transaction that changed something, LISTEN on a connection of our own."""

import selectors
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import String, bindparam, func, literal_column, select

from mosaic.events.shared_bus import SharedBus
from mosaic.storage import Prepared, SyncTransaction, Transaction

__all__ = ["PostgresBus"]

_CHANNEL = "mosaic"
# How long a silent connection is trusted before we look whether it still lives.
_PROBE_S = 10.0
# A network that swallows packets must not keep us listening to nobody.
_CONNECTION: dict[str, Any] = {
    "application_name": "mosaic-bus",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "tcp_user_timeout": 20_000,
}

_NOTIFY = select(func.pg_notify(literal_column(f"'{_CHANNEL}'"), bindparam("payload", type_=String)))
_PREPARED = Prepared(_NOTIFY, "postgresql")


class PostgresBus(SharedBus):
    """A bus across the processes that share one PostgreSQL database."""

    async def announce(self, tx: Transaction, topics: Sequence[str]) -> None:
        """Notify other processes once the transaction commits."""
        await tx.execute(_NOTIFY, [{"payload": f"{self.source} {topic}"} for topic in topics])

    def _tell(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Notify other processes once the transaction commits."""
        tx.run(_PREPARED, [(f"{self.source} {topic}",) for topic in topics])

    def _errors(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error, OSError)

    def _listen(self) -> None:
        url = self._database.sync_url.set(drivername="postgresql")
        address = url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, **_CONNECTION) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(_CHANNEL)))
            self.deliver_all()  # what came while nobody listened
            self._hear_until_closed(connection)

    def _hear_until_closed(self, connection: "psycopg.Connection[Any]") -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            if self._ends is not None:
                selector.register(self._ends[0], selectors.EVENT_READ)
            while not self._stop.is_set():
                if not selector.select(_PROBE_S):
                    connection.execute("SELECT 1")  # raises when the server is gone
                for notice in connection.notifies(timeout=0):
                    self._hear(notice.payload)

    def _hear(self, payload: str) -> None:
        source, _, topic = payload.partition(" ")
        if source != self.source:
            self.deliver((topic,))
