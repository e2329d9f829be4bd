"""A server that stops ends what is open by itself. One installation at a time in a process: this one has its own."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.api.test_streams import frames
from tests.app.site import WAIT_S, database, open_site, settings_of

pytestmark = pytest.mark.anyio


async def test_a_server_that_stops_ends_its_streams_by_itself(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with database(request, "sqlite", tmp_path) as url:
        settings = settings_of(tmp_path / "home", url)
        async with asyncio.timeout(WAIT_S), httpx2.AsyncClient(trust_env=False, timeout=WAIT_S) as http:
            http.headers["Authorization"] = f"Bearer {'t' * 32}"
            connected, ended = asyncio.Event(), asyncio.Event()

            async def listen(address: str) -> None:
                async for _ in frames(http, f"{address}/api/v1/events/stream"):
                    connected.set()
                ended.set()

            (settings.home).mkdir()
            (settings.home / "owner-token").write_text("t" * 32)
            async with open_site(settings, tmp_path, http=True) as site:
                listener = asyncio.create_task(listen(str(site.address)))
                await connected.wait()
            # The stream came to its end: it did not break off, and the server did not have to cut it.
            await ended.wait()
            await listener
    assert "graceful" not in caplog.text
