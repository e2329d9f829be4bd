"""The real door with an installation's policy behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.engine import Engine
from mosaic.events import Bus, Journal
from mosaic.storage import Database, FileBlobs
from mosaic.tools import (
    Approvals,
    BaseTool,
    Invocation,
    LocalOwner,
    RiskClass,
    ToolDoor,
    ToolEffect,
    ToolResult,
    ToolSettings,
    ToolSpec,
)
from mosaic.tools.policies import PolicyJudge, PolicyVersions, StandingRules
from tests.tools.conftest import Bench


class Echo(BaseTool):
    """A tool of any name and risk that takes anything and counts its calls."""

    def __init__(
        self, name: str = "acme.do", risk: str = "generative", effects: tuple[str, ...] = (), **more: Any
    ) -> None:
        super().__init__(
            ToolSpec(
                name,
                "Echoes.",
                {"type": "object"},
                risk=RiskClass(risk),
                effects=frozenset(map(ToolEffect, effects)),
                **more,
            )
        )
        self.calls: list[dict[str, Any]] = []

    async def call(self, invocation: Invocation, arguments: dict[str, Any]) -> ToolResult:
        self.calls.append(arguments)
        return ToolResult({"echo": arguments})


@dataclass
class PolicyBench(Bench):
    """A bench whose door judges by the files of a data folder."""

    home: Path = Path()
    judge: PolicyJudge = None  # type: ignore[assignment]  # set by the fixture
    standing: StandingRules = None  # type: ignore[assignment]
    versions: PolicyVersions = None  # type: ignore[assignment]
    spent_usd: float = 0.0
    time: Callable[[], datetime] = now

    def write(self, text: str, *, permissions: str | None = None) -> None:
        """Write the policy's files and have them read."""
        (self.home / "policy.yaml").write_text(dedent(text))
        if permissions is not None:
            (self.home / "permissions.cedar").write_text(dedent(permissions))
        self.judge.load()


@pytest.fixture
def policed(
    database: Database,
    journal: Journal,
    bus: Bus,
    blobs: FileBlobs,
    redactor: Redactor,
    ctx: Context,
    workspace: Path,
    tmp_path: Path,
) -> PolicyBench:
    home = tmp_path / "home"
    home.mkdir()
    engine = Engine(database, journal, bus)
    standing = StandingRules(database, journal, redactor=redactor)
    approvals = Approvals(database, journal, engine, redactor=redactor, rules=standing)
    bench = PolicyBench(database, journal, engine, approvals, None, ctx, workspace, home=home)  # type: ignore[arg-type]  # set below

    async def spent(_: Context, _run: str) -> float:
        return bench.spent_usd

    bench.standing = standing
    bench.versions = PolicyVersions(database, blobs)
    bench.judge = PolicyJudge(
        home,
        standing=standing,
        versions=bench.versions,
        roles=LocalOwner(),
        spent=spent,
        clock=lambda: bench.time(),  # noqa: PLW0108  # a test may set another
    )
    bench.door = ToolDoor(
        approvals, redactor=redactor, blobs=blobs, settings=ToolSettings(), judge=bench.judge
    )
    return bench
