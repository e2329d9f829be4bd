"""A server that stops ends what is open by itself. One installation at a time in a process: this one has its own."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect

from mosaic.cli.http_client import HttpClient
from mosaic.core.values import JsonObject
from tests.api.sockets import Talk
from tests.api.test_streams import frames
from tests.app.site import WAIT_S, database, open_site, settings_of

pytestmark = pytest.mark.anyio


async def test_a_server_that_stops_ends_its_streams_and_sockets_by_itself(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with database(request, "sqlite", tmp_path) as url:
        settings = settings_of(tmp_path / "home", url)
        async with asyncio.timeout(WAIT_S), httpx2.AsyncClient(trust_env=False, timeout=WAIT_S) as http:
            http.headers["Authorization"] = f"Bearer {'t' * 32}"
            connected, ended = asyncio.Event(), asyncio.Event()
            talks, codes = asyncio.Event(), []

            async def talk(address: str) -> None:
                headers = {"Authorization": f"Bearer {'t' * 32}"}
                url = address.replace("http:", "ws:") + "/api/v1/ws"
                async with connect(url, additional_headers=headers, proxy=None) as socket:
                    await socket.recv()
                    talks.set()
                    codes.append(await Talk(socket).closed())

            async def listen(address: str) -> None:
                async for _ in frames(http, f"{address}/api/v1/events/stream"):
                    connected.set()
                ended.set()

            (settings.home).mkdir()
            (settings.home / "owner-token").write_text("t" * 32)
            async with open_site(settings, tmp_path, http=True) as site:
                listener = asyncio.create_task(listen(str(site.address)))
                talker = asyncio.create_task(talk(str(site.address)))
                await connected.wait()
                await talks.wait()
            # The stream came to its end: it did not break off, and the server did not have to cut it.
            await ended.wait()
            await listener
            await talker
    assert codes == [1012]
    assert "graceful" not in caplog.text


async def test_a_client_that_follows_outlives_a_restart_of_the_server(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text = "do:\n  - one: {set: 1}\n  - told: {listen: {signal: go}}\n  - two: {set: 2}\n"
    seen: list[JsonObject] = []
    paused = asyncio.Event()

    async def follow(client: HttpClient, run_id: str) -> None:
        async with aclosing(client.events(run_id=run_id, after=0, follow=True)) as events:
            async for event in events:
                seen.append(event)
                if event["path"] == "told":
                    paused.set()
                if event["type"] == "run.succeeded":
                    return

    with database(request, "sqlite", tmp_path) as url:
        settings = settings_of(tmp_path / "home", url)
        async with asyncio.timeout(2 * WAIT_S), AsyncExitStack() as stack:
            async with open_site(settings, tmp_path, http=True) as site:
                address = str(site.address)
                run_id = (await site.start("restarted", text))["id"]
                await site.happened(run_id, "step.started", path="told")
                client = await stack.enter_async_context(HttpClient.open(address, settings.home))
                follower = asyncio.create_task(follow(client, run_id))
                await paused.wait()
            port = int(address.rsplit(":", 1)[1])
            async with open_site(settings, tmp_path, http=True, port=port) as site:
                await site.client.signal(run_id, "go", {})
                await follower
                journal = await site.events(run_id)
    assert seen == journal[: len(seen)]
    assert "run.resumed" in [event["type"] for event in seen]
