"""Requests as they go out, answers as they come in, connections that are used again."""

import asyncio

import pytest

from mosaic.core.errors import ContractViolation, InvalidInput, Unavailable
from mosaic.providers.upstream import UpstreamLimits, UpstreamPool
from tests.providers.endpoint import unused_url
from tests.providers.upstream.server import (
    CHUNKED,
    OK,
    Peer,
    answering,
    chunk,
    dropping,
    hanging,
    head,
    serving,
    until,
)

pytestmark = pytest.mark.anyio


async def test_a_request_carries_its_headers_and_body_and_nothing_else(pool):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.say(OK)

    async with serving(script) as server:
        endpoint = server.endpoint("/v1/chat?x=1", (b"authorization", b"Bearer k"))
        response = await pool.send(endpoint, b'{"a":1}', headers=[(b"x-extra", b"1")])
        assert (response.status, await response.read()) == (200, b"ok")
        host = server.origin.removeprefix("http://")
    ((sent, body),) = seen
    assert body == b'{"a":1}'
    assert sent.decode().split("\r\n") == [
        "POST /v1/chat?x=1 HTTP/1.1",
        f"host: {host}",
        "accept-encoding: identity",
        "authorization: Bearer k",
        "x-extra: 1",
        "content-length: 7",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([OK], b"ok"),
        ([bytes([byte]) for byte in OK], b"ok"),
        ([head("Content-Length: 0")], b""),
        ([head(status="204 No Content")], b""),
        ([CHUNKED, chunk(b"hel"), chunk(b"lo"), b"0\r\n\r\n"], b"hello"),
        ([CHUNKED + b"3;name=value\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n"], b"abc"),
        ([head("content-length: 300000"), b"x" * 300_000], b"x" * 300_000),
        ([head(status="100 Continue"), head(status="103 Early Hints"), OK], b"ok"),
    ],
    ids=["length", "bytewise", "empty", "no-content", "chunked", "trailers", "large", "interim"],
)
async def test_a_body_is_read_whole_and_its_connection_used_again(pool, pieces, body):
    async with serving(answering(*pieces)) as server:
        for _ in range(3):
            response = await pool.send(server.endpoint(), b"{}")
            assert await response.read() == body
        assert server.connections == 1
        (load,) = pool.loads()
        assert (load.open, load.idle, load.waiting) == (1, 1, 0)


async def test_headers_come_as_they_were_with_names_in_lower_case(pool):
    async with serving(answering(head("X-One: 1", "x-one: 2", "Content-Length: 0"))) as server:
        response = await pool.send(server.endpoint(), b"")
    assert response.headers == [(b"x-one", b"1"), (b"x-one", b"2"), (b"content-length", b"0")]
    assert response.header(b"x-one") == b"1"
    assert response.header(b"absent") is None
    assert response.header_map()["x-one"] == "2"


@pytest.mark.parametrize("status", ["302 Found", "401 Unauthorized", "429 Too Many", "503 Busy"])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(pool, status):
    async with serving(answering(head("location: /x", "content-length: 0", status=status))) as server:
        response = await pool.send(server.endpoint(), b"{}")
        assert response.status == int(status[:3])
        assert await response.read() == b""
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        head("connection: close", "content-length: 2") + b"ok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        head() + b"ok",
    ],
    ids=["asked", "old", "until-the-end"],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(pool, answer):
    async with serving(answering(answer, calls=1)) as server:
        for expected in (1, 2):
            response = await pool.send(server.endpoint(), b"{}")
            assert await response.read() == b"ok"
            assert server.connections == expected


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not noticed yet"])
async def test_a_connection_that_the_upstream_closed_in_the_meantime_is_not_used(anyio_backend, noticed):
    pool = UpstreamPool(limits=UpstreamLimits(trusted_s=0.0))
    async with serving(answering(OK, calls=1), answering(OK)) as server:
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        await server.ended.get()
        if noticed:
            await until(lambda: not pool.loads()[0].open)
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        assert server.connections == 2
    await pool.close()


async def test_an_upstream_that_says_how_long_it_keeps_a_connection_is_believed(pool):
    async with serving(answering(head("keep-alive: timeout=1", "content-length: 0"))) as server:
        await (await pool.send(server.endpoint(), b"{}")).read()
        await server.ended.get()  # a second early, so at once
        assert pool.loads()[0].open == 0


async def test_an_unused_connection_is_closed_after_a_while(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(keep_alive_s=0.05))
    async with serving(answering(OK)) as server:
        await (await pool.send(server.endpoint(), b"{}")).read()
        await server.ended.get()
        assert pool.loads()[0].open == 0
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
    await pool.close()


async def test_a_stream_arrives_piece_by_piece_before_its_end(pool):
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED, chunk(b"one"))
        await go_on.wait()
        await peer.say(chunk(b"two"), b"0\r\n\r\n")

    async with serving(script) as server, await pool.send(server.endpoint(), b"{}") as response:
        pieces = [await anext(response)]
        go_on.set()
        pieces += [piece async for piece in response]
    assert pieces == [b"one", b"two"]


