"""The bus on PostgreSQL: NOTIFY inside the transaction that changed something, LISTEN on a connection of our own."""

import time
from collections.abc import Sequence

import psycopg
from psycopg import sql
from sqlalchemy import String, bindparam, func, literal_column, select

from mosaic.events.shared_bus import SharedBus
from mosaic.storage import Prepared, SyncTransaction, Transaction

__all__ = ["PostgresBus"]

_CHANNEL = "mosaic"
# How often the listening thread looks whether it should end, and whether its connection still lives.
_TURN_S = 0.5
_PROBE_S = 10.0

_NOTIFY = select(func.pg_notify(literal_column(f"'{_CHANNEL}'"), bindparam("payload", type_=String)))
_PREPARED = Prepared(_NOTIFY, "postgresql")


class PostgresBus(SharedBus):
    """A bus across the processes that share one PostgreSQL database."""

    async def announce(self, tx: Transaction, topics: Sequence[str]) -> None:
        """Notify other processes once the transaction commits."""
        await tx.execute(_NOTIFY, [{"payload": f"{self.source} {topic}"} for topic in topics])

    def announce_sync(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Notify other processes once the transaction commits."""
        tx.run(_PREPARED, [(f"{self.source} {topic}",) for topic in topics])

    def _errors(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error, OSError)

    def _listen(self) -> None:
        url = self._database.sync_url.set(drivername="postgresql")
        address = url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True, application_name="mosaic-bus") as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(_CHANNEL)))
            self.deliver_all()  # what came while nobody listened
            probed = time.monotonic()
            while not self._stop.is_set():
                for notice in connection.notifies(timeout=_TURN_S, stop_after=1):
                    self._hear(notice.payload)
                if time.monotonic() - probed > _PROBE_S:
                    connection.execute("SELECT 1")
                    probed = time.monotonic()

    def _hear(self, payload: str) -> None:
        source, _, topic = payload.partition(" ")
        if source != self.source:
            self.deliver((topic,))
