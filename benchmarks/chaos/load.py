"""Clients of the gateway: load.py JSON, writes one line per call to a file and prints one JSON line at the end.

Keeps `connections` calls in flight until `calls` were made, `stop` exists or `seconds` are over; calls in flight then
end. Some streams are left on purpose: the connection is cut after the first bytes or before any came.

A line of the file is a JSON array: id, kind, route, status, end (``whole``, ``broken`` by an error event, ``left`` by us,
``lost`` without an end, ``refused``), moments of start, first byte and end, the gateway's request id, the answering model.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

_GRACE_S = 40.0
_PAUSE_S = 0.05
_MAX_TOKENS = 64
_WORDS = "The quick brown fox jumps over the lazy dog, and so on until the request has a usual length. " * 2


@dataclass(slots=True)
class Kind:
    """A kind of call: which protocol, which route, streamed or not."""

    route: str
    anthropic: bool
    stream: bool
    weight: float


class Load:
    """What is sent and what came of it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.kinds = [Kind(**kind) for kind in asked["kinds"]]
        self.weights = [kind.weight for kind in self.kinds]
        self.keys: list[list[str]] = asked["keys"]
        self.left: int = asked["calls"]
        self.aborts: int = asked["aborts"]
        self.streams_left = max(1, round(self.left * self._stream_share()))
        self.made = 0
        self.aborted = 0
        self.out = Path(asked["out"]).open("a", buffering=1 << 20)  # noqa: SIM115  # closed by `run`
        self.stop = Path(asked["stop"])
        self.stopped = False
        self.until = time.monotonic() + asked["seconds"]
        self.active = 0
        self.done = asyncio.Event()

    def _stream_share(self) -> float:
        return sum(kind.weight for kind in self.kinds if kind.stream) / sum(self.weights)

    def next(self) -> "Call | None":
        if self.left <= 0 or self.stopped or time.monotonic() >= self.until:
            return None
        self.left -= 1
        self.made += 1
        kind = random.choices(self.kinds, self.weights)[0]
        leave = False
        if kind.stream:
            leave = random.random() < self.aborts / max(self.streams_left, 1)
            self.streams_left -= 1
            if leave:
                self.aborts -= 1
        tag, secret = random.choice(self.keys)
        # Some of the answers that are left would take long: their upstream calls must end with their clients.
        more = "-long" if leave and random.random() < 0.3 else ""
        return Call(
            f"{self.asked['prefix']}-{tag}-{self.made}{more}", kind, secret, leave, self.asked["port"]
        )


class Call:
    """One call."""

    def __init__(self, name: str, kind: Kind, secret: str, leave: bool, port: int) -> None:
        self.name = name
        self.kind = kind
        # Leave before any byte came, or after some.
        self.leave_after = random.choice((0, 1, 400, 1500)) if leave else None
        body: dict[str, Any] = {
            "model": kind.route,
            "max_tokens": _MAX_TOKENS,
            "messages": [{"role": "user", "content": f"id={name}; {_WORDS}"}],
        }
        if kind.stream:
            body["stream"] = True
        data = json.dumps(body).encode()
        path = "/v1/messages" if kind.anthropic else "/v1/chat/completions"
        self.request = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {secret}\r\ncontent-length: {len(data)}\r\n\r\n"
        ).encode() + data
        self.began = time.monotonic()
        self.first = 0.0


class Client(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.call: Call | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another base
        self.next()

    def next(self) -> None:
        self.call = call = self.load.next()
        if call is None:
            self.transport.close()
            return
        self.head = b""
        self.body = bytearray()
        self.missing = -1  # bytes of a body with a length; -1 before the head, -2 when chunked
        self.status = 0
        call.began = time.monotonic()
        self.transport.write(call.request)
        if call.leave_after == 0:
            asyncio.get_running_loop().call_later(
                random.uniform(0.0, 0.3 if call.name.endswith("long") else 0.01), self.leave, call
            )

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:
            return
        if self.missing == -1:
            self.head += data
            head, mark, data = self.head.partition(b"\r\n\r\n")
            if not mark:
                return
            self.head = head
            call.first = time.monotonic()
            self.status = int(head[9:12])
            length = self.header(b"content-length:")
            self.missing = int(length) if length else -2
        self.body += data
        if self.missing >= 0:
            self.missing -= len(data)
            if self.missing <= 0:
                self.finished("whole" if self.status == 200 else "refused")
        elif self.body.endswith(b"0\r\n\r\n"):
            self.finished(self.end())
        elif call.leave_after and len(self.body) >= call.leave_after:
            self.leave(call)

    def end(self) -> str:
        """How a stream ended: with its vendor's last event, an error, or neither."""
        tail = bytes(self.body[-4_000:])
        if b"error" in tail:
            return "broken"
        return "whole" if b"[DONE]" in tail or b"message_stop" in tail else "lost"

    def header(self, name: bytes) -> str:
        at = self.head.lower().find(b"\r\n" + name)
        return self.head[at + 2 + len(name) :].split(b"\r\n", 1)[0].strip().decode() if at >= 0 else ""

    def leave(self, call: Call) -> None:
        if self.call is call:
            self.load.aborted += 1
            self.note("left")
            self.transport.abort()

    def finished(self, end: str) -> None:
        self.note(end)
        if end == "refused":  # a client that is refused does not come back at once
            asyncio.get_running_loop().call_later(_PAUSE_S, self.again)
        else:
            self.again()

    def again(self) -> None:
        if not self.transport.is_closing():
            self.next()

    def note(self, end: str) -> None:
        call, self.call = self.call, None
        if call is None:
            return
        facts = [
            call.name, "stream" if call.kind.stream else "whole", call.kind.route, self.status, end, call.began,
            call.first, time.monotonic(), self.header(b"x-request-id:"), self.header(b"x-mosaic-model:"),
        ]  # fmt: skip
        if end not in ("whole", "left"):
            facts.append(bytes(self.body[-300:]).decode("utf-8", "replace"))
        self.load.out.write(json.dumps(facts) + "\n")

    def connection_lost(self, _error: Exception | None) -> None:
        self.note("lost")
        self.load.active -= 1
        asyncio.get_running_loop().create_task(connect(self.load))  # it ends by itself


async def connect(load: Load) -> None:
    """Open a connection as long as there is something to send."""
    while load.left > 0 and not load.stopped and time.monotonic() < load.until:
        try:
            load.active += 1
            await asyncio.get_running_loop().create_connection(
                lambda: Client(load), "127.0.0.1", load.asked["port"]
            )
            return
        except OSError:
            load.active -= 1
            await asyncio.sleep(_PAUSE_S)
    if load.active == 0:
        load.done.set()


async def watch(load: Load) -> None:
    while not load.stopped:
        await asyncio.sleep(_PAUSE_S)
        load.stopped = load.stopped or load.stop.exists()


async def run(asked: dict[str, Any]) -> dict[str, Any]:
    random.seed(asked["seed"])
    load = Load(asked)
    began = time.monotonic()
    watching = asyncio.create_task(watch(load))
    await asyncio.gather(*(connect(load) for _ in range(min(asked["connections"], load.left))))
    try:
        async with asyncio.timeout(asked["seconds"] + _GRACE_S):
            await load.done.wait()
        hung = 0
    except TimeoutError:
        hung = load.active
    load.stopped = True
    await watching
    load.out.close()
    return {"made": load.made, "aborted": load.aborted, "hung": hung, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
