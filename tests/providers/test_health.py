"""Health in parts, and the monitor that asks at regular times."""

import asyncio

import pytest

from mosaic.core.redaction import Redactor
from mosaic.providers import HealthMonitor, ProviderHealth, ProviderRegistry
from tests.providers.endpoint import json_reply, unused_url
from tests.providers.folders import write_plugin

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("ENT-50")]

KEY = "key-number-one"
MODELS = json_reply({"object": "list", "data": [{"id": "gpt-6.1-sol"}]})
REFUSED = json_reply({"error": {"type": "invalid_api_key", "message": "no"}}, status=401)


def registry(**settings):
    return ProviderRegistry(redactor=Redactor(), environment={}, settings=settings)


async def test_the_parts_of_a_health_say_what_was_asked_and_answered(endpoint):
    found = registry(openai={"base_url": f"{endpoint.url}/v1", "api_key": KEY})

    def parts(health):
        return health.to_json()["parts"]

    endpoint.will(MODELS)
    assert parts(await found.health("openai"))["connectivity"] == "unknown", "nobody was asked"
    asked = await found.health("openai", thorough=True)
    assert parts(asked) == dict.fromkeys(
        ("connectivity", "authentication", "rate_limit", "dependencies"), "ok"
    )
    endpoint.will(REFUSED)
    refused = await found.health("openai", thorough=True)
    assert (refused.connectivity, refused.authentication) == ("ok", "failing")
    found.limited("openai", 30)
    limited = await found.health("openai", thorough=True)
    assert limited.rate_limit == "failing"
    assert limited.limited_until is not None
    found.limited("openai", -1)
    assert (await found.health("openai", thorough=True)).rate_limit == "ok"
    await found.close()


async def test_nobody_there_is_a_failing_connectivity():
    found = registry(openai={"base_url": f"{await unused_url()}/v1", "api_key": KEY})
    health = await found.health("openai", thorough=True)
    assert (health.status, health.connectivity, health.authentication) == (
        "unreachable",
        "failing",
        "unknown",
    )
    await found.close()


async def test_a_monitor_tells_of_every_change_and_of_nothing_else(endpoint):
    found = registry(openai={"base_url": f"{endpoint.url}/v1", "api_key": KEY})
    told: list[ProviderHealth] = []

    async def note(changed):
        told.extend(changed)

    monitor = HealthMonitor(found, on_change=note)
    endpoint.will(MODELS)
    await monitor.round()
    first = {health.provider: health.status for health in told}
    assert (first["openai"], first["scripted"]) == ("ready", "ready")
    told.clear()
    await monitor.round()
    assert told == []
    endpoint.will(REFUSED)
    await monitor.round()
    assert [(health.provider, health.status) for health in told] == [("openai", "refused")]
    assert monitor.latest["openai"].status == "refused"
    await found.close()


async def test_a_monitor_goes_on_whatever_one_provider_does(tmp_path):
    rounds = asyncio.Event()
    asked = 0

    class Source:
        def names(self):
            nonlocal asked
            asked += 1
            if asked == 2:
                raise RuntimeError("surprise")
            if asked == 4:
                rounds.set()
            return ["deaf", "wild", "well"]

        async def health(self, name, model=None, *, thorough=False):
            if name == "deaf":
                await asyncio.Event().wait()
            if name == "wild":
                raise KeyError("surprise")
            return ProviderHealth(name, "ready")

    monitor = HealthMonitor(Source(), every_s=0, timeout_s=0.01)
    task = asyncio.create_task(monitor.run())
    async with asyncio.timeout(10):
        await rounds.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    status = {name: health.status for name, health in monitor.latest.items()}
    assert status == {"deaf": "unreachable", "wild": "broken", "well": "ready"}


async def test_a_check_that_raises_is_an_answer(tmp_path):
    from tests.providers.folders import PROVIDER

    code = PROVIDER.replace('return ProviderHealth(self.name, "ready", MARK)', "raise KeyError('surprise')")
    write_plugin(tmp_path, "wild", code=code)
    found = ProviderRegistry(redactor=Redactor(), environment={}, plugins=[], directory=tmp_path)
    health = await found.health("wild")
    assert (health.status, health.usable) == ("broken", False)
    assert "KeyError" in health.detail
