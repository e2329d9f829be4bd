"""The application: every room, built from the settings and wired. The only place that knows them all."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from mosaic import __version__
from mosaic.agents import AgentRegistry, AgentRunner, Conversations
from mosaic.app.operations import Operations
from mosaic.app.run_tools import RunTools
from mosaic.app.settings import PoolSection, Settings
from mosaic.app.workplaces import Workplaces
from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.cost import Cost
from mosaic.engine import Engine, EngineSettings, QueueLimits
from mosaic.events import Journal, open_bus
from mosaic.inference import Inference
from mosaic.observability import configure_logging, get_logger
from mosaic.providers import ProviderRegistry
from mosaic.runs.artifacts import Artifacts
from mosaic.runs.children import ChildRuns
from mosaic.runs.definitions import Definitions
from mosaic.runs.handler import RunHandler
from mosaic.runs.service import HANDLER, Closer, RunService
from mosaic.storage import Database, DataLock, FileBlobs, StorageSettings
from mosaic.tools import Approvals, ToolDoor, ToolSettings
from mosaic.workflows import AgentHandler, Services, WorkflowHandler
from mosaic.workspaces import Workspaces

__all__ = ["Application", "build"]

_log = get_logger(__name__)
_DEFAULT_QUEUE = "agents"
_RECONCILE_S = 30.0


class Application:
    """One process's view of an installation. `open` it, use its rooms through `operations`, `close` it."""

    def __init__(self, settings: Settings, *, environ: dict[str, str] | None = None) -> None:
        self.settings = settings
        self.address: str | None = None
        self.stopping = asyncio.Event()
        home = settings.home
        self.redactor = Redactor()
        configure_logging(redactor=self.redactor)
        self.database = Database(_storage(settings))
        self.bus = open_bus(self.database)
        self.blobs = FileBlobs(home / "blobs")
        self.journal = Journal(self.database, self.bus, redactor=self.redactor, blobs=self.blobs)
        self.lock = DataLock(home) if self.database.dialect == "sqlite" else None
        self.engine = Engine(self.database, self.journal, self.bus, _engine(settings), lock=self.lock)
        self.providers = ProviderRegistry(
            redactor=self.redactor,
            settings={name: _provider(section) for name, section in settings.providers.items()},
            environment=environ,
            disabled=[name for name, section in settings.providers.items() if not section.enabled],
        )
        self.cost = Cost(self.database)
        self.inference = Inference(self.providers, self.cost)
        self.agents = AgentRegistry(self.database, self.journal)
        self.conversations = Conversations(self.database, self.journal, self.blobs, redactor=self.redactor)
        self._build_tools()
        self._build_runs()
        self.operations = Operations(self)
        self._background: list[asyncio.Task[None]] = []
        self._executes = False

    def _build_tools(self) -> None:
        self.approvals = Approvals(self.database, self.journal, self.engine, redactor=self.redactor)
        settings = ToolSettings(allow_private_hosts=self.settings.tools.allow_private_hosts)
        self.door = ToolDoor(
            self.approvals,
            settings=settings,
            redactor=self.redactor,
            blobs=self.blobs,
            cost_so_far=self._cost_so_far,
        )
        self.tools = RunTools(settings, data_dir=self.settings.home, redactor=self.redactor)

    def _build_runs(self) -> None:
        workplaces = Workplaces(Workspaces(self.settings.home))
        artifacts = Artifacts(self.blobs)
        closers: tuple[Closer, ...] = (self.approvals.withdraw, self.conversations.close_run)
        definitions = Definitions(self.database, self.blobs, self.settings.home / "scripts")
        self.runs = RunService(
            self.database,
            self.journal,
            self.blobs,
            self.engine,
            definitions=definitions,
            cost=self.cost,
            models=self.inference,
            limits=self.settings.limits,
            closers=closers,
        )
        services = Services(
            definitions=definitions,
            door=self.door,
            approvals=self.approvals,
            tools=self.tools,
            budgets=self.cost,
            children=ChildRuns(self.runs),
            worktrees=workplaces,
            artifacts=artifacts,
            queues={pool: _queue(pool) for pool in self.settings.pools},
        )
        runner = AgentRunner(
            inference=self.inference,
            door=self.door,
            registry=self.agents,
            conversations=self.conversations,
            redactor=self.redactor,
        )
        workflow = WorkflowHandler(services)
        self.engine.register("workflow", workflow)
        self.engine.register("agent", AgentHandler(services, runner))
        self.engine.register(
            HANDLER,
            RunHandler(
                self.database,
                self.journal,
                definitions=definitions,
                workflow=workflow,
                workplace=workplaces,
                artifacts=artifacts,
                cost=self.cost,
                closers=closers,
            ),
        )

    async def _cost_so_far(self, ctx: Context, run_id: str) -> str | None:
        cost = await self.cost.run_cost(ctx, run_id)
        return f"{cost.money} for {cost.calls} model calls"

    async def open(self, *, execute: bool, address: str | None) -> None:
        """Bring the database up to date; with `execute`, launch the engine and carry on what was interrupted.

        Raises:
            Locked: when another process executes on the same SQLite data.
        """
        self.address = address
        if execute and self.lock is not None:
            self.lock.acquire(address=address)
        await self.database.migrate()
        if not execute:
            return
        self._executes = True
        await self.engine.launch()
        for work in (self.agents.keep_alive, self._reconcile):
            self._background.append(asyncio.create_task(work()))

    async def _reconcile(self) -> None:
        """End runs that the engine gave up, now and then."""
        while True:
            try:
                await self.runs.reconcile()
            except Exception as error:  # noqa: BLE001  # a worker: it looks again
                _log.exception("reconciling runs failed", exc_info=error)
            await asyncio.sleep(_RECONCILE_S)

    async def ready(self) -> None:
        """Check that the database answers.

        Raises:
            Unavailable: when it does not.
        """
        await self.database.schema_version()

    async def close(self) -> None:
        """Stop in order: what has begun is recorded, the rest goes on in the next process."""
        self.stopping.set()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        steps: list[Callable[[], Any]] = [
            self.tools.close,
            self.providers.close,
            self.bus.close,
            self.database.close,
        ]
        if self._executes:
            steps.insert(0, self.engine.shutdown)
        for step in steps:
            with contextlib.suppress(asyncio.CancelledError):
                await step()
        if self.lock is not None:
            self.lock.release()


