"""Which policy holds, what the edge may keep, and requests that travel together."""

import asyncio

import pytest

from mosaic.cache import PRIVATE, Batcher, CachePolicies, CachePolicy, EdgePolicy, edge_headers
from mosaic.core.errors import ContractViolation, Unavailable

pytestmark = pytest.mark.anyio


def test_the_route_named_exactly_comes_before_a_pattern_and_a_pattern_before_the_default():
    policies = CachePolicies(
        CachePolicy(ttl_s=1),
        routes={"docs-*": CachePolicy(ttl_s=2), "docs-live": None, "docs-?": CachePolicy(ttl_s=9)},
    )
    assert policies.of("other").ttl_s == 1
    assert policies.of("docs-x").ttl_s == 2
    assert policies.of("docs-live") is None
    assert CachePolicies().of("any") is None, "nothing is kept unless somebody says so"


def test_a_provider_can_only_make_a_policy_stricter():
    route = CachePolicy(ttl_s=600, stale_s=60, max_bytes=10_000, tags=("a",), similarity=0.9)
    policies = CachePolicies(
        route,
        providers={
            "careful": CachePolicy(
                ttl_s=30, max_bytes=99_999, tiers=frozenset({"memory"}), tags=("b",), similarity=0.99
            ),
            "live-*": None,
            "plain": CachePolicy(ttl_s=9_999),
        },
    )
    careful = policies.of("r", "careful")
    assert (careful.ttl_s, careful.stale_s, careful.max_bytes) == (30, 0, 10_000)
    assert (careful.tiers, careful.tags, careful.similarity) == (frozenset({"memory"}), ("a", "b"), 0.99)
    assert policies.of("r", "live-data") is None
    assert policies.of("r", "plain").ttl_s == 600
    assert policies.of("r", "plain").similarity is None, "both must allow it"
    assert policies.of("r", "unnamed") is route


def test_names_made_up_by_clients_do_not_fill_the_memory():
    policies = CachePolicies(CachePolicy())
    for number in range(25_000):
        policies.of(f"made-up-{number}")
    assert len(policies._decided) <= 10_000


def test_public_content_may_be_kept_at_the_edge_and_an_answer_never():
    headers = dict(edge_headers(EdgePolicy(edge_s=300, browser_s=10, stale_s=60, tags=("docs", "v2"))))
    assert headers[b"cache-control"] == (
        b"public, max-age=10, s-maxage=300, stale-while-revalidate=60, stale-if-error=60"
    )
    assert (headers[b"cache-tag"], headers[b"surrogate-key"]) == (b"docs,v2", b"docs v2")
    assert b"immutable" in dict(edge_headers(EdgePolicy(immutable=True)))[b"cache-control"]
    assert dict(PRIVATE) == {b"cache-control": b"private, no-store"}


class Upper:
    """Answers a batch; notes what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[tuple[str, ...]] = []
        self.error = error

    async def __call__(self, questions):
        self.batches.append(tuple(questions))
        if self.error:
            raise self.error
        return [question.upper() for question in questions]


async def test_what_is_asked_within_a_moment_is_asked_in_one_call_and_once():
    call = Upper()
    batcher = Batcher(call)
    assert await asyncio.gather(*(batcher.ask(text) for text in ("a", "b", "a"))) == ["A", "B", "A"]
    assert call.batches == [("a", "b")]
    assert await batcher.ask("c") == "C"
    assert call.batches[1:] == [("c",)]


async def test_a_full_batch_does_not_wait_for_more():
    call = Upper()
    batcher = Batcher(call, max_items=4, max_wait_s=3600)
    async with asyncio.timeout(20):
        await asyncio.gather(*(batcher.ask(str(number)) for number in range(8)))
    assert [len(batch) for batch in call.batches] == [4, 4]


async def test_one_who_leaves_takes_nobody_along_and_an_error_is_everybodys():
    call = Upper()
    batcher = Batcher(call)
    leaving, staying = asyncio.create_task(batcher.ask("a")), asyncio.create_task(batcher.ask("a"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "A"
    failing = Batcher(Upper(Unavailable("down")))
    outcomes = await asyncio.gather(failing.ask("a"), failing.ask("b"), return_exceptions=True)
    assert [type(one) for one in outcomes] == [Unavailable, Unavailable]


async def test_a_call_that_answers_too_little_is_noticed():
    async def short(questions):
        return ["one"]

    batcher = Batcher(short)
    outcomes = await asyncio.gather(batcher.ask("a"), batcher.ask("b"), return_exceptions=True)
    assert [type(one) for one in outcomes] == [ContractViolation, ContractViolation]
