"""The engine: starts handlers durably, on whichever node, and brings them to their end."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.execution import Handler
from mosaic.engine.nodes import list_nodes
from mosaic.engine.repository import EngineRepository, ExecutionRow, deadline
from mosaic.engine.results import Results
from mosaic.engine.run_repository import RunRepository
from mosaic.engine.schedules import Schedules
from mosaic.engine.schemas import (
    EngineSettings,
    ExecutionInfo,
    ExecutionResult,
    ExecutionStatus,
    NodeInfo,
    ScheduleInfo,
)
from mosaic.engine.signals import Signals
from mosaic.engine.topics import CANCELLATIONS, NODES, execution_topic
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database, DataLock, Transaction

if TYPE_CHECKING:
    from mosaic.engine.node import Node

__all__ = ["Engine"]

log = logging.getLogger(__name__)


class Engine:
    """Durable execution.

    An engine that is not launched can look, signal and cancel: that is what another process does. `launch`
    makes this process a node that runs executions.

    Args:
        database: where everything is kept.
        journal: keeps the effects.
        bus: wakes who waits.
        settings: queues, leases and limits.
        redactor: masks secrets in what runs are told.
        lock: the SQLite data directory's lock when the application holds it; the engine takes it otherwise.
        on_fenced: what to do when this node was declared dead; by default the process ends at once.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        settings: EngineSettings | None = None,
        *,
        lock: DataLock | None = None,
        redactor: Redactor | None = None,
        on_fenced: Callable[[str], None] | None = None,
        clock: Clock = now,
    ) -> None:
        self.settings = settings or EngineSettings()
        self._database = database
        self._journal = journal
        self._bus = bus
        self._lock = lock
        self._on_fenced = on_fenced
        self._clock = clock
        self._repository = EngineRepository(database.dialect)
        poll_s = self.settings.safety_poll_s
        self._results = Results(database, journal, bus, self._repository, safety_poll_s=poll_s)
        self._signals = Signals(
            database,
            journal,
            bus,
            redactor=redactor or Redactor(),
            clock=clock,
            safety_poll_s=poll_s,
        )
        self._schedules = Schedules(database, bus, clock=clock, fire=self._fire)
        self._handlers: dict[str, Handler] = {}
        self._node: Node | None = None

    def register(self, name: str, handler: Handler) -> None:
        """Give a handler its name. A running execution is found by it after a restart, so names are for ever.

        Raises:
            Conflict: if the name is taken, or the engine is launched already.
        """
        if name in self._handlers:
            raise Conflict(f"The handler name {name!r} is taken.")
        if self._node is not None:
            raise Conflict("Handlers are registered before the engine is launched.")
        self._handlers[name] = handler

    # This process as a node

    async def launch(self) -> None:
        """Make this process a node; executions that were left behind go on.

        Raises:
            Locked: if another process runs on this SQLite data directory.
        """
        from mosaic.engine.node import Node  # noqa: PLC0415  # DBOS takes a second to import

        if self._node is not None:
            raise Conflict("The engine is launched already.")
        node = Node(
            self._database,
            self._journal,
            self._bus,
            self._repository,
            self.settings,
            handlers=self._handlers,
            results=self._results,
            signals=self._signals,
            schedules=self._schedules,
            cancel=self._cancel_path,
            lock=self._lock,
            on_fenced=self._on_fenced,
            clock=self._clock,
        )
        self._node = node
        try:
            await node.launch()
        except BaseException:
            self._node = None
            raise

    async def shutdown(self) -> None:
        """Stop in order: what has begun is recorded (for `drain_s`), the rest goes on in another process."""
        if self._node is not None:
            await self._node.shutdown()
            self._node = None

    @property
    def node_id(self) -> str | None:
        """This node; None while not launched."""
        return self._node.id if self._node is not None else None

    @property
    def open_executions(self) -> int:
        """How many executions run in this process now."""
        return self._node.runner.open if self._node is not None else 0

    @property
    def ended_executions(self) -> Mapping[tuple[str, str], int]:
        """How many executions ended in this process since it is a node, by handler and status."""
        return self._node.runner.ended if self._node is not None else {}

    async def nodes(self) -> list[NodeInfo]:
        """Return the nodes that run executions, and on PostgreSQL those that died within a day."""
        if self._database.dialect == "postgresql":
            async with self._database.transaction(read_only=True) as tx:
                return await list_nodes(tx, self_id=self.node_id)
        return [self._node.describe()] if self._node is not None else []

    # Executions

    async def start(
        self,
        ctx: Context,
        *,
        execution_id: str,
        run_id: str,
        handler: str,
        input: JsonObject,  # noqa: A002  # the contract's word
        queue: str | None = None,
        priority: int = 10,
        deadline_s: float | None = None,
        path: str = "",
        tx: Transaction | None = None,
    ) -> None:
        """Start a handler durably. The same id again does nothing.

        Args:
            ctx: for whom it runs.
            execution_id: unique among all tenants; choose it so that a repeated request has the same one.
            run_id: the run that its effects belong to. When that is cancelled, this will not run.
            handler: a registered name.
            input: what the handler gets.
            queue: where it waits for its turn; None runs it on this node at once.
            priority: lower goes first, 1 at the lowest.
            deadline_s: seconds from now until it fails with `TimedOut`, waiting for its turn included.
            path: the step path its effects start from.
            tx: a transaction to write it in; it starts after the commit.

        Raises:
            NotFound: if there is no such handler or queue.
            Conflict: if the id is taken by another handler, run or tenant; or this process is not a node.
            Unavailable: if this node is stopping.
        """
        created_at = self._clock()
        row = ExecutionRow(
            id=execution_id, tenant_id=ctx.tenant, project_id=ctx.project, run_id=run_id, path=path,
            result_key=f"{path}#execution:{execution_id}", handler=handler, input=input, actor=str(ctx.actor),
            correlation=ctx.correlation, causation=ctx.causation, queue=queue, priority=priority,
            status=ExecutionStatus.QUEUED.value, created_at=created_at,
            deadline_at=deadline(created_at, deadline_s),
        )  # fmt: skip
        await self._require_node().start(row, tx=tx)

    async def wait(
        self, execution_id: str, *, timeout_s: float | None = None, ctx: Context | None = None
    ) -> ExecutionResult:
        """Wait for an execution's end, in any process.

        Args:
            execution_id: which one.
            timeout_s: how long at most; None waits for ever.
            ctx: when given, an execution of another tenant is not found.

        Raises:
            NotFound: if there is none.
            TimedOut: if it has not ended in time; it goes on.
        """
        return await self._results.wait(execution_id, timeout_s=timeout_s, ctx=ctx)

    async def cancel(self, ctx: Context, run_id: str) -> None:
        """Cancel a run: everything of it that runs on any node is stopped, nothing of it starts any more.

        Returns once that is durable; `wait` says when an execution has ended.
        """
        await self._cancel(ctx, run_id, None)

    async def _cancel_path(self, ctx: Context, run_id: str, path: str) -> None:
        await self._cancel(ctx, run_id, path)

    async def _cancel(self, ctx: Context, run_id: str, path: str | None) -> None:
        async with self._database.transaction() as tx:
            queued = await self._repository.request_cancel(tx, ctx, run_id, path=path, now=self._clock())
            if path is None:
                request = NewEvent("run.cancel_requested", {"by": str(ctx.actor)}, run_id=run_id)
                await self._journal.append(tx, ctx, [request])
            topics = [execution_topic(row.id) for row in queued]
            self._bus.publish_in(tx, CANCELLATIONS, f"cancel:{run_id}", *topics)
        if self._node is not None and queued:
            # Only to free their places sooner: whoever dequeues one sees that it has ended.
            await self._node.runtime.cancel([row.workflow_id for row in queued])

    async def executions(self, ctx: Context, run_id: str) -> list[ExecutionInfo]:
        """Return a run's executions, oldest first."""
        async with self._database.transaction(read_only=True) as tx:
            return [row.info() for row in await self._repository.of_run(tx, ctx.tenant, run_id)]

    async def dead_letters(self, ctx: Context) -> list[ExecutionInfo]:
        """Return the tenant's executions whose process crashed too often, oldest first."""
        async with self._database.transaction(read_only=True) as tx:
            return [row.info() for row in await self._repository.dead(tx, ctx.tenant)]

    async def requeue(self, ctx: Context, execution_id: str) -> None:
        """Give a dead letter another chance; it goes on from what it has recorded.

        The dead executions that it called get one too: it would otherwise only learn again that they are dead.

        Raises:
            NotFound: if there is no such execution.
            Conflict: if it is not dead, or its caller has gone on without it.
        """
        async with self._database.transaction() as tx:
            row = await self._repository.get(tx, execution_id)
            if row is None or row.tenant_id != ctx.tenant:
                raise NotFound(f"There is no execution {execution_id}.")
            if row.status != ExecutionStatus.DEAD:
                raise Conflict(f"Execution {execution_id} is {row.status}, not dead.", status=row.status)
            if await self._results.is_recorded(row):
                raise Conflict(
                    f"The caller of execution {execution_id} has seen it fail and gone on.",
                    hint="Fork the run from that step instead.",
                )
            below = await self._repository.dead_below(tx, row)
            revived = [row, *[item for item in below if not await self._results.is_recorded(item)]]
            for renewed in revived:
                await self._repository.renew(tx, renewed, crashes=0)
            events = [
                NewEvent("execution.requeued", {"execution": item.id}, run_id=item.run_id, path=item.path)
                for item in revived
            ]
            await self._journal.append(tx, ctx, events)
            self._bus.publish_in(tx, NODES)
        for item in revived:
            item.generation += 1
            if self._node is not None:
                await self._node.dispatch.send(item)

    # Signals, retries, schedules

    async def send_signal(
        self,
        tx: Transaction,
        ctx: Context,
        run_id: str,
        name: str,
        payload: JsonValue,
        *,
        multi: bool = False,
    ) -> None:
        """Tell a run something, in the caller's transaction.

        Args:
            tx: the transaction; append nothing more to the journal in it than you must.
            ctx: who tells it.
            run_id: which run; it need not wait for it yet.
            name: what the run waits for.
            payload: any JSON value.
            multi: a name that may be told more than once, each time to one waiter.

        Raises:
            Conflict: if it was told before; the first one counts.
        """
        await self._signals.send(tx, ctx, run_id, name, payload, multi=multi)

    async def set_retry_budget(self, tx: Transaction, ctx: Context, run_id: str, budget: int) -> None:
        """Set how many retries a run has left, all its executions together."""
        await RunRepository(self._database.dialect).set_retry_budget(tx, ctx, run_id, budget)

    async def schedule(
        self,
        ctx: Context,
        *,
        name: str,
        cron: str,
        handler: str,
        input: JsonObject,  # noqa: A002  # the contract's word
        timezone: str = "UTC",
    ) -> None:
        """Start a handler by the clock, once per firing on all nodes together; the same name replaces.

        Each firing is an execution whose id and run id are ``schedule/<tenant>/<name>/<moment in UTC>``. What
        was missed while no node ran is made up for by its latest firing. When clocks change, a daily time that
        is skipped fires right after the gap, and one that comes twice fires the first time.

        Raises:
            InvalidInput: if the pattern or the timezone is not one.
        """
        await self._schedules.put(ctx, name=name, cron=cron, handler=handler, input=input, timezone=timezone)

    async def unschedule(self, ctx: Context, name: str) -> None:
        """Remove a schedule.

        Raises:
            NotFound: if there is none of that name.
        """
        await self._schedules.remove(ctx, name)

    async def schedules(self, ctx: Context) -> list[ScheduleInfo]:
        """Return the tenant's schedules by name."""
        return await self._schedules.list(ctx)

    async def _fire(
        self,
        tx: Transaction,
        ctx: Context,
        firing: str,
        handler: str,
        input: JsonObject,  # noqa: A002
    ) -> None:
        try:
            await self.start(ctx, execution_id=firing, run_id=firing, handler=handler, input=input, tx=tx)
        except NotFound as error:
            log.warning("the schedule firing %s could not start: %s", firing, error)

    def _require_node(self) -> "Node":
        if self._node is None:
            raise Conflict("This process runs no executions.", hint="Launch the engine, or ask one that has.")
        return self._node
