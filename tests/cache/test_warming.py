"""Memory filled before it is asked: from a list, from what was popular, before a known peak."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from mosaic.cache import (
    Cache,
    CachePolicy,
    GuardedTier,
    ObjectTier,
    Preload,
    TierBounds,
    Warming,
    open_objects,
)
from mosaic.core.errors import Unavailable
from tests.cache.conftest import HeldClock, said
from tests.cache.test_cache import POLICY, ready

pytestmark = pytest.mark.anyio

MONDAY_NINE = datetime(2026, 11, 2, 9, 5, tzinfo=UTC)
LONG = CachePolicy(ttl_s=30 * 86_400)


def key(name: str) -> str:
    return f"t1/r/w/{name}"


@pytest.fixture
def cache(clock: HeldClock, tmp_path) -> Cache:
    clock.now = MONDAY_NINE.timestamp()
    tier = ObjectTier(open_objects(f"file://{tmp_path}"), clock=clock)
    return Cache(clock=clock, below=[GuardedTier(tier, TierBounds(timeout_s=20, write_timeout_s=20))])


def ask(cache: Cache, **times: int) -> None:
    for name, count in times.items():
        cache.put(key(name), said(name), LONG)
        for _ in range(count):
            cache.peek(key(name))


async def test_a_list_is_fetched_before_anyone_asks_and_what_is_known_is_not_fetched_again(cache, clock):
    cache.put(key("known"), said(), POLICY)
    new, never, broken = ready(said("new")), ready(AssertionError()), ready(Unavailable("down"))
    report = await Warming(cache, clock=clock).preload(
        [
            Preload(key("new"), POLICY, new),
            Preload(key("broken"), POLICY, broken),
            Preload(key("known"), POLICY, never),
        ]
    )
    assert (report.warm, report.fetched, report.missing) == (2, 1, 1)
    assert cache.peek(key("new")).body == b"new"
    assert never.calls == 0


async def test_what_was_popular_at_this_hour_last_week_is_expected_first(cache, clock):
    warming = Warming(cache, clock=clock)
    ask(cache, monday=5, rare=1)
    warming.observe()
    clock.forward(timedelta(days=1).total_seconds())
    ask(cache, tuesday=6)
    warming.observe()
    clock.forward(timedelta(hours=5).total_seconds())
    ask(cache, afternoon=50)
    warming.observe()
    week = timedelta(days=7)
    assert warming.expected(MONDAY_NINE + week) == [key("monday"), key("tuesday"), key("rare")]
    assert warming.expected(MONDAY_NINE + week + timedelta(days=1))[0] == key("tuesday")
    assert warming.expected(MONDAY_NINE + timedelta(hours=1)) == []


async def test_last_weeks_favourites_fade(cache, clock):
    warming = Warming(cache, clock=clock)
    ask(cache, old=10)
    warming.observe()
    for _ in range(2):
        clock.forward(timedelta(days=7).total_seconds())
        ask(cache, new=4)
        warming.observe()
    assert warming.expected(MONDAY_NINE) == [key("new"), key("old")]


async def test_before_a_known_peak_its_keys_rise_into_memory_and_the_lost_ones_are_fetched(cache, clock):
    fetched = ready(said("again"))
    warming = Warming(
        cache, clock=clock, fetch_for=lambda k: Preload(k, LONG, fetched) if k == key("lost") else None
    )
    ask(cache, kept=3, lost=2, unknown=1)
    warming.observe()
    await cache.flush()
    for name in ("lost", "unknown"):
        path = f"{cache.below[0].tier._entries}{key(name)}"
        await cache.below[0].tier._store.delete_async(path)
    cache.memory.clear()
    report = await warming.warm_for(MONDAY_NINE + timedelta(days=7))
    assert (report.warm, report.fetched, report.missing) == (2, 1, 1)
    assert cache.peek(key("kept")).body == b"kept"
    assert cache.peek(key("lost")).body == b"again"
    assert fetched.calls == 1


async def test_what_it_learnt_survives_a_restart(cache, clock):
    before, after = Warming(cache, clock=clock), Warming(cache, clock=clock)
    ask(cache, a=2, b=3)
    before.observe()
    after.load(json.loads(json.dumps(before.export())))
    assert after.expected(MONDAY_NINE) == before.expected(MONDAY_NINE) == [key("b"), key("a")]


async def test_it_remembers_only_the_most_popular_of_an_hour(cache, clock):
    warming = Warming(cache, clock=clock, per_hour=10)
    ask(cache, **{f"k{number}": number for number in range(40)})
    warming.observe()
    assert warming.expected(MONDAY_NINE) == [key(f"k{number}") for number in range(39, 29, -1)]


async def test_on_its_own_it_warms_shortly_before_the_hour(cache, clock):
    warming = Warming(cache, clock=clock)
    ask(cache, peak=3)
    warming.observe()
    await cache.flush()
    cache.memory.clear()
    clock.now = (MONDAY_NINE + timedelta(days=7) - timedelta(minutes=12)).timestamp()
    running = asyncio.create_task(warming.run(every_s=3600, ahead_s=600))
    async with asyncio.timeout(20):
        while cache.peek(key("peak")) is None:  # noqa: ASYNC110  # bounded; warming wakes nobody
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
