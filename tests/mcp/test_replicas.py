"""Any replica answers any request, on both wires: nothing that matters lives in one process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mosaic.tools import tool
from tests.app.site import database
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = pytest.mark.anyio

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
CALL: Any = {"name": "disk__wipe", "arguments": {"disk": "sda"}}


@pytest.fixture
async def replicas(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[McpSite]]:
    """Two nodes of one installation, each with a folder of its own."""
    monkeypatch.setenv("MOSAIC_OWNER_TOKEN", "o" * 40)

    @tool(risk="destructive", name="disk.wipe")
    async def wipe(disk: str) -> str:
        """Wipe a disk."""
        return f"{disk} is empty"

    with database(request, "postgresql", tmp_path) as url:
        async with (
            open_mcp_site(tmp_path / "a" / ".mosaic", url) as one,
            open_mcp_site(tmp_path / "b" / ".mosaic", url) as two,
        ):
            for site in (one, two):
                site.offer(wipe)
            yield [one, two]


async def test_a_session_of_one_replica_is_served_by_another(replicas: list[McpSite]):
    one, two = replicas
    session = (await one.post(HELLO)).headers["mcp-session-id"]
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    shown = {"mcp_session_id": session, "mcp_protocol_version": "2025-11-25"}
    here, there = await one.post(listing, **shown), await two.post(listing, **shown)

    assert here.status_code == there.status_code == 200
    assert "disk__wipe" in here.text
    assert "disk__wipe" in there.text


async def test_what_one_replica_asks_is_answered_at_another(replicas: list[McpSite]):
    one, two = replicas
    forms: Any = {"elicitation": {}}
    question = (await one.ask("tools/call", CALL, **forms))["result"]
    (approval_id,) = question["inputRequests"]
    answer = {approval_id: {"action": "accept", "content": {"decision": "approve"}}}
    again = {**CALL, "inputResponses": answer, "requestState": question["requestState"]}
    done = (await two.ask("tools/call", again, **forms))["result"]

    assert done["content"][0]["text"] == "sda is empty"


async def test_a_task_of_one_replica_is_known_to_another(replicas: list[McpSite]):
    one, two = replicas
    tasks: Any = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    created = (await one.ask("tools/call", CALL, **tasks))["result"]
    there = (await two.ask("tasks/get", {"taskId": created["taskId"]}, **tasks))["result"]

    assert there["status"] == "working"
