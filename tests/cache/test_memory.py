"""The memory tier keeps what will be asked for again, and never more than its bound."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.cache import CachedAnswer, Entry, MemoryTier, purge_prefix, purge_tag
from tests.cache.conftest import HeldClock


def entry(key: str, size_bytes: int = 1000, *, tags: tuple[str, ...] = ()) -> Entry:
    return Entry(f"t1/r/w/{key}", CachedAnswer(200, (), b"x" * size_bytes), 0.0, 9e9, 9e9, tags)


def holding(count: int, size_bytes: int = 1000) -> MemoryTier:
    """A tier with room for about `count` entries."""
    probe = MemoryTier(10**9)
    probe.store(entry("0000", size_bytes))
    return MemoryTier(probe.size_bytes * count, max_entry_bytes=probe.size_bytes + 100)


def test_its_bytes_stay_within_the_bound():
    tier = holding(100)
    for number in range(5000):
        tier.store(entry(str(number), size_bytes=number % 900))
        assert tier.size_bytes <= tier.max_bytes
    assert len(tier) >= 90
    figures = tier.figures()
    assert (figures.entries, figures.size_bytes) == (len(tier), tier.size_bytes)
    assert figures.evicted == 5000 - len(tier)


def test_a_burst_that_nobody_repeats_does_not_push_out_what_everybody_asks_for():
    tier = holding(100)
    favourites = [f"favourite-{number}" for number in range(50)]
    for name in favourites:
        tier.store(entry(name))
        tier.peek(f"t1/r/w/{name}")
    for number in range(10_000):
        tier.store(entry(f"once-{number}"))
    assert all(f"t1/r/w/{name}" in tier for name in favourites)


def test_a_key_that_returns_after_it_left_is_kept_better_than_a_new_one():
    tier = holding(50)
    for number in range(60):
        tier.store(entry(str(number)))
    assert "t1/r/w/0" not in tier
    tier.store(entry("0"))
    for number in range(100, 130):
        tier.store(entry(str(number)))
    assert "t1/r/w/0" in tier


def test_it_hits_more_often_than_forgetting_the_least_recently_used_would():
    random.seed(5)
    weights = [1 / (rank + 1) for rank in range(5000)]
    asked = [str(key) for key in random.choices(range(5000), weights, k=30_000)]
    tier, lru, hits, lru_hits = holding(250), {}, 0, 0
    for key in asked:
        if tier.peek(f"t1/r/w/{key}") is None:
            tier.store(entry(key))
        else:
            hits += 1
        lru_hits += key in lru
        lru.pop(key, None)
        lru[key] = True
        if len(lru) > 250:
            del lru[next(iter(lru))]
    assert hits > lru_hits * 1.05


def test_an_answer_too_large_for_the_tier_is_not_kept_and_pushes_nothing_out():
    tier = holding(10)
    tier.store(entry("small"))
    assert not tier.store(entry("large", size_bytes=5000))
    assert "t1/r/w/small" in tier
    assert not tier.store(entry("small", size_bytes=5000)), "in place of one that fitted"
    assert "t1/r/w/small" not in tier, "the old answer under that key must not be served any more"


def test_popularity_counts_from_call_to_call(clock: HeldClock):
    tier = holding(10)
    tier.store(entry("a"))
    tier.store(entry("b"))
    for _ in range(7):
        tier.peek("t1/r/w/a")
    assert dict(tier.popularity()) == {"t1/r/w/a": 7}
    assert dict(tier.popularity()) == {}


def test_memory_that_was_emptied_holds_nothing_of_it():
    tier = holding(10)
    tier.store(entry("a", tags=("t1/x",)))
    tier.clear()
    assert (len(tier), tier.size_bytes, tier.forget(purge_tag("t1", "x"))) == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "get", "tag", "prefix"]),
            st.integers(0, 30),
            st.integers(0, 1000),
            st.sets(st.sampled_from(["t1/a", "t1/b"])),
        ),
        max_size=300,
    )
)
def test_whatever_happens_its_books_are_right(steps):
    tier = holding(12)
    for what, key, size_bytes, tags in steps:
        if what == "put":
            tier.store(entry(str(key), size_bytes, tags=tuple(tags)))
        elif what == "get":
            found = tier.peek(f"t1/r/w/{key}")
            assert found is None or found.key == f"t1/r/w/{key}"
        elif what == "tag":
            tier.forget(purge_tag("t1", "a"))
        else:
            tier.forget(purge_prefix("t1") if key < 5 else purge_prefix("t2"))
        assert tier.size_bytes <= tier.max_bytes
        assert len(tier._small) + len(tier._main) == len(tier._kept)
        assert sum(kept.size_bytes for kept in tier._kept.values()) == tier.size_bytes
        assert {tag: keys for tag, keys in tier._tags.items() if not keys} == {}
    tier.forget(purge_prefix("t1"))
    assert (len(tier), tier.size_bytes, tier._tags) == (0, 0, {})
