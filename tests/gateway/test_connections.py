"""Connections of clients that never end their headers, or never read."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from mosaic.gateway.connection import ConnectionBounds, bounded_connections
from tests.app.site import WAIT_S, QuietServer

pytestmark = pytest.mark.anyio

LARGE = 30_000_000
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def answering(scope, receive, send) -> None:
    """Answer with many bytes at `/large`, with few elsewhere; read the body first."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * (LARGE if scope["path"] == "/large" else 2)
    headers = [(b"content-length", b"%d" % len(body)), (b"x-seen", b"%d" % len(scope["headers"]))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def served(**bounds) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, QuietServer]]:
    """A connection to a server with these bounds."""
    protocol = bounded_connections(ConnectionBounds(**{"look_s": 0.02, **bounds}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(answering, http=protocol, log_config=None, lifespan="off", ws="none")
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            async with asyncio.timeout(WAIT_S):
                yield reader, writer, server
        finally:
            writer.transport.abort()
            server.should_exit = True
            await task


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Everything that comes before the server closes the connection."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 20):
            came += piece
    return came


async def test_headers_without_end_are_refused() -> None:
    async with served(head_bytes=20_000) as (reader, writer, _):
        writer.write(HEAD)
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                writer.write(b"x-more: " + b"x" * 4_000 + b"\r\n")
                await writer.drain()
        answer = await closed(reader)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


async def test_one_header_without_end_is_refused() -> None:
    async with served(head_bytes=20_000) as (reader, writer, _):
        writer.write(HEAD + b"x-more: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                writer.write(b"x" * 4_000)
                await writer.drain()
        answer = await closed(reader)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


async def test_usual_requests_pass_one_after_the_other() -> None:
    async with served(head_bytes=2_000) as (reader, writer, _):
        for _ in range(50):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n" + b"x" * 9_000)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"xx"


async def test_trailers_are_dropped() -> None:
    async with served() as (reader, writer, _):
        start = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nxx\r\n"
        writer.write(start + b"0\r\nx-more: 1\r\nx-more: 2\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"x-seen: 2\r\n" in head


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTT", HEAD + b"x-half: "], ids=["nothing", "a line", "headers"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    async with served(head_s=0.1) as (reader, writer, _):
        writer.write(sent)
        assert await closed(reader) == b""


async def test_a_connection_between_two_requests_is_left_alone() -> None:
    async with served(head_s=0.1) as (reader, writer, _):
        for _ in range(3):
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"xx")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.4):
                    await reader.read(1)


async def test_what_nobody_reads_is_thrown_away() -> None:
    async with served(unread_s=0.1) as (reader, writer, server):
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        await writer.drain()
        connections = server.server_state.connections
        while not connections:  # noqa: ASYNC110  # uvicorn tells nobody
            await asyncio.sleep(0.01)
        while connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.transport.resume_reading()
        assert len(await closed(reader)) < LARGE


async def test_a_slow_reader_gets_everything() -> None:
    async with served(unread_s=0.3) as (reader, writer, _):
        writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        size = 0
        while size < LARGE:
            size += len(await reader.read(1 << 17))
            await asyncio.sleep(0.002)
        assert size == LARGE
