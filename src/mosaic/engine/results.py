"""How executions ended, and waiting for that, from any process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mosaic.core.context import Context
from mosaic.core.errors import Cancelled, NotFound, StepFailed, TimedOut
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.schemas import ExecutionResult, ExecutionStatus
from mosaic.engine.topics import execution_topic
from mosaic.events import Bus, Journal, Subscription
from mosaic.storage import Database

__all__ = ["Results"]


class _Waiters:
    """Those in this process who wait for one execution."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.result: ExecutionResult | None = None


class Results:
    """Reads results and waits for them.

    Attributes:
        runs_here: says whether an execution runs in this process, so that its end will be told without a look
            into the database.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        repository: EngineRepository,
        *,
        safety_poll_s: float,
    ) -> None:
        self.runs_here: Callable[[str], bool] = lambda _: False
        self._database = database
        self._journal = journal
        self._bus = bus
        self._repository = repository
        self._safety_poll_s = safety_poll_s
        self._waiters: dict[str, _Waiters] = {}

    async def wait(
        self, execution_id: str, *, timeout_s: float | None = None, ctx: Context | None = None
    ) -> ExecutionResult:
        """See `Engine.wait`."""
        loop = asyncio.get_running_loop()
        end = None if timeout_s is None else loop.time() + timeout_s
        with self._waiting(execution_id) as (waiters, subscription):
            while True:
                # A caller from outside, who has a context, is checked against the row.
                if waiters.result is not None and ctx is None:
                    return waiters.result
                if ctx is not None or not self.runs_here(execution_id):
                    row = await self._row(execution_id, ctx)
                    if row.is_final:
                        return await self.read(row)
                left = self._safety_poll_s if end is None else min(self._safety_poll_s, end - loop.time())
                if left <= 0:
                    raise TimedOut(f"Execution {execution_id} had not ended after {timeout_s:g} s.")
                await subscription.wait(timeout_s=left)

    def tell(self, execution_id: str, result: ExecutionResult) -> None:
        """Give a result to those in this process who wait for it."""
        waiters = self._waiters.get(execution_id)
        if waiters is not None:
            waiters.result = result
            for subscription in list(waiters.subscriptions):
                subscription.wake()

    @contextmanager
    def _waiting(self, execution_id: str) -> Iterator[tuple[_Waiters, Subscription]]:
        waiters = self._waiters.setdefault(execution_id, _Waiters())
        with self._bus.subscribe(execution_topic(execution_id)) as subscription:
            waiters.subscriptions.add(subscription)
            try:
                yield waiters, subscription
            finally:
                waiters.subscriptions.discard(subscription)
                if not waiters.subscriptions:
                    del self._waiters[execution_id]

    async def _row(self, execution_id: str, ctx: Context | None) -> ExecutionRow:
        async with self._database.transaction(read_only=True) as tx:
            row = await self._repository.get(tx, execution_id)
        if row is None or (ctx is not None and row.tenant_id != ctx.tenant):
            raise NotFound(f"There is no execution {execution_id}.")
        return row

    async def read(self, row: ExecutionRow) -> ExecutionResult:
        """Return the result of a final execution."""
        status = ExecutionStatus(row.status)
        if status is ExecutionStatus.CANCELLED:
            return ExecutionResult(
                status, error=Cancelled(f"Run {row.run_id} was cancelled.", run_id=row.run_id)
            )
        if status is ExecutionStatus.DEAD:
            return ExecutionResult(status, error=_dead(row))
        found = await self._journal.recorded(row.context(), row.run_id, prefix=row.result_key)
        recorded = found[row.result_key]
        return ExecutionResult.from_recorded(recorded.result, recorded.error)

    async def is_recorded(self, row: ExecutionRow) -> bool:
        """Say whether a result stands under the execution's key, whoever wrote it."""
        found = await self._journal.recorded(row.context(), row.run_id, prefix=row.result_key)
        return row.result_key in found


def _dead(row: ExecutionRow) -> StepFailed:
    hint = "Look at why it ends the process, then requeue it: it keeps what it has recorded."
    if row.error_code == "not_found":
        message = f"Execution {row.id} needs the handler {row.handler!r}, which this version does not have."
        return StepFailed(
            message, hint="Bring the handler back, then requeue the execution.", execution=row.id
        )
    return StepFailed(
        f"The process of execution {row.id} crashed {row.crashes} times in a row under it.",
        hint=hint,
        execution=row.id,
        crashes=row.crashes,
        dead_letter=True,
    )
