"""Taking an execution for this node: who may run it, from where it goes on, and when to give it up."""

import logging
from collections.abc import Mapping

from mosaic.core.clock import Clock
from mosaic.engine.endings import Endings
from mosaic.engine.execution import Handler
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.run_repository import RunRepository
from mosaic.engine.schemas import EngineSettings
from mosaic.engine.scope import RecordedEffects, RunScope
from mosaic.events import Journal
from mosaic.storage import Database

__all__ = ["Claims"]

log = logging.getLogger(__name__)
_MOST_FRESH = 10_000


class Claims:
    """The executions that this node takes.

    Attributes:
        node: who takes them.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        repository: EngineRepository,
        settings: EngineSettings,
        endings: Endings,
        *,
        node: str,
        handlers: Mapping[str, Handler],
        clock: Clock,
    ) -> None:
        self.node = node
        self._database = database
        self._journal = journal
        self._repository = repository
        self._runs = RunRepository(database.dialect)
        self._settings = settings
        self._endings = endings
        self._handlers = handlers
        self._clock = clock
        # Written by this process a moment ago, and so known without a look: either as claimed by this node
        # already, or as queued.
        self._fresh: dict[str, tuple[ExecutionRow, RecordedEffects | None]] = {}

    def expect(self, row: ExecutionRow, *, recorded: RecordedEffects | None) -> None:
        """Note that `row` was written just now, and what is recorded for it, when that is known."""
        self._fresh[row.id] = (row, recorded)
        if len(self._fresh) > _MOST_FRESH:  # queued ones that another node took
            del self._fresh[next(iter(self._fresh))]

    def forget(self, execution_id: str) -> None:
        """Note that an expected execution does not come."""
        self._fresh.pop(execution_id, None)

    def expects(self, execution_id: str) -> bool:
        """Say whether an execution is written as claimed by this node and about to begin."""
        fresh = self._fresh.get(execution_id)
        return fresh is not None and fresh[0].status == "running"

    async def claim(self, execution_id: str, *, was_mine: bool) -> tuple[ExecutionRow, RunScope] | None:
        """Take an execution; None when there is nothing to run.

        With `was_mine` this process has run it before and stopped on purpose: that was no crash.
        """
        row, recorded = self._fresh.pop(execution_id, (None, None))
        if row is not None and row.status == "running":
            return row, await self._scope(row, recorded)
        while True:
            if row is None:
                async with self._database.transaction(read_only=True) as tx:
                    row = await self._repository.get(tx, execution_id)
            if row is None or row.is_final:
                return None
            if row.cancel_requested:
                await self._endings.end(row, "cancelled", "cancelled")
                return None
            if row.handler not in self._handlers:
                await self._endings.end(row, "dead", "not_found")
                return None
            if await self._runs_elsewhere(row):
                log.warning("execution %s runs on %s already", row.id, row.node)
                return None
            claimed = await self._try_claim(row, recorded, was_mine=was_mine)
            if claimed is not None or row.status == "dead":
                return claimed
            row = recorded = None  # someone changed it: look again

    async def _try_claim(
        self, row: ExecutionRow, recorded: RecordedEffects | None, *, was_mine: bool
    ) -> tuple[ExecutionRow, RunScope] | None:
        scope = await self._scope(row, recorded)
        progress = sum(1 for effect in scope.recorded.values() if not effect.started_only)
        crashes = row.crashes
        if row.status == "running" and not was_mine and not row.parked:
            crashes = 1 if progress > row.progress else crashes + 1
        if crashes > self._settings.max_recoveries:
            row.crashes = crashes
            await self._endings.end(row, "dead", "step_failed")
            return None
        now = self._clock()
        claimed = await self._database.committer.commit(
            lambda tx: self._repository.claim(
                tx, row, node=self.node, crashes=crashes, progress=progress, now=now
            )
        )
        if not claimed:
            return None
        row.attempt = scope.attempt = row.attempt + 1
        row.crashes = crashes
        if row.attempt > 1:
            log.info("execution %s goes on here, attempt %d", row.id, row.attempt)
        return row, scope

    async def _runs_elsewhere(self, row: ExecutionRow) -> bool:
        if row.status != "running" or row.node in (None, self.node):
            return False
        async with self._database.transaction(read_only=True) as tx:
            return row.node in await self._repository.living(tx)

    async def _scope(self, row: ExecutionRow, recorded: RecordedEffects | None) -> RunScope:
        async def take_retry(key: str) -> int | None:
            return await self._database.committer.commit(
                lambda tx: self._runs.take_retry(
                    tx, row.tenant_id, row.run_id, key, budget=self._settings.retry_budget
                )
            )

        async def park(parked: bool) -> None:
            write = self._repository.park(row.id, parked=parked)
            await self._database.committer.commit(lambda tx: tx.execute(write) and None)

        scope = RunScope(
            self._journal,
            row.context(),
            row.run_id,
            attempt=row.attempt,
            patience_s=self._settings.storage_patience_s,
            clock=self._clock,
            take_retry=take_retry,
            park=park,
        )
        scope.know(row.path, recorded)
        await scope.load(row.path)
        return scope
