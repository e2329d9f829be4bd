"""WebSockets at the server's edge: what is no handshake, who reads nothing, and what the end of a socket leaves."""

import asyncio
import base64
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from mosaic.gateway.connection import BoundedConnection, ConnectionBounds, bounded_connections
from mosaic.gateway.socket_connection import BoundedSocket, SocketBounds, bounded_sockets
from tests.app.site import WAIT_S, QuietServer
from tests.gateway.test_connections import closed

pytestmark = pytest.mark.anyio

KEY = b"sec-websocket-key: " + base64.b64encode(bytes(16)) + b"\r\nsec-websocket-version: 13\r\n"
UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\n" + KEY


async def echoing(scope: Any, receive: Any, send: Any) -> None:
    """Say everything twice over a WebSocket; on `/flood` go on for ever; over HTTP say that it is HTTP."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"http"})
        return
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})
        return
    await send({"type": "websocket.accept"})
    while scope["path"] == "/flood":
        await send({"type": "websocket.send", "text": "x" * 10_000})
        await asyncio.sleep(0)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"] * 2})


@contextlib.asynccontextmanager
async def served(**bounds: Any) -> AsyncIterator[int]:
    """The port of a server with these bounds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            echoing,
            http=bounded_connections(ConnectionBounds(look_s=0.02)),
            ws=bounded_sockets(SocketBounds(**{"look_s": 0.02, **bounds})),
            ws_per_message_deflate=False,
            ws_max_size=1_000,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(WAIT_S):
                yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"GET /ws HTTP/1.1\r\nhost: x\r\n" + UPGRADE, b"HTTP/1.1 101"),
        (b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n", b"HTTP/1.1 4"),
        (b"GET /ws HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"a: b\r\n" * 200, b"HTTP/1.1 431"),
        (b"GET /ws HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"a: " + b"b" * 20_000 + b"\r\n", b"HTTP/1.1 431"),
        (b"POST /ws HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n" + UPGRADE, b"HTTP/1.1 200"),
        (b"GET /w\xc3\xa4 HTTP/1.1\r\nhost: x\r\n" + UPGRADE, b"HTTP/1.1 "),
        (b"GET /refused HTTP/1.1\r\nhost: x\r\n" + UPGRADE, b"HTTP/1.1 403"),
    ],
)
async def test_what_is_no_handshake_is_answered_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture, request_bytes: bytes, answer: bytes
) -> None:
    caplog.set_level(logging.DEBUG, "uvicorn.error")
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes + b"\r\n")
        said = await reader.readuntil(b"\r\n")
        assert said.startswith(answer), said
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        async with connect(f"ws://127.0.0.1:{port}/ws?ticket=x", proxy=None) as client:
            await client.send("a")
            assert await client.recv() == "aa"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "ticket" not in caplog.text  # what an address holds is nobody's business


async def test_a_client_that_reads_nothing_is_cut_off_and_nothing_is_left_of_it() -> None:
    async with served(unread_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /flood HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        largest = 0
        while found := _open():
            largest = max(largest, *(one.transport.get_write_buffer_size() for one in found))
            await asyncio.sleep(0.01)
        assert 10_000 <= largest < 100_000
        writer.transport.resume_reading()
        await closed(reader)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    # The HTTP connection that it came from is no longer looked after either.
    assert [
        one
        for one in gc.get_objects()
        if issubclass(type(one), BoundedConnection) and not one._timer.cancelled()
    ] == []


def _open() -> list[BoundedSocket]:
    found = [one for one in gc.get_objects() if issubclass(type(one), BoundedSocket)]
    return [one for one in found if not one.transport.is_closing()]
