"""An open-loop load of GET requests: reads.py JSON, prints one JSON line.

Requests leave at their moments whether the ones before are answered or not, and a latency counts from that moment: a
server that stops for a second is charged for everything that should have happened in it.
"""

import asyncio
import collections
import json
import random
import sys
import time
from typing import Any, cast

import httptools
import uvloop

_MOST_CONNECTIONS = 256
_GRACE_S = 30.0


class Connection(asyncio.Protocol):
    """A connection to the server: one request at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.name = ""
        self.due = 0.0
        self.size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, name: str, request: bytes, due: float) -> None:
        self.name, self.due, self.size = name, due, 0
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        self.load.answered(self.name, time.perf_counter() - self.due, status, self.size)
        self.name = ""
        self.load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost(self, exc)


class Load:
    """What is sent, and what came of it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.port: int = asked["port"]
        self.rate: float = asked["rate"]
        self.count = int(asked["rate"] * asked["seconds"])
        head = (
            f"host: 127.0.0.1:{self.port}\r\nauthorization: Bearer {asked['token']}\r\naccept-encoding: gzip"
        )
        self.paths: list[tuple[str, list[bytes]]] = [
            (name, [f"GET {path} HTTP/1.1\r\n{head}\r\n\r\n".encode() for path in paths])
            for name, _, paths in asked["reads"]
        ]
        self.weights = [weight for _, weight, _ in asked["reads"]]
        self.chance = random.Random(asked["seed"])
        self.idle: list[Connection] = []
        self.open = 0
        self.queue: collections.deque[tuple[str, bytes, float]] = collections.deque()
        self.latencies: dict[str, list[float]] = collections.defaultdict(list)
        self.bytes: dict[str, int] = collections.defaultdict(int)
        self.errors: list[str] = []
        self.left = self.count
        self.done = asyncio.Event()

    def answered(self, name: str, latency: float, status: int, size: int) -> None:
        if status == 200:
            self.latencies[name].append(latency)
            self.bytes[name] += size
        else:
            self.errors.append(f"{name}: {status}")
        self.one_less()

    def one_less(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.done.set()

    def free(self, connection: Connection) -> None:
        if self.queue:
            connection.ask(*self.queue.popleft())
        else:
            self.idle.append(connection)

    def lost(self, connection: Connection, exc: Exception | None) -> None:
        self.open -= 1
        if connection in self.idle:
            self.idle.remove(connection)
        if connection.name:
            self.errors.append(f"{connection.name}: the connection broke off: {exc}")
            self.one_less()

    async def send(self, due: float) -> None:
        name, requests = self.chance.choices(self.paths, self.weights)[0]
        request = self.chance.choice(requests)
        if self.idle:
            self.idle.pop().ask(name, request, due)
        elif self.open < _MOST_CONNECTIONS:
            self.open += 1
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
            made.ask(name, request, due)
        else:
            self.queue.append((name, request, due))

    async def run(self) -> None:
        began = time.perf_counter()
        sending: set[asyncio.Task[None]] = set()
        for number in range(self.count):
            due = began + number / self.rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self.send(due))
            sending.add(task)
            task.add_done_callback(sending.discard)
        async with asyncio.timeout(_GRACE_S):
            await self.done.wait()


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    load = Load(asked)
    began = time.perf_counter()
    late = ""
    try:
        await load.run()
    except TimeoutError:
        late = f"{load.left} requests were never answered"
    taken = time.perf_counter() - began
    figures = {"": [value for values in load.latencies.values() for value in values], **load.latencies}
    return {
        "seconds": taken,
        "late": late,
        "errors": load.errors[:5],
        "failed": len(load.errors),
        "reads": {
            name: {
                "count": len(values),
                "bytes": load.bytes[name] // max(1, len(values)),
                **{f"p{share}": quantile(values, share / 100) * 1000 for share in (50, 95, 99)},
            }
            for name, values in figures.items()
        },
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.loads(sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read())))))
