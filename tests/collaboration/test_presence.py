"""Who looks at what: on one node and across nodes, and that who is gone is forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mosaic.collaboration import LocalPresences, Presences, SharedPresences, Subject, presence_topic
from mosaic.core.context import Actor, Context
from mosaic.events import Bus, open_bus
from mosaic.storage import Database

pytestmark = pytest.mark.anyio

WAIT_S = 60.0
RUN = Subject("run", "run_1")
ITEM = Subject("item", "item_1", "plan_1")


class Time:
    """A clock that stands still until it is told to go."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return self.moment.timestamp()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["local", "shared"])
def presences(request: pytest.FixtureRequest, database: Database, bus: Bus, time: Time) -> Presences:
    """Both, on both databases: a shared one on SQLite is a second process's."""
    if request.param == "local":
        return LocalPresences(bus, clock=time)
    return SharedPresences(database, bus, clock=time, timer=time.seconds)


async def test_viewers_come_look_at_something_else_and_go(
    presences: Presences, ctx: Context, time: Time
) -> None:
    other = ctx.acting_as(Actor("user", "u2"))
    await presences.look(ctx, "v1", RUN)
    began = time.moment
    time.moment += timedelta(seconds=5)
    await presences.look(other, "v2", ITEM)
    await presences.look(ctx, "v1", RUN)  # still
    seen = await presences.viewers(ctx, ["run_1", "plan_1"])
    assert [(one.id, one.actor, one.subject) for one in seen] == [
        ("v1", "user:u1", RUN),
        ("v2", "user:u2", ITEM),
    ]
    assert seen[0].since == began
    assert await presences.viewers(ctx, ["item_1"]) == seen[1:]
    time.moment += timedelta(seconds=5)
    await presences.look(ctx, "v1", ITEM)
    assert await presences.viewers(ctx, ["run_1"]) == []
    assert [one.id for one in await presences.viewers(ctx, ["plan_1"])] == ["v2", "v1"]
    await presences.leave(ctx, "v2")
    await presences.leave(ctx, "v2")
    assert [one.id for one in await presences.viewers(ctx, ["plan_1"])] == ["v1"]
    foreign = Context("t2", "p1", Actor("user", "u1"))
    assert await presences.viewers(foreign, ["plan_1", "item_1"]) == []
    await presences.leave(foreign, "v1")
    assert len(await presences.viewers(ctx, ["plan_1"])) == 1


async def test_who_watches_is_woken_by_each_change(presences: Presences, ctx: Context, bus: Bus) -> None:
    with bus.subscribe(presence_topic(ctx.tenant)) as subscription:
        await presences.look(ctx, "v1", RUN)
        assert await subscription.wait(WAIT_S)
        await presences.leave(ctx, "v1")
        assert await subscription.wait(WAIT_S)


async def test_another_node_sees_them_and_forgets_those_of_a_node_that_died(
    database: Database, bus: Bus, ctx: Context, time: Time
) -> None:
    elsewhere = Database(database.settings)
    far = open_bus(elsewhere)
    here = SharedPresences(database, bus, clock=time, timer=time.seconds)
    there = SharedPresences(elsewhere, far, clock=time, timer=time.seconds)
    try:
        with bus.subscribe(presence_topic(ctx.tenant)) as subscription:
            async with asyncio.timeout(WAIT_S):
                await there.look(ctx, "far", RUN)
                while not await here.viewers(ctx, ["run_1"]):
                    await subscription.wait(1.0)
        await here.look(ctx, "near", RUN)
        for _ in range(4):
            time.moment += timedelta(seconds=20)
            await here.keep(ctx)
        assert [one.id for one in await here.viewers(ctx, ["run_1"])] == ["near"]
        await here.look(ctx, "newer", RUN)  # and the row of the dead one goes
        await there.keep(ctx)
        assert {one.id for one in await there.viewers(ctx, ["run_1"])} == {"near", "newer"}
    finally:
        await far.close()
        await elsewhere.close()
