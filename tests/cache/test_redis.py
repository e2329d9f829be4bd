"""Redis between nodes: purges travel, and a Redis that is down, frozen or full of garbage harms no request."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from mosaic.cache import (
    Cache,
    CachePolicy,
    CacheSettings,
    TierBounds,
    connect_redis,
    open_cache,
    open_objects,
    purge_key,
    purge_tag,
)
from mosaic.core.errors import InvalidInput, Unavailable, Unsupported
from tests.cache.conftest import HeldClock, said
from tests.cache.servers import RedisServer
from tests.cache.test_cache import KEY, POLICY, ready

pytestmark = pytest.mark.anyio

PATIENT = TierBounds(timeout_s=20, write_timeout_s=20, rest_s=60)


@pytest.fixture
async def nodes(redis_server: RedisServer, clock: HeldClock) -> AsyncIterator[tuple[Cache, Cache]]:
    """Two nodes that share a Redis, each listening to the other."""
    settings = CacheSettings(redis_url=redis_server.url, redis=PATIENT)
    both = (open_cache(settings, clock=clock), open_cache(settings, clock=clock))
    listening = [asyncio.create_task(node.listen()) for node in both]
    async with asyncio.timeout(20):
        for node in both:
            await node.channel.listening.wait()
    yield both
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for node in both:
        await node.close()


async def gone(cache: Cache, key: str) -> None:
    """Wait until the node's memory has forgotten a key."""
    async with asyncio.timeout(20):
        while key in cache.memory:  # noqa: ASYNC110  # bounded; forgetting wakes nobody
            await asyncio.sleep(0)


async def test_what_one_node_fetched_another_finds(nodes):
    one, other = nodes
    await one.get_or_fetch(KEY, ready(said("shared")), POLICY)
    await one.flush()
    never = ready(AssertionError("it is known"))
    assert (await other.get_or_fetch(KEY, never, POLICY)).source == "redis"
    assert other.peek(KEY).body == b"shared"


@pytest.mark.parametrize("purge", [purge_key(KEY), purge_tag("t1", "provider:p"), purge_tag("t1", "mine")])
async def test_a_purge_reaches_the_memory_of_every_node(nodes, purge):
    one, other = nodes
    policy = CachePolicy(tags=("mine",))
    one.put(KEY, said("old", provider="p"), policy)
    await one.flush()
    await other.get_or_fetch(KEY, ready(AssertionError()), policy)
    await one.purge(purge)
    await gone(other, KEY)
    assert (await other.get_or_fetch(KEY, ready(said("new")), policy)).answer.body == b"new"


async def test_a_node_that_lost_its_connection_forgets_what_it_may_have_missed(nodes, redis_server):
    one, other = nodes
    other.put(KEY, said("old"), POLICY)
    await other.flush()
    redis_server.stop()
    redis_server.start()
    await gone(other, KEY)
    async with asyncio.timeout(20):
        await other.channel.listening.wait()
    other.put(KEY, said("newer"), POLICY)
    await one.purge(purge_key(KEY))
    await gone(other, KEY)


async def test_a_redis_that_is_down_is_a_miss_and_soon_left_alone(redis_server, clock):
    bounds = TierBounds(timeout_s=20, write_timeout_s=20, failures=3, rest_s=3600, most_rest_s=3600)
    cache = open_cache(CacheSettings(redis_url=redis_server.url, redis=bounds), clock=clock)
    redis_server.stop()
    for number in range(10):
        found = await cache.get_or_fetch(f"{KEY}{number}", ready(said("anyway")), POLICY)
        assert found.source == "fetched"
        await cache.flush()
    _, redis = cache.figures()
    assert (redis.open, redis.failures) == (False, 3)
    assert cache.peek(f"{KEY}9").body == b"anyway"
    with pytest.raises(Unavailable):
        await cache.purge(purge_key(f"{KEY}9"))
    assert cache.peek(f"{KEY}9") is None, "what can be purged is purged"
    await cache.close()


async def test_a_redis_that_answers_again_is_used_again(redis_server, clock):
    bounds = TierBounds(timeout_s=20, write_timeout_s=20, failures=1, rest_s=0)
    cache = open_cache(CacheSettings(redis_url=redis_server.url, redis=bounds), clock=clock)
    redis_server.stop()
    await cache.get_or_fetch(KEY, ready(said("one")), POLICY)
    redis_server.start()
    cache.memory.clear()
    await cache.get_or_fetch(KEY, ready(said("two")), POLICY)
    await cache.flush()
    cache.memory.clear()
    assert (await cache.get_or_fetch(KEY, ready(said("three")), POLICY)).source == "redis"
    assert cache.figures()[1].open
    await cache.close()


async def test_a_frozen_redis_costs_one_bounded_wait_and_no_error(redis_server, clock):
    bounds = TierBounds(timeout_s=0.05, write_timeout_s=0.05, failures=1, rest_s=3600, most_rest_s=3600)
    cache = open_cache(CacheSettings(redis_url=redis_server.url, redis=bounds), clock=clock)
    redis_server.freeze()
    async with asyncio.timeout(20):
        for number in range(100):
            found = await cache.get_or_fetch(f"{KEY}{number}", ready(said("anyway")), POLICY)
            assert found.answer.body == b"anyway"
        await cache.flush()
    assert cache.figures()[1].failures == 1
    redis_server.thaw()
    await cache.close()


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x01\x93\x01", b"\x09other format", b"\x01\xc1", b"{}"])
async def test_what_cannot_be_read_in_redis_is_a_miss(nodes, redis_server, garbage):
    client = connect_redis(redis_server.url)
    await client.set(f"mosaic:cache:e:{KEY}", garbage)
    await client.aclose()
    found = await nodes[0].get_or_fetch(KEY, ready(said("fresh")), POLICY)
    assert (found.source, found.answer.body) == ("fetched", b"fresh")


async def test_an_entry_under_a_foreign_key_is_not_served(nodes, redis_server):
    one, other = nodes
    one.put("t2/fast/openai.chat/bb", said("of another tenant"), POLICY)
    await one.flush()
    client = connect_redis(redis_server.url)
    await client.set(f"mosaic:cache:e:{KEY}", await client.get("mosaic:cache:e:t2/fast/openai.chat/bb"))
    await client.aclose()
    assert (await other.get_or_fetch(KEY, ready(said("mine")), POLICY)).answer.body == b"mine"


async def test_everything_in_redis_has_an_end(nodes, redis_server):
    nodes[0].put(KEY, said("x", provider="p", model="m"), CachePolicy(tags=("a",)))
    await nodes[0].flush()
    client = connect_redis(redis_server.url)
    names = [name async for name in client.scan_iter("*")]
    assert len(names) == 4
    assert all([await client.ttl(name) > 0 for name in names])
    await client.aclose()


def test_a_tier_whose_library_is_missing_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(Unsupported) as told:
        open_cache(CacheSettings(redis_url="redis://localhost"))
    assert "mosaicstack[redis]" in told.value.hint
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(Unsupported) as told:
        open_cache(CacheSettings(objects_url=f"file://{tmp_path}"))
    assert "mosaicstack[objects]" in told.value.hint


def test_an_address_that_is_no_store_is_refused():
    with pytest.raises(InvalidInput):
        open_objects("nowhere://x")


def test_the_address_of_redis_is_not_shown():
    assert "geheim" not in repr(CacheSettings(redis_url="redis://:geheim@host"))
