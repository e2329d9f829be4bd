"""What a key is for, holds at every door of the gateway: scopes, models, routes."""

import pytest

from tests.gateway.conftest import GatewaySite

pytestmark = pytest.mark.anyio


async def test_a_key_is_good_for_its_scopes_only(gateway: GatewaySite) -> None:
    _, embed = await gateway.new_key(scopes=("embed",))
    refused = await gateway.chat(key=embed)
    assert (refused.status_code, refused.headers["x-mosaic-error"]) == (403, "permission_denied")
    assert gateway.openai.requests == []
    listing = await gateway.client.get(gateway.url + "/v1/models", headers={"x-api-key": embed})
    assert listing.status_code == 403
    _, chat = await gateway.new_key(scopes=("chat", "models"))
    assert (await gateway.chat(key=chat)).status_code == 200
    listing = await gateway.client.get(gateway.url + "/v1/models", headers={"x-api-key": chat})
    assert listing.status_code == 200
    counted = await gateway.post(
        "/v1/messages/count_tokens",
        {"model": "fast", "messages": [{"role": "user", "content": "hi"}]},
        key=chat,
    )
    assert counted.status_code == 403


async def test_a_key_is_good_for_its_routes_only_wherever_a_rule_sends_it(gateway: GatewaySite) -> None:
    gateway.route("smart", "anthropic.messages")
    _, key = await gateway.new_key(routes=("fast",))
    assert (await gateway.chat("fast", key=key)).status_code == 200
    for name in ("smart", "openai:gpt-4o", "anthropic:claude-sonnet-4-5"):
        assert (await gateway.chat(name, key=key)).status_code == 403
    listing = await gateway.client.get(gateway.url + "/v1/models", headers={"x-api-key": key})
    assert [model["id"] for model in listing.json()["data"]] == ["fast"]
    gateway.write(
        {
            "routes": gateway.routes,
            "rules": [{"name": "all", "match": {"operation": "chat"}, "route": "smart"}],
        }
    )
    assert (await gateway.chat("fast", key=key)).status_code == 403
    assert gateway.anthropic.requests == []
    _, everywhere = await gateway.new_key(routes=("*",))
    assert (await gateway.chat("openai:gpt-4o", key=everywhere)).status_code == 200
