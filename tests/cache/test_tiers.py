"""What every tier honours, on a real Redis and a real folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.cache import (
    CachedAnswer,
    CacheTier,
    Entry,
    MemoryTier,
    ObjectTier,
    Purge,
    RedisTier,
    connect_redis,
    open_objects,
    purge_key,
    purge_prefix,
    purge_tag,
)
from tests.cache.conftest import HeldClock, said

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "redis", "objects", "objects-in-memory"])
async def tier(request: pytest.FixtureRequest, clock: HeldClock, tmp_path: Path) -> AsyncIterator[CacheTier]:
    made: CacheTier
    if request.param == "memory":
        made = MemoryTier(clock=clock)
    elif request.param == "redis":
        made = RedisTier(connect_redis(request.getfixturevalue("redis_server").url), clock=clock)
    elif request.param == "objects":
        made = ObjectTier(open_objects(f"file://{tmp_path}/store"), clock=clock)
    else:
        made = ObjectTier(open_objects("memory:///"), clock=clock)
    yield made
    await made.close()


@pytest.fixture
def entry(clock: HeldClock):
    def make(
        key: str = "t1/r/openai.chat/aa", *, ttl_s: float = 60, stale_s: float = 0, tags=(), answer=None
    ):
        now = clock()
        return Entry(key, answer or said(key), now, now + ttl_s, now + ttl_s + stale_s, tuple(tags))

    return make


async def test_an_entry_comes_back_as_it_was_put(tier, entry):
    stream = CachedAnswer(
        200,
        ((b"content-type", b"text/event-stream"),),
        b"",
        (b'data: {"a": "\xc3\xa9"}\n\n', b"data: \x00\xff\n\n", b"data: [DONE]\n\n"),
        {
            "usage": {"input_tokens": 7, "cost_nanos": 12_345_678_901},
            "model": "m",
            "provider": "p",
            "note": None,
        },
    )
    put = entry(tags=("t1/a", "t1/b"), stale_s=30, answer=stream)
    await tier.put(put)
    assert await tier.get(put.key) == put


async def test_absence_is_an_answer(tier):
    assert await tier.get("t1/r/w/never") is None
    await tier.purge(purge_key("t1/r/w/never"))  # some stores do not say whether there was anything
    assert await tier.purge(purge_tag("t1", "never")) == 0


async def test_the_last_put_under_a_key_counts(tier, entry):
    await tier.put(entry(answer=said("first"), tags=("t1/old",)))
    second = entry(answer=said("second"))
    await tier.put(second)
    assert await tier.get(second.key) == second


async def test_an_entry_is_gone_when_it_is_no_longer_usable(tier, entry, clock):
    await tier.put(entry(ttl_s=60, stale_s=10))
    clock.forward(69.9)
    assert await tier.get(entry().key) is not None
    clock.forward(0.2)
    assert await tier.get(entry().key) is None


async def test_an_entry_that_is_over_is_not_put(tier, entry, clock):
    late = entry(ttl_s=1)
    clock.forward(2)
    await tier.put(late)
    assert await tier.get(late.key) is None


async def test_a_purge_by_key_takes_that_entry_alone(tier, entry):
    for key in ("t1/r/w/a", "t1/r/w/ab"):
        await tier.put(entry(key))
    await tier.purge(purge_key("t1/r/w/a"))
    assert await tier.get("t1/r/w/a") is None
    assert await tier.get("t1/r/w/ab") is not None


async def test_a_purge_by_tag_takes_every_entry_with_it_in_that_tenant_alone(tier, entry):
    await tier.put(entry("t1/r/w/a", tags=("t1/docs", "t1/other")))
    await tier.put(entry("t1/s/w/b", tags=("t1/docs",)))
    await tier.put(entry("t1/r/w/c", tags=("t1/other",)))
    await tier.put(entry("t2/r/w/d", tags=("t2/docs",)))
    assert await tier.purge(purge_tag("t1", "docs")) == 2
    assert [await tier.get(key) is None for key in ("t1/r/w/a", "t1/s/w/b", "t1/r/w/c", "t2/r/w/d")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert await tier.purge(purge_tag("t1", "docs")) == 0


async def test_a_purge_by_prefix_takes_a_route_or_a_tenant(tier, entry):
    keys = ["t1/r/w/a", "t1/rr/w/b", "t1/r/v/c", "t11/r/w/d"]
    for key in keys:
        await tier.put(entry(key))
    assert await tier.purge(purge_prefix("t1", "r")) == 2
    assert [await tier.get(key) is None for key in keys] == [True, False, True, False]
    assert await tier.purge(purge_prefix("t1")) == 1
    assert [await tier.get(key) is None for key in keys] == [True, True, True, False]


async def test_a_prefix_is_no_pattern(tier, entry):
    await tier.put(entry("t1/a/w/1"))
    await tier.purge(Purge("prefix", "t?/"))
    await tier.purge(Purge("prefix", "t[1]/"))
    await tier.purge(Purge("prefix", "*"))
    assert await tier.get("t1/a/w/1") is not None


async def test_a_prefix_may_end_within_a_word(tier, entry):
    await tier.put(entry("t1/rabbit/w/1"))
    await tier.put(entry("t1/robin/w/1"))
    assert await tier.purge(Purge("prefix", "t1/ra")) == 1
    assert await tier.get("t1/robin/w/1") is not None


async def test_more_entries_than_one_batch_are_purged(tier, entry):
    for number in range(1203):
        await tier.put(entry(f"t1/r/w/{number}", tags=("t1/many",), answer=said("x")))
    await tier.put(entry("t1/s/w/stays", answer=said("x")))
    assert await tier.purge(purge_tag("t1", "many")) == 1203
    assert await tier.get("t1/r/w/1202") is None
    assert await tier.get("t1/s/w/stays") is not None


async def test_a_purged_key_can_be_put_again(tier, entry):
    await tier.put(entry(tags=("t1/x",)))
    await tier.purge(purge_tag("t1", "x"))
    await tier.put(entry(tags=("t1/x",)))
    assert await tier.get(entry().key) is not None
    assert await tier.purge(purge_tag("t1", "x")) == 1


async def test_a_large_answer_survives(tier, entry):
    body = bytes(range(256)) * 4000
    put = entry(answer=CachedAnswer(200, (), body))
    await tier.put(put)
    kept = await tier.get(put.key)
    assert kept is not None
    assert kept.answer.body == body


async def test_a_tier_closes_twice_without_complaint(tier):
    await tier.close()
    await tier.close()
    assert tier.figures().name == tier.name
