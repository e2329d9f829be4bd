"""A process that runs executions: everything that `Engine.launch` starts and `Engine.shutdown` ends."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine as SqlEngine

from mosaic.core.clock import Clock
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, Fenced, NotFound, Unavailable
from mosaic.engine import nodes
from mosaic.engine.claims import Claims
from mosaic.engine.dbos_runtime import DbosRuntime
from mosaic.engine.dispatch import Dispatch, make_dispatch_engine
from mosaic.engine.endings import Endings
from mosaic.engine.execution import Child, Execution, Handler
from mosaic.engine.fence import Fence
from mosaic.engine.lease import Lease, exit_process, new_node_id
from mosaic.engine.repository import EngineRepository, ExecutionRow, deadline
from mosaic.engine.results import Results
from mosaic.engine.runner import Runner
from mosaic.engine.schedules import Schedules
from mosaic.engine.schemas import EngineSettings, ExecutionResult, NodeInfo, Signal
from mosaic.engine.scope import RecordedEffects, background
from mosaic.engine.signals import Signals
from mosaic.engine.topics import CANCELLATIONS, NODES
from mosaic.events import Bus, Journal
from mosaic.storage import Database, DataLock, Transaction

__all__ = ["Node"]

log = logging.getLogger(__name__)

_RECONCILE_EVERY_S = 30.0
# Between an execution's row and its start there are milliseconds; what is this old and not started was lost.
_LOST_AFTER_S = 30.0
# When another process calls, because it has queued something that only a node can start.
_CALLED_AFTER_S = 2.0
_PRUNE_EVERY_S = 3600.0
_KEEP_DISPATCHED_S = 3600.0
_SQLITE_NODE = "local"


class Node:
    """This process as a node. It is also what a running handler asks for its children and signals."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        repository: EngineRepository,
        settings: EngineSettings,
        *,
        handlers: Mapping[str, Handler],
        results: Results,
        signals: Signals,
        schedules: Schedules,
        cancel: Callable[[Context, str, str], Coroutine[Any, Any, None]],
        lock: DataLock | None,
        on_fenced: Callable[[str], None] | None,
        clock: Clock,
    ) -> None:
        self._database = database
        self._bus = bus
        self._repository = repository
        self._settings = settings
        self._handlers = handlers
        self._results = results
        self._signals = signals
        self._schedules = schedules
        self._cancel = cancel
        self._clock = clock
        self._on_fenced = on_fenced or exit_process
        self._lock = lock or DataLock(database.settings.data_dir)
        self._owns_lock = lock is None
        self._is_sqlite = database.dialect == "sqlite"
        self.id = _SQLITE_NODE if self._is_sqlite else new_node_id(settings.node_id)
        endings = Endings(database, journal, bus, repository, results, clock=clock)
        self._claims = Claims(
            database, journal, repository, settings, endings, node=self.id, handlers=handlers, clock=clock
        )
        self.runner = Runner(
            self._claims, endings, bus, repository, handlers=handlers, host=self, results=results, clock=clock
        )
        self._engine: SqlEngine = make_dispatch_engine(database)
        self.runtime = DbosRuntime(
            self._engine, executor_id=self.id, queues=settings.queues, run=self.runner.run
        )
        self.dispatch = Dispatch(database, repository, self.runtime, clock=clock)
        self._fence: Fence | None = None
        self._lease: Lease | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: set[str] = set()
        self._started_at = clock()
        self._stopping = False

    # Beginning and end

    async def launch(self) -> None:
        """Become a node: recover what this one left behind, serve queues, watch the others."""
        async with self._database.transaction(read_only=True) as tx:
            await self._repository.living(tx)  # says clearly when the database is out of reach
        try:
            if self._is_sqlite:
                self._lock.acquire()
            else:
                await self._join()
            self._results.runs_here = self.runner.has
            await self.runtime.launch()
            await self._reconcile(older_than_s=0.0 if self._is_sqlite else _LOST_AFTER_S)
            if self._lease is not None:
                self._lease.start_sweeping()
        except BaseException:
            await self._leave()
            raise
        watches = (self._schedules.watch, self._watch_cancellations, self._watch_nodes, self._tidy)
        self._tasks = [asyncio.create_task(watch(), name=f"engine {watch.__name__}") for watch in watches]

    async def _join(self) -> None:
        loop = asyncio.get_running_loop()

        def fenced(reason: str) -> None:
            loop.call_soon_threadsafe(self.runner.fence)
            self._on_fenced(reason)

        url = self._database.sync_url.set(drivername="postgresql")
        self._lease = Lease(
            url.render_as_string(hide_password=False),
            node_id=self.id,
            settings=self._settings,
            owners=self.runtime.owners,
            adopt=self.runtime.adopt,
            on_fenced=fenced,
        )
        # The row first: the fence asks for it.
        await asyncio.to_thread(self._lease.enter)
        self._fence = Fence(
            self._database, self._engine, node_id=self.id, lease_ttl_s=self._settings.lease_ttl_s
        )
        self._fence.install()

    async def shutdown(self) -> None:
        """Drain, hand over, leave."""
        self._stopping = True
        self.runtime.stop_claiming()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.runner.drain(self._settings.drain_s)
        await self.runtime.settle()
        if self._lease is not None:
            # Before we resign: a heartbeat that finds its node dead ends the process.
            await asyncio.to_thread(self._lease.stop)
        try:
            await self._hand_over()
        except (Fenced, Unavailable) as error:
            log.warning("the executions of this node could not be handed over: %s", error)
        await self._leave()

    async def _hand_over(self) -> None:
        async with self._database.transaction() as tx:
            await tx.execute(self._repository.release(self.id))
            if not self._is_sqlite:
                await nodes.resign(tx, self.id)
                self._bus.publish_in(tx, NODES)

    async def _leave(self) -> None:
        if self._lease is not None:
            await asyncio.to_thread(self._lease.stop)
        await self.runtime.destroy()
        if self._fence is not None:
            self._fence.remove()
        self._engine.dispose()
        if self._is_sqlite and self._owns_lock:
            self._lock.release()

    # Starting

    async def start(
        self, row: ExecutionRow, *, tx: Transaction | None = None, recorded: RecordedEffects | None = None
    ) -> None:
        """Write an execution and start it; on commit, when it is written in the caller's transaction.

        When `recorded` is given, it is all that the journal has for this execution.
        """
        if self._stopping:
            raise Unavailable("This node is stopping.", hint="Start it on another node.")
        if row.handler not in self._handlers:
            raise NotFound(f"There is no handler {row.handler!r}.", handler=row.handler)
        if row.queue is not None and row.queue not in self._settings.queues:
            raise NotFound(f"There is no queue {row.queue!r}.", queue=row.queue)
        if tx is not None:
            await self._start_in(tx, row)
            return
        if row.queue is None:
            # Claimed as it is written: one commit less before it runs.
            row.status, row.node, row.attempt, row.started_at = "running", self.id, 1, row.created_at
        # From before the commit: nobody may take what is being started for what was lost.
        self._starting.add(row.id)
        try:
            await self._enter(row, recorded)
        finally:
            self._starting.discard(row.id)

    async def _enter(self, row: ExecutionRow, recorded: RecordedEffects | None) -> None:
        stored = await self._database.committer.commit(lambda unit: self._repository.enter(unit, row))
        _require_same(stored, row)
        if stored.is_final:
            return
        if stored is row:
            self._claims.expect(row, recorded=recorded)
        try:
            await self.dispatch.send(stored)
        except BaseException:
            self._claims.forget(row.id)
            raise

    async def _start_in(self, tx: Transaction, row: ExecutionRow) -> None:
        stored = await self._repository.enter_in(tx, row)
        _require_same(stored, row)
        if not stored.is_final:
            tx.after_commit(lambda: background(self._send_later(stored)))

    async def _send_later(self, row: ExecutionRow) -> None:
        try:
            await self.dispatch.send(row)
        except Exception:  # nobody waits for it: whatever it was, the next reconciliation tries again
            log.exception("execution %s could not be started yet", row.id)

    # What a handler asks for

    async def start_child(self, parent: Execution, child: Child) -> None:
        """Start a child execution in the same run."""
        ctx, now = parent.ctx, self._clock()
        row = ExecutionRow(
            id=child.execution_id, tenant_id=ctx.tenant, project_id=ctx.project, run_id=parent.run_id,
            path=child.path, result_key=child.result_key, handler=child.handler, input=child.input,
            actor=str(ctx.actor), correlation=ctx.correlation, causation=ctx.causation, queue=child.queue,
            priority=child.priority, status="queued", created_at=now, deadline_at=deadline(now, child.deadline_s),
        )  # fmt: skip
        # What the parent knows is right for a child that is written now: nobody can have recorded more.
        await self.start(row, recorded=parent.known(child.path))

    async def wait(self, execution_id: str) -> ExecutionResult:
        """Wait for an execution's end."""
        return await self._results.wait(execution_id)

    async def cancel_path(self, ctx: Context, run_id: str, path: str) -> None:
        """Cancel the executions of a run at and below a path."""
        await self._cancel(ctx, run_id, path)

    async def take_signal(
        self, ctx: Context, run_id: str, name: str, *, taker: str, until: datetime | None
    ) -> Signal | None:
        """Wait for a signal and take it for one effect."""
        return await self._signals.take(ctx, run_id, name, taker=taker, until=until)

    def now(self) -> datetime:
        """Return the time."""
        return self._clock()

    # Watching

    async def _watch_cancellations(self) -> None:
        with self._bus.subscribe(CANCELLATIONS) as subscription:
            while True:
                with _weathered("cancellations"):
                    async with self._database.transaction(read_only=True) as tx:
                        asked = await self._repository.to_cancel(tx, self.id)
                    self.runner.cancel(asked)
                await subscription.wait(timeout_s=self._settings.safety_poll_s)

    async def _watch_nodes(self) -> None:
        with self._bus.subscribe(NODES) as subscription:
            while True:
                called = await subscription.wait(timeout_s=_RECONCILE_EVERY_S)
                if called and self._lease is not None:
                    self._lease.wake_sweep()
                with _weathered("executions that got lost"):
                    await self._reconcile(older_than_s=_CALLED_AFTER_S if called else _LOST_AFTER_S)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY_S)
            with _weathered("old rows"):
                await self._prune()

    async def _prune(self) -> None:
        before_ms = int((self._clock().timestamp() - _KEEP_DISPATCHED_S) * 1000)
        await self.runtime.prune(older_than_ms=before_ms)
        if not self._is_sqlite:
            async with self._database.transaction() as tx:
                await tx.execute(nodes.forget_old())

    async def _reconcile(self, *, older_than_s: float) -> None:
        await self.dispatch.reconcile(
            node=self.id, older_than_s=older_than_s, busy=self._is_busy, queues=self._settings.queues
        )

    def _is_busy(self, execution_id: str) -> bool:
        return execution_id in self._starting or self.runner.has(execution_id)

    def describe(self) -> NodeInfo:
        """Return this node, as the only one."""
        return NodeInfo(
            self.id, socket.gethostname(), os.getpid(), self._settings.app_version, self._started_at,
            beat_age_s=0.0, dead=False, is_self=True,
        )  # fmt: skip


def _require_same(stored: ExecutionRow, row: ExecutionRow) -> None:
    if (stored.tenant_id, stored.run_id, stored.handler) != (row.tenant_id, row.run_id, row.handler):
        raise Conflict(f"The execution id {row.id} is taken by another handler or run.", execution=row.id)


@contextlib.contextmanager
def _weathered(what: str) -> Iterator[None]:
    """Survive an outage of the database: a watch must outlive it."""
    try:
        yield
    except Unavailable as error:
        log.warning("could not look for %s: %s", what, error)
    except Exception:
        log.exception("could not look for %s", what)
