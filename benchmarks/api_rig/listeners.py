"""Clients of the event stream: listeners.py JSON; reads commands on stdin, prints one JSON line for each.

Every client follows the whole journal from its end, whose sequence numbers have no gaps: the next event it gets must be
the next number, or something was lost, repeated or out of order.

Commands: ``until N`` waits until every client has event N and tells what they saw; ``quit`` ends.
"""

import asyncio
import json
import random
import sys
import time
from datetime import datetime
from typing import Any, cast

import httptools
import uvloop

_CONNECTING = 50  # at the same time
_PATIENCE_S = 120.0
_BOARD_PAUSE_S = 0.25


class Client(asyncio.Protocol):
    """One client: a connection at a time, each of which goes on after the last event that was seen."""

    def __init__(self, crowd: "Crowd", *, cut_after: int) -> None:
        self.crowd = crowd
        self.last = crowd.start
        self.cuts = 0
        self.left = self.cut_after = cut_after
        self.rest = b""
        self.cutting = False
        self.asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpResponseParser(self)
        self.rest = b""
        self.cutting = False
        resume = f"last-event-id: {self.last}\r\n"
        self.transport.write((self.crowd.request + resume + "\r\n").encode())

    def data_received(self, data: bytes) -> None:
        if not self.cutting:
            self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        now = time.time()
        *frames, self.rest = (self.rest + body).split(b"\n\n")
        for frame in frames:
            if frame.startswith(b"id: ") and not self.cutting:
                self.event(frame, now)
            elif frame.startswith(b": connected"):
                self.crowd.connected()

    def event(self, frame: bytes, now: float) -> None:
        place = int(frame[4 : frame.index(b"\n")])
        if place != self.last + 1:
            self.crowd.wrong.append(f"event {place} came after {self.last}")
        self.last = place
        self.crowd.ask_again(self)
        if not self.cut_after:
            self.crowd.delays.append(now - self.crowd.moment(place, frame))
        if self.last >= self.crowd.until:
            self.crowd.look()
        if self.cut_after and self.cuts < self.crowd.cuts:
            self.left -= 1
            if self.left <= 0:
                # What has come but was not looked at yet is lost with the connection, as it is for a browser.
                self.cuts += 1
                self.left = self.crowd.chance.randrange(1, 2 * self.cut_after)
                self.cutting = True
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.crowd.ending:
            return
        if not self.cutting:
            self.crowd.wrong.append(f"the server ended a stream: {exc}")
        self.crowd.again(self)


class Crowd:
    """All clients."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.port: int = asked["port"]
        self.start: int = asked["start"]
        self.cuts: int = asked.get("cuts", 0)
        self.again_path: str = asked.get("again", "")
        self.chance = random.Random(5)
        self.request = (
            f"GET /api/v1/events/stream HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {asked['token']}\r\n"
        )
        cut_after = 3 if self.cuts else 0
        self.clients = [Client(self, cut_after=cut_after) for _ in range(asked["clients"])]
        self.ready = 0
        self.until = sys.maxsize
        self.delays: list[float] = []
        self.moments: dict[int, float] = {}
        self.wrong: list[str] = []
        self.ending = False
        self.changed = asyncio.Event()
        self.tasks: set[asyncio.Task[Any]] = set()

    def moment(self, place: int, frame: bytes) -> float:
        """When an event happened; looked up once for all clients."""
        found = self.moments.get(place)
        if found is None:
            at = frame.index(b'"occurred_at": "') + 16
            text = frame[at : frame.index(b'"', at)].decode().replace("Z", "+00:00")
            found = self.moments[place] = datetime.fromisoformat(text).timestamp()
        return found

    def ask_again(self, client: Client) -> None:
        """Do what the board does after an event: ask for what it shows again, at most four times a second."""
        if self.again_path and not client.asking:
            client.asking = True
            asyncio.get_running_loop().call_later(_BOARD_PAUSE_S, self.ask_now, client)

    def ask_now(self, client: Client) -> None:
        task = asyncio.create_task(self.ask(client))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, client: Client) -> None:
        client.asking = False
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = self.request.replace("/api/v1/events/stream", self.again_path, 1)
        writer.write(f"{head}connection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()

    def connected(self) -> None:
        self.ready += 1
        self.changed.set()

    def look(self) -> None:
        self.changed.set()

    def again(self, client: Client) -> None:
        task = asyncio.create_task(self.connect(client))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: client, "127.0.0.1", self.port)

    async def open(self) -> None:
        turns = asyncio.Semaphore(_CONNECTING)

        async def one(client: Client) -> None:
            async with turns:
                await self.connect(client)

        await asyncio.gather(*(one(client) for client in self.clients))
        await self.when(lambda: self.ready >= len(self.clients))

    async def when(self, fits: Any) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not fits():
                self.changed.clear()
                await self.changed.wait()

    async def told(self, until: int) -> dict[str, Any]:
        self.until = until
        late = ""
        try:
            await self.when(lambda: all(client.last >= until for client in self.clients))
        except TimeoutError:
            behind = [client.last for client in self.clients if client.last < until]
            late = f"{len(behind)} clients never got event {until}; the last of them is at {min(behind)}"
        ordered = sorted(self.delays)
        self.delays = []
        return {
            "events": until - self.start,
            "deliveries": len(ordered),
            "late": late,
            "wrong": self.wrong[:5],
            "mistakes": len(self.wrong),
            "cuts": min((client.cuts for client in self.clients), default=0),
            **{
                f"p{share}": ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)] * 1000
                if ordered
                else 0.0
                for share in (50, 95, 99)
            },
        }


async def main(asked: dict[str, Any]) -> None:
    crowd = Crowd(asked)
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await crowd.open()
    print(json.dumps({"connected": len(crowd.clients)}), flush=True)
    while (line := (await stdin.readline()).decode().split()) and line[0] == "until":
        print(json.dumps(await crowd.told(int(line[1]))), flush=True)
    crowd.ending = True


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
