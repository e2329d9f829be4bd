"""The application: every room, built from the settings and wired. The only place that knows them all."""

import asyncio
import functools
import itertools
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import unquote

from mosaic import __version__
from mosaic.agents import AgentRegistry, AgentRunner, Conversations
from mosaic.app.cache_operations import CacheOperations
from mosaic.app.catalogue import ToolCatalogue
from mosaic.app.component_metrics import ComponentMetrics
from mosaic.app.door import Door
from mosaic.app.door_operations import DoorOperations
from mosaic.app.event_webhooks import EventWebhooks
from mosaic.app.inside import InsideDoors
from mosaic.app.operations import Operations, Rooms
from mosaic.app.outside import Outside
from mosaic.app.parts import (
    make_cost,
    make_engine,
    make_inference,
    make_providers,
    make_storage,
    newest_schema,
    queue_of,
)
from mosaic.app.plan_operations import PlanOperations
from mosaic.app.policy_operations import PolicyOperations
from mosaic.app.provider_operations import ProviderOperations
from mosaic.app.provider_tools import ProviderTools
from mosaic.app.run_tools import RunTools
from mosaic.app.settings import Settings, load_settings
from mosaic.app.task_notices import NOTICE_HANDLER, TaskNotices
from mosaic.app.tool_operations import ToolOperations
from mosaic.app.webhooks import Webhooks, webhooks_of
from mosaic.app.workplaces import Workplaces
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Unavailable
from mosaic.core.redaction import Redactor
from mosaic.cost import Cost
from mosaic.engine import Engine
from mosaic.events import Journal, open_bus
from mosaic.feedback import FeedbackService
from mosaic.inference import Inference
from mosaic.observability import Telemetry, configure_logging, get_logger, open_telemetry
from mosaic.runs.artifacts import Artifacts
from mosaic.runs.children import ChildRuns
from mosaic.runs.definitions import Definitions
from mosaic.runs.ending import Closer
from mosaic.runs.handler import RunHandler
from mosaic.runs.service import HANDLER, RunService
from mosaic.storage import Database, DataLock, open_blobs
from mosaic.tools import Approvals, LocalOwner, Previews, ToolDoor, ToolRegistry, WebhookRoles
from mosaic.tools.policies import PolicyJudge, PolicyVersions, StandingRules
from mosaic.workflows import AgentHandler, Services, WorkflowHandler
from mosaic.workflows.interfaces import EnvironmentSecrets
from mosaic.workspaces import Workspaces

__all__ = ["Application", "build"]

_log = get_logger(__name__)
_RECONCILE_FIRST_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_RECONCILE_S = 30.0


