"""A tier that fails, is slow or is flooded: bounded memory, a while of peace, nobody's request harmed."""

import asyncio

import pytest

from mosaic.cache import (
    Cache,
    CachePolicy,
    Entry,
    GuardedTier,
    Purge,
    TierBounds,
    TierFigures,
    open_cache,
    purge_tag,
)
from mosaic.cache.settings import CacheSettings
from mosaic.core.errors import Unavailable
from tests.cache.conftest import HeldClock, said

pytestmark = pytest.mark.anyio

POLICY = CachePolicy(tags=("x",))


class Gated:
    """A tier of its own kind, as another author could write one: it answers when the test lets it."""

    name = "redis"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False
        self.kept: dict[str, Entry] = {}
        self.batches: list[int] = []
        self.calls = 0

    async def get(self, key: str) -> Entry | None:
        self.calls += 1
        down = self.down
        await self.gate.wait()
        if down:
            raise Unavailable("down")
        return self.kept.get(key)

    async def put(self, *entries: Entry) -> None:
        await self.gate.wait()
        if self.down:
            raise Unavailable("down")
        self.batches.append(len(entries))
        self.kept.update({entry.key: entry for entry in entries})

    async def purge(self, purge: Purge) -> int:
        gone = [key for key, entry in self.kept.items() if purge.covers(key, entry.tags)]
        for key in gone:
            del self.kept[key]
        return len(gone)

    def figures(self) -> TierFigures:
        return TierFigures(self.name)

    async def close(self) -> None:
        return None


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def guarded(tier: Gated, clock: HeldClock, **bounds) -> GuardedTier:
    return GuardedTier(
        tier,
        TierBounds(timeout_s=20, write_timeout_s=20, failures=2, rest_s=10, most_rest_s=40, **bounds),
        clock=clock,
    )


async def test_it_is_left_alone_longer_each_time_and_one_probe_asks_whether_it_is_back(clock):
    tier = Gated()
    guard = guarded(tier, clock)
    tier.down = True
    for _ in range(5):
        assert await guard.get("k") is None
    assert (tier.calls, guard.resting) == (2, True)
    for rest_s in (10, 20, 40, 40):
        clock.forward(rest_s - 0.1)
        await guard.get("k")
        before = tier.calls
        clock.forward(0.2)
        await asyncio.gather(*(guard.get("k") for _ in range(10)))
        assert tier.calls == before + 1, "of ten who ask, one probes"
    tier.down = False
    clock.forward(41)
    await guard.get("k")
    assert not guard.resting
    assert guard.figures().open


async def test_a_late_answer_from_before_does_not_call_it_back(clock):
    tier = Gated()
    guard = guarded(tier, clock)
    tier.gate.clear()
    early = asyncio.create_task(guard.get("k"))
    await settled()
    tier.down = True
    failing = [asyncio.create_task(guard.get("k")) for _ in range(4)]
    await settled()
    tier.gate.set()
    await asyncio.gather(early, *failing)
    assert guard.resting
    tier.gate.clear()


async def test_writes_wait_for_a_slow_tier_within_a_bound_and_go_in_batches(clock):
    tier = Gated()
    cache = Cache(below=[guarded(tier, clock)], clock=clock)
    tier.gate.clear()
    for number in range(100):
        cache.put(f"t1/r/w/{number}", said("x" * 900_000), POLICY)
    assert 30 <= len(cache._writers[0]._waiting) <= 36
    tier.gate.set()
    await cache.flush()
    assert len(tier.kept) + cache.figures()[1].dropped == 100
    assert len(tier.batches) <= 3
    cache.put("t1/r/w/later", said(), POLICY)
    await cache.flush()
    assert "t1/r/w/later" in tier.kept
    await cache.close()


async def test_the_last_of_many_writes_of_a_key_counts(clock):
    tier = Gated()
    cache = Cache(below=[guarded(tier, clock)], clock=clock)
    for number in range(50):
        cache.put("t1/r/w/a", said(str(number)), POLICY)
    await cache.flush()
    assert tier.kept["t1/r/w/a"].answer.body == b"49"
    assert tier.batches == [1]
    await cache.close()


async def test_an_answer_purged_while_it_waits_to_be_written_is_not_written(clock):
    tier = Gated()
    cache = Cache(below=[guarded(tier, clock)], clock=clock)
    tier.gate.clear()
    cache.put("t1/r/w/first", said(), CachePolicy())
    await settled()
    cache.put("t1/r/w/second", said(), POLICY)
    purging = asyncio.create_task(cache.purge(purge_tag("t1", "x")))
    await settled()
    tier.gate.set()
    await purging
    await cache.flush()
    assert set(tier.kept) == {"t1/r/w/first"}
    await cache.close()


async def test_an_answer_purged_while_it_was_read_below_is_not_served(clock):
    tier = Gated()
    cache = Cache(below=[guarded(tier, clock)], clock=clock)
    entry = Entry("t1/r/w/a", said("old"), clock(), clock() + 60, clock() + 60, ("t1/x",))
    tier.kept[entry.key] = entry
    tier.gate.clear()
    looking = asyncio.create_task(cache.look(entry.key))
    await settled()
    cache.heard(purge_tag("t1", "x"))
    tier.gate.set()
    assert await looking is None
    assert entry.key not in cache.memory


async def test_a_burst_of_two_thousand_answers_reaches_redis_whole(redis_server):
    settings = CacheSettings(redis_url=redis_server.url, redis=TierBounds(timeout_s=20, write_timeout_s=20))
    cache = open_cache(settings)
    for number in range(2000):
        cache.put(f"t1/r/w/{number}", said("x" * 500), POLICY)
    await cache.flush()
    cache.memory.clear()
    found = await asyncio.gather(*(cache.look(f"t1/r/w/{number}") for number in range(2000)))
    assert {one.source for one in found} == {"redis"}
    assert cache.figures()[1].failures == 0
    assert await cache.purge(purge_tag("t1", "x")) == 4000
    await cache.close()


async def test_a_cache_that_closes_while_redis_is_gone_closes(redis_server):
    bounds = TierBounds(write_timeout_s=20)
    cache = open_cache(CacheSettings(redis_url=redis_server.url, redis=bounds))
    redis_server.stop()
    cache.put("t1/r/w/a", said(), POLICY)
    async with asyncio.timeout(30):
        await cache.close()
