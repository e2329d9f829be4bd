"""An MCP server that answers at once with what it always answers: canned.py PORT

One tool, `work`, over streamable HTTP without sessions, with JSON answers. Speaks just enough HTTP for clients that send
a content-length, and keeps connections alive.
"""

import asyncio
import json
import sys
from typing import Any, cast

import uvloop

MARK = "canned"
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}
TOOL = {
    "name": "work",
    "description": "Search.",
    "inputSchema": SCHEMA,
    "annotations": {"readOnlyHint": True, "idempotentHint": True},
}
TEXT = f"A {MARK} answer of a usual length. " * 12
RESULTS: dict[str, Any] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": MARK, "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": TEXT}], "isError": False},
    "ping": {},
}
WRITTEN = {method: json.dumps(result) for method, result in RESULTS.items()}


def reply(status: str, body: bytes = b"") -> bytes:
    kind = b"content-type: application/json\r\n" if body else b""
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status.encode(), kind, len(body), body)


class Canned(asyncio.Protocol):
    """One client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another base
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        while True:
            head, mark, rest = self.got.partition(b"\r\n\r\n")
            if not mark:
                return
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            self.got = rest[length:]
            self.transport.write(self.answer(head, rest[:length]))

    def answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            return reply("405 Method Not Allowed")
        if head.startswith(b"DELETE"):
            return reply("200 OK")
        message = json.loads(body)
        if "id" not in message:
            return reply("202 Accepted")
        told = json.dumps(message["id"])
        result = WRITTEN.get(message["method"])
        if result is None:
            error = '{"code":-32601,"message":"Method not found"}'
            return reply("200 OK", f'{{"jsonrpc":"2.0","id":{told},"error":{error}}}'.encode())
        return reply("200 OK", f'{{"jsonrpc":"2.0","id":{told},"result":{result}}}'.encode())


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
