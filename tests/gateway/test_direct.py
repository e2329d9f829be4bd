"""Requests that a connection hands to the gateway without ASGI: the same promises as uvicorn's own cycle."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn

from mosaic.gateway.connection import ConnectionBounds, bounded_connections
from mosaic.gateway.direct import DirectExchange
from tests.app.site import WAIT_S, QuietServer

pytestmark = pytest.mark.anyio

POST = b"POST /v1/x HTTP/1.1\r\nhost: x\r\n"
Answer = Callable[[DirectExchange], Awaitable[None]]


async def read(exchange: DirectExchange) -> bytes:
    """The whole body of a request."""
    body = exchange.body(1 << 30)
    if body is not None:
        return body
    parts = []
    while True:
        message = await exchange.receive()
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


async def echo(exchange: DirectExchange) -> None:
    body = await read(exchange)
    await exchange.whole(200, [(b"content-length", b"%d" % len(body))], body)


async def usual(scope, receive, send) -> None:
    """Answer what is not direct, and say so."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"usual"})


@contextlib.asynccontextmanager
async def served(
    answer: Answer, *, keep_alive_s: float = 5.0, **bounds
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, QuietServer]]:
    """A connection to a server whose `/v1/x` is answered directly."""
    protocol = bounded_connections(ConnectionBounds(**{"look_s": 0.02, **bounds}), {"/v1/x": answer})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            usual, http=protocol, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=2
        )
        config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]  # parts of a second, for a test
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


