"""A load generator: load.py JSON, prints one JSON line.

Keeps `connections` requests in flight to one address on 127.0.0.1 until `requests` are sent or `seconds` are over, then
lets those in flight finish: what a contender spent is divided by exactly the requests that it served.
"""

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

_GRACE_S = 30.0
_SAMPLE = 400


class Load:
    """What is being sent and what came of it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.port: int = asked["port"]
        self.left: int = asked["requests"]
        self.seconds: float = asked["seconds"]
        self.expected: bytes = asked["expected"].encode()
        body = json.dumps(asked["body"]).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in asked["headers"].items())
        self.request = (
            f"POST {asked['path']} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            f"{head}content-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.latencies: list[float] = []
        self.first_bytes: list[float] = []
        self.errors = 0
        self.sample = ""
        self.active = 0
        self.until = 0.0
        self.done = asyncio.Event()

    def more(self) -> bool:
        """Whether one more request is to be sent; it then counts as sent."""
        if self.left <= 0 or time.perf_counter() >= self.until:
            return False
        self.left -= 1
        return True

    def failed(self, why: str) -> None:
        self.errors += 1
        self.sample = self.sample or why[:_SAMPLE]


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another base
        self.next()

    def next(self) -> None:
        if self.load.more():
            self.busy = True
            self.head = b""
            self.missing = -1  # bytes of a body with a length; -1 before the head, -2 when chunked
            self.tail = b""
            self.good = False
            self.seen = b""
            self.began = time.perf_counter()
            self.transport.write(self.load.request)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.missing == -1:
            if not self.head:
                self.load.first_bytes.append(time.perf_counter() - self.began)
            self.head += data
            head, mark, data = self.head.partition(b"\r\n\r\n")
            if not mark:
                return
            self.good = head.startswith(b"HTTP/1.1 200")
            at = head.lower().find(b"content-length:")
            self.missing = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else -2
            self.seen = data if self.good else self.head
        if self.missing >= 0:
            self.missing -= len(data)
            self.seen += data if not self.seen else b""
            if self.missing <= 0:
                self.finished(self.load.expected in self.seen or len(self.seen) > 60_000)
        else:
            self.tail = (self.tail + data)[-128:]
            if self.tail.endswith(b"\r\n0\r\n\r\n"):
                self.finished(self.load.expected in self.tail or self.load.expected in self.seen)

    def finished(self, whole: bool) -> None:
        self.busy = False
        if self.good and whole:
            self.load.latencies.append(time.perf_counter() - self.began)
        else:
            self.load.failed((self.seen + self.tail).decode("utf-8", "replace"))
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            if self.missing == -2 and exc is None and self.load.expected in self.tail:
                self.load.latencies.append(time.perf_counter() - self.began)
            else:
                self.load.failed(f"the connection broke off: {exc}")
        self.load.active -= 1
        if self.load.active == 0:
            self.load.done.set()


async def run(asked: dict[str, Any]) -> dict[str, Any]:
    load, loop = Load(asked), asyncio.get_running_loop()
    load.active = asked["connections"]
    began = time.perf_counter()
    load.until = began + load.seconds
    for _ in range(asked["connections"]):
        try:
            await loop.create_connection(lambda: Client(load), "127.0.0.1", load.port)
        except OSError as error:
            load.failed(str(error))
            load.active -= 1
    if load.active:
        async with asyncio.timeout(load.seconds + _GRACE_S):
            await load.done.wait()
    taken = time.perf_counter() - began
    count = len(load.latencies)
    return {
        "requests": count,
        "errors": load.errors,
        "sample": load.sample,
        "seconds": taken,
        "p50_ms": quantile(load.latencies, 0.5) * 1000,
        "p99_ms": quantile(load.latencies, 0.99) * 1000,
        "first_byte_p50_ms": quantile(load.first_bytes, 0.5) * 1000,
    }


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
