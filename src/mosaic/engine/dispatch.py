"""Gets executions to DBOS, and makes sure that none is forgotten on the way."""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from mosaic.core.clock import Clock
from mosaic.engine.repository import EngineRepository, ExecutionRow, OpenExecution
from mosaic.storage import Database

__all__ = ["Dispatch", "Dispatcher", "make_dispatch_engine"]

log = logging.getLogger(__name__)
_PAGE = 500


class Dispatcher(Protocol):
    """Who starts executions: DBOS."""

    async def start(self, workflow_id: str, execution_id: str) -> None:
        """Run an execution on this node now; nothing happens the second time."""

    async def enqueue(
        self, workflow_id: str, execution_id: str, *, queue: str, priority: int, partition: str
    ) -> None:
        """Put an execution on a queue; nothing happens the second time."""

    async def cancel(self, workflow_ids: list[str]) -> None:
        """Take executions off their queues."""

    async def live(self, workflow_ids: list[str]) -> set[str]:
        """Return those that are queued or claimed."""


def make_dispatch_engine(database: Database) -> Engine:
    """Return the engine for DBOS' rows; the caller disposes of it.

    On SQLite they are in a file of their own, which spares the journal a competing writer. That file is not
    flushed on every commit: whatever it loses in a power cut, `Dispatch.reconcile` finds out and starts again.
    """
    if database.dialect == "postgresql":
        return database.sync_engine(pool_size=10, max_overflow=10)
    file = database.settings.data_dir / "engine.db"
    engine = create_engine(f"sqlite:///{file}", pool_size=8, max_overflow=24)

    @event.listens_for(engine, "connect")
    def connected(connection: object, _record: ConnectionPoolEntry) -> None:
        # The driver begins a transaction at the first write, at once as a writer; reads take no lock.
        connection.isolation_level = "IMMEDIATE"  # type: ignore[attr-defined]  # a sqlite3.Connection
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "busy_timeout = 10000",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]  # a sqlite3.Connection

    return engine


class Dispatch:
    """The way from an execution's row to its start."""

    def __init__(
        self, database: Database, repository: EngineRepository, dispatcher: Dispatcher, *, clock: Clock
    ) -> None:
        self._database = database
        self._repository = repository
        self._dispatcher = dispatcher
        self._clock = clock

    async def send(self, row: ExecutionRow) -> None:
        """Start an execution, or put it on its queue."""
        if row.queue is None:
            await self._dispatcher.start(row.workflow_id, row.id)
        else:
            await self._dispatcher.enqueue(
                row.workflow_id, row.id, queue=row.queue, priority=row.priority, partition=row.tenant_id
            )

    async def reconcile(
        self,
        *,
        node: str,
        older_than_s: float,
        busy: Callable[[str], bool],
        queues: Mapping[str, object],
    ) -> int:
        """Start what is open by our rows and unknown to DBOS; return how many there were.

        That happens when a process dies between the two, and when DBOS' file is lost or restored.
        """
        before, after, sent = self._clock() - timedelta(seconds=older_than_s), "", 0
        while True:
            async with self._database.transaction(read_only=True) as tx:
                rows = await self._repository.open_before(tx, before, after=after, limit=_PAGE)
                living = await self._repository.living(tx) - {node}
            if not rows:
                return sent
            after = rows[-1].id
            live = await self._dispatcher.live([row.workflow_id for row in rows])
            for row in rows:
                # What a living node holds it may be about to start.
                if row.workflow_id not in live and row.node not in living and not busy(row.id):
                    sent += await self._send_again(row, queues)

    async def _send_again(self, lost: OpenExecution, queues: Mapping[str, object]) -> int:
        async with self._database.transaction() as tx:
            row = await self._repository.get(tx, lost.id)
            # Another node may have sent it again since we looked.
            if row is None or row.is_final or row.generation != lost.generation:
                return 0
            crashed = row.status == "running" and not row.parked
            if not await self._repository.renew(tx, row, crashes=row.crashes + crashed):
                return 0
        row.generation += 1
        if row.queue is not None and row.queue not in queues:
            log.warning("execution %s: there is no queue %r any more, it starts at once", row.id, row.queue)
            row.queue = None
        log.info("execution %s was not known to the dispatcher: started again", row.id)
        await self.send(row)
        return 1
