"""A model's HTTP endpoint that keeps a record of all it was asked and billed, and fails as it is told: upstream.py JSON

Speaks chat completions and messages, whole and streamed. What it does stands in its record before it is sent, so that the
record is right whenever the process is killed. Commands come as JSON lines on standard input, each acknowledged on
standard output.

A line of the record is ``<what> <number> <id> ...``, where the number counts requests of this endpoint and the id is the
client's own, which it writes into its message as ``id=...;``:

    R number id time            a request has arrived whole
    B number id in out          billed: the whole answer, also where it will be lost
    P number id in out          billed so far, of a stream
    A number id time            the answer was sent to its end
    C number id time            the caller went away before that
    X number id time            it failed on purpose, and is done with it
    K 0 - time                  it was killed (whoever killed it writes this)
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

_ID = re.compile(rb"id=([a-z0-9-]+);")
_LIMIT = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
_USUAL_LIMIT = 32
_BYTES_PER_TOKEN = 6  # less than what a gateway may count for a body
_MOST_PIECES = 24
_PIECE_S = 0.002
_LONG_PIECE_S = 0.15
_LONG_START_S = 0.4
_FLOOD = b"x" * 16_000
LARGE_BYTES = 8_000_000
GARBAGE = b"\x00\xff\x13 this is not HTTP \r\n\r\n" * 20


@dataclass
class Mode:
    """How it answers now.

    Attributes:
        name: ``ok`` or a fault.
        share: of requests that meet the fault.
    """

    name: str = "ok"
    share: float = 1.0

    def of_request(self) -> str:
        return self.name if random.random() < self.share else "ok"


@dataclass
class Upstream:
    """One endpoint."""

    record: int
    mode: Mode = field(default_factory=Mode)
    connections: set["Caller"] = field(default_factory=set)
    count: int = 0
    sent_bytes: int = 0

    def note(self, what: str, number: int, name: str, *more: Any) -> None:
        os.write(self.record, f"{what} {number} {name} {' '.join(map(str, more))}\n".encode())

    def open_calls(self) -> int:
        return sum(1 for caller in self.connections if caller.number)


class Caller(asyncio.Protocol):
    """One connection of whoever asks."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.got = bytearray()
        self.head = b""
        self.missing = 0  # bytes of the request that comes, head included; 0 before they are known
        self.number = 0
        self.name = ""
        self.task: asyncio.Task[None] | None = None
        self.paused = asyncio.Event()
        self.paused.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another base
        self.upstream.connections.add(self)

    def pause_writing(self) -> None:
        self.paused.clear()

    def resume_writing(self) -> None:
        self.paused.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.upstream.connections.discard(self)
        self.paused.set()
        if self.number:
            self.upstream.note("C", self.number, self.name, time.monotonic())
            self.number = 0
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.missing:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.head = bytes(self.got[:end])
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.missing = end + 4 + length
        if len(self.got) < self.missing:
            return
        whole, head = self.missing, self.head
        self.missing = 0
        body = bytes(self.got[len(head) + 4 : whole])
        del self.got[:whole]
        upstream = self.upstream
        upstream.count += 1
        found = _ID.search(body)
        self.number, self.name = upstream.count, found[1].decode() if found else "-"
        upstream.note("R", self.number, self.name, time.monotonic())
        asked = Asked(head, body)
        asked.models = head.startswith(b"GET")
        self.task = asyncio.get_running_loop().create_task(self.answer(asked, upstream.mode.of_request()))

    def done(self) -> None:
        """The answer is with the system: the request is over, and another may come."""
        self.upstream.note("A", self.number, self.name, time.monotonic())
        self.number = 0

    def over(self) -> None:
        """The fault is complete: nothing more comes."""
        self.upstream.note("X", self.number, self.name, time.monotonic())
        self.number = 0

    async def answer(self, asked: "Asked", mode: str) -> None:
        fault = FAULTS.get(mode)
        if fault is not None:
            await fault(self, asked)
        elif mode == "slow":
            await asyncio.sleep(random.uniform(0.02, 0.25))
            await self.well(asked)
        else:
            await self.well(asked)

    async def well(self, asked: "Asked") -> None:
        """Answer as it should be."""
        if asked.stream:
            await self.stream(asked, asked.pieces)
            self.transport.write(chunk(asked.ending(asked.pieces)) + b"0\r\n\r\n")
        else:
            self.bill(asked)
            self.transport.write(asked.whole())
        self.done()

    def bill(self, asked: "Asked") -> None:
        self.upstream.note("B", self.number, self.name, asked.input_tokens, asked.output_tokens)

    async def stream(self, asked: "Asked", pieces: int) -> None:
        if self.name.endswith("-long"):
            pieces = _MOST_PIECES
            await asyncio.sleep(_LONG_START_S)
        self.upstream.note("P", self.number, self.name, asked.input_tokens, 0)
        self.transport.write(STREAM_HEAD + chunk(asked.beginning()))
        for number in range(1, pieces + 1):
            await asyncio.sleep(_LONG_PIECE_S if self.name.endswith("-long") else _PIECE_S)
            self.upstream.note("P", self.number, self.name, asked.input_tokens, number)
            self.transport.write(chunk(asked.piece(number)))

    # Faults. What may have cost something is billed.

    def refuse(self, status: int, more: str = "") -> None:
        body = b'{"error":{"message":"scripted trouble","type":"server_error"}}'
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.over()

    async def limited(self, _: "Asked") -> None:
        self.refuse(429, "retry-after: 1\r\n")

    async def broken(self, _: "Asked") -> None:
        self.refuse(500)

    async def away(self, _: "Asked") -> None:
        self.refuse(503)

    async def resting(self, _: "Asked") -> None:
        self.refuse(503, "retry-after: 1\r\n")

    async def hanging(self, asked: "Asked") -> None:
        self.bill(asked)
        await asyncio.Event().wait()

    async def garbage(self, asked: "Asked") -> None:
        self.bill(asked)
        self.transport.write(GARBAGE)
        self.over()
        self.transport.close()

    async def garbled(self, asked: "Asked") -> None:
        """A proper answer whose body is noise."""
        self.bill(asked)
        body = os.urandom(200)
        kind = "text/event-stream" if asked.stream else "application/json"
        self.transport.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 200\r\n\r\n".encode() + body
        )
        self.over()

    async def large(self, asked: "Asked") -> None:
        """A whole answer of many megabytes."""
        self.bill(asked)
        head, _, body = asked.whole().partition(b"\r\n\r\n")
        body = body.replace(b"answered", b"x" * LARGE_BYTES)
        first = head.split(b"content-length", 1)[0]
        self.transport.write(first + b"content-length: %d\r\n\r\n" % len(body) + body)
        await self.paused.wait()
        self.done()

    async def half(self, asked: "Asked") -> None:
        self.bill(asked)
        whole = asked.whole()
        self.transport.write(whole[: len(whole) * 2 // 3])
        self.over()
        self.transport.close()

    async def reset(self, asked: "Asked") -> None:
        self.bill(asked)
        self.over()
        self.transport.abort()

    async def cut(self, asked: "Asked") -> None:
        """A stream that ends in its middle; whole answers are whole."""
        if not asked.stream:
            await self.well(asked)
            return
        await self.stream(asked, asked.pieces // 2)
        self.over()
        self.transport.close()

    async def failing(self, asked: "Asked") -> None:
        """A stream that ends in an error event; whole answers fail as they are."""
        if not asked.stream:
            self.refuse(500)
            return
        await self.stream(asked, asked.pieces // 2)
        self.transport.write(chunk(asked.failure()) + b"0\r\n\r\n")
        self.over()

    async def flooding(self, asked: "Asked") -> None:
        """Headers without end."""
        self.bill(asked)
        self.transport.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(500):
            await self.paused.wait()
            self.transport.write(b"x-%d: " % number + _FLOOD + b"\r\n")
            await asyncio.sleep(0)

    async def endless(self, asked: "Asked") -> None:
        """A stream without end, as fast as it is read."""
        self.upstream.note("P", self.number, self.name, asked.input_tokens, 0)
        self.transport.write(STREAM_HEAD + chunk(asked.beginning()))
        piece = chunk(b"".join(asked.piece(number) for number in range(50)))
        while not self.transport.is_closing():
            await self.paused.wait()
            self.transport.write(piece)
            self.upstream.sent_bytes += len(piece)
            await asyncio.sleep(0)


FAULTS = {
    "limited": Caller.limited,
    "broken": Caller.broken,
    "away": Caller.away,
    "resting": Caller.resting,
    "hanging": Caller.hanging,
    "garbage": Caller.garbage,
    "garbled": Caller.garbled,
    "half": Caller.half,
    "reset": Caller.reset,
    "cut": Caller.cut,
    "failing": Caller.failing,
    "flooding": Caller.flooding,
    "large": Caller.large,
    "endless": Caller.endless,
}

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: up_1\r\ntransfer-encoding: chunked\r\n\r\n"


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Asked:
    """One request and the answer it gets."""

    models = False

    def __init__(self, head: bytes, body: bytes) -> None:
        self.anthropic = b"/messages" in head.split(b"\r\n", 1)[0]
        self.stream = b'"stream":true' in body or b'"stream": true' in body
        found = _LIMIT.search(body)
        limit = int(found[1]) if found else _USUAL_LIMIT
        self.input_tokens = len(body) // _BYTES_PER_TOKEN
        self.pieces = random.randint(1, min(limit, _MOST_PIECES))
        self.output_tokens = self.pieces if self.stream else random.randint(1, limit)

    def whole(self) -> bytes:
        if self.models:  # a health check
            body = b'{"object":"list","data":[],"has_more":false,"first_id":null,"last_id":null}'
            return (HEAD % len(body)) + body
        used = self.usage(self.output_tokens)
        if self.anthropic:
            shown: dict[str, Any] = {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                "content": [{"type": "text", "text": "answered"}], "stop_reason": "end_turn",
                "stop_sequence": None, "usage": used,
            }  # fmt: skip
        else:
            message = {"role": "assistant", "content": "answered", "refusal": None}
            shown = {
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
                "usage": used,
            }  # fmt: skip
        body = json.dumps(shown).encode()
        return (HEAD % len(body)) + body

    def usage(self, output_tokens: int) -> dict[str, int]:
        if self.anthropic:
            return {"input_tokens": self.input_tokens, "output_tokens": output_tokens}
        total = self.input_tokens + output_tokens
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": total,
        }

    def beginning(self) -> bytes:
        if not self.anthropic:
            return delta({"role": "assistant", "content": ""})
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": self.usage(1),
        }  # fmt: skip
        block = {"type": "text", "text": ""}
        return event("message_start", message=message) + event(
            "content_block_start", index=0, content_block=block
        )

    def piece(self, number: int) -> bytes:
        text = f"piece {number} "
        if not self.anthropic:
            return delta({"content": text})
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def ending(self, pieces: int) -> bytes:
        if not self.anthropic:
            counted = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
            counted |= {"choices": [], "usage": self.usage(pieces)}  # type: ignore[dict-item]
            return delta({}, "stop") + b"data: " + json.dumps(counted).encode() + b"\n\ndata: [DONE]\n\n"
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            event("content_block_stop", index=0)
            + event("message_delta", delta=stop, usage={"output_tokens": pieces})
            + event("message_stop")
        )

    def failure(self) -> bytes:
        if self.anthropic:
            return event("error", error={"type": "overloaded_error", "message": "scripted trouble"})
        return b'data: {"error":{"message":"scripted trouble","type":"server_error"}}\n\n'


def delta(content: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": content, "logprobs": None, "finish_reason": reason}
    shown = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [choice],
    }
    return b"data: " + json.dumps(shown).encode() + b"\n\n"


def event(kind: str, **data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **data}).encode())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def obey(upstream: Upstream) -> None:
    """Carry out commands until standard input ends."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        if "mode" in command:
            upstream.mode = Mode(command["mode"], command.get("share", 1.0))
            if command.get("drop"):
                for caller in tuple(upstream.connections):
                    caller.transport.abort()
        state = {"open": upstream.open_calls(), "count": upstream.count, "sent_bytes": upstream.sent_bytes}
        print(json.dumps(state), flush=True)


async def main(options: dict[str, Any]) -> None:
    random.seed(options["seed"])
    record = os.open(options["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    upstream = Upstream(record, count=options["first"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Caller(upstream), "127.0.0.1", options["port"], backlog=4096, reuse_address=True
    )
    print("ready", flush=True)
    obeying = asyncio.create_task(obey(upstream))
    with contextlib.suppress(asyncio.CancelledError):
        await obeying
    server.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(main(json.loads(sys.argv[1])))