class Application:
    """One process's view of an installation. `open` it, use its rooms through `operations`, `close` it."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self._environ = os.environ if environ is None else environ
        self.address: str | None = None
        self.stopping = asyncio.Event()
        home = settings.home
        self.redactor = Redactor()
        configure_logging(redactor=self.redactor, level=settings.logs.level, style=settings.logs.style)
        if (password := _password(settings.database_url)) is not None:
            self.redactor.add(password)
        self.database = Database(make_storage(settings))
        self.bus = open_bus(self.database)
        self.blobs = open_blobs(self.database, home / "blobs")
        self.journal = Journal(self.database, self.bus, redactor=self.redactor, blobs=self.blobs)
        self.lock = DataLock(home) if self.database.dialect == "sqlite" else None
        self.engine = Engine(
            self.database,
            self.journal,
            self.bus,
            make_engine(settings),
            lock=self.lock,
            redactor=self.redactor,
        )
        self.telemetry = telemetry or open_telemetry(self._environ, version=__version__)
        self._build_models(environ)
        self.agents = AgentRegistry(self.database, self.journal)
        self.conversations = Conversations(self.database, self.journal, self.blobs, redactor=self.redactor)
        self._build_tools()
        self._build_runs()
        self._build_operations()
        self._background: list[asyncio.Task[None]] = []
        self._executes = False

    def _build_models(self, environ: Mapping[str, str] | None) -> None:
        settings = self.settings
        settings = self.settings
        self.providers = make_providers(settings, redactor=self.redactor, environ=environ)
        self.cost = Cost(self.database, make_cost(settings))
        self.model = Door(
            settings,
            database=self.database,
            journal=self.journal,
            bus=self.bus,
            providers=self.providers,
            cost=self.cost,
            redactor=self.redactor,
            environ=self._environ,
            telemetry=self.telemetry,
            blobs=self.blobs,
        )
        self.inference = Inference(
            self.providers,
            self.cost,
            make_inference(settings),
            traffic=self.model.traffic,
            telemetry=self.telemetry,
        )

    def _build_operations(self) -> None:
        self.operations = Operations(
            Rooms(
                runs=self.runs,
                journal=self.journal,
                approvals=self.approvals,
                cost=self.cost,
                agents=self.agents,
                engine=self.engine,
                inference=self.inference,
                database=self.database,
                webhooks=self.webhooks,
                address=lambda: self.address,
            )
        )
        self.outside = Outside(
            database=self.database,
            journal=self.journal,
            engine=self.engine,
            approvals=self.approvals,
            door=self.door,
            tools=self.tools,
            catalogue=self.catalogue,
            operations=self.operations,
            runs=self.runs,
            definitions=self.definitions,
            views=self.settings.tools.views,
        )
        self.task_notices = TaskNotices(
            self.journal,
            self.engine,
            redactor=self.redactor,
            allowed_hosts=self.settings.tools.allow_private_hosts,
        )
        self.engine.register(NOTICE_HANDLER, self.task_notices)
        self.tool_operations = ToolOperations(self.registry, self.tools.boxes, self.outside)
        self.policy_operations = PolicyOperations(
            self.judge,
            self.standing_rules,
            self.versions,
            base=self.tools.outside_policy,
            tools=self.tools.boxes.registered,
            outside=self.outside.toolbox,
        )
        self.door_operations = DoorOperations.over(self.model, self.database, self.providers)
        self.cache_operations = CacheOperations(self.model)
        self.plans = PlanOperations(self)
        ComponentMetrics(self.model, self.door, self.engine)
        self.event_webhooks = EventWebhooks(self, environ=self._environ)
        self.feedback = FeedbackService(self.database, self.journal, redactor=self.redactor)
        self.provider_operations = ProviderOperations(
            door=self.model,
            providers=self.providers,
            home_settings=lambda: load_settings(self.settings.home, environ=self._environ),
        )
        owner = Context(self.settings.tenant, self.settings.project, Actor("system", "healing"))
        self.model.healing.reload = functools.partial(self.provider_operations.reload_providers, owner)

    def _build_tools(self) -> None:
        self.workplaces = Workplaces(Workspaces(self.settings.home))
        self.registry: ToolRegistry
        self.tools = RunTools(
            self.settings,
            redactor=self.redactor,
            environ=self._environ,
            worktree=self.workplaces.path,
            registry=self._registry,
        )
        self.standing_rules = StandingRules(self.database, self.journal, redactor=self.redactor)
        roles = WebhookRoles(LocalOwner(), {hook.name: hook.roles for hook in webhooks_of(self.settings)})
        self.versions = PolicyVersions(self.database, self.blobs)
        self.judge = PolicyJudge(
            self.settings.home,
            standing=self.standing_rules,
            versions=self.versions,
            roles=roles,
            spent=self._spent_usd,
        )
        self.approvals = Approvals(
            self.database,
            self.journal,
            self.engine,
            roles=roles,
            rules=self.standing_rules,
            previews=Previews(self.tools.boxes.registered, self.workplaces.path),
            redactor=self.redactor,
        )
        self.webhooks = Webhooks(
            self.settings,
            self.approvals,
            database=self.database,
            journal=self.journal,
            bus=self.bus,
            redactor=self.redactor,
            environ=self._environ,
            address=lambda: self.address,
        )
        provided = ProviderTools(
            self.providers, self.inference, self.cost, database=self.database, journal=self.journal
        )
        self.catalogue = ToolCatalogue(self.tools.boxes, provided, views=self.settings.tools.views)
        self.inside = InsideDoors(lambda: self.model.keys, redactor=self.redactor)
        self.door = ToolDoor(
            self.approvals,
            settings=self.tools.settings,
            redactor=self.redactor,
            blobs=self.blobs,
            cost_so_far=self._cost_so_far,
            judge=self.judge,
            doors=self.inside.opened,
        )

    def _registry(self, secret: Callable[[str], str], reserved: Collection[str]) -> ToolRegistry:
        self.registry = ToolRegistry(self.database, self.journal, self.bus, secret=secret, reserved=reserved)
        return self.registry

    def _build_runs(self) -> None:
        artifacts = Artifacts(self.blobs)
        closers: tuple[Closer, ...] = (self.approvals.withdraw, self.conversations.close_run)
        definitions = self.definitions = Definitions(
            self.database, self.blobs, self.settings.home / "scripts"
        )
        self.runs = RunService(
            self.database,
            self.journal,
            self.blobs,
            self.engine,
            definitions=definitions,
            cost=self.cost,
            models=self.inference,
            limits=self.settings.limits,
            redactor=self.redactor,
            closers=closers,
        )
        services = Services(
            definitions=definitions,
            door=self.door,
            approvals=self.approvals,
            tools=self.tools,
            budgets=self.cost,
            children=ChildRuns(self.runs),
            worktrees=self.workplaces,
            artifacts=artifacts,
            queues={pool: queue_of(pool) for pool in self.settings.pools},
            secrets=EnvironmentSecrets(self.redactor),
        )
        runner = AgentRunner(
            inference=self.inference,
            door=self.door,
            registry=self.agents,
            conversations=self.conversations,
            redactor=self.redactor,
            peers=self.tools.peers,
        )
        workflow = WorkflowHandler(services)
        self.engine.register("workflow", workflow)
        self.engine.register("agent", AgentHandler(services, runner, conversations=self.conversations))
        self.engine.register(
            HANDLER,
            RunHandler(
                self.database,
                self.journal,
                definitions=definitions,
                workflow=workflow,
                workplace=self.workplaces,
                artifacts=artifacts,
                cost=self.cost,
                redactor=self.redactor,
                closers=closers,
            ),
        )

    async def _spent_usd(self, ctx: Context, run_id: str) -> float:
        return float((await self.cost.run_cost(ctx, run_id)).money.as_usd)

    async def _cost_so_far(self, ctx: Context, run_id: str) -> str | None:
        cost = await self.cost.run_cost(ctx, run_id)
        return f"{cost.money} for {cost.calls} model calls"

    async def open(self, *, execute: bool, address: str | None) -> None:
        """Bring the database up to date; with `execute`, launch the engine and carry on what was interrupted.

        Raises:
            Locked: when another process executes on the same SQLite data.
            Conflict: when a newer release has changed the database.
            Unavailable: when the database cannot be reached or used.
        """
        self.address = address
        if execute and self.lock is not None:
            self.lock.acquire(address=address)
        # Alembic takes longer to import than most commands to run: it is asked only when something may be missing.
        if execute or await self.database.schema_version() != newest_schema():
            await self.database.migrate()
        if not execute:
            return
        self._executes = True
        await self.judge.start()
        await self.model.start()
        await self.registry.start()
        await self.engine.launch()
        for work in (
            self.agents.keep_alive,
            self._reconcile,
            self.webhooks.deliver,
            self.event_webhooks.deliver,
            self.plans.follow,
        ):
            self._background.append(asyncio.create_task(work()))

    async def _reconcile(self) -> None:
        """End runs that the engine gave up: soon after the start, when that is likely, then now and then."""
        for pause_s in itertools.chain(_RECONCILE_FIRST_S, itertools.repeat(_RECONCILE_S)):
            try:
                await self.runs.reconcile()
            except Exception as error:  # noqa: BLE001  # a worker: it looks again
                _log.exception("reconciling runs failed", exc_info=error)
            await asyncio.sleep(pause_s)

    async def ready(self) -> None:
        """Check that this process takes work and that the database answers.

        Raises:
            Unavailable: when not.
        """
        if self.stopping.is_set():
            raise Unavailable("This server is stopping.")
        if await self.database.schema_version() is None:
            raise Unavailable(f"The database {self.database.where} does not answer.")

    async def close(self) -> None:
        """Stop in order: what has begun is recorded, the rest goes on in the next process."""
        self.stopping.set()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        steps: list[Callable[[], Any]] = [
            self.judge.close,
            self.tools.close,
            self.registry.close,
            self.model.close,
            self._close_telemetry,
            self.providers.close,
            self.bus.close,
            self.blobs.close,
            self.database.close,
        ]
        if self._executes:
            steps.insert(0, self.engine.shutdown)
        for step in steps:
            try:
                await step()
            except asyncio.CancelledError:
                _log.info("interrupted while closing; the rest is closed all the same")
            except Exception as error:  # noqa: BLE001  # what comes after must be closed too, the lock above all
                _log.exception("closing failed", exc_info=error)
        if self.lock is not None:
            self.lock.release()

    async def _close_telemetry(self) -> None:
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)


def build(settings: Settings) -> Application:
    """Return the application of these settings, not yet opened."""
    return Application(settings)


def _password(url: str) -> str | None:
    """Return the password in a database's URL."""
    authority = url.partition("://")[2].split("/", 1)[0]
    _, separator, password = authority.rpartition("@")[0].partition(":")
    return unquote(password) if separator and password else None
