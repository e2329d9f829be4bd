"""Upstreams that send what no upstream should: always an error in bounded memory, never a confused next call."""

import asyncio

import pytest

from mosaic.core.errors import ContractViolation
from mosaic.providers.upstream import UpstreamLimits, UpstreamPool
from tests.providers.upstream.server import CHUNKED, OK, Peer, answering, chunk, hanging, head, serving

pytestmark = pytest.mark.anyio


async def endless(peer: Peer, start: bytes, piece: bytes) -> None:
    await peer.request()
    await peer.say(start)
    while not peer.writer.is_closing():
        await peer.say(piece)


@pytest.mark.parametrize(
    "answer",
    [
        b"not http at all\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        head("content-length: abc"),
        head("content-length: -1"),
        head("content-length: 2", "content-length: 3") + b"ok",
        head("content-length: 2", "transfer-encoding: chunked") + b"ok",
        head("a b: c"),
        head("x: " + "y" * 70_000, "content-length: 0"),
        head(*(f"h{number}: 1" for number in range(300)), "content-length: 0"),
        head("connection: upgrade", "upgrade: websocket", status="101 Switching Protocols"),
        head(status="100 Continue") * 50 + OK,
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nabcdefgh\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"-1\r\n",
    ],
)
async def test_what_is_not_proper_http_is_a_violation_and_closes_the_connection(pool, answer):
    async with serving(hanging(answer), answering(OK)) as server:
        with pytest.raises(ContractViolation) as caught:  # noqa: PT012  # either statement may be the one
            response = await pool.send(server.endpoint(), b"{}")
            await response.read()
        assert caught.value.data["sent"] is True
        await server.ended.get()
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000),
        (b"HTTP/1.1 200 ", b"y" * 1000),
        (b"", b"\r\n" * 500),
        (b"", head("x: " + "y" * 1000, status="103 Early Hints")),
        (CHUNKED + chunk(b"a") + b"0\r\nx: ", b"y" * 1000),
        (CHUNKED + chunk(b"a") + b"0\r\n", b"x: " + b"y" * 1000 + b"\r\n"),
        (CHUNKED + b"1;", b"y" * 1000),
    ],
    ids=["headers", "header", "reason", "blank", "interim", "trailer", "trailers", "extension"],
)
async def test_a_head_or_trailer_without_end_is_cut_off(pool, start, piece):
    async with serving(lambda peer: endless(peer, start, piece)) as server:
        with pytest.raises(ContractViolation):  # noqa: PT012  # either statement may be the one
            response = await pool.send(server.endpoint(), b"{}")
            await response.read()
        await server.ended.get()
        assert pool.loads()[0].open == 0


@pytest.mark.parametrize(
    "junk",
    [OK, b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nx: ", b"\x00\x01junk", head("content-length: 1000")],
    ids=["answer", "part", "open header", "bytes", "head"],
)
async def test_what_comes_behind_an_answer_never_reaches_the_next_call(pool, junk):
    async with serving(hanging(OK + junk), answering(head("content-length: 4") + b"next")) as server:
        response = await pool.send(server.endpoint(), b"{}")
        assert await response.read() == b"ok"
        assert response.headers == [(b"content-length", b"2")]
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"next"
        assert server.connections == 2


async def test_what_comes_while_nobody_asked_closes_the_connection(pool):
    whole = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await whole.wait()
        await peer.say(OK)
        await peer.gone()

    async with serving(script, answering(head("content-length: 4") + b"next")) as server:
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        whole.set()
        await server.ended.get()
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"next"


async def test_an_answer_before_the_request_is_sent_whole_is_read_and_its_connection_closed(pool):
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(head("content-length: 3", status="413 Too Large") + b"no!")
        await peer.gone()

    async with serving(script, answering(OK)) as server:
        response = await pool.send(server.endpoint(), b"x" * 50_000_000)
        assert (response.status, await response.read()) == (413, b"no!")
        await server.ended.get()
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        assert server.connections == 2


async def test_one_byte_chunks_and_their_framing_do_not_count_as_headers(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(head_bytes=1000))
    async with serving(answering(CHUNKED, *[chunk(b"x") * 400] * 5, b"0\r\n\r\n")) as server:
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"x" * 2000
    await pool.close()


async def test_an_answer_to_an_upstream_that_only_sends_ends_in_bounded_memory(pool):
    async with serving(lambda peer: endless(peer, CHUNKED, chunk(b"x" * 65_536))) as server:
        response = await pool.send(server.endpoint(), b"{}")
        with pytest.raises(ContractViolation, match="more than 1,000,000 bytes"):
            await response.read(1_000_000)
        await server.ended.get()