def build(settings: Settings) -> Application:
    """Return the application of these settings, not yet opened."""
    return Application(settings)


def _storage(settings: Settings) -> StorageSettings:
    return StorageSettings(
        url=settings.database_url,
        data_dir=settings.home,
        synchronous=settings.storage.synchronous,
        pool_size=settings.storage.pool_size,
    )


def _engine(settings: Settings) -> EngineSettings:
    section = settings.engine
    queues = {_queue(pool): _limits(limits) for pool, limits in settings.pools.items()}
    queues.setdefault(_DEFAULT_QUEUE, _limits(PoolSection()))
    return EngineSettings(
        app_version=__version__,
        queues=queues,
        heartbeat_s=section.heartbeat_s,
        lease_ttl_s=section.lease_ttl_s,
        max_recoveries=section.max_recoveries,
        drain_s=section.drain_s,
        retry_budget=section.retry_budget,
    )


def _queue(pool: str) -> str:
    return _DEFAULT_QUEUE if pool == "default" else f"{_DEFAULT_QUEUE}-{pool}"


def _limits(section: PoolSection) -> QueueLimits:
    return QueueLimits(
        concurrency=section.concurrency,
        per_tenant_concurrency=section.per_tenant,
        per_node_concurrency=section.per_node or min(section.concurrency, 100),
    )


def _provider(section: Any) -> dict[str, Any]:
    return {
        key: value
        for key, value in (("base_url", section.base_url), ("timeout_s", section.timeout_s))
        if value
    }
