"""Runs executions on this node: claims them, drives their handlers, records how they ended."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from mosaic.core.clock import Clock
from mosaic.core.errors import Cancelled, Fenced, InvalidInput, MosaicError, TimedOut, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.claims import Claims
from mosaic.engine.endings import Endings, ended_event
from mosaic.engine.execution import Execution, ExecutionHost, Handler
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.results import Results
from mosaic.engine.schemas import ExecutionResult
from mosaic.engine.scope import Halt, RunScope, to_the_end
from mosaic.engine.topics import execution_topic
from mosaic.events import Bus

__all__ = ["Runner"]

log = logging.getLogger(__name__)
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
        ended: how many ended here, by handler and status.
    """

    def __init__(
        self,
        claims: Claims,
        endings: Endings,
        bus: Bus,
        repository: EngineRepository,
        *,
        handlers: Mapping[str, Handler],
        host: ExecutionHost,
        results: Results,
        clock: Clock,
    ) -> None:
        self._claims = claims
        self._endings = endings
        self._bus = bus
        self._repository = repository
        self._handlers = handlers
        self._host = host
        self._results = results
        self._clock = clock
        self.ended: Counter[tuple[str, str]] = Counter()
        self._active: dict[str, _Active] = {}
        self._cancelled_early: set[str] = set()
        self._runs: set[asyncio.Event] = set()
        self._stopping = False

    @property
    def open(self) -> int:
        """How many run here now."""
        return len(self._active)

    def has(self, execution_id: str) -> bool:
        """Say whether an execution runs here, or is about to."""
        return execution_id in self._active or self._claims.expects(execution_id)

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
                claimed = await self._claims.claim(execution_id, was_mine=was_mine)
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
            await to_the_end(self._endings.end(row, "cancelled", "cancelled"))
            self.ended[row.handler, "cancelled"] += 1
            return _End.DONE
        if finished:
            return await self._record(active, result=task.result())
        error = self._error(active)
        if isinstance(error, Cancelled):
            await to_the_end(self._endings.end(row, "cancelled", "cancelled"))
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
                events=(ended_event(row, status, problem),),
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
            await self._endings.end(
                row, status, code
            )  # its result stood there already, so nothing was written
            return _End.DONE
        self.ended[row.handler, status] += 1
        self._results.tell(row.id, ExecutionResult.from_recorded(recorded.result, recorded.error))
        self._bus.publish(execution_topic(row.id))
        return _End.DONE

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
