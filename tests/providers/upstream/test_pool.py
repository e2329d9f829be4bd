"""Many calls at once: bounds, the queue, timeouts of each phase, closing."""

import asyncio
import contextlib
import gc

import pytest

from mosaic.core.errors import ContractViolation, TimedOut, Unavailable
from mosaic.providers.upstream import UpstreamLimits, UpstreamPool, UpstreamResponse, UpstreamTimeouts
from mosaic.providers.upstream.connection import Connection
from tests.providers.upstream.server import CHUNKED, OK, Peer, answering, chunk, hanging, head, serving, until

pytestmark = pytest.mark.anyio


async def test_a_hundred_calls_share_four_connections_in_order_of_arrival(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=4))
    order: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            order.append(int((await peer.request())[1]))
            await peer.say(OK)

    async with serving(script) as server:

        async def call(number: int) -> bytes:
            return await (await pool.send(server.endpoint(), b"%d" % number)).read()

        assert await asyncio.gather(*map(call, range(100))) == [b"ok"] * 100
        assert server.connections == 4
        assert pool.loads()[0].open == 4
    # Four at a time: an answer may overtake its neighbours, never a whole round.
    assert all(abs(place - number) < 8 for place, number in enumerate(order))
    await pool.close()


async def test_a_full_queue_refuses_at_once_and_says_that_nothing_was_sent(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=1, waiting=1))
    async with serving(hanging()) as server:
        calls = [asyncio.ensure_future(pool.send(server.endpoint(), b"{}")) for _ in range(2)]
        await until(lambda: pool.loads() and pool.loads()[0].waiting)
        with pytest.raises(Unavailable, match="already wait") as caught:
            await pool.send(server.endpoint(), b"{}")
        assert caught.value.data["sent"] is False
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await pool.close()


async def test_a_call_that_stops_waiting_does_not_take_a_connection_with_it(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=1))
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await go_on.wait()
        await peer.say(OK)
        await answering(OK)(peer)

    async with serving(script) as server:
        first = asyncio.ensure_future(pool.send(server.endpoint(), b"{}"))
        await until(lambda: server.connections)
        waiting = [asyncio.ensure_future(pool.send(server.endpoint(), b"{}")) for _ in range(5)]
        await until(lambda: pool.loads()[0].waiting == 5)
        for call in waiting[:4]:
            call.cancel()
        go_on.set()
        assert await (await first).read() == b"ok"
        assert await (await waiting[4]).read() == b"ok"
        assert pool.loads()[0] == pool.loads()[0].__class__(server.origin, open=1, idle=1, waiting=0)
    await pool.close()


async def test_connections_that_break_give_their_place_to_those_who_wait(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=2))
    async with serving(answering(head("content-length: 2") + b"ok", calls=1)) as server:

        async def call() -> bytes:
            return await (await pool.send(server.endpoint(), b"{}")).read()

        results = await asyncio.gather(*(call() for _ in range(30)), return_exceptions=True)
        # Each connection serves one call and closes without a word: a call may meet one that is just closing.
        assert all(result == b"ok" or isinstance(result, Unavailable) for result in results)
        assert results.count(b"ok") >= 15
        assert await call() == b"ok"
        await until(lambda: not pool.loads()[0].open)
    await pool.close()


async def test_no_free_connection_in_time_is_a_timeout_and_nothing_was_sent(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=1), timeouts=UpstreamTimeouts(connect_s=0.05))
    async with serving(hanging(CHUNKED)) as server:
        held = await pool.send(server.endpoint(), b"{}")
        with pytest.raises(TimedOut) as caught:
            await pool.send(server.endpoint(), b"{}")
        assert caught.value.data == {"provider": "acme", "phase": "connect", "sent": False}
        held.close()
    await pool.close()


