"""A call that waits for a person outlives the server: killed, started again, answered, run once, fetched."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mosaic.app.owner import owner_token
from mosaic.providers.testing.endpoint import json_reply, running_endpoint
from tests.app.site import command, database
from tests.cli.process import start
from tests.cli.test_up import address_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = {"mosaic/idempotency-key": "order-7"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "work" / ".mosaic"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server that asks before it reaches out, and whose calls wait for nobody."""
    asks = {
        "MOSAIC_POLICIES__EXTERNAL_API": "ask",
        "MOSAIC_TOOLS__ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        "MOSAIC_MCP__WAIT_S": "0.5",
        "MOSAIC_ENGINE__LEASE_TTL_S": "3",
        "MOSAIC_ENGINE__HEARTBEAT_S": "0.3",
    }
    with ExitStack() as stack:
        if request.param == "postgresql":
            asks["MOSAIC_DATABASE_URL"] = stack.enter_context(database(request, "postgresql", tmp_path))
        yield asks


async def order(address: str, home: Path, url: str, mode: str) -> tuple[bool, str]:
    """Have the tool called; returns whether it failed, and what it said."""
    headers = {"authorization": f"Bearer {owner_token(home)}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{address}/mcp", http_client=http), mode=mode) as client,
    ):
        arguments = {"url": url, "method": "POST", "json": {"order": 7}}
        result = await client.call_tool("http__request", arguments, meta=KEY)  # type: ignore[arg-type]  # ours
        return result.is_error, result.content[0].text


@pytest.mark.parametrize(("env", "mode"), [("sqlite", "auto"), ("postgresql", "legacy")], indirect=["env"])
async def test_a_call_that_waits_survives_the_death_of_the_server_and_runs_once(
    home: Path, env: dict[str, str], mode: str
):
    async with running_endpoint() as shop:
        shop.will(json_reply({"accepted": True}))
        async with start("up", "--port", "0", "--no-example", home=home, env=env) as first:
            early = await order(await address_of(first), home, f"{shop.url}/orders", mode)
            first.send(signal.SIGKILL)
            await first.ended()
        async with start("up", "--port", "0", "--no-example", home=home, env=env) as second:
            address = await address_of(second)
            status, listed, err = await command("approvals", "list", "--json", home=home, env=env)
            assert status == 0, err
            (approval,) = [json.loads(line) for line in listed.splitlines()]
            status, _, err = await command("approvals", "approve", approval["id"], home=home, env=env)
            assert status == 0, err
            late = (True, "")
            async with asyncio.timeout(60):
                while late[0]:
                    late = await order(address, home, f"{shop.url}/orders", mode)
            again = await order(address, home, f"{shop.url}/orders", mode)

        assert early[0]
        assert approval["id"] in early[1]
        assert json.loads(late[1])["status"] == 200
        assert again == late
        assert len(shop.requests) == 1
