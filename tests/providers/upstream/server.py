"""A server that speaks bytes as a test scripts them, well-formed or not; one script per connection, the last repeats."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mosaic.providers.interfaces import WireEndpoint

Script = Callable[["Peer"], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BOUND_S = 20


class Peer:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return head, await self.reader.readexactly(length)

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed."""
        while await self.reader.read(65536):
            pass


class Server:
    """What arrived at the server, and where it is."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.scripts = scripts
        self.origin = ""
        self.connections = 0
        self.requests: list[tuple[bytes, bytes]] = []
        self.ended = asyncio.Queue[int]()
        """The number of each connection that the client has left."""

    def endpoint(self, path: str = "/v1/x", *headers: tuple[bytes, bytes]) -> WireEndpoint:
        return WireEndpoint("acme", self.origin, path, headers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        script = self.scripts[min(number, len(self.scripts) - 1)]
        try:
            await script(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.ended.put_nowait(number)
            writer.close()


@asynccontextmanager
async def serving(*scripts: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(scripts)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context, limit=2**20)
    port = listening.sockets[0].getsockname()[1]
    server.origin = f"https://localhost:{port}" if context else f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(BOUND_S):
            yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so that has no event to wait for."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110  # it is the state of a pool, which tells nobody
            await asyncio.sleep(0)


def answering(*pieces: bytes, calls: int = 1_000_000) -> Script:
    """Answer each of `calls` requests with these bytes, piece by piece; then close."""

    async def script(peer: Peer) -> None:
        for _ in range(calls):
            await peer.request()
            await peer.say(*pieces)

    return script


def hanging(*pieces: bytes) -> Script:
    """Answer with these bytes and wait until the client goes away."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)
        await peer.gone()

    return script


def dropping(*pieces: bytes) -> Script:
    """Answer with these bytes and reset the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(*pieces)
        peer.writer.transport.abort()

    return script


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
