"""Live events: every client sees every event once and in order, however often it is cut off."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.event import listen, remove

from mosaic.api import live
from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, Site, command

pytestmark = pytest.mark.anyio

MANY = (
    "inputs: {type: object, properties: {items: {type: array}}}\n"
    "do:\n  - all: {for: {each: n, in: '${inputs.items}', parallel: 4}, do: [{one: {set: '${n}'}}]}\n"
)
LISTEN = "do:\n  - told: {listen: {signal: go}}\n"


async def frames(http: httpx2.AsyncClient, path: str, **options: str) -> AsyncIterator[bytes]:
    """The frames of a stream, comments included."""
    headers = {name.replace("_", "-"): value for name, value in options.items()}
    async with http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        rest = b""
        async for chunk in response.aiter_bytes():
            *whole, rest = (rest + chunk).split(b"\n\n")
            for frame in whole:
                yield frame


def parsed(frame: bytes) -> tuple[str, str, JsonObject] | None:
    """The id, the event's type and its data; None for a comment."""
    lines = dict(line.split(b": ", 1) for line in frame.split(b"\n") if line and not line.startswith(b":"))
    if b"data" not in lines:
        return None
    return lines[b"id"].decode(), lines[b"event"].decode(), json.loads(lines[b"data"])


async def test_a_client_that_is_cut_off_a_hundred_times_sees_every_event_once(
    site: Site, http: httpx2.AsyncClient
) -> None:
    run = await site.start("many", MANY, inputs={"items": list(range(60))})
    seen: list[JsonObject] = []
    last, cuts = "", 0
    async with asyncio.timeout(WAIT_S):
        while not seen or seen[-1]["type"] != "run.succeeded":
            taken = 0
            headers = {"Last_Event_ID": last} if last else {}
            async with aclosing(frames(http, f"/runs/{run['id']}/events/stream", **headers)) as stream:
                async for frame in stream:
                    if (event := parsed(frame)) is None:
                        continue
                    last = event[0]
                    seen.append(event[2])
                    taken += 1
                    if event[1] == "run.succeeded" or (taken == 1 and cuts < 100):
                        break
            cuts += 1
    assert cuts >= 100
    journal = await site.events(run["id"])
    assert seen == journal[: len(seen)]


async def test_after_wins_over_the_last_event_id(site: Site, http: httpx2.AsyncClient) -> None:
    run = await site.finish((await site.start("after", "do:\n  - a: {set: 1}\n"))["id"])
    journal = await site.events(run["id"])
    path = f"/runs/{run['id']}/events/stream?after={journal[1]['seq']}"
    async with asyncio.timeout(WAIT_S), aclosing(frames(http, path, Last_Event_ID="0")) as stream:
        async for frame in stream:
            if (event := parsed(frame)) is not None:
                assert event[2] == journal[2]
                break


@pytest.mark.parametrize("value", ["x", "-1", "²", "9" * 30])
async def test_a_last_event_id_that_is_none_is_refused(http: httpx2.AsyncClient, value: str) -> None:
    answer = await http.get("/events/stream", headers={b"Last-Event-ID": value.encode()})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"


async def test_the_stream_and_the_command_line_read_the_same_journal(
    site: Site, http: httpx2.AsyncClient
) -> None:
    run = await site.finish(
        (await site.start("same", MANY, inputs={"items": ["line\u2028break", "b\x85c", 3]}))["id"]
    )
    streamed: list[JsonObject] = []
    path = f"/runs/{run['id']}/events/stream"
    async with asyncio.timeout(WAIT_S), aclosing(frames(http, path)) as stream:
        async for frame in stream:
            if (event := parsed(frame)) is not None:
                streamed.append(event[2])
                if event[1] == "run.succeeded":
                    break
    status, out, err = await command(
        "runs", "watch", run["id"], "--json", home=site.application.settings.home
    )
    assert status == 0, err
    lines = [json.loads(line) for line in out.split("\n") if line]
    assert lines[:-1] == streamed
    assert lines[-1]["type"] == "result"
    assert all("\u2028" not in line and "\x85" not in line for line in out.splitlines())


