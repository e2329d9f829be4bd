"""Schedules: cron patterns in time zones, one execution per firing, one for all that was missed."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.engine import Engine
from mosaic.engine.schedules import next_firing, previous_firing
from tests.engine.conftest import SETTINGS, WAIT_S

BERLIN = ZoneInfo("Europe/Berlin")


def firings(cron, start, number, zone="Europe/Berlin"):
    found, moment = [], start
    for _ in range(number):
        moment = next_firing(cron, zone, moment)
        found.append(moment.astimezone(ZoneInfo(zone)).isoformat())
    return found


def test_a_daily_time_that_summer_time_skips_fires_right_after_the_gap():
    assert firings("30 2 * * *", datetime(2025, 3, 29, 12, tzinfo=BERLIN), 2) == [
        "2025-03-30T03:00:00+02:00",
        "2025-03-31T02:30:00+02:00",
    ]


def test_a_daily_time_that_comes_twice_fires_the_first_time_only():
    assert firings("30 2 * * *", datetime(2025, 10, 25, 12, tzinfo=BERLIN), 2) == [
        "2025-10-26T02:30:00+02:00",
        "2025-10-27T02:30:00+01:00",
    ]


def test_an_hourly_pattern_goes_on_through_the_repeated_hour():
    start = datetime(2025, 10, 26, 1, 30, tzinfo=BERLIN)
    moments = [datetime.fromisoformat(text) for text in firings("0 * * * *", start, 5)]
    assert all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(moments))


def test_the_last_firing_is_found_at_and_after_its_moment():
    at = datetime(2025, 1, 1, 10, 30, tzinfo=UTC)
    assert previous_firing("30 * * * *", "UTC", at) == at
    assert previous_firing("30 * * * *", "UTC", at + timedelta(seconds=59.5)) == at
    assert previous_firing("30 * * * *", "UTC", at - timedelta(seconds=1)) == at - timedelta(hours=1)
    twice = datetime(2025, 10, 26, 12, tzinfo=BERLIN)
    assert previous_firing("30 2 * * *", "Europe/Berlin", twice) == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)


def test_a_pattern_that_never_matches_has_no_firing():
    assert next_firing("0 0 30 2 *", "UTC", datetime(2025, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("cron", "zone"), [("61 * * * *", "UTC"), ("often", "UTC"), ("* * * * *", "Mars/Base")]
)
def test_what_is_no_pattern_or_zone_is_refused(cron, zone):
    with pytest.raises(InvalidInput):
        next_firing(cron, zone, datetime(2025, 1, 1, tzinfo=UTC))


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.time = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)

    def __call__(self):
        return self.time


@pytest.fixture
async def clocked(database, journal, bus):
    """An engine on a clock that the test moves, and what its handler was called for."""
    clock, fired = Clock(), []

    async def tick(execution):
        fired.append((execution.id, execution.ctx.tenant, execution.input))
        return len(fired)

    engine = Engine(database, journal, bus, SETTINGS, clock=clock)
    engine.register("tick", tick)
    await engine.launch()
    yield engine, clock, fired
    await engine.shutdown()


@pytest.mark.anyio
async def test_a_firing_starts_its_handler_once_however_often_it_is_looked_for(clocked, ctx):
    engine, clock, fired = clocked
    await engine.schedule(ctx, name="nightly", cron="5 * * * *", handler="tick", input={"a": 1})
    assert await engine._schedules.fire_due() == 0
    clock.time = datetime(2030, 1, 1, 12, 5, 1, tzinfo=UTC)
    counts = await asyncio.gather(*(engine._schedules.fire_due() for _ in range(4)))
    assert sum(counts) <= 1  # the engine's own watch may have been faster
    firing = "schedule/t1/nightly/2030-01-01T12:05:00Z"
    await engine.wait(firing, timeout_s=WAIT_S)
    assert fired == [(firing, "t1", {"a": 1})]
    (schedule,) = await engine.schedules(ctx)
    assert schedule.last_at == datetime(2030, 1, 1, 12, 5, tzinfo=UTC)
    assert schedule.next_at == datetime(2030, 1, 1, 13, 5, tzinfo=UTC)


@pytest.mark.anyio
async def test_what_was_missed_is_made_up_for_by_the_latest_firing(clocked, ctx):
    engine, clock, fired = clocked
    await engine.schedule(ctx, name="hourly", cron="0 * * * *", handler="tick", input={})
    clock.time = datetime(2030, 1, 2, 9, 59, tzinfo=UTC)
    await engine._schedules.fire_due()  # or the engine's own watch, if it is faster
    await engine.wait("schedule/t1/hourly/2030-01-02T09:00:00Z", timeout_s=WAIT_S)
    assert len(fired) == 1
    assert await engine._schedules.fire_due() == 0


@pytest.mark.anyio
async def test_a_schedule_fires_by_itself(launch, ctx):
    fired = asyncio.Event()

    async def tick(execution):
        fired.set()

    engine = await launch(tick=tick)
    await engine.schedule(ctx, name="busy", cron="* * * * * *", handler="tick", input={})
    async with asyncio.timeout(WAIT_S):
        await fired.wait()


@pytest.mark.anyio
async def test_schedules_belong_to_their_tenant_and_can_be_replaced_and_removed(clocked, ctx):
    engine, _, _ = clocked
    other = Context("t2", "p1", Actor("user", "u2"))
    await engine.schedule(ctx, name="one", cron="0 1 * * *", handler="tick", input={}, timezone="Asia/Tokyo")
    await engine.schedule(ctx, name="one", cron="0 2 * * *", handler="tick", input={"n": 2})
    assert not await engine.schedules(other)
    with pytest.raises(NotFound):
        await engine.unschedule(other, "one")
    (schedule,) = await engine.schedules(ctx)
    assert (schedule.cron, schedule.timezone, schedule.input) == ("0 2 * * *", "UTC", {"n": 2})
    await engine.unschedule(ctx, "one")
    assert not await engine.schedules(ctx)
    with pytest.raises(InvalidInput):
        await engine.schedule(ctx, name="bad", cron="never", handler="tick", input={})
