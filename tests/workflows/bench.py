"""Workflows on a real engine, journal, tool door and scripted models: what the application composes, in small."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mosaic.agents import AgentRegistry, AgentRunner, AgentSpec, Conversations
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Cancelled, InvalidInput, NotFound, Unavailable
from mosaic.core.money import Money
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.cost import Cost
from mosaic.engine import (
    Engine,
    EngineSettings,
    ExecutionResult,
    ExecutionStatus,
    QueueLimits,
    RetryPolicy,
    Safety,
)
from mosaic.events import Bus, Event, Journal
from mosaic.inference import Inference, InferenceSettings
from mosaic.providers import ProviderRegistry
from mosaic.storage import BlobStore, Database
from mosaic.tools import Approvals, Policy, Toolbox, ToolDoor, ToolSettings, tool
from mosaic.tools.builtin import BUILTINS
from mosaic.tools.http_request import HttpRequestTool
from mosaic.workflows import load
from mosaic.workflows.agent_step import AgentHandler
from mosaic.workflows.handler import WorkflowHandler
from mosaic.workflows.interfaces import Services
from mosaic.workflows.schemas import Definition
from mosaic.workspaces import Workspace, Workspaces

TEST_TOOLS = ("note", "gate", "flaky", "refuse", "hang", "drop")
CTX = Context(tenant="t1", project="p1", actor=Actor("user", "u1"))
WAIT_S = 60.0
SETTINGS = EngineSettings(
    queues={"agents": QueueLimits(per_tenant_concurrency=64, per_node_concurrency=64)},
    heartbeat_s=0.3,
    lease_ttl_s=5.0,
    drain_s=1.0,
    safety_poll_s=2.0,
    max_recoveries=20,
)


class LoadedDefinitions:
    """Definitions of this process, by hash."""

    def __init__(self, scripts: Path) -> None:
        self._known: dict[str, Definition] = {}
        self._scripts = scripts

    def add(self, definition: Definition) -> Definition:
        """Take in a definition and its children; its scripts become files that the provider finds."""
        agents = {
            name: replace(entry, spec=self._playable(entry.spec, definition))
            for name, entry in definition.agents.items()
        }
        children = {name: self.add(child) for name, child in definition.children.items()}
        ready = replace(definition, agents=agents, children=children)
        self._known[definition.content_hash] = ready
        return ready

    def _playable(self, spec: AgentSpec, definition: Definition) -> AgentSpec:
        by_task = {kind: self._models(models, definition) for kind, models in spec.models_by_task.items()}
        return replace(spec, model=self._models(spec.model, definition), models_by_task=by_task)

    def _models(self, models: tuple[str, ...], definition: Definition) -> tuple[str, ...]:
        found = []
        for model in models:
            name = model.removeprefix("scripted:")
            if name in definition.bundle.files:
                self._scripts.mkdir(exist_ok=True)
                file = self._scripts / f"{definition.name}-{name}"
                file.write_bytes(definition.bundle.files[name])
                model = f"scripted:{file}"
            found.append(model)
        return tuple(found)

    async def load(self, ctx: Context, content_hash: str) -> Definition:
        """Return a definition."""
        if content_hash not in self._known:
            raise NotFound(f"no definition {content_hash}")
        return self._known[content_hash]


class TestTools:
    """Tools that leave a trace of every call, and hang or fail where the test says so."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def note(self, text: str) -> str:
        """Write one line."""
        with (self.work / "notes").open("a") as file:
            file.write(text + "\n")
        return text

    async def gate(self, name: str) -> str:
        """Say that it was reached, and hang while the test keeps it shut."""
        (self.work / f"reached-{name}").touch()
        while (self.work / f"shut-{name}").exists():  # noqa: ASYNC110  # another process may open it
            await asyncio.sleep(0.02)
        return name

    async def flaky(self, name: str, failures: int) -> str:
        """Fail a number of times, then work."""
        self.note(f"try {name}")
        done = (self.work / "notes").read_text().splitlines().count(f"try {name}")
        if done <= failures:
            raise Unavailable(f"{name} is away")
        return f"{name} after {done}"

    def refuse(self, why: str) -> str:
        """Fail for good."""
        self.note(f"refused {why}")
        raise InvalidInput(why)

    async def hang(self) -> None:
        """Never end."""
        (self.work / "reached-hang").touch()
        await asyncio.Event().wait()

    def toolbox(self) -> Toolbox:
        """The built-in tools and these."""
        read, again = {"risk": "read_only"}, {"risk": "read_only", "safety": Safety.REPEATABLE}
        return Toolbox(
            [
                *BUILTINS,
                HttpRequestTool(ToolSettings(allow_private_hosts=("127.0.0.1",))),
                tool(name="note", **read)(self.note),
                tool(name="gate", timeout_s=60, **again)(self.gate),
                tool(name="flaky", retries=True, **again)(self.flaky),
                tool(name="refuse", **read)(self.refuse),
                tool(name="hang", timeout_s=60, **again)(self.hang),
                tool(name="drop", risk="destructive")(_drop),
            ]
        )


