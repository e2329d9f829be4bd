"""The cache from the outside: the order of tiers, one fetch for all, purges, what is kept and what never."""

import asyncio
import gc
from pathlib import Path

import pytest

from mosaic.cache import (
    Cache,
    CachedAnswer,
    CachePolicy,
    GuardedTier,
    Lead,
    MemoryTier,
    ObjectTier,
    StreamRecorder,
    TierBounds,
    open_objects,
    purge_key,
    purge_prefix,
    purge_tag,
)
from mosaic.core.errors import BudgetExceeded, TimedOut, Unavailable
from tests.cache.conftest import HeldClock, said

pytestmark = pytest.mark.anyio

KEY = "t1/fast/openai.chat/aa"
POLICY = CachePolicy(ttl_s=60)


class Model:
    """What is asked when the cache does not know; it answers when the test opens the gate."""

    def __init__(self, *outcomes: CachedAnswer | BaseException) -> None:
        self.outcomes = list(outcomes)
        self.calls = 0
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def __call__(self) -> CachedAnswer:
        self.calls += 1
        self.asked.set()
        await self.gate.wait()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def ready(*outcomes: CachedAnswer | BaseException) -> Model:
    model = Model(*outcomes)
    model.gate.set()
    return model


async def settled() -> None:
    """Let every task run as far as it can without anything from outside."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def cache(clock: HeldClock) -> Cache:
    return Cache(clock=clock)


async def test_what_was_fetched_once_is_found_until_its_time_is_over(cache, clock):
    model = ready(said("one"), said("two"))
    assert (await cache.get_or_fetch(KEY, model, POLICY)).source == "fetched"
    clock.forward(59)
    found = await cache.get_or_fetch(KEY, model, POLICY)
    assert (found.answer.body, found.source, found.age_s) == (b"one", "memory", 59)
    assert cache.peek(KEY).body == b"one"
    clock.forward(2)
    assert cache.peek(KEY) is None
    assert (await cache.get_or_fetch(KEY, model, POLICY)).answer.body == b"two"


async def test_of_many_who_ask_at_once_one_fetches(cache):
    model = Model(said("once"))
    asking = [asyncio.create_task(cache.get_or_fetch(KEY, model, POLICY)) for _ in range(100)]
    await model.asked.wait()
    await settled()
    model.gate.set()
    found = await asyncio.gather(*asking)
    assert model.calls == 1
    assert {one.answer.body for one in found} == {b"once"}
    assert sorted(one.source for one in found) == ["fetched"] + ["joined"] * 99
    assert len(cache.flights) == 0
    tally = cache.counts.of(KEY)
    assert (tally.fetched, tally.joined, tally.hit_rate) == (1, 99, 0.99)


async def test_different_requests_do_not_wait_for_each_other(cache):
    slow, quick = Model(said("slow")), ready(said("quick"))
    waiting = asyncio.create_task(cache.get_or_fetch(KEY, slow, POLICY))
    await slow.asked.wait()
    assert (await cache.get_or_fetch(KEY + "b", quick, POLICY)).answer.body == b"quick"
    slow.gate.set()
    await waiting


async def test_a_cancelled_leader_hands_over_to_the_next_in_line(cache):
    first, second, third = Model(said("first")), Model(said("second")), Model(said("third"))
    leader = asyncio.create_task(cache.get_or_fetch(KEY, first, POLICY))
    await first.asked.wait()
    next_one = asyncio.create_task(cache.get_or_fetch(KEY, second, POLICY))
    await settled()
    last = asyncio.create_task(cache.get_or_fetch(KEY, third, POLICY))
    await settled()
    leader.cancel()
    await second.asked.wait()
    second.gate.set()
    assert (await next_one).source == "fetched"
    assert (await last).answer.body == b"second"
    assert third.calls == 0
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_a_waiter_that_is_cancelled_just_as_it_gets_the_lead_passes_it_on(cache):
    first, second, third = Model(said("first")), Model(said("second")), ready(said("third"))
    leader = asyncio.create_task(cache.get_or_fetch(KEY, first, POLICY))
    await first.asked.wait()
    next_one = asyncio.create_task(cache.get_or_fetch(KEY, second, POLICY))
    await settled()
    last = asyncio.create_task(cache.get_or_fetch(KEY, third, POLICY))
    await settled()
    cache.flights.hand_over(KEY)  # what the leader does when it ends; `next_one` has not run since
    next_one.cancel()
    assert (await last).answer.body == b"third"
    assert second.calls == 0
    leader.cancel()
    await asyncio.gather(leader, next_one, return_exceptions=True)


async def test_waiters_that_left_are_passed_over(cache):
    first, left, last = Model(TimedOut("late")), ready(said("left")), ready(said("last"))
    leader = asyncio.create_task(cache.get_or_fetch(KEY, first, POLICY))
    await first.asked.wait()
    waiting = [asyncio.create_task(cache.get_or_fetch(KEY, model, POLICY)) for model in (left, last)]
    await settled()
    waiting[0].cancel()
    leader.cancel()
    assert (await waiting[1]).answer.body == b"last"
    assert left.calls == 0
    await asyncio.gather(leader, waiting[0], return_exceptions=True)
    assert len(cache.flights) == 0


async def test_an_error_of_the_fetch_is_everybodys_and_is_not_kept(cache):
    model = Model(Unavailable("down"), said("up"))
    asking = [asyncio.create_task(cache.get_or_fetch(KEY, model, POLICY)) for _ in range(5)]
    await model.asked.wait()
    await settled()
    model.gate.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    assert model.calls == 1
    assert (await cache.get_or_fetch(KEY, model, POLICY)).answer.body == b"up"


async def test_an_empty_purse_of_the_leader_is_no_answer_for_the_others(cache):
    poor, rich = Model(BudgetExceeded("no money")), ready(said("paid"))
    leader = asyncio.create_task(cache.get_or_fetch(KEY, poor, POLICY))
    await poor.asked.wait()
    waiting = asyncio.create_task(cache.get_or_fetch(KEY, rich, POLICY))
    await settled()
    poor.gate.set()
    assert (await waiting).answer.body == b"paid"
    with pytest.raises(BudgetExceeded):
        await leader


async def test_a_lead_that_is_forgotten_is_handed_over(cache):
    lead = await cache.enter(KEY, POLICY)
    assert isinstance(lead, Lead)
    waiting = asyncio.create_task(cache.get_or_fetch(KEY, ready(said("anyway")), POLICY))
    await settled()
    del lead
    gc.collect()
    assert (await waiting).answer.body == b"anyway"


async def test_a_lead_ends_once(cache):
    lead = await cache.enter(KEY, POLICY)
    with lead:
        lead.finish(said("first"))
        lead.finish(said("second"))
        lead.fail(Unavailable("late"))
        lead.hand_over()
    assert cache.peek(KEY).body == b"first"
    assert len(cache.flights) == 0


@pytest.mark.parametrize("status", [400, 402, 404, 429, 500, 503, 302, 101])
async def test_errors_are_given_to_who_asked_and_never_kept(cache, status):
    model = ready(CachedAnswer(status, (), b"no"))
    for _ in range(2):
        found = await cache.get_or_fetch(KEY, model, POLICY)
        assert (found.answer.status, found.source) == (status, "fetched")
    assert model.calls == 2


async def test_of_the_headers_only_what_describes_the_body_is_kept(cache):
    headers = (
        (b"Content-Type", b"application/json"), (b"x-request-id", b"req_1"),
        (b"x-ratelimit-remaining-tokens", b"7"), (b"openai-organization", b"org"),
    )  # fmt: skip
    assert cache.put(KEY, CachedAnswer(200, headers, b"{}"), POLICY)
    assert cache.peek(KEY).headers == headers[:1]
    for name in (b"Set-Cookie", b"Content-Encoding"):
        assert not cache.put(KEY + "b", CachedAnswer(200, ((name, b"x"),), b"{}"), POLICY)


async def test_a_policy_bounds_what_is_kept(cache):
    assert not cache.put(KEY, said(), CachePolicy(ttl_s=0))
    assert not cache.put(KEY, said("x" * 5000), CachePolicy(max_bytes=5000))
    assert cache.put(KEY, said("x" * 5000), CachePolicy(max_bytes=10_000))


async def test_a_stale_answer_is_served_at_once_and_renewed_once_behind_the_callers_back(cache, clock):
    policy = CachePolicy(ttl_s=60, stale_s=600)
    cache.put(KEY, said("old"), policy)
    clock.forward(61)
    assert cache.peek(KEY) is None, "who only peeks gets fresh answers"
    model = Model(said("new"))
    for _ in range(3):
        found = await cache.get_or_fetch(KEY, model, policy)
        assert (found.answer.body, found.stale, found.age_s) == (b"old", True, 61)
    model.gate.set()
    await cache.flush()
    assert model.calls == 1
    assert (await cache.get_or_fetch(KEY, model, policy)).answer.body == b"new"
    assert cache.counts.of(KEY).stale == 3


async def test_a_renewal_that_fails_leaves_the_stale_answer_where_it_is(cache, clock):
    policy = CachePolicy(ttl_s=60, stale_s=600)
    cache.put(KEY, said("old"), policy)
    clock.forward(61)
    await cache.get_or_fetch(KEY, ready(Unavailable("down")), policy)
    await cache.flush()
    assert (await cache.get_or_fetch(KEY, ready(said("new")), policy)).answer.body == b"old"
    await cache.flush()
    assert cache.peek(KEY).body == b"new"


async def test_purges_by_key_tag_and_route_are_told_apart_by_tenant(cache):
    policy = CachePolicy(tags=("docs",))
    keys = ["t1/fast/w/a", "t1/slow/w/b", "t2/fast/w/c"]
    for key in keys:
        cache.put(key, said(provider="openai", model="gpt-6"), policy)
    assert await cache.purge(purge_tag("t2", "provider:openai")) == 1
    assert [cache.peek(key) is None for key in keys] == [False, False, True]
    assert await cache.purge(purge_prefix("t1", "slow")) == 1
    assert await cache.purge(purge_tag("t1", "docs")) == 1
    assert [cache.peek(key) is None for key in keys] == [True, True, True]


async def test_an_answer_that_was_purged_while_it_was_fetched_is_not_kept(cache):
    model = Model(said("before the purge", model="m"))
    asking = asyncio.create_task(cache.get_or_fetch(KEY, model, POLICY))
    await model.asked.wait()
    await cache.purge(purge_tag("t1", "model:m"))
    model.gate.set()
    assert (await asking).answer.body == b"before the purge"
    assert cache.peek(KEY) is None
    cache.put(KEY, said("after"), POLICY, seen=cache.purges_seen)
    await cache.purge(purge_key("t1/another/w/x"))
    assert cache.peek(KEY).body == b"after"


async def test_a_stream_is_kept_in_its_events_and_no_longer_one_than_allowed(cache):
    recorder = StreamRecorder(max_bytes=1000)
    for event in (b"data: a\n\n", b"data: [DONE]\n\n"):
        recorder.feed(event)
    answer = recorder.finish(status=200, headers=((b"content-type", b"text/event-stream"),), meta={})
    cache.put(KEY, answer, POLICY)
    assert cache.peek(KEY).events == (b"data: a\n\n", b"data: [DONE]\n\n")
    assert cache.peek(KEY).is_stream
    long = StreamRecorder(max_bytes=1000)
    for _ in range(100):
        long.feed(b"x" * 100)
    assert not long.recording
    broken = StreamRecorder(max_bytes=1000)
    broken.feed(b"data: a\n\n")
    broken.drop()
    for recorder in (long, broken, StreamRecorder(1000)):
        assert recorder.finish(status=200, headers=(), meta={}) is None


def objects(folder: Path, clock: HeldClock, **bounds) -> GuardedTier:
    tier = ObjectTier(open_objects(f"file://{folder}"), clock=clock)
    return GuardedTier(tier, TierBounds(timeout_s=20, write_timeout_s=20, **bounds))


async def test_each_tier_is_asked_in_turn_and_what_is_found_rises(tmp_path, clock):
    second, third = objects(tmp_path / "2", clock), objects(tmp_path / "3", clock)
    writer = Cache(clock=clock, below=[objects(tmp_path / "3", clock)])
    writer.put(KEY, said("deep"), POLICY)
    await writer.close()
    cache = Cache(clock=clock, below=[second, third])
    never = ready(AssertionError("it is known"))
    assert (await cache.get_or_fetch(KEY, never, POLICY)).source == "objects"
    assert cache.peek(KEY).body == b"deep"
    await cache.flush()
    assert (await second.get(KEY)).answer.body == b"deep"
    assert never.calls == 0
    await cache.close()


async def test_the_tier_is_chosen_by_size_time_and_policy(tmp_path, clock):
    small = objects(tmp_path / "small", clock, max_bytes=5_000)
    lasting = objects(tmp_path / "lasting", clock, min_ttl_s=3600)
    cache = Cache(MemoryTier(max_entry_bytes=20_000, clock=clock), [small, lasting], clock=clock)

    async def places(answer: CachedAnswer, policy: CachePolicy) -> list[bool]:
        cache.put(KEY, answer, policy)
        await cache.flush()
        kept = [KEY in cache.memory, *[await tier.get(KEY) is not None for tier in (small, lasting)]]
        await cache.purge(purge_key(KEY))
        return kept

    assert await places(said("x"), CachePolicy(ttl_s=60)) == [True, True, False]
    assert await places(said("x"), CachePolicy(ttl_s=7200)) == [True, True, True]
    assert await places(said("x" * 10_000), CachePolicy(ttl_s=7200)) == [True, False, True]
    assert await places(said("x" * 50_000), CachePolicy(ttl_s=7200)) == [False, False, True]
    assert await places(said("x"), CachePolicy(ttl_s=7200, tiers=frozenset({"memory"}))) == [
        True,
        False,
        False,
    ]
    await cache.close()


async def test_objects_past_their_time_are_swept_away(tmp_path, clock):
    tier = ObjectTier(open_objects(f"file://{tmp_path}"), max_ttl_s=3600, clock=clock)
    cache = Cache(clock=clock, below=[GuardedTier(tier, TierBounds(write_timeout_s=20))])
    cache.put(KEY, said(), CachePolicy(ttl_s=86_400, tags=("x",)))
    await cache.flush()
    clock.now = 0  # the files are younger than that
    assert await tier.sweep() == 0
    clock.now = 9e9
    assert await tier.sweep() == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_the_hit_rate_is_told_by_route(cache):
    for key in ("t1/fast/w/a", "t1/fast/v/a", "t2/fast/w/a", "t1/slow/w/a"):
        await cache.get_or_fetch(key, ready(said("1234")), POLICY)
        cache.peek(key)
    cache.peek("t1/fast/w/a")
    routes = cache.counts.by_route("t1")
    assert {name: (tally.hits, tally.fetched) for name, tally in routes.items()} == {
        "fast": (3, 2),
        "slow": (1, 1),
    }
    assert cache.counts.by_route()["fast"].to_json()["hit_rate"] == pytest.approx(4 / 7, abs=1e-4)
    assert routes["fast"].saved_bytes == 12
