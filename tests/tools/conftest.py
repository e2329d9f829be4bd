from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.engine import Effects, Engine
from mosaic.events import Bus, Event, Journal
from mosaic.storage import Database, FileBlobs
from mosaic.tools import (
    Approvals,
    Invocation,
    Policy,
    Tool,
    Toolbox,
    Toolboxes,
    ToolDoor,
    ToolResult,
    ToolSettings,
)


@dataclass
class Bench:
    """A door with everything real behind it, and the run it is used by."""

    database: Database
    journal: Journal
    engine: Engine
    approvals: Approvals
    door: ToolDoor
    ctx: Context
    workspace: Path
    run_id: str = "run_1"
    policy: Policy = field(default_factory=Policy)
    calls: int = 0

    def effects(self, path: str = "step") -> Effects:
        """The effects of the run as a process that has just started sees them."""
        return Effects.open(self.journal, self.ctx, self.run_id, path=path)

    async def call(
        self,
        tool: Tool | str,
        arguments: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        **options: Any,
    ) -> ToolResult:
        """Call through the door, as another effect each time unless it is named."""
        self.calls += 1
        toolbox = options.pop("toolbox", None) or (
            self.installed() if isinstance(tool, str) else Toolbox([tool])
        )
        options.setdefault("policy", self.policy)
        options.setdefault("workspace", self.workspace)
        return await self.door.call(
            options.pop("effects", None) or self.effects(),
            name or f"call{self.calls}",
            tool=tool if isinstance(tool, str) else tool.spec.name,
            arguments=arguments or {},
            toolbox=toolbox,
            **options,
        )

    def installed(self) -> Toolbox:
        return Toolboxes(self.door.settings, data_dir=self.workspace.parent).registered()

    async def events(self, *types: str) -> list[Event]:
        return await self.journal.read(self.ctx, types=types or None)


@pytest.fixture
def ctx() -> Context:
    return Context(tenant="t1", project="p1", actor=Actor("user", "u1"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspaces" / "run_1"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def bench(
    database: Database,
    journal: Journal,
    bus: Bus,
    blobs: FileBlobs,
    redactor: Redactor,
    ctx: Context,
    workspace: Path,
) -> Bench:
    engine = Engine(database, journal, bus)
    approvals = Approvals(database, journal, engine, redactor=redactor)
    door = ToolDoor(approvals, redactor=redactor, blobs=blobs, settings=ToolSettings())
    return Bench(database, journal, engine, approvals, door, ctx, workspace)


@pytest.fixture
def invocation(ctx: Context, workspace: Path) -> Invocation:
    """An invocation without a door, for what needs no database."""
    return make_invocation(ctx, workspace)


@pytest.fixture
def invoked(ctx: Context, workspace: Path) -> Callable[..., Invocation]:
    return lambda **changes: make_invocation(ctx, **{"workspace": workspace, **changes})


def make_invocation(ctx: Context, workspace: Path | None, **changes: Any) -> Invocation:
    fields: dict[str, Any] = {
        "ctx": ctx,
        "run_id": "run_1",
        "path": "step",
        "agent": None,
        "workspace": workspace,
        "idempotency_key": "key-1",
        "timeout_s": 20.0,
    }
    made = Invocation(**(fields | changes))
    if made.scratch is not None:
        made.scratch.mkdir(exist_ok=True)
    return made
