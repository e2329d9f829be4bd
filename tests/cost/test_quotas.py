"""Quotas: so many requests and tokens a minute, so many calls at once; per tenant, project and key."""

from dataclasses import dataclass

import pytest

from mosaic.core.errors import LimitExceeded
from mosaic.cost import Payer, Quota, Quotas, QuotaSettings

PAYER = Payer("t1", "p1", key_id="key_1")


@dataclass(frozen=True)
class Key:
    id: str
    limits: Quota


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(quotas: Quotas, payer: Payer = PAYER, tokens: int = 0, key: Key | None = None) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        quotas.enter(payer, tokens, key=key)
    return caught.value


def test_without_quotas_everybody_may_enter() -> None:
    quotas = Quotas()
    for _ in range(1_000):
        quotas.enter(PAYER, 10**9)


@pytest.mark.requirement("ORC-72")
def test_a_refusal_names_tenant_resource_current_requested_and_limit(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(tenants={"t1": Quota(tokens_per_minute=1_000)}), clock=clock)
    quotas.enter(PAYER, 700)
    error = refused(quotas, tokens=400)
    assert (error.http_status, error.retryable) == (429, True)
    assert error.data == {
        "tenant": "t1", "scope": "tenant", "subject": "t1", "resource": "tokens_per_minute", "current": 700,
        "requested": 400, "limit": 1_000, "retry_after_s": 6.0,
    }  # fmt: skip
    clock.now += 6.0
    quotas.enter(PAYER, 400)


def test_requests_a_minute(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(projects={"t1/p1": Quota(requests_per_minute=3)}), clock=clock)
    for _ in range(3):
        quotas.enter(PAYER).leave(0)
    assert refused(quotas).data["retry_after_s"] == 20.0
    quotas.enter(Payer("t1", "p2"))
    quotas.enter(Payer("t2", "p1"))
    clock.now += 20.0
    quotas.enter(PAYER)


def test_calls_at_once(clock: Clock) -> None:
    key = Key("key_1", Quota(concurrency=2))
    quotas = Quotas(clock=clock)
    first, _ = quotas.enter(PAYER, key=key), quotas.enter(PAYER, key=key)
    error = refused(quotas, key=key)
    assert (error.data["resource"], error.data["current"], error.data["limit"]) == ("concurrency", 2, 2)
    first.leave(0)
    first.leave(0)
    quotas.enter(PAYER, key=key)
    refused(quotas, key=key)


def test_what_was_estimated_wrong_is_put_right(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(tenants={"*": Quota(tokens_per_minute=1_000)}), clock=clock)
    quotas.enter(PAYER, 900).leave(100)
    quotas.enter(PAYER, 100).leave(900)
    assert refused(quotas, tokens=1).data["current"] == 1_000
    quotas.enter(Payer("t2", "p1"), 1_000)


def test_one_that_is_refused_has_taken_nothing(clock: Clock) -> None:
    settings = QuotaSettings(
        tenants={"t1": Quota(requests_per_minute=2, tokens_per_minute=1_000)},
        projects={"*": Quota(requests_per_minute=2, tokens_per_minute=100)},
    )
    quotas = Quotas(settings, clock=clock)
    quotas.enter(PAYER, 60)
    for _ in range(10):
        assert refused(quotas, tokens=60).data["scope"] == "project"
    quotas.enter(Payer("t1", "p2"), 40)
    assert refused(quotas, Payer("t1", "p3")).data["resource"] == "requests_per_minute"


def test_nodes_share_a_quota(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(tenants={"*": Quota(requests_per_minute=10, concurrency=4)}), clock=clock)
    quotas.divide(2)
    for _ in range(2):
        quotas.enter(PAYER)
    assert refused(quotas).data["resource"] == "concurrency"
    quotas.divide(1)
    for _ in range(2):
        quotas.enter(PAYER)
    assert refused(quotas).data["limit"] == 4


def test_a_keys_limits_may_change_while_calls_are_under_way(clock: Clock) -> None:
    quotas = Quotas(clock=clock)
    entries = [quotas.enter(PAYER, key=Key("key_1", Quota(concurrency=2))) for _ in range(2)]
    wider = Key("key_1", Quota(concurrency=3))
    quotas.enter(PAYER, key=wider)
    refused(quotas, key=wider)
    for entry in entries:
        entry.leave(0)
    for _ in range(2):
        quotas.enter(PAYER, key=wider)
    refused(quotas, key=wider)


def test_many_payers_do_not_pile_up(clock: Clock) -> None:
    quotas = Quotas(QuotaSettings(keys=Quota(concurrency=1)), clock=clock)
    stays = Payer("t1", "p1", key_id="stays")
    quotas.enter(stays)
    for number in range(45_000):
        quotas.enter(Payer("t1", "p1", key_id=f"key_{number}")).leave(0)
    assert len(quotas._meters) < 25_000
    assert refused(quotas, stays).data["current"] == 1