def _drop(what: str) -> str:
    """Drop something."""
    return f"dropped {what}"


class BenchTools:
    """The tools and the policy of a run."""

    def __init__(self, tools: TestTools) -> None:
        self._tools = tools

    @asynccontextmanager
    async def open(self, ctx: Context, run_id: str, definition: Definition) -> AsyncIterator[Toolbox]:
        """Open the toolbox."""
        yield self._tools.toolbox()

    def policy(self, ctx: Context, definition: Definition) -> Policy:
        """Return the defaults, narrowed by the definition's."""
        return Policy().narrowed(definition.policies, tools=definition.tools)


class BenchWorktrees:
    """The worktrees of runs."""

    def __init__(self, workspaces: Workspaces) -> None:
        self.workspaces = workspaces
        self.checkpoints: list[str] = []

    async def open(self, ctx: Context, workspace: JsonObject) -> Path:
        """Return the worktree."""
        found = Workspace.from_json(workspace)
        await self.workspaces.ensure(found)
        return found.path

    async def checkpoint(self, ctx: Context, workspace: JsonObject, *, label: str, key: str) -> str | None:
        """Keep the files."""
        self.checkpoints.append(label)
        return await self.workspaces.checkpoint(Workspace.from_json(workspace), label=label)


@dataclass
class Bench:
    """A node with everything a workflow needs."""

    engine: Engine
    journal: Journal
    database: Database
    approvals: Approvals
    cost: Cost
    providers: ProviderRegistry
    definitions: LoadedDefinitions
    worktrees: BenchWorktrees
    work: Path
    folders: dict[str, Path] = field(default_factory=dict)

    def load(self, path: Path) -> Definition:
        """Load a workflow file."""
        definition = self.definitions.add(load(path, tools=TEST_TOOLS))
        self.folders[definition.content_hash] = path.parent
        return definition

    def define(self, text: str, **files: str) -> Definition:
        """Load a workflow from its steps (or its whole text)."""
        folder = self.work / f"definition{len(list(self.work.glob('definition*')))}"
        folder.mkdir()
        if "kind: Workflow" not in text:
            text = f"mosaic: v1\nkind: Workflow\nmetadata: {{name: test, version: 1.0.0}}\n{text}"
        (folder / "workflow.yaml").write_text(text)
        for (
            name,
            content,
        ) in files.items():  # script__yaml is script.yaml, files__data___yaml is files/data.yaml
            if name.startswith("files__"):
                name = name.replace("___", ".").replace("__", "/")
            file = folder / name.replace("__", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return self.load(folder / "workflow.yaml")

    async def start(
        self,
        definition: Definition,
        inputs: JsonObject | None = None,
        *,
        run_id: str = "run_1",
        usd: Money | None = None,
        parent: str | None = None,
        options: JsonObject | None = None,
    ) -> None:
        """Start a run."""
        if not await self.engine.executions(CTX, run_id):
            async with self.database.transaction() as tx:
                limit = usd or definition.limits.usd
                await self.cost.open_budget(tx, CTX, run_id, root_run_id=parent, usd=limit)
                await self.engine.set_retry_budget(tx, CTX, run_id, definition.limits.retries)
        workspace = None
        if definition.workspace is not None:
            source = self.folders[definition.content_hash] / definition.workspace.source
            workspace = (await self.worktrees.workspaces.prepare(run_id, source)).to_json()
        given: JsonObject = {
            "definition_hash": definition.content_hash,
            "inputs": definition.bind_inputs(inputs or {}),
            "workspace": workspace,
            "options": options or {},
        }
        await self.engine.start(
            CTX.correlated(run_id), execution_id=run_id, run_id=run_id, handler="workflow", input=given
        )

    async def result(self, run_id: str = "run_1") -> ExecutionResult:
        """Wait for a run's end."""
        return await self.engine.wait(run_id, timeout_s=WAIT_S)

    async def run(
        self, definition: Definition, inputs: JsonObject | None = None, **options: Any
    ) -> JsonValue:
        """Run to the end and return the outputs."""
        await self.start(definition, inputs, **options)
        output: Any = (await self.result(options.get("run_id", "run_1"))).unwrap()
        return output["outputs"]

    async def steps(self, text: str, inputs: JsonObject | None = None, **options: Any) -> JsonValue:
        """Run the workflow in `text` and return its outputs."""
        return await self.run(self.define(text), inputs, **options)

    def notes(self) -> list[str]:
        """What the tool `note` wrote."""
        file = self.work / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def shut(self, name: str) -> None:
        """Make the tool `gate` hang."""
        (self.work / f"shut-{name}").touch()

    def open(self, name: str) -> None:
        """Let it go on."""
        (self.work / f"shut-{name}").unlink()

    async def reached(self, name: str) -> None:
        """Wait until a gate was reached."""
        async with asyncio.timeout(WAIT_S):
            while not (self.work / f"reached-{name}").exists():  # noqa: ASYNC110  # see above
                await asyncio.sleep(0.02)

    async def events(self, *types: str, run_id: str | None = None) -> list[Event]:
        """What was journaled."""
        found: list[Event] = []
        while page := await self.journal.read(
            CTX, after=found[-1].seq if found else 0, types=types or None, run_id=run_id
        ):
            found += page
        return found

    async def paths(self, kind: str) -> list[str | None]:
        """The paths of the events of a type, in order."""
        return [event.path for event in await self.events(kind)]

    async def asked(self, number: int = 1) -> list[str]:
        """Wait until so many questions are open; return their ids."""
        async with asyncio.timeout(WAIT_S):
            while len(found := await self.approvals.list(CTX, status="pending")) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return [approval.id for approval in found]


class BenchChildren:
    """Child runs as further executions."""

    def __init__(self) -> None:
        self.bench: Bench | None = None

    @property
    def _bench(self) -> Bench:
        assert self.bench is not None
        return self.bench

    async def start(
        self,
        ctx: Context,
        definition: Definition,
        inputs: JsonObject,
        *,
        parent_run_id: str,
        parent_path: str,
        key: str,
        options: JsonObject,
    ) -> str:
        """Start one."""
        run_id = f"run_{key[-12:]}"
        await self._bench.start(definition, inputs, run_id=run_id, parent=parent_run_id, options=options)
        return run_id

    async def wait(self, ctx: Context, run_id: str) -> JsonValue:
        """Wait for its outputs."""
        result = await self._bench.engine.wait(run_id)
        if result.status is ExecutionStatus.CANCELLED:
            raise Cancelled("the child was cancelled")
        output: Any = result.unwrap()
        return output["outputs"]

    async def cancel(self, ctx: Context, run_id: str) -> None:
        """Cancel it."""
        await self._bench.engine.cancel(ctx, run_id)


@asynccontextmanager
async def running_bench(
    database: Database,
    journal: Journal,
    bus: Bus,
    blobs: BlobStore,
    *,
    data_dir: Path,
    work: Path,
    settings: EngineSettings = SETTINGS,
    preload: Sequence[Path] = (),
) -> AsyncIterator[Bench]:
    """Compose the rooms, launch the engine, and shut it down in the end.

    What an earlier process left running goes on at once, so its definitions must be in `preload`.
    """
    redactor = Redactor()
    engine = Engine(database, journal, bus, settings)
    providers = ProviderRegistry(redactor=redactor, environment={})
    cost = Cost(database)
    approvals = Approvals(database, journal, engine)
    door = ToolDoor(approvals, redactor=redactor, blobs=blobs)
    quick = RetryPolicy(attempts=2, base_s=0.01, jitter=0)
    inference = Inference(providers, cost, InferenceSettings(retry=quick, retry_with_fallback=quick))
    conversations = Conversations(database, journal, blobs, redactor=redactor)
    runner = AgentRunner(
        inference=inference,
        door=door,
        registry=AgentRegistry(database, journal),
        conversations=conversations,
        redactor=redactor,
    )
    definitions = LoadedDefinitions(work / "scripts")
    worktrees = BenchWorktrees(Workspaces(data_dir))
    children = BenchChildren()
    services = Services(
        definitions=definitions,
        door=door,
        approvals=approvals,
        tools=BenchTools(TestTools(work)),
        budgets=cost,
        children=children,
        worktrees=worktrees,
    )
    engine.register("workflow", WorkflowHandler(services))
    engine.register("agent", AgentHandler(services, runner, conversations=conversations))
    bench = Bench(engine, journal, database, approvals, cost, providers, definitions, worktrees, work)
    children.bench = bench
    for path in preload:
        bench.load(path)
    await engine.launch()
    try:
        yield bench
    finally:
        await engine.shutdown()
        await providers.close()
