"""The bus on SQLite: processes that share the file leave each other notices in a table.

Looking costs one `PRAGMA data_version` every 150 ms, which reads shared memory and no table. Only when another
connection has committed does the listener read the notices of other processes.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import bindparam, delete, func, insert, select

from mosaic.events.models import bus_notice
from mosaic.events.shared_bus import SharedBus
from mosaic.storage import Database, Prepared, SyncTransaction, Transaction

__all__ = ["SqliteBus"]

_POLL_S = 0.15
_KEPT_NOTICES = 2000
_TRIM_EVERY = 500

_NOTICE = insert(bus_notice).values(source=bindparam("source"), topic=bindparam("topic"))
_PREPARED = Prepared(_NOTICE, "sqlite")
_TRIM = delete(bus_notice).where(
    bus_notice.c.id <= select(func.max(bus_notice.c.id)).scalar_subquery() - _KEPT_NOTICES
)


class SqliteBus(SharedBus):
    """A bus across the processes that share one SQLite file."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._written = 0

    async def announce(self, tx: Transaction, topics: Sequence[str]) -> None:
        """Leave a notice."""
        await tx.execute(_NOTICE, [{"source": self.source, "topic": topic} for topic in topics])
        self._written += 1

    def _tell(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Leave a notice."""
        tx.run(_PREPARED, [_PREPARED.row({"source": self.source, "topic": topic}) for topic in topics])
        self._written += 1
        if self._written >= _TRIM_EVERY:
            tx.send(_TRIM)
            self._written = 0

    def _errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error,)

    def _listen(self) -> None:
        file = Path(str(self._database.sync_url.database)).absolute()
        # mode=rw: a file that is not there yet is for the migration to make.
        connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1.0)
        try:
            last = connection.execute("SELECT coalesce(max(id), 0) FROM bus_notice").fetchone()[0]
            version = self._version(connection)
            self.deliver_all()  # what came before we listened
            while not self._stop.wait(_POLL_S):
                newest = self._version(connection)
                if newest != version:
                    version = newest
                    last = self._hear(connection, last)
        finally:
            connection.close()

    def _version(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def _hear(self, connection: sqlite3.Connection, last: int) -> int:
        notices = connection.execute(
            "SELECT id, source, topic FROM bus_notice WHERE id > ? ORDER BY id", (last,)
        ).fetchall()
        self.deliver({topic for _, source, topic in notices if source != self.source})
        return int(notices[-1][0]) if notices else last
