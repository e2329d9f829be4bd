"""Who may reach `/mcp`, from where, with how much."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mosaic.tools import tool
from tests.app.site import WAIT_S
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = pytest.mark.anyio

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """One database is enough here."""
    file = tmp_path / "mosaic.db"
    file.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@pytest.mark.requirement("STK-21", "MAOS-04", "ORC-78")
async def test_only_the_owner_and_keys_for_tools_are_let_in(mcp_site: McpSite):
    shown = {
        "owner": mcp_site.token,
        "tools": await mcp_site.key("tools"),
        "everything but": await mcp_site.key("chat", "embed"),
        "no scopes": await mcp_site.key(),
        "unknown": "mk-unknown",
        "nonsense": "nonsense",
    }
    found = {name: (await mcp_site.post(HELLO, token=token)).status_code for name, token in shown.items()}
    async with httpx2.AsyncClient() as http:
        nothing = await http.post(mcp_site.url, json=HELLO)

    assert found == {
        "owner": 200,
        "tools": 200,
        "everything but": 403,
        "no scopes": 403,
        "unknown": 401,
        "nonsense": 401,
    }
    assert nothing.status_code == 401
    assert nothing.headers["www-authenticate"] == "Bearer"


async def test_a_foreign_host_name_or_page_is_turned_away_before_anything_else(mcp_site: McpSite):
    good = await mcp_site.post(HELLO, origin=mcp_site.address)
    answers = [
        await mcp_site.post(HELLO, host="evil.example"),
        await mcp_site.post(HELLO, origin="https://evil.example"),
        await mcp_site.post(HELLO, origin="http://localhost.evil.example:80"),
        await mcp_site.post(HELLO, origin="null"),
        await mcp_site.post(HELLO, token="wrong", host="evil.example"),
    ]

    assert good.status_code == 200
    assert [answer.status_code for answer in answers] == [421, 403, 403, 403, 421]


async def test_a_body_is_bounded(tmp_path: Path, database_url: str):
    async with open_mcp_site(
        tmp_path / "home" / ".mosaic", database_url, server={"max_body_bytes": 2_000}
    ) as site:
        small = await site.post(HELLO)
        large = await site.post({**HELLO, "filler": "x" * 3_000})

    assert small.status_code == 200
    assert large.status_code == 413


async def test_a_revoked_key_ends_what_it_began(mcp_site: McpSite):
    keys = mcp_site.application.model.keys
    secret = await mcp_site.key("tools")
    session = (await mcp_site.post(HELLO, token=secret)).headers["mcp-session-id"]
    alive = await mcp_site.post(PING, token=secret, mcp_session_id=session)
    (key,) = await keys.list(mcp_site.ctx)
    await keys.revoke(mcp_site.ctx, key.id)
    dead = await mcp_site.post(PING, token=secret, mcp_session_id=session)

    assert alive.status_code == 200
    assert dead.status_code == 401


async def test_a_session_is_good_for_its_own_caller_only_and_ends_when_it_is_deleted(mcp_site: McpSite):
    session = (await mcp_site.post(HELLO)).headers["mcp-session-id"]
    stolen = await mcp_site.post(PING, token=await mcp_site.key("tools"), mcp_session_id=session)
    own = await mcp_site.post(PING, mcp_session_id=session)
    async with httpx2.AsyncClient() as http:
        headers = {"authorization": f"Bearer {mcp_site.token}", "mcp-session-id": session}
        ended = await http.delete(mcp_site.url, headers=headers)
    after = await mcp_site.post(PING, mcp_session_id=session)

    assert stolen.status_code == 404
    assert own.status_code == 200
    assert ended.status_code == 200
    assert after.status_code == 404


async def test_an_open_stream_ends_when_the_server_stops(mcp_site: McpSite):
    session = (await mcp_site.post(HELLO)).headers["mcp-session-id"]
    shown = {
        "authorization": f"Bearer {mcp_site.token}",
        "mcp-session-id": session,
        "accept": "text/event-stream",
    }
    async with (
        asyncio.timeout(WAIT_S),
        httpx2.AsyncClient(timeout=None) as http,
        http.stream("GET", mcp_site.url, headers=shown) as stream,
    ):
        status = stream.status_code
        mcp_site.application.stopping.set()
        await stream.aread()

    assert status == 200


async def test_a_view_shows_its_tools_and_nothing_else(tmp_path: Path, database_url: str, mode: str):
    @tool(risk="read_only", name="disk.size")
    async def size() -> int:
        """Say how large the disk is."""
        return 42

    views: Any = {"disks": {"tools": ["disk.*"]}, "others": {"projects": ["elsewhere"], "tools": ["*"]}}
    async with open_mcp_site(tmp_path / "home" / ".mosaic", database_url, tools={"views": views}) as site:
        site.offer(size)
        async with site.client(mode=mode, view="disks") as client:
            names = [entry.name for entry in (await client.list_tools()).tools]
            result = await client.call_tool("disk__size", {})
        foreign = await site.ask("tools/list", {})
        async with asyncio.timeout(30):
            hidden = await site.post(HELLO, path="/mcp/others")

    assert names == ["disk__size", "calls__result"]
    assert result.content[0].text == "42"
    assert len(foreign["result"]["tools"]) > 2
    assert hidden.status_code == 200  # what it may see is asked when it is asked for


async def test_a_server_without_it_has_nothing_there(tmp_path: Path, database_url: str):
    async with open_mcp_site(tmp_path / "home" / ".mosaic", database_url, mcp={"enabled": False}) as site:
        assert (await site.post(HELLO)).status_code in (404, 405)
