"""Claude Code, headless, uses a tool of ours: its model speaks through our gateway, its tools come from our server."""

import json
from dataclasses import replace

import pytest

from mosaic.security import NewKey
from mosaic.tools import tool
from tests.gateway.agents.conftest import MODELS, Desk, binaries, desk
from tests.gateway.agents.driving import claude_code
from tests.gateway.agents.scripted import Call, Turn

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

__all__ = ["binaries", "desk"]

TOOL = "mcp__mosaic__disk__size"


async def test_claude_code_calls_a_tool_of_ours(desk: Desk):  # the fixture
    sizes: list[str] = []

    @tool(risk="read_only", name="disk.size")
    async def size(disk: str) -> int:
        """Say how large a disk is."""
        sizes.append(disk)
        return 42

    application = desk.site.application
    application.tools.boxes.register(size)
    _, key = await application.model.keys.create(desk.site.ctx, NewKey("tools", scopes=("tools",)))
    desk.plays("anthropic", Turn("I look.", (Call(TOOL, {"disk": "sda"}),)), Turn("It holds 42."))
    desk.site.route("coder", f"anthropic:{MODELS['anthropic']}")
    desk.home.mkdir(parents=True, exist_ok=True)
    servers = desk.home / "servers.json"
    ours = {"type": "http", "url": f"{desk.site.url}/mcp", "headers": {"Authorization": f"Bearer {key}"}}
    servers.write_text(json.dumps({"mcpServers": {"mosaic": ours}}))
    drive = claude_code(
        desk.binaries.claude,
        desk.worktree,
        desk.home,
        url=desk.site.url,
        key=desk.key,
        model="coder",
        task="How large is the disk sda?",
    )
    more = ("--mcp-config", str(servers), "--strict-mcp-config", "--allowedTools", TOOL)
    # Or its model is shown a search for tools, and a script cannot look for one.
    environment = {**drive.environment, "ENABLE_TOOL_SEARCH": "false"}
    finished = await replace(drive, command=(*drive.command, *more), environment=environment).finish()

    assert finished.status == 0, finished.text[-2000:]
    assert sizes == ["sda"]
    (called,) = await application.journal.read(desk.site.ctx, types=["tool.called"])
    assert called.data["agent"].startswith("mcp:claude-code")
    assert finished.events[-1]["result"] == "It holds 42."
