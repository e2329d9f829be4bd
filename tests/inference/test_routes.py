"""An agent may name a route instead of a model: it is decided once, recorded, and fails over like any list."""

import pytest

from mosaic.app.targets import find_targets
from mosaic.core.errors import NotFound
from mosaic.cost import Cost
from mosaic.inference import Guards, Inference, Traffic
from mosaic.providers import ProviderRegistry
from mosaic.routing import LiveStats, Router
from mosaic.routing.loading import load_routes
from tests.inference.conftest import ASKED, SETTINGS
from tests.plugins.said import Said
from tests.plugins.vendors import reply
from tests.providers.endpoint import Endpoint, json_reply

pytestmark = pytest.mark.anyio

ROUTES = """
routes:
  team:
    strategy: round-robin
    targets: ["openai:dear"]
    fallback: ["anthropic:dear"]
"""


@pytest.fixture
def routed(registry: ProviderRegistry, cost: Cost) -> Inference:
    targets = find_targets(registry, cost.prices)
    guards = Guards()
    router = Router(load_routes(ROUTES), targets, live=LiveStats(is_open=guards.is_open))
    return Inference(registry, cost, SETTINGS, traffic=Traffic(router, guards))


async def test_a_route_is_resolved_by_its_name(routed: Inference) -> None:
    assert await routed.resolve(["team"]) == "route:team"
    assert routed.capabilities("route:team").tools
    with pytest.raises(NotFound, match="nobody"):
        routed.capabilities("route:nobody")


async def test_a_routed_call_fails_over_and_a_replay_goes_the_same_way(
    routed: Inference, effects, endpoint: Endpoint, second_endpoint: Endpoint, events
) -> None:
    endpoint.will(json_reply({"error": {"message": "down"}}, status=503))
    second_endpoint.will(reply("anthropic", Said(text="from the second")))
    first = await routed.complete(effects(), "turn1", ASKED, model="route:team", agent="coder")
    assert (first.provider, first.message.text) == ("anthropic", "from the second")
    (decision,) = await events("model.routed")
    assert (decision["route"], decision["target"]) == ("team", "openai:dear")
    assert [entry["target"] for entry in decision["candidates"]] == ["openai:dear", "anthropic:dear"]
    asked = len(endpoint.requests) + len(second_endpoint.requests)
    again = await routed.complete(effects(), "turn1", ASKED, model="route:team", agent="coder")
    assert again == first
    assert len(endpoint.requests) + len(second_endpoint.requests) == asked


async def test_what_agents_meet_is_known_to_everyone_who_is_routed(
    routed: Inference, effects, endpoint: Endpoint, second_endpoint: Endpoint
) -> None:
    endpoint.will(json_reply({"error": {"message": "down"}}, status=503))
    second_endpoint.will(reply("anthropic", Said(text="hello")))
    for turn in range(6):
        await routed.complete(effects(), f"turn{turn}", ASKED, model="route:team")
    sent = len(endpoint.requests)
    assert routed.traffic is not None
    assert routed.traffic.guards.is_open("openai:dear")
    await routed.complete(effects(), "later", ASKED, model="route:team")
    assert len(endpoint.requests) == sent
