"""An installation for acceptance tests: a data folder, a database, and the product opened on them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mosaic.app.build import Application
from mosaic.app.lifespan import open_application
from mosaic.app.requests import run_request
from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context
from mosaic.tools import tool

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
OWNER = Context("local", "default", Actor("user", "owner"))
BOUND_S = 60
# For what has nothing to do with the database: once is enough.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: under-test}\n"
ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})


@dataclass(frozen=True)
class Installation:
    """A data folder and its database; `open` it as often as the product would be started."""

    home: Path
    database_url: str
    providers: dict[str, Any]

    def settings(self, **more: Any) -> Settings:
        """Return its settings. Nothing limits what a run may cost: models of a test have no known price."""
        return Settings(
            home=self.home,
            storage={"url": self.database_url},
            providers=self.providers,
            limits={"usd": None},
            **more,
        )

    @asynccontextmanager
    async def open(self, *, execute: bool = True, **settings: Any) -> AsyncIterator["Desk"]:
        """Start the product on it, as `mosaic up` and `mosaic run` do."""
        async with open_application(self.settings(**settings), execute=execute) as application:
            yield Desk(application, OWNER)

    def workflow(self, text: str, *, head: str = HEAD, **files: str) -> Path:
        """Write a workflow and the files beside it (``scripted_yaml=...``); return its folder."""
        folder = self.home.parent / f"workflow-{len(list(self.home.parent.glob('workflow-*')))}"
        folder.mkdir(parents=True)
        (folder / "workflow.yaml").write_text(head + text)
        for name, content in files.items():
            stem, _, ending = name.rpartition("_")
            (folder / f"{stem}.{ending}").write_text(content)
        return folder


class Desk:
    """The opened product: what every door can ask for, and short ways to wait for what happens."""

    def __init__(self, application: Application, ctx: Context) -> None:
        self.application = application
        self.operations = application.operations
        self.ctx = ctx

    def register(self, *tools: Any) -> None:
        """Add Python functions as tools of the installation."""
        for one in tools:
            self.application.tools.boxes.register(one)

    async def start(self, folder: Path, inputs: dict[str, Any] | None = None, **options: Any) -> str:
        """Start a workflow and return the run's id."""
        request = run_request(folder, inputs=inputs or {}, options=options)
        return str((await self.operations.start_run(self.ctx, request))["id"])

    async def run(self, folder: Path, inputs: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Run a workflow to its end and return the run."""
        return await self.ended(await self.start(folder, inputs, **options))

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Return a run once it has ended."""
        await self.application.runs.wait(self.ctx, run_id, timeout_s=BOUND_S)
        return await self.operations.run(self.ctx, run_id)

    async def events(self, run_id: str | None = None, *types: str) -> list[dict[str, Any]]:
        """Return what is journaled, of some types."""
        found = self.operations.events(self.ctx, run_id=run_id, after=0, follow=False)
        return [event async for event in found if not types or event["type"] in types]

    async def until(
        self, run_id: str, *types: str, when: Callable[[dict[str, Any]], Any] = bool, count: int = 1
    ) -> list[dict[str, Any]]:
        """Wait for events of a run and return them; fail when it ends before they came."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(BOUND_S):
            async for event in self.operations.events(self.ctx, run_id=run_id, after=0, follow=True):
                if event["type"] in types and when(event):
                    found.append(event)
                    if len(found) == count:
                        return found
                assert event["type"] not in ENDS, f"the run ended without {types}: {event['data']}"
        raise AssertionError(f"the journal ended without {types}")

    async def asked(self, run_id: str) -> dict[str, Any]:
        """Wait until the run asks a person and return the approval."""
        (event,) = await self.until(run_id, "approval.requested")
        return await self.operations.approval(self.ctx, event["data"]["approval"])

    async def moves(self, run_id: str, agent: str) -> list[tuple[str, str, str]]:
        """Return the moves of an agent's turn machine: from, trigger, to."""
        turns = [event["data"] for event in await self.events(run_id, "agent.turn")]
        return [(turn["from"], turn["trigger"], turn["to"]) for turn in turns if turn["agent"] == agent]


def of(events: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the data of the events of a type."""
    return [event["data"] for event in events if event["type"] == kind]


def offered(name: str, risk: str = "read_only", **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a tool of a function as an installed package offers it: workflows name it ``acceptance:<name>``."""

    def make(function: Callable[..., Any]) -> Any:
        function.__module__, function.__qualname__ = "acceptance", name
        return tool(name=name, risk=risk, **options)(function)

    return make


def reason(run: dict[str, Any]) -> str:
    """Return the code of the error that made a run fail."""
    assert run["status"] == "failed", run["outputs"]
    return str(run["error"]["data"]["reason"]["code"])