@pytest.mark.parametrize(
    ("phase", "timeouts", "pieces", "size"),
    [
        ("write", UpstreamTimeouts(write_s=0.05), None, 50_000_000),
        ("first_byte", UpstreamTimeouts(first_byte_s=0.05), (), 2),
        ("first_byte", UpstreamTimeouts(first_byte_s=0.05), (b"HTTP/1.1 200 OK\r\n",), 2),
        ("idle", UpstreamTimeouts(idle_s=0.05), (CHUNKED, chunk(b"one")), 2),
        ("total", UpstreamTimeouts(total_s=0.05), (CHUNKED, chunk(b"one")), 2),
        ("total", UpstreamTimeouts(total_s=0.05), (), 2),
    ],
)
async def test_each_phase_that_takes_too_long_is_named_and_closes_the_connection(
    pool, phase, timeouts, pieces, size
):
    async def deaf(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await leave.wait()

    leave = asyncio.Event()
    async with serving(deaf if pieces is None else hanging(*pieces)) as server:
        with pytest.raises(TimedOut) as caught:  # noqa: PT012  # either statement may be the one
            response = await pool.send(server.endpoint(), b"x" * size, timeouts=timeouts)
            await response.read()
        assert caught.value.data == {"provider": "acme", "phase": phase, "sent": True}
        leave.set()
        await server.ended.get()
        assert pool.loads()[0].open == 0


async def test_a_slow_reader_is_not_taken_for_a_slow_upstream(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(buffer_bytes=1000), timeouts=UpstreamTimeouts(idle_s=0.05))
    async with serving(answering(CHUNKED, *[chunk(b"x" * 60_000)] * 100, b"0\r\n\r\n")) as server:
        response = await pool.send(server.endpoint(), b"{}")
        first = await anext(response)
        await asyncio.sleep(
            0.2
        )  # time itself is what is tested: four times as long as an upstream may be silent
        assert len(first) + len(await response.read()) == 6_000_000
    await pool.close()


async def test_the_time_for_a_call_does_not_run_while_its_connection_is_idle(pool):
    async with serving(answering(OK)) as server:
        short = UpstreamTimeouts(first_byte_s=5, idle_s=5, total_s=0.05)
        assert await (await pool.send(server.endpoint(), b"{}", timeouts=short)).read() == b"ok"
        await asyncio.sleep(0.1)
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        assert server.connections == 1


async def test_closing_fails_calls_in_progress_and_calls_that_wait(anyio_backend):
    pool = UpstreamPool(limits=UpstreamLimits(connections=2))
    async with serving(hanging()) as server:
        calls = [asyncio.ensure_future(pool.send(server.endpoint(), b"{}")) for _ in range(3)]
        await until(lambda: server.connections == 2 and pool.loads()[0].waiting)
        await pool.close()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(failure) for failure in failures] == [Unavailable] * 3
        assert [failure.data["sent"] for failure in failures] == [True, True, False]
        assert pool.loads() == []


async def test_each_event_loop_has_its_own_connections(pool):
    async with serving(answering(OK)) as server:
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        bodies = []

        async def elsewhere() -> None:
            bodies.append(await (await pool.send(server.endpoint(), b"{}")).read())
            assert pool.loads()[0].open == 1
            await pool.close()

        await asyncio.to_thread(asyncio.run, elsewhere())
        assert bodies == [b"ok"]
        assert server.connections == 2
        assert pool.loads()[0].idle == 1


@pytest.mark.parametrize("how", ["left", "read", "refused"])
async def test_nothing_of_a_call_is_left_when_it_is_over(pool, how):
    def objects() -> int:
        gc.collect()
        return sum(isinstance(thing, Connection | UpstreamResponse) for thing in gc.get_objects())

    before = objects()
    script = {
        "left": hanging(CHUNKED, chunk(b"one")),
        "read": answering(head("connection: close", "content-length: 2") + b"ok", calls=1),
        "refused": answering(b"junk\r\n\r\n", calls=1),
    }[how]
    async with serving(script) as server:

        async def call() -> None:
            with contextlib.suppress(ContractViolation):
                async with await pool.send(server.endpoint(), b"{}") as response:
                    await anext(response)

        for _ in range(10):
            await asyncio.gather(*(call() for _ in range(10)))
        await until(lambda: not pool.loads()[0].open)
        assert server.connections == 100
        assert objects() <= before + 1


async def test_every_address_of_a_host_is_tried_and_the_one_that_works_is_remembered(anyio_backend):
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.3", "127.0.0.1"]

    pool = UpstreamPool(resolve=resolve)
    async with serving(answering(head("connection: close", "content-length: 2") + b"ok", calls=1)) as server:
        port = int(server.origin.rpartition(":")[2])
        server.origin = server.origin.replace("127.0.0.1", "upstream.test")
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        # Now the first address answers too, but not well; the one that worked is asked again.
        other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.2", port)
        assert await (await pool.send(server.endpoint(), b"{}")).read() == b"ok"
        other.close()
        await other.wait_closed()
        assert asked == ["upstream.test"] * 2
        await until(lambda: not pool.loads()[0].open)
    await pool.close()


@pytest.mark.parametrize("addresses", [[], ["127.0.0.2", "127.0.0.3"]])
async def test_a_host_without_an_address_that_answers_is_unavailable_and_takes_no_place(
    anyio_backend, addresses
):
    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    pool = UpstreamPool(resolve=resolve)
    async with serving(answering(OK)) as server:
        server.origin = server.origin.replace("127.0.0.1", "upstream.test")
        with pytest.raises(Unavailable) as caught:
            await pool.send(server.endpoint(), b"{}")
        assert caught.value.data["sent"] is False
        assert pool.loads()[0].open == 0
    await pool.close()


async def test_a_name_that_nobody_knows_is_unavailable(pool):
    async with serving(answering(OK)) as server:
        server.origin = "http://nobody.invalid:80"
        with pytest.raises(Unavailable) as caught:
            await pool.send(server.endpoint(), b"{}")
        assert caught.value.data["sent"] is False
