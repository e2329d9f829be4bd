"""A model's HTTP endpoint that answers at once with what it always answers: canned.py PORT

OpenAI chat completions; a request that asks for a stream gets 100 small events, each in a write of its own. Speaks just
enough HTTP for clients that send a content-length.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

MARK = b"canned"
EVENTS = 100
HEAD = {"id": "chatcmpl-1", "created": 1764300000, "model": "gpt-4o-mini-2024-07-18"}
USAGE = {"prompt_tokens": 25, "completion_tokens": 100, "total_tokens": 125}


def _answer() -> bytes:
    message = {"role": "assistant", "content": "A canned answer of a usual length. " * 12}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_1\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(choices: list[object], **more: object) -> bytes:
    shown = {**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return _chunk(b"data: " + json.dumps(shown).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _choice(delta: dict[str, str], reason: str | None = None) -> list[object]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]


ANSWER = _answer()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
FIRST = STREAM_HEAD + _event(_choice({"role": "assistant", "content": ""}))
PIECES = [_event(_choice({"content": f"canned{number:3} "})) for number in range(EVENTS - 2)]
LAST = _event(_choice({}, "stop"))
COUNTED = _event([], usage=USAGE)
END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Canned(asyncio.Protocol):
    """One client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another base
        self.loop = asyncio.get_running_loop()
        self.got = b""
        self.open = True

    def connection_lost(self, _error: Exception | None) -> None:
        self.open = False

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, mark, body = self.got.partition(b"\r\n\r\n")
        if not mark:
            return
        at = head.lower().find(b"content-length:")
        if at < 0:
            self.got = b""
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            return
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.got = body[length:]
        body = body[:length].replace(b" ", b"")
        if b'"stream":true' in body:
            self.transport.write(FIRST)
            self.loop.call_soon(self.next_piece, 0, b'"include_usage":true' in body)
        else:
            self.transport.write(ANSWER)

    def next_piece(self, number: int, count: bool) -> None:
        if not self.open:
            return
        if number < len(PIECES):
            self.transport.write(PIECES[number])
            self.loop.call_soon(self.next_piece, number + 1, count)
        else:
            self.transport.write(LAST + (COUNTED if count else b"") + END)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