@pytest.mark.parametrize("how", ["close", "cancel the reader", "cancel the call"])
async def test_leaving_an_answer_closes_its_connection(pool, how):
    pieces = () if how == "cancel the call" else (CHUNKED, chunk(b"one"))
    async with serving(hanging(*pieces), answering(OK)) as server:
        if how == "close":
            response = await pool.send(server.endpoint(), b"{}")
            response.close()
            assert [piece async for piece in response] == []
        else:
            response = None if not pieces else await pool.send(server.endpoint(), b"{}")
            task = asyncio.ensure_future(
                pool.send(server.endpoint(), b"{}") if response is None else response.read()
            )
            await until(lambda: server.connections)
            await asyncio.sleep(0)  # it has begun to read
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await server.ended.get() == 0
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        assert server.connections == 2
        assert pool.loads()[0].open == 1


async def test_a_slow_reader_holds_the_upstream_back(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(buffer_bytes=100_000))
    total, piece, written = 64 * 1024 * 1024, b"x" * 65536, 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        await peer.say(head(f"content-length: {total}"))
        while written < total:
            await peer.say(piece)
            written += len(piece)

    async with serving(script) as server:
        response = await pool.send(server.endpoint(), b"{}")
        before = -1
        while before != written:  # until nothing moves any more
            before = written
            for _ in range(200):
                await asyncio.sleep(0)
        assert written < total / 2
        got = 0
        async for taken in response:
            got += len(taken)
            assert len(taken) <= 100_000 + 256 * 1024
        assert got == total
        assert pool.loads()[0].idle == 1
    await pool.close()


async def test_a_large_request_is_sent_whole(pool):
    sizes = []

    async def script(peer: Peer) -> None:
        while True:
            sizes.append(len((await peer.request())[1]))
            await peer.say(OK)

    async with serving(script) as server:
        for size in (10, 65_536, 65_537, 5_000_000):
            response = await pool.send(server.endpoint(), b"x" * size)
            assert await response.read() == b"ok"
    assert sizes == [10, 65_536, 65_537, 5_000_000]


async def test_an_answer_above_the_limit_is_refused_and_its_connection_closed(pool):
    async with serving(hanging(CHUNKED, chunk(b"x" * 5000))) as server:
        response = await pool.send(server.endpoint(), b"{}")
        with pytest.raises(ContractViolation, match="more than 1,000 bytes"):
            await response.read(1000)
        await server.ended.get()


async def test_a_body_of_exactly_the_limit_is_returned(pool):
    async with serving(answering(OK)) as server:
        assert await (await pool.send(server.endpoint(), b"{}")).read(2) == b"ok"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((), 0),
        ((b"HTTP/1.1 200",), 0),
        ((CHUNKED, chunk(b"one")), 200),
        ((head("content-length: 9"), b"x"), 200),
    ],
)
@pytest.mark.parametrize("how", [dropping, lambda *pieces: answering(*pieces, calls=1)], ids=["reset", "end"])
async def test_a_connection_that_breaks_off_is_unavailable_and_was_sent(pool, pieces, status, how):
    async with serving(how(*pieces)) as server:
        with pytest.raises(Unavailable) as caught:  # noqa: PT012  # either statement may be the one
            response = await pool.send(server.endpoint(), b"{}")
            await response.read()
        assert caught.value.data == {"provider": "acme", "sent": True, "reused": False}
        assert pool.loads()[0].open == 0


async def test_pieces_that_came_before_a_break_are_yielded_before_the_error(pool):
    async with serving(answering(CHUNKED, chunk(b"one"), calls=1)) as server:
        response = await pool.send(server.endpoint(), b"{}")
        assert await anext(response) == b"one"
        with pytest.raises(Unavailable):
            await anext(response)


async def test_nobody_listening_is_unavailable_and_not_sent(pool):
    endpoint = await unused_url()
    async with serving(answering(OK)) as server:
        server.origin = endpoint
        with pytest.raises(Unavailable) as caught:
            await pool.send(server.endpoint(), b"{}")
    assert caught.value.data == {"provider": "acme", "sent": False}
    assert pool.loads()[0].open == 0


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("no-slash", None),
        ("/a b", None),
        ("/a\r\nx: y", None),
        ("/ü", None),
        ("/", (b"x", b"1\r\nevil: 1")),
        ("/", (b"x", b"1\nevil: 1")),
        ("/", (b"x", b"a\0b")),
        ("/", (b"x y", b"1")),
        ("/", (b"x:", b"1")),
        ("/", (b"", b"1")),
        ("/", (b"Content-Length", b"0")),
        ("/", (b"transfer-encoding", b"chunked")),
        ("/", (b"host", b"evil")),
    ],
)
async def test_nothing_that_is_passed_in_can_add_a_line_to_a_request(pool, path, header):
    async with serving(answering(OK)) as server:
        for _ in range(2):  # also the second time: what is remembered is only what was right
            with pytest.raises(InvalidInput):
                await pool.send(server.endpoint(path), b"", headers=[header] if header else [])
        assert server.connections == 0


@pytest.mark.parametrize(
    "origin", ["ftp://x", "http://", "http://u:p@h", "http://h:0", "http://h:x", "https://h/p"]
)
async def test_an_origin_that_is_not_one_is_refused(pool, origin):
    async with serving(answering(OK)) as server:
        server.origin = origin
        with pytest.raises(InvalidInput):
            await pool.send(server.endpoint(), b"")
