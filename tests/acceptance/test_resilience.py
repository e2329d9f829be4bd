"""Providers fail, from the outside: breakers, failover under load, prediction, healing, pooled connections."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.providers.testing.endpoint import Received, Reply, json_reply
from mosaic.resilience import CircuitBreaker
from tests.acceptance.installation import on_sqlite
from tests.gateway.conftest import GatewaySite, chat_reply, open_gateway
from tests.providers.upstream.server import answering, head, serving
from tests.resilience.conftest import HandClock

pytestmark = pytest.mark.anyio

DOWN = json_reply({"error": {"message": "overloaded"}}, status=503)
PRIMARY, STANDBY = "openai:gpt-4o", "anthropic:claude-sonnet-4-5"


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[GatewaySite]:
    async with asyncio.timeout(120), open_gateway(tmp_path / "home", database_url) as site:
        site.route("safe", "openai.chat", fallback=[STANDBY], strategy="ordered")
        yield site


async def answered_by(site: GatewaySite, model: str = "safe") -> str:
    """Make a call that must succeed; return who answered."""
    answer = await site.chat(model)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-mosaic-model"]


class Time:
    """The time, which a test can move forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


def breaker(site: GatewaySite) -> str:
    """The state of the primary's breaker."""
    return str(site.application.model.guards.to_json()[PRIMARY]["breaker"]["state"])


@on_sqlite
@pytest.mark.requirement("ORC-58", "MAOS-44")
async def test_a_target_that_is_down_is_left_alone_and_comes_back_step_by_step(site: GatewaySite) -> None:
    site.application.model.guards._clock = clock = Time()
    site.openai.will(DOWN)
    assert {await answered_by(site) for _ in range(20)} == {STANDBY}
    asked = len(site.openai.requests)
    assert asked < 20, "after some failures nobody asks it any more"
    assert breaker(site) == "open"
    assert {await answered_by(site) for _ in range(10)} == {STANDBY}
    assert len(site.openai.requests) == asked

    clock.ahead_s += 6
    assert await answered_by(site) == STANDBY, (
        "the one call that tried it failed, and was answered all the same"
    )
    assert len(site.openai.requests) == asked + 1
    assert breaker(site) == "open"

    clock.ahead_s += 11
    site.openai.will(chat_reply())
    states = []
    for _ in range(10):
        assert await answered_by(site) == PRIMARY
        states.append(breaker(site))
    assert states == ["half_open"] * 9 + ["closed"]


@on_sqlite
@pytest.mark.requirement("ORC-63", "ORC-239")
@pytest.mark.slow
async def test_nearly_every_call_is_answered_while_the_first_target_fails_in_every_way(
    site: GatewaySite,
) -> None:
    chance = random.Random(7)
    failures = [
        DOWN,
        json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "0.05"}),
        Reply((b'{"choices": [',), headers={"content-type": "application/json"}, then="drop"),
        Reply(raw=b"garbage\r\n\r\n"),
        Reply(raw=b""),
        json_reply("<html>Bad gateway</html>", status=502),
        json_reply({"unexpected": True}, status=500),
    ]

    def moody(_: Received) -> Reply:
        return chance.choice(failures) if chance.random() < 0.6 else chat_reply()

    site.openai.answer = moody
    gate = asyncio.Semaphore(16)

    async def call() -> int:
        async with gate:
            return (await site.chat("safe")).status_code

    statuses = Counter(await asyncio.gather(*(call() for _ in range(1000))))
    assert statuses[200] / 1000 > 0.995, statuses


@on_sqlite
@pytest.mark.requirement("ORC-60")
async def test_alternatives_are_tried_in_order_and_the_failures_are_on_record(site: GatewaySite) -> None:
    site.openai.will(DOWN)
    site.anthropic.will(DOWN)
    refused = await site.chat("safe")
    assert refused.status_code == 503
    (record,) = await site.ledger()
    assert [(attempt["target"], attempt["error"]) for attempt in record["attempts"]] == [
        (PRIMARY, "unavailable"),
        (STANDBY, "unavailable"),
    ]


@on_sqlite
@pytest.mark.requirement("ORC-65")
async def test_calls_through_the_gateway_share_connections_to_a_provider(
    database_url: str, tmp_path: Path
) -> None:
    reply = chat_reply().pieces[0]
    whole = head("content-type: application/json", f"content-length: {len(reply)}") + reply
    async with serving(answering(whole)) as server:
        openai = {"openai": {"base_url": server.origin + "/v1"}}
        async with open_gateway(tmp_path / "home", database_url, providers=openai) as site:
            for _ in range(30):
                assert await answered_by(site, "fast") == PRIMARY
            assert server.connections == 1
            await asyncio.gather(*(answered_by(site, "fast") for _ in range(50)))
            assert server.connections <= 50


@pytest.mark.requirement("ORC-59")
def test_a_breakers_threshold_follows_the_results_of_its_target() -> None:
    def breaker_after(usual: str) -> tuple[float, CircuitBreaker]:
        clock = HandClock()
        found = CircuitBreaker(clock=clock)
        for _ in range(60):
            for result in usual:
                assert found.admit()
                found.end(result == ".")
            clock.forward(31)
        return found.tolerated(), found

    steady, shaky = breaker_after("." * 20), breaker_after("." * 17 + "xxx")
    assert steady[0] < shaky[0]
    for result in ".x" * 12:
        for _, found in (steady, shaky):
            if found.admit():
                found.end(result == ".")
    assert (steady[1].state, shaky[1].state) == ("open", "closed")
