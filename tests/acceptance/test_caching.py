"""Answers are asked for once: tiers, purges, warming, similarity, and what a workload gains by it."""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mosaic.cache import (
    PRIVATE,
    Batcher,
    Cache,
    CachedAnswer,
    CachePolicies,
    CachePolicy,
    CacheSettings,
    EdgePolicy,
    Lead,
    MemoryTier,
    Preload,
    SemanticCache,
    TierBounds,
    Warming,
    edge_headers,
    open_cache,
    purge_prefix,
    purge_tag,
    read_question,
    request_key,
)
from mosaic.providers import WireEndpoint
from mosaic.providers.upstream import UpstreamPool
from tests.cache.servers import RedisServer
from tests.plugins.vendors import Said, reply
from tests.providers.endpoint import Endpoint

pytestmark = pytest.mark.anyio

PATIENT = TierBounds(timeout_s=20, write_timeout_s=20)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="mosaic-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> CacheSettings:
    """Memory, Redis and an object store: all three tiers, for answers of any length of life."""
    return CacheSettings(
        redis_url=redis_server.url, redis=PATIENT, objects_url=f"file://{tmp_path}/objects", objects=PATIENT
    )


class Vendor:
    """A model behind real HTTP, asked through the product's own upstream client."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.pool = UpstreamPool()
        endpoint.will(reply("openai", Said("hello")))

    @property
    def asked(self) -> int:
        return len(self.endpoint.requests)

    async def ask(self, cache: Cache, body: bytes, policy: CachePolicy, *, tenant: str = "acme"):
        key = request_key("openai.chat", body, tenant=tenant, route="fast")
        assert key is not None

        async def fetch() -> CachedAnswer:
            target = WireEndpoint("openai", self.endpoint.url, "/v1/chat/completions")
            response = await self.pool.send(target, body)
            headers = tuple(response.headers)
            return CachedAnswer(response.status, headers, await response.read(), (), {"provider": "openai"})

        return await cache.get_or_fetch(key, fetch, policy)


@pytest.fixture
async def vendor(endpoint: Endpoint) -> AsyncIterator[Vendor]:
    vendor = Vendor(endpoint)
    yield vendor
    await vendor.pool.close()


def body(text: str = "hello", **more: object) -> bytes:
    return json.dumps({"model": "gpt-6", "messages": [{"role": "user", "content": text}], **more}).encode()


@pytest.mark.requirement("ORC-16", "ORC-17", "ORC-18", "ORC-19", "ORC-20", "ENT-24", "MAOS-21")
async def test_an_answer_is_looked_for_in_memory_then_redis_then_the_object_store(
    settings: CacheSettings, redis_server: RedisServer, vendor: Vendor
) -> None:
    first, policy = open_cache(settings), CachePolicy()
    assert (await vendor.ask(first, body(), policy)).source == "fetched"
    assert (await vendor.ask(first, body(), policy)).source == "memory"
    await first.close()
    second = open_cache(settings)
    assert (await vendor.ask(second, body(), policy)).source == "redis"
    assert (await vendor.ask(second, body(), policy)).source == "memory"
    await second.close()
    redis_server.stop()
    redis_server.start()  # it kept nothing
    third = open_cache(settings)
    found = await vendor.ask(third, body(), policy)
    assert found.source == "objects"
    assert json.loads(found.answer.body)["choices"][0]["message"]["content"] == "hello"
    await third.flush()
    await third.close()
    fourth = open_cache(settings)
    assert (await vendor.ask(fourth, body(), policy)).source == "redis", "what the store had, rose"
    await fourth.close()
    assert vendor.asked == 1


@pytest.mark.requirement("ORC-21")
async def test_the_size_and_the_life_of_an_answer_decide_which_tiers_it_is_written_to(
    settings: CacheSettings, redis_server: RedisServer, tmp_path: Path, vendor: Vendor
) -> None:
    settings = CacheSettings(
        redis_url=settings.redis_url, objects_url=settings.objects_url
    )  # the bounds we ship
    kinds = {
        "short": (Said("brief"), CachePolicy(ttl_s=60)),
        "lasting": (Said("brief"), CachePolicy(ttl_s=86_400)),
        "large": (Said("x" * 2_000_000), CachePolicy(ttl_s=86_400, max_bytes=8_000_000)),
    }
    places = {}
    for name, (said, policy) in kinds.items():
        writer = open_cache(settings)
        vendor.endpoint.will(reply("openai", said))
        await vendor.ask(writer, body(name), policy)
        await writer.flush()
        key = request_key("openai.chat", body(name), tenant="acme", route="fast")
        assert key is not None
        places[name] = [await tier.tier.get(key) is not None for tier in writer.below]
        await writer.close()
    assert places == {"short": [True, False], "lasting": [True, True], "large": [False, True]}


@pytest.mark.requirement("ORC-22")
async def test_the_cache_is_filled_before_a_peak_from_a_list_and_from_what_was_popular(
    settings: CacheSettings, vendor: Vendor
) -> None:
    clock_s = [1_800_000_000.0]
    cache = open_cache(settings, clock=lambda: clock_s[0])
    warming = Warming(cache, clock=lambda: clock_s[0])
    policy = CachePolicy(ttl_s=30 * 86_400)
    key = request_key("openai.chat", body(), tenant="acme", route="fast")
    assert key is not None

    async def fetch() -> CachedAnswer:
        response = await vendor.pool.send(
            WireEndpoint("openai", vendor.endpoint.url, "/v1/chat/completions"), body()
        )
        return CachedAnswer(response.status, (), await response.read())

    assert (await warming.preload([Preload(key, policy, fetch)])).fetched == 1
    assert (await vendor.ask(cache, body(), policy)).source == "memory"
    warming.observe()
    await cache.flush()
    cache.memory.clear()
    clock_s[0] += 7 * 86_400
    (expected,) = warming.expected(time_of(clock_s[0]))
    assert expected == key
    assert (await warming.warm_for(time_of(clock_s[0]))).warm == 1
    assert cache.peek(key) is not None
    assert vendor.asked == 1
    await cache.close()


def time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.requirement("ORC-23")
async def test_a_providers_policy_holds_on_every_route(vendor: Vendor) -> None:
    policies = CachePolicies(
        CachePolicy(ttl_s=600),
        routes={"live": None},
        providers={"fussy": CachePolicy(ttl_s=5), "never": None},
    )
    assert policies.of("fast", "openai") == CachePolicy(ttl_s=600)
    assert policies.of("live", "openai") is None
    assert policies.of("fast", "never") is None
    clock_s = [0.0]
    cache = Cache(clock=lambda: clock_s[0])
    fussy = policies.of("fast", "fussy")
    assert fussy is not None
    await vendor.ask(cache, body(), fussy)
    clock_s[0] = 6
    assert (await vendor.ask(cache, body(), fussy)).source == "fetched"


WORDS = ("capital", "france", "germany", "what", "which", "is", "the", "of", "city")


async def embed(texts):
    return [[float(text.lower().count(word)) for word in WORDS] for text in texts]


@pytest.mark.requirement("ORC-24")
async def test_similar_questions_share_an_answer_only_where_allowed_within_a_tenant_and_without_tools(
    vendor: Vendor,
) -> None:
    cache = Cache()
    semantic = SemanticCache(cache, embed)
    allowed = CachePolicy(similarity=0.9)

    def question(text: str, *, tenant: str = "acme", **more: object):
        return read_question("openai.chat", body(text, **more), tenant=tenant, route="fast")

    asked = question("What is the capital of France")
    assert asked is not None
    await vendor.ask(cache, body("What is the capital of France"), allowed)
    await semantic.remember(asked, allowed)
    similar = question("What is the capital city of France")
    assert similar is not None
    found = await semantic.find(similar, allowed)
    assert found is not None
    assert found.source == "similar"
    assert 0.9 <= found.similarity < 1
    assert await semantic.find(asked, CachePolicy()) is None, "off by default"
    far = question("What is the capital of Germany")
    other = question("What is the capital of France", tenant="other")
    assert far is not None
    assert other is not None
    assert await semantic.find(far, allowed) is None
    assert await semantic.find(other, allowed) is None
    assert question("What is the capital of France", tools=[{"type": "function"}]) is None


@pytest.mark.requirement("ORC-25", "ORC-235", "ORC-239")
async def test_more_than_85_of_100_requests_of_a_zipf_workload_are_hits(settings: CacheSettings) -> None:
    random.seed(3)
    questions, policy = range(2_000), CachePolicy(ttl_s=3600)
    asked = random.choices(questions, [1 / (rank + 1) ** 1.1 for rank in questions], k=20_000)
    keys = [
        request_key("openai.chat", body(f"question {number}"), tenant="acme", route="fast")
        for number in questions
    ]
    cache = open_cache(CacheSettings(memory_bytes=1_000_000, redis_url=settings.redis_url, redis=PATIENT))
    for number in asked:
        key = keys[number]
        assert key is not None
        if cache.peek(key) is None:
            met = await cache.enter(key, policy)
            if isinstance(met, Lead):
                with met:
                    met.finish(CachedAnswer(200, (), bytes(1_500)))
    tally = cache.counts.by_route()["fast"]
    assert tally.lookups == 20_000
    assert tally.hit_rate > 0.85
    assert tally.redis > 0, "memory alone is too small for this"
    assert len(cache.memory) < len(set(asked)) / 2
    await cache.close()


@pytest.mark.requirement("ORC-26")
async def test_a_hit_costs_under_a_tenth_of_a_misss_processor_time(vendor: Vendor) -> None:
    cache, policy, count = Cache(MemoryTier()), CachePolicy(), 300
    misses = [body(f"question {number} " + "word " * 180) for number in range(count)]
    cpu = time.process_time()
    for one in misses:
        await vendor.ask(cache, one, policy)
    miss = time.process_time() - cpu
    cpu = time.process_time()
    for one in misses:
        key = request_key("openai.chat", one, tenant="acme", route="fast")
        assert key is not None
        assert cache.peek(key) is not None
    hit = time.process_time() - cpu
    assert vendor.asked == count
    assert hit < miss / 10


@pytest.mark.requirement("ORC-64")
async def test_requests_made_within_a_moment_travel_in_one_call(vendor: Vendor) -> None:
    async def call(texts):
        response = await vendor.pool.send(
            WireEndpoint("openai", vendor.endpoint.url, "/v1/embeddings"),
            json.dumps({"input": texts}).encode(),
        )
        await response.read()
        return [len(text) for text in texts]

    batcher: Batcher[str, int] = Batcher(call)
    answers = await asyncio.gather(*(batcher.ask("x" * number) for number in range(20)))
    assert answers == list(range(20))
    assert vendor.asked == 1
    assert vendor.endpoint.last.json["input"] == ["x" * number for number in range(20)]


@pytest.mark.requirement("STK-42")
async def test_the_edge_may_keep_public_content_and_never_an_answer() -> None:
    headers = dict(edge_headers(EdgePolicy(edge_s=600, tags=("docs",))))
    assert b"public" in headers[b"cache-control"]
    assert b"s-maxage=600" in headers[b"cache-control"]
    assert headers[b"cache-tag"] == b"docs"
    assert dict(PRIVATE)[b"cache-control"] == b"private, no-store"


@pytest.mark.requirement("ORC-16", "STK-42")
async def test_what_one_node_purges_no_node_and_no_tier_serves_any_more(
    settings: CacheSettings, vendor: Vendor
) -> None:
    nodes = [open_cache(settings), open_cache(settings)]
    listening = [asyncio.create_task(node.listen()) for node in nodes]
    policy = CachePolicy(tags=("docs",))
    async with asyncio.timeout(20):
        for node in nodes:
            await node.channel.listening.wait()  # type: ignore[union-attr]  # it is Redis' here
        for purge in (
            purge_tag("acme", "docs"),
            purge_tag("acme", "provider:openai"),
            purge_prefix("acme", "fast"),
        ):
            before = vendor.asked
            for node in nodes:
                await vendor.ask(node, body(), policy)
                await node.flush()
            assert vendor.asked == before + 1
            await nodes[0].purge(purge)
            while len(nodes[1].memory):  # noqa: ASYNC110  # bounded; forgetting wakes nobody
                await asyncio.sleep(0)
            assert (await vendor.ask(nodes[1], body(), policy)).source == "fetched"
            await nodes[1].purge(purge)
            await nodes[0].flush()
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for node in nodes:
        await node.close()