async def answered(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer that says its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
    return head, await reader.readexactly(length)


def post(body: bytes, *more: bytes) -> bytes:
    return POST + b"".join(more) + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with served(echo) as (reader, writer, server):
        for number in range(20):
            body = b"%d" % number * (number + 1)
            writer.write(post(body))
            head, came = await answered(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert came == body
            writer.write(b"GET /else HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await answered(reader))[1] == b"usual"
        assert server.server_state.total_requests == 40
        assert not server.server_state.tasks


async def test_what_is_not_a_post_to_the_very_path_goes_the_usual_way() -> None:
    async with served(echo) as (reader, writer, _):
        for line in (b"GET /v1/x", b"POST /v1/x?y=1", b"POST /v1/x/"):
            writer.write(line + b" HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await answered(reader))[1] == b"usual"


async def test_a_pipeline_is_answered_in_its_order() -> None:
    async def slow_first(exchange: DirectExchange) -> None:
        body = await read(exchange)
        await asyncio.sleep(0.05 if body == b"0" else 0)
        await exchange.whole(200, [(b"content-length", b"1")], body)

    async with served(slow_first) as (reader, writer, _):
        get = b"GET /else HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(post(b"0") + post(b"1") + get + post(b"2"))
        assert [(await answered(reader))[1] for _ in range(4)] == [b"0", b"1", b"usual", b"2"]


@pytest.mark.parametrize("framing", [b"content-length: 300000\r\n", b"transfer-encoding: chunked\r\n"])
async def test_a_body_comes_in_pieces(framing: bytes) -> None:
    async with served(echo) as (reader, writer, _):
        writer.write(POST + framing + b"\r\n")
        for _ in range(30):
            piece = b"x" * 10_000
            writer.write(b"2710\r\n%b\r\n" % piece if b"chunked" in framing else piece)
            await asyncio.sleep(0)
        if b"chunked" in framing:
            writer.write(b"0\r\n\r\n")
        assert len((await answered(reader))[1]) == 300_000


async def test_a_client_that_asks_whether_to_go_on_is_told() -> None:
    async with served(echo) as (reader, writer, _):
        writer.write(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await answered(reader))[1] == b"ok"


async def test_reading_stops_while_a_body_waits() -> None:
    go_on = asyncio.Event()

    async def later(exchange: DirectExchange) -> None:
        await go_on.wait()
        await echo(exchange)

    async with served(later) as (reader, writer, server):
        writer.write(POST + b"content-length: 50000000\r\n\r\n" + b"x" * 50_000_000)
        await asyncio.sleep(0.2)
        assert writer.transport.get_write_buffer_size() > 10_000_000
        (connection,) = server.server_state.connections
        assert connection.flow.read_paused
        go_on.set()
        assert len((await answered(reader))[1]) == 50_000_000


async def test_a_stream_waits_for_its_reader() -> None:
    sent = 0

    async def stream(exchange: DirectExchange) -> None:
        nonlocal sent
        await read(exchange)
        await exchange.begin([(b"content-type", b"text/plain")])
        for _ in range(1_000):
            await exchange.write(b"x" * 10_000)
            sent += 1
        await exchange.write(b"")
        await exchange.end()

    async with served(stream) as (reader, writer, _):
        writer.transport.pause_reading()
        writer.write(post(b""))
        await asyncio.sleep(0.3)
        held = sent
        assert held < 1_000
        writer.transport.resume_reading()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\ntransfer-encoding: chunked\r\n" in head
        size = 0
        while length := int(await reader.readline(), 16):
            size += len(await reader.readexactly(length + 2)) - 2
        assert size == 10_000_000
        assert await reader.readline() == b"\r\n"


async def test_a_client_that_leaves_is_noticed() -> None:
    left = asyncio.Event()

    async def waiting(exchange: DirectExchange) -> None:
        await read(exchange)
        assert await exchange.receive() == {"type": "http.disconnect"}
        await exchange.whole(200, [(b"content-length", b"0")], b"")  # goes nowhere
        left.set()

    async with served(waiting) as (_, writer, server):
        writer.write(post(b"x"))
        await asyncio.sleep(0.05)
        assert len(server.server_state.tasks) == 1
        writer.transport.abort()
        await left.wait()


async def test_a_mistake_is_an_error_and_the_end_of_the_connection() -> None:
    async def broken(exchange: DirectExchange) -> None:
        raise RuntimeError("a mistake")

    async with served(broken) as (reader, writer, server):
        writer.write(post(b"x"))
        head, body = await answered(reader)
        assert head.startswith(b"HTTP/1.1 500 ")
        assert b"\r\nconnection: close\r\n" in head
        assert body == b"Internal Server Error"
        assert await reader.read() == b""
        assert not server.server_state.tasks


async def test_an_answer_that_breaks_off_ends_the_connection() -> None:
    async def broken(exchange: DirectExchange) -> None:
        await exchange.begin([])
        await exchange.write(b"some")
        raise RuntimeError("a mistake")

    async with served(broken) as (reader, writer, _):
        writer.write(post(b"x"))
        assert (await reader.read()).endswith(b"4\r\nsome\r\n")


@pytest.mark.parametrize("value", [b"a\r\nx-more: 1", b"a\nb", b"a\rb", b"a\0b"])
async def test_no_header_can_add_a_line(value: bytes) -> None:
    async def told(exchange: DirectExchange) -> None:
        await exchange.whole(200, [(b"x-told", value), (b"content-length", b"0")], b"")

    async with served(told) as (reader, writer, _):
        writer.write(post(b"x"))
        assert (await answered(reader))[0].startswith(b"HTTP/1.1 500 ")


async def test_a_client_that_wants_to_close_is_let_go() -> None:
    async with served(echo) as (reader, writer, _):
        writer.write(post(b"x", b"connection: close\r\n"))
        head, _ = await answered(reader)
        assert b"\r\nconnection: close\r\n" in head
        assert await reader.read() == b""


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with served(echo, keep_alive_s=0.2) as (reader, writer, _):
        for _ in range(3):
            writer.write(post(b"x"))
            assert (await answered(reader))[1] == b"x"
            await asyncio.sleep(0.1)
        assert await reader.read() == b""


async def test_stopping_waits_for_an_answer() -> None:
    go_on = asyncio.Event()

    async def later(exchange: DirectExchange) -> None:
        await go_on.wait()
        await echo(exchange)

    async with served(later) as (reader, writer, server):
        writer.write(post(b"x"))
        await asyncio.sleep(0.1)
        server.should_exit = True
        await asyncio.sleep(0.2)
        go_on.set()
        head, body = await answered(reader)
        assert body == b"x"
        assert b"\r\nconnection: close\r\n" in head
        assert await reader.read() == b""
