"""Buckets, credentials, retry budgets, bulkheads."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput, LimitExceeded
from mosaic.resilience import Bulkhead, CredentialLimit, RetryBudget, TokenBucket, backoff_s
from tests.resilience.conftest import HandClock

TODAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_a_bucket_lets_its_burst_through_and_then_its_rate(clock):
    bucket = TokenBucket(10, 5, clock)
    assert [bucket.take() for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(0.1)]
    clock.forward(0.1)
    assert bucket.take() == 0
    assert bucket.take() > 0


def test_what_is_larger_than_the_burst_waits_for_a_full_bucket_and_leaves_a_debt(clock):
    bucket = TokenBucket(10, 5, clock)
    assert bucket.take(1) == 0
    assert bucket.take(25) == pytest.approx(0.1)
    clock.forward(0.1)
    assert bucket.take(25) == 0
    assert bucket.level() == pytest.approx(-20)
    assert bucket.take(1) == pytest.approx(2.1)


def test_what_was_not_used_comes_back_and_what_was_used_beyond_is_owed(clock):
    bucket = TokenBucket(1, 10, clock)
    bucket.take(8)
    bucket.give(3)
    assert bucket.level() == 5
    bucket.give(100)
    assert bucket.level() == 10
    bucket.give(-15)
    assert bucket.level() == -5


def test_a_bucket_that_never_fills_says_so(clock):
    bucket = TokenBucket(0, 1, clock)
    assert bucket.take() == 0
    assert bucket.take() == inf


def test_a_new_size_keeps_what_has_been_used(clock):
    bucket = TokenBucket(1, 10, clock)
    bucket.take(4)
    bucket.resize(1, 6)
    assert bucket.level() == 2


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, 0), (float("nan"), 1), (1, float("nan"))])
def test_a_bucket_that_is_none_is_refused(rate, burst):
    with pytest.raises(InvalidInput):
        TokenBucket(rate, burst)


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 500)), max_size=60),
)
def test_no_bucket_lets_more_through_than_its_rate_and_burst_allow(rate, burst, steps):
    clock = HandClock()
    bucket, start, taken, largest = TokenBucket(rate, burst, clock), clock.now, 0.0, 0.0
    for pause, amount in steps:
        clock.forward(pause)
        wait = bucket.take(amount)
        if wait:
            clock.forward(wait)
            assert bucket.take(amount) == 0, "the wait it names is enough"
        taken += amount
        largest = max(largest, amount)
    assert taken <= burst + max(0, largest - burst) + rate * (clock.now - start) + 0.01


def limit_of(clock) -> CredentialLimit:
    start = clock.now
    return CredentialLimit(clock=clock, now=lambda: TODAY + timedelta(seconds=clock.now - start))


@pytest.mark.parametrize(
    "reset", ["10s", "10000ms", "10", "0m10s", "2026-11-28T12:00:10Z", str(TODAY.timestamp() + 10)]
)
@pytest.mark.parametrize("vendor", ["x-ratelimit-{part}-requests", "anthropic-ratelimit-requests-{part}"])
def test_a_credential_learns_its_limit_from_what_the_provider_says(clock, vendor, reset):
    limit = limit_of(clock)
    assert limit.take() == 0
    headers = {"limit": "100", "remaining": "2", "reset": reset}
    limit.leave(headers={vendor.format(part=part): value for part, value in headers.items()})
    assert [limit.take(), limit.take()] == [0, 0]
    assert limit.take() == pytest.approx(10 / 98)
    clock.forward(1)
    assert [limit.take() for _ in range(9)] == [0] * 9
    assert limit.take() > 0


def test_headers_as_bytes_are_read_alike(clock):
    limit = limit_of(clock)
    limit.take()
    names = [(b"content-type", b"x"), (b"x-ratelimit-limit-tokens", b"1000")]
    limit.leave(
        headers=[*names, (b"x-ratelimit-remaining-tokens", b"10"), (b"x-ratelimit-reset-tokens", b"99s")]
    )
    assert limit.take(10) == 0
    assert limit.take(10) == pytest.approx(1)
    assert limit.to_json()["tokens"] == {"limit": 1000, "left": 0}


def test_calls_under_way_count_against_what_the_provider_says_is_left(clock):
    limit = limit_of(clock)
    for _ in range(3):
        assert limit.take(100) == 0
    said = {"limit": "1000", "remaining": "250", "reset": "60s"}
    limit.leave(100, headers={f"x-ratelimit-{part}-tokens": value for part, value in said.items()})
    assert limit.take(100) > 0, "two calls of 100 are under way, 50 are left"
    assert limit.take(50) == 0


def test_a_refusal_blocks_everyone_with_the_credential_until_its_hour(clock):
    limit = limit_of(clock)
    limit.take()
    limit.leave(retry_at=clock.now + 30)
    limit.leave(retry_at=clock.now + 5)
    assert limit.take() == 30
    clock.forward(30)
    assert limit.take() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "nan"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-limit-requests": "-5", "x-ratelimit-remaining-requests": "-5"},
        {"x-ratelimit-limit-requests": "10"},
    ],
)
def test_what_cannot_be_a_limit_is_none(clock, headers):
    limit = limit_of(clock)
    for _ in range(50):
        assert limit.take(1000) == 0
        limit.leave(1000, headers=headers)


@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_no_header_can_block_a_credential_for_longer_than_a_day(reset, limit_text, left):
    clock = HandClock()
    limit = limit_of(clock)
    limit.take()
    said = {"limit": limit_text, "remaining": left, "reset": reset}
    limit.leave(headers={f"x-ratelimit-{part}-requests": value for part, value in said.items()})
    assert 0 <= limit.take() <= 86_400


def test_retries_are_a_share_of_the_requests(clock):
    budget = RetryBudget(0.2, least_per_s=0, saved=10, clock=clock)
    assert sum(budget.take() for _ in range(100)) == 10
    for _ in range(100):
        budget.request()
        budget.take()
    assert budget.refused == 90 + 80
    assert budget.left() == pytest.approx(0, abs=0.01)


def test_a_few_retries_a_second_need_no_requests(clock):
    budget = RetryBudget(0, least_per_s=2, saved=2, clock=clock)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.forward(1)
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_the_wait_before_a_retry_doubles_up_to_a_bound_and_is_spread():
    longest = [
        backoff_s(attempt, base_s=1, at_most_s=10, chance=lambda: 1.0) for attempt in (1, 2, 3, 4, 5, 5000)
    ]
    assert longest == [1, 2, 4, 8, 10, 10]
    assert backoff_s(3, base_s=1, chance=lambda: 0.25) == 1


@pytest.mark.requirement("MAOS-44")
@pytest.mark.anyio
async def test_a_bulkhead_serves_in_order_and_refuses_above_its_queue():
    bulkhead = Bulkhead(1, queue=2, name="calls of acme")
    assert bulkhead.enter()
    assert not bulkhead.enter()
    order = []

    async def wait(name: str) -> None:
        await bulkhead.wait(10)
        order.append(name)

    first, second = asyncio.ensure_future(wait("first")), asyncio.ensure_future(wait("second"))
    await asyncio.sleep(0)
    with pytest.raises(LimitExceeded, match="calls of acme") as caught:
        await bulkhead.wait(10)
    assert caught.value.data == {"resource": "calls of acme", "limit": 1, "current": 1}
    for task in (first, second):
        bulkhead.leave()
        assert not bulkhead.enter(), "a newcomer does not overtake"
        await task
    assert order == ["first", "second"]
    bulkhead.leave()
    assert (bulkhead.active, bulkhead.waiting) == (0, 0)


@pytest.mark.anyio
async def test_a_place_is_never_lost_with_one_who_stops_waiting():
    bulkhead = Bulkhead(1, queue=5)
    bulkhead.enter()
    early, late, last = (asyncio.ensure_future(bulkhead.wait(10)) for _ in range(3))
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    bulkhead.leave()
    late.cancel()  # in the moment in which the place came
    await asyncio.gather(early, late, return_exceptions=True)
    async with asyncio.timeout(5):
        await last
    assert bulkhead.active == 1
    with pytest.raises(LimitExceeded, match="in time"):
        await bulkhead.wait(0.01)
    bulkhead.leave()
    assert (bulkhead.active, bulkhead.waiting) == (0, 0)
