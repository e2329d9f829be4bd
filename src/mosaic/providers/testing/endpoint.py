"""An HTTP endpoint on 127.0.0.1 that answers as it is told, faults of the network included."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Endpoint",
    "Received",
    "Reply",
    "event_reply",
    "json_reply",
    "line_reply",
    "running_endpoint",
    "unused_url",
]

Then = Literal["end", "drop", "hang"]


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer.

    `pieces` go out one by one in a chunked body. `then` is what happens after them: the body ends in order, the
    connection drops, or nothing more comes until the client goes away. `raw` is the whole answer, head included, in
    place of a proper one.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Then = "end"
    raw: bytes | None = None


def json_reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return an answer that is one JSON document."""
    return Reply(
        (json.dumps(body).encode(),), status, {"content-type": "application/json", **(headers or {})}
    )


def event_reply(events: Sequence[Any], *, then: Then = "end") -> Reply:
    """Return server-sent events; an item is a text for `data:`, an object, or a pair of event name and object."""
    pieces = []
    for event in events:
        name, data = event if isinstance(event, tuple) else (None, event)
        text = data if isinstance(data, str) else json.dumps(data)
        pieces.append(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())
    return Reply(tuple(pieces), headers={"content-type": "text/event-stream"}, then=then)


def line_reply(lines: Sequence[Any], *, then: Then = "end") -> Reply:
    """Return newline-delimited JSON."""
    pieces = tuple(json.dumps(line).encode() + b"\n" for line in lines)
    return Reply(pieces, headers={"content-type": "application/x-ndjson"}, then=then)


class Endpoint:
    """Answers the next reply in `replies` to each request; the last one again and again, or by `answer`.

    Attributes:
        url: where it listens.
        requests: everything that arrived.
        gone: set when a client goes away from an answer that hangs.
        received: set when something arrived.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Received] = []
        self.replies: deque[Reply] = deque()
        self.answer: Callable[[Received], Reply] | None = None
        self.gone = asyncio.Event()
        self.received = asyncio.Event()

    def will(self, *replies: Reply) -> None:
        """Answer with these, one after the other, the last one again and again."""
        self.replies = deque(replies)

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's one request."""
        try:
            received = await _read(reader)
            if received is not None:
                self.requests.append(received)
                self.received.set()
                await self._write(self._reply(received), reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _reply(self, received: Received) -> Reply:
        if self.answer is not None:
            return self.answer(received)
        return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]

    async def _write(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            return
        head = {"transfer-encoding": "chunked", "connection": "close", **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode())
        for piece in reply.pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if reply.then == "end":
            writer.write(b"0\r\n\r\n")
        elif reply.then == "hang":
            await reader.read()
            self.gone.set()
        elif reply.then == "drop":
            await writer.drain()
            writer.transport.abort()
        if reply.then == "end":
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest if line)
    headers = {name.lower(): value for name, value in headers.items()}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Received(method, path, headers, body)


@asynccontextmanager
async def running_endpoint() -> AsyncIterator[Endpoint]:
    """Listen until the block ends."""
    endpoint = Endpoint()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(endpoint.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    endpoint.url = f"http://{host}:{port}"
    try:
        yield endpoint
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def unused_url() -> str:
    """Return the address of a port where nobody listens."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"
