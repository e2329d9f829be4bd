"""Runs executions on this node: claims them, drives their handlers, records how they ended."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from mosaic.core.clock import Clock
from mosaic.core.errors import Cancelled, Fenced, InvalidInput, MosaicError, TimedOut, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.execution import Execution, ExecutionHost, Handler
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.results import Results
from mosaic.engine.schemas import EngineSettings, ExecutionResult
from mosaic.engine.scope import Halt, RecordedEffects, RunScope, to_the_end
from mosaic.engine.topics import execution_topic
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database

__all__ = ["Runner"]

log = logging.getLogger(__name__)
_MOST_FRESH = 10_000
_CLEAN_UP_S = 5.0  # for a handler to end once its task is cancelled


class _End(Enum):
    DONE = auto()
    HANDED_OVER = auto()
    AGAIN = auto()


@dataclass(eq=False)
class _Active:
    """An execution that runs here."""

    row: ExecutionRow
    scope: RunScope
    task: "asyncio.Task[JsonValue]"
    cancelled: asyncio.Event
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self) -> None:
        self.cancelled.set()
        self.scope.halt(Halt.CANCEL)


class Runner:
    """The executions that run on this node.

    Attributes:
        node: who claims them.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        repository: EngineRepository,
        settings: EngineSettings,
        *,
        node: str,
        handlers: Mapping[str, Handler],
        host: ExecutionHost,
        results: Results,
        clock: Clock,
    ) -> None:
        self.node = node
        self._database = database
        self._journal = journal
        self._bus = bus
        self._repository = repository
        self._settings = settings
        self._handlers = handlers
        self._host = host
        self._results = results
        self._clock = clock
        self._active: dict[str, _Active] = {}
        # Written by this process a moment ago, and so known without a look: either as claimed by this node
        # already, or as queued.
        self._fresh: dict[str, tuple[ExecutionRow, RecordedEffects | None]] = {}
        self._cancelled_early: set[str] = set()
        self._runs: set[asyncio.Event] = set()
        self._stopping = False

    def expect(self, row: ExecutionRow, *, recorded: RecordedEffects | None) -> None:
        """Note that `row` was written just now, and what is recorded for it, when that is known."""
        self._fresh[row.id] = (row, recorded)
        if len(self._fresh) > _MOST_FRESH:  # queued ones that another node took
            del self._fresh[next(iter(self._fresh))]

    def forget(self, execution_id: str) -> None:
        """Note that an expected execution does not come."""
        self._fresh.pop(execution_id, None)

    def has(self, execution_id: str) -> bool:
        """Say whether an execution runs here, or is about to."""
        fresh = self._fresh.get(execution_id)
        return execution_id in self._active or (fresh is not None and fresh[0].status == "running")

    async def run(self, execution_id: str) -> bool:
        """Run an execution to its end; false when another process must go on with it."""
        ended = asyncio.Event()
        self._runs.add(ended)
        try:
            return await self._run(execution_id)
        finally:
            self._runs.discard(ended)
            ended.set()

    async def _run(self, execution_id: str) -> bool:
        delay_s, was_mine = 0.1, False
        while not self._stopping:
            if (active := self._active.get(execution_id)) is not None:
                await active.ended.wait()
                return True
            try:
                claimed = await self._claim(execution_id, was_mine=was_mine)
                if claimed is None:
                    return True
                if self._stopping:
                    return False
                was_mine = True
                end = await self._drive(*claimed)
            except Fenced:
                return False
            except Unavailable as error:
                log.warning("execution %s waits for the database: %s", execution_id, error)
                end = _End.AGAIN
            if end is not _End.AGAIN:
                return end is _End.DONE
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)
        return False

    # Claiming

    async def _claim(self, execution_id: str, *, was_mine: bool) -> tuple[ExecutionRow, RunScope] | None:
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
                await self._end(row, "cancelled", "cancelled")
                return None
            if row.handler not in self._handlers:
                await self._end(row, "dead", "not_found")
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
            await self._end(row, "dead", "step_failed")
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
                lambda tx: self._repository.take_retry(
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

    # Driving

    async def _drive(self, row: ExecutionRow, scope: RunScope) -> _End:
        cancelled = asyncio.Event()
        execution = Execution(
            self._host, scope, execution_id=row.id, path=row.path, input=row.input, cancelled=cancelled
        )
        task = asyncio.create_task(_call(self._handlers[row.handler], execution), name=f"execution {row.id}")
        active = _Active(row, scope, task, cancelled)
        scope.stop = task.cancel
        self._active[row.id] = active
        if row.id in self._cancelled_early:
            active.cancel()
        try:
            await self._until_done(active)
            return await self._settle(active)
        finally:
            scope.closed.set()
            active.ended.set()
            del self._active[row.id]
            self._cancelled_early.discard(row.id)

    async def _until_done(self, active: _Active) -> None:
        deadline = active.row.deadline_at
        if deadline is not None:
            left = (deadline - self._clock()).total_seconds()
            done, _ = await asyncio.wait((active.task,), timeout=max(0.0, left))
            if not done:
                active.scope.halt(Halt.DEADLINE)
        await asyncio.wait((active.task,))

    async def _settle(self, active: _Active) -> _End:
        row, scope, task = active.row, active.scope, active.task
        finished = not task.cancelled() and task.exception() is None
        if scope.halted is Halt.FENCED:
            return _End.HANDED_OVER
        if scope.halted is Halt.STORAGE:
            return _End.AGAIN
        if scope.halted is Halt.HANDOFF and not finished:
            return _End.HANDED_OVER
        if scope.halted is Halt.CANCEL:
            await to_the_end(self._end(row, "cancelled", "cancelled"))
            return _End.DONE
        if finished:
            return await self._record(active, result=task.result())
        error = self._error(active)
        if isinstance(error, Cancelled):
            await to_the_end(self._end(row, "cancelled", "cancelled"))
            return _End.DONE
        if isinstance(error, Fenced):
            return _End.HANDED_OVER
        return await self._record(active, error=error)

    def _error(self, active: _Active) -> MosaicError:
        row = active.row
        if active.scope.halted is Halt.DEADLINE:
            return TimedOut(f"{row.handler} did not end before its deadline.", execution=row.id)
        if active.task.cancelled():
            return MosaicError(f"The handler {row.handler} was cancelled by its own code.", execution=row.id)
        error = active.task.exception()
        if isinstance(error, MosaicError):
            return error
        log.error("the handler %s of execution %s failed", row.handler, row.id, exc_info=error)
        return MosaicError(
            f"The handler {row.handler} failed: {type(error).__name__}: {error}", execution=row.id
        )

    async def _record(
        self, active: _Active, *, result: JsonValue = None, error: MosaicError | None = None
    ) -> _End:
        row, scope = active.row, active.scope
        status, code = ("failed", error.code) if error is not None else ("succeeded", None)
        problem: JsonObject | None = error.to_json() if error is not None else None
        try:
            recorded = await scope.finish(
                row.result_key,
                path=row.path,
                result=result,
                error=problem,
                events=(_ended_event(row, status, problem),),
                writes=(self._repository.ended(row, status=status, error_code=code, now=self._clock()),),
            )
        except InvalidInput as refused:
            if error is not None:
                raise
            return await self._record(active, error=refused)
        except Fenced:
            return _End.HANDED_OVER
        except Unavailable:
            return _End.AGAIN
        if row.result_key in scope.refused:
            await self._end(row, status, code)  # its result stood there already, so nothing was written
            return _End.DONE
        self._results.tell(row.id, ExecutionResult.from_recorded(recorded.result, recorded.error))
        self._bus.publish(execution_topic(row.id))
        return _End.DONE

    async def _end(self, row: ExecutionRow, status: str, error_code: str | None) -> None:
        """End an execution without recording a result."""
        async with self._database.transaction() as tx:
            await tx.execute(
                self._repository.ended(row, status=status, error_code=error_code, now=self._clock())
            )
            await self._journal.append(tx, row.context(), [_ended_event(row, status, None)])
            self._bus.publish_in(tx, execution_topic(row.id))
        row.status, row.error_code = status, error_code
        self._results.tell(row.id, await self._results.read(row))

    # Ending

    def cancel(self, execution_ids: Iterable[str]) -> None:
        """End executions that run here, or are about to."""
        for execution_id in execution_ids:
            active = self._active.get(execution_id)
            if active is not None:
                active.cancel()
            else:
                self._cancelled_early.add(execution_id)

    def fence(self) -> None:
        """End everything at once: this node lost its lease."""
        self._stopping = True
        for active in list(self._active.values()):
            active.scope.halt(Halt.FENCED)

    async def drain(self, timeout_s: float) -> None:
        """Let effects that have begun be recorded, then stop every handler where it is."""
        self._stopping = True
        running = list(self._active.values())
        for active in running:
            active.scope.draining = True
        await _all_of((active.scope.idle() for active in running), timeout_s)
        for active in running:
            active.scope.halt(Halt.HANDOFF)
        # Those included that were about to begin: after this, nothing here claims anything.
        stuck = await _all_of((ended.wait() for ended in self._runs), _CLEAN_UP_S)
        if stuck:
            log.warning("%d executions did not stop when they were told to", stuck)


async def _all_of(waits: Iterable[Coroutine[Any, Any, object]], timeout_s: float) -> int:
    """Wait for all, but not longer than that; return how many were left."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    if not tasks:
        return 0
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    return len(late)


async def _call(handler: Handler, execution: Execution) -> JsonValue:
    return await handler(execution)


def _ended_event(row: ExecutionRow, status: str, error: JsonObject | None) -> NewEvent:
    data: JsonObject = {
        "execution": row.id,
        "handler": row.handler,
        "status": status,
        "attempt": row.attempt,
    }
    if error is not None:
        data["error"] = error
    if row.crashes:
        data["crashes"] = row.crashes
    return NewEvent(f"execution.{status}", data, run_id=row.run_id, path=row.path)