async def test_the_stream_of_everything_has_the_events_of_every_run(
    site: Site, http: httpx2.AsyncClient
) -> None:
    before = (await http.get("/events", params={"limit": 500})).json()["after"]
    runs = [(await site.start("everything", "do:\n  - a: {set: 1}\n"))["id"] for _ in range(2)]
    ended: set[str] = set()
    async with asyncio.timeout(WAIT_S), aclosing(frames(http, f"/events/stream?after={before}")) as stream:
        async for frame in stream:
            if (event := parsed(frame)) is not None and event[1] == "run.succeeded":
                ended.add(event[2]["run_id"])
                if ended >= set(runs):
                    break


async def test_a_quiet_stream_is_kept_alive(
    site: Site, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_KEEPALIVE_S", 0.05)
    run = await site.start("quiet", LISTEN)
    await site.happened(run["id"], "step.started")
    async with asyncio.timeout(WAIT_S), aclosing(frames(http, f"/runs/{run['id']}/events/stream")) as stream:
        async for frame in stream:
            if frame == b": keep-alive":
                break
    await site.client.cancel(run["id"])


async def test_many_clients_get_every_event_of_a_journal_that_is_read_once(
    site: Site, http: httpx2.AsyncClient
) -> None:
    head = (await http.get("/journal")).json()["head"]
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM event" in statement:
            asked.append(statement)

    connected = asyncio.Semaphore(0)

    async def client(run_id: str | None) -> list[int]:
        seen: list[int] = []
        path = f"/runs/{run_id}/events/stream" if run_id else "/events/stream"
        async with aclosing(frames(http, f"{path}?after={head}")) as stream:
            async for frame in stream:
                if (event := parsed(frame)) is None:
                    connected.release()
                    continue
                seen.append(event[2]["seq"])
                if event[1] == "run.succeeded":
                    return seen
        raise AssertionError("the stream ended")

    async with asyncio.timeout(WAIT_S):
        clients = [asyncio.create_task(client(None)) for _ in range(40)]
        for _ in clients:
            await connected.acquire()
        database = site.application.database
        listen(database.read_engine, "before_cursor_execute", note)
        run = await site.start("crowd", MANY, inputs={"items": list(range(30))})
        seen = [await one for one in clients]
        remove(database.read_engine, "before_cursor_execute", note)
        of_run = await client(run["id"])
    assert seen == [list(range(head + 1, seen[0][-1] + 1))] * len(clients)
    assert of_run == [event["seq"] for event in await site.events(run["id"])][: len(of_run)]
    assert len(asked) < len(seen[0]), "clients read the journal each for itself"


async def test_a_client_that_reads_nothing_is_dropped_and_can_come_back(
    site: Site, http: httpx2.AsyncClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_MOST_MISSED", 100)
    head = (await http.get("/journal")).json()["head"]
    url = httpx2.URL(site.address or "")
    assert url.port is not None
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((url.host, url.port))
        request = f"GET /api/v1/events/stream?after={head} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
        client.sendall(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        run = await site.start("stalled", MANY, inputs={"items": ["a line of output, " * 20] * 150})
        await site.finish(run["id"])
        async with asyncio.timeout(WAIT_S):
            while is_established(url.port, client.getsockname()[1]):  # noqa: ASYNC110  # the kernel sets no event
                await asyncio.sleep(0.05)
        client.settimeout(WAIT_S)
        rest = b""
        while piece := await asyncio.to_thread(client.recv, 65536):
            rest += piece
    ids = [int(number) for number in re.findall(rb"^id: (\d+)$", rest, re.MULTILINE)]
    journal = [event["seq"] for event in await site.events(run["id"])]
    assert ids == journal[: len(ids)]
    assert len(ids) < len(journal) - 100
    headers = {"Last_Event_ID": str(ids[-1])} if ids else {}
    async with asyncio.timeout(WAIT_S), aclosing(frames(http, "/events/stream", **headers)) as stream:
        async for frame in stream:
            if (event := parsed(frame)) is not None:
                assert event[2]["seq"] == journal[len(ids)]
                break


def is_established(server: int, client: int) -> bool:
    """Whether the server's end of a connection is open, by the kernel's own table."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if (local.rpartition(":")[2], remote.rpartition(":")[2]) == (f"{server:04X}", f"{client:04X}"):
            return state == "01"
    return False
