"""The fence: on PostgreSQL a node that was declared dead commits nothing, wherever in the code it writes."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, event

from mosaic.engine.nodes import check_batch_fence, check_fence, session_limits
from mosaic.storage import Database, SyncTransaction

__all__ = ["Fence"]


class Fence:
    """Makes every write transaction of this process check that its node lives."""

    def __init__(
        self, database: Database, dispatch_engine: Engine, *, node_id: str, lease_ttl_s: float
    ) -> None:
        self._database = database
        # Transactions that begin by themselves, and the batches of the group committer.
        self._engines = (dispatch_engine, database._engine.sync_engine)  # noqa: SLF001  # no public hook yet
        self._node_id = node_id
        self._idle_ms = int(lease_ttl_s * 1000)
        self._installed: list[Callable[[], None]] = []

    def install(self) -> None:
        """Begin to check."""
        for engine in self._engines:
            event.listen(engine, "begin", self._begun)
        self._database.committer.limits.update(session_limits(idle_ms=self._idle_ms))
        self._database.committer.guards.append(self._batch)

    def remove(self) -> None:
        """Check no more."""
        for engine in self._engines:
            event.remove(engine, "begin", self._begun)
        self._database.committer.guards.remove(self._batch)

    def _begun(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("postgresql_readonly"):
            check_fence(connection, self._node_id, idle_ms=self._idle_ms)

    def _batch(self, transaction: SyncTransaction) -> None:
        check_batch_fence(transaction, self._node_id)
