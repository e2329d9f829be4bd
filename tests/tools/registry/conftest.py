"""Servers that change what they offer, and a registry that keeps an eye on them."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import NotFound
from mosaic.events import Bus
from mosaic.tools import (
    McpServer,
    NewServer,
    Policy,
    Toolbox,
    Toolboxes,
    ToolDeclaration,
    ToolRegistry,
    ToolResult,
    ToolSettings,
)
from tests.tools.conftest import Bench, bench, ctx, workspace

__all__ = ["Shifting", "Watched", "bench", "ctx", "workspace"]

SERVER = Path(__file__).parents[1] / "mcp_servers" / "shifting_server.py"
FREELY = Policy().narrowed({"destructive": "allow"})
SECRETS = {"DOCS_TOKEN": "a-long-secret-token"}


def offered(name: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": description or f"Does {name}.",
        "inputSchema": {"type": "object"},
        **more,
    }


@dataclass
class Shifting:
    """A real server, and the file that says what it offers."""

    file: Path
    command: tuple[str, ...] = ()
    url: str | None = None

    def offers(self, *tools: dict[str, Any]) -> None:
        # Whole or not at all: the server may read at any moment.
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps(list(tools)))
        draft.rename(self.file)


@dataclass
class Watched:
    """Toolboxes with a registry, over the bench's database."""

    bench: Bench
    registry: ToolRegistry
    boxes: Toolboxes
    server: Shifting
    names: list[str] = field(default_factory=list)

    async def add(self, name: str = "docs", **options: Any) -> None:
        new = NewServer(name, command=self.server.command, url=self.server.url, **options)
        listed = await self.boxes.look(self.bench.ctx, name, self.registry.reach(new.checked()))
        await self.registry.add(self.bench.ctx, new)
        await self.registry.screen(self.bench.ctx, name, listed.offered, first=True)

    async def toolbox(self) -> Toolbox:
        """The toolbox of calls outside runs, as a process that has just started would see it."""
        await self.boxes.close()
        self.boxes = Toolboxes(
            self.boxes._settings, data_dir=self.bench.workspace.parent, registry=self.registry
        )
        return await self.boxes.standing(self.bench.ctx)

    async def call(
        self, name: str, toolbox: Toolbox, policy: Policy = FREELY, **arguments: Any
    ) -> ToolResult:
        return await self.bench.call(name, arguments, toolbox=toolbox, policy=policy)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tools.json"
    made.write_text(json.dumps([offered("read"), offered("write")]))
    return made


def started(file: Path, port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(SERVER), str(file), str(port)])


@pytest.fixture(params=["stdio", "http"])
async def shifting(request: pytest.FixtureRequest, file: Path) -> AsyncIterator[Shifting]:
    """A server over each transport."""
    if request.param == "stdio":
        yield Shifting(file, command=(sys.executable, str(SERVER), str(file)))
        return
    port = free_port()
    process = started(file, port)
    try:
        await listening(port)
        yield Shifting(file, url=f"http://127.0.0.1:{port}/mcp")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def registry(bench: Bench, bus: Bus) -> ToolRegistry:
    def secret(name: str) -> str:
        if name not in SECRETS:
            raise NotFound(f"The secret {name} is not set.")
        return SECRETS[name]

    return ToolRegistry(bench.database, bench.journal, bus, secret=secret, reserved=("ops",))


@pytest.fixture
async def watched(bench: Bench, registry: ToolRegistry, shifting: Shifting) -> AsyncIterator[Watched]:
    boxes = Toolboxes(ToolSettings(), data_dir=bench.workspace.parent, registry=registry)
    made = Watched(bench, registry, boxes, shifting)
    yield made
    await made.boxes.close()


def declared(name: str, mcp: McpServer | str, **more: Any) -> ToolDeclaration:
    return ToolDeclaration(name, mcp=mcp, **more)
