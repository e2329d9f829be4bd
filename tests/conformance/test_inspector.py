"""The MCP Inspector, as its users run it, lists and calls tools of a real `mosaic up`."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mosaic.app.owner import owner_token
from tests.cli.process import start
from tests.cli.test_up import address_of
from tests.conformance.installation import Programs

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

INSPECTOR_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "work" / ".mosaic"
    made.mkdir(parents=True)
    return made


@pytest.fixture
async def address(home: Path) -> AsyncIterator[str]:
    """A server, as its users start it."""
    async with start("up", "--port", "0", "--no-example", home=home) as server:
        yield await address_of(server)


async def inspect(programs: Programs, folder: Path, address: str, token: str, *wanted: str) -> Any:
    """Run the Inspector's command line; return the result it prints."""
    process = await asyncio.create_subprocess_exec(
        str(programs.node),
        str(programs.inspector),
        "--cli",
        f"{address}/mcp",
        "--transport",
        "http",
        "--header",
        f"Authorization: Bearer {token}",
        "--format",
        "json",
        "--quiet",
        *wanted,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(INSPECTOR_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return json.loads(out)["result"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_lists_and_calls_a_tool(
    programs: Programs, home: Path, tmp_path: Path, address: str, era: str
):
    token = owner_token(home)
    wire = ("--protocol-era", era)
    listed = await inspect(programs, tmp_path, address, token, *wire, "--method", "tools/list")
    call = ("--method", "tools/call", "--tool-name", "runs__list", "--tool-args-json", '{"limit": 1}')
    called = await inspect(programs, tmp_path, address, token, *wire, *call)

    assert {"runs__list", "http__request", "calls__result"} <= {entry["name"] for entry in listed["tools"]}
    assert called["structuredContent"] == {"items": [], "next_cursor": None}
