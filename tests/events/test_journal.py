"""The journal keeps every event and effect, in order, once."""

import asyncio
import contextlib

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import Conflict
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database

pytestmark = pytest.mark.anyio


async def test_events_come_back_in_order_with_their_envelope(
    database: Database, journal: Journal, ctx: Context
) -> None:
    async with database.transaction() as tx:
        written = await journal.append(
            tx, ctx, [NewEvent("run.started", {"a": 1}, run_id="run_1", path="build"), NewEvent("run.ended")]
        )

    read = await journal.read(ctx)

    assert read == written
    assert [event.seq for event in read] == [1, 2]
    assert read[0].actor == "user:u1"
    assert await journal.head(ctx) == 2


async def test_a_finished_effect_cannot_be_finished_again(journal: Journal, ctx: Context) -> None:
    await journal.finish_effect(ctx, "run_1", "build#call", result={"n": 1}, events=[NewEvent("x.done")])

    with pytest.raises(Conflict):
        await journal.finish_effect(ctx, "run_1", "build#call", result={"n": 2})

    assert (await journal.recorded(ctx, "run_1"))["build#call"].result == {"n": 1}


async def test_fifty_writers_leave_no_gap(journal: Journal, ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        for writer in range(50):
            group.create_task(
                journal.finish_effect(
                    ctx, "run_1", f"step[{writer}]#call", result=writer, events=[NewEvent("a.b"), NewEvent("a.c")]
                )
            )

    events = await journal.read(ctx, limit=1000)

    assert [event.seq for event in events] == list(range(1, 101))


async def test_a_follower_sees_what_comes_later(journal: Journal, ctx: Context) -> None:
    seen = []
    async with contextlib.aclosing(journal.tail(ctx)) as events, asyncio.timeout(10):
        await journal.finish_effect(ctx, "run_1", "a#1", events=[NewEvent("a.b")])
        async for event in events:
            seen.append(event.seq)
            if event.seq == 5:
                break
            await journal.finish_effect(ctx, "run_1", f"a#{event.seq + 1}", events=[NewEvent("a.b")])
    assert seen == [1, 2, 3, 4, 5]
