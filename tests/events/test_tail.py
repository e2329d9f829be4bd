"""A follower sees every event, once and in order, whatever happens around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.events import Event, Journal, LocalBus, NewEvent
from mosaic.storage import Database, MemoryBlobs

pytestmark = pytest.mark.anyio


async def take(events: AsyncIterator[Event], count: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for event in events:
            seen.append(event.seq)
            if len(seen) == count:
                break
    return seen


async def effect(journal: Journal, ctx: Context, key: str) -> None:
    await journal.finish_effect(ctx, "run_1", key, events=[NewEvent("a.b")])


async def test_a_follower_gets_the_past_and_then_the_present(journal: Journal, ctx: Context) -> None:
    for number in range(3):
        await effect(journal, ctx, f"old#{number}")
    async with contextlib.aclosing(journal.tail(ctx)) as events:
        assert await take(events, 3) == [1, 2, 3]
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await effect(journal, ctx, "new#1")
        async with asyncio.timeout(10):
            assert (await waiting).seq == 4


async def test_a_follower_can_continue_where_it_stopped(journal: Journal, ctx: Context) -> None:
    for number in range(5):
        await effect(journal, ctx, f"old#{number}")
    async with contextlib.aclosing(journal.tail(ctx, after=3)) as events:
        assert await take(events, 2) == [4, 5]


@pytest.mark.requirement("MAOS-14")
async def test_followers_of_one_run_see_only_that_run(journal: Journal, ctx: Context) -> None:
    async with contextlib.aclosing(journal.tail(ctx, run_id="run_2")) as events:
        waiting = asyncio.ensure_future(anext(events))
        await effect(journal, ctx, "a#1")
        await journal.finish_effect(ctx, "run_2", "a#1", events=[NewEvent("a.b")])
        async with asyncio.timeout(10):
            event = await waiting
    assert (event.seq, event.run_id) == (2, "run_2")


@pytest.mark.requirement("MAOS-14")
async def test_followers_miss_nothing_and_repeat_nothing_while_many_write(
    database: Database, journal: Journal, ctx: Context
) -> None:
    total = 1200  # more than two pages

    async def follow() -> list[int]:
        async with contextlib.aclosing(journal.tail(ctx)) as events:
            return await take(events, total)

    async def write(writer: int) -> None:
        for number in range(total // 40):
            if writer % 4:
                await effect(journal, ctx, f"{writer}#{number}")
            else:
                async with database.transaction() as tx:
                    await journal.append(tx, ctx, [NewEvent("a.b")])

    async with asyncio.timeout(120):
        followers = [asyncio.create_task(follow()) for _ in range(5)]
        await asyncio.gather(*(write(writer) for writer in range(40)))
        for follower in followers:
            assert await follower == list(range(1, total + 1))


async def test_a_follower_finds_events_that_no_wake_told_it_of(database: Database, ctx: Context) -> None:
    # Two journals whose buses know nothing of each other: every wake is lost.
    bus = LocalBus()
    writer = Journal(database, LocalBus(), redactor=Redactor(), blobs=MemoryBlobs())
    reader = Journal(database, bus, redactor=Redactor(), blobs=MemoryBlobs())
    async with contextlib.aclosing(reader.tail(ctx)) as events:
        waiting = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(10):
            while not any(s._waiter for s in bus._subscriptions.get("events:t1", ())):  # noqa: ASYNC110  # nobody announces it
                await asyncio.sleep(0)  # until it has looked and waits
            await effect(writer, ctx, "a#1")
            assert (await waiting).seq == 1


async def test_a_follower_never_sees_another_tenant(journal: Journal, ctx: Context) -> None:
    other = Context("t2", "p1", Actor("user", "u2"))
    async with contextlib.aclosing(journal.tail(other)) as events:
        waiting = asyncio.ensure_future(anext(events))
        await effect(journal, ctx, "a#1")
        await effect(journal, other, "b#1")
        async with asyncio.timeout(10):
            event = await waiting
    assert (event.tenant, event.seq) == ("t2", 1)


async def test_a_follower_that_stops_leaves_no_subscription(journal: Journal, ctx: Context) -> None:
    bus = journal._bus
    assert isinstance(bus, LocalBus)
    async with contextlib.aclosing(journal.tail(ctx)) as events:
        await effect(journal, ctx, "a#1")
        await anext(events)
        assert bus._subscriptions
    assert not bus._subscriptions
