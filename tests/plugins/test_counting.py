"""A request's tokens are counted by the vendor that would answer it."""

import pytest

from mosaic.core.errors import Unsupported
from mosaic.providers import ModelRequest, TokenCounter
from tests.plugins import contracts
from tests.plugins.test_requests import CONVERSATION, SCHEMA, TOOLS
from tests.plugins.vendors import MODEL_OF, make_provider
from tests.providers.endpoint import json_reply

pytestmark = pytest.mark.anyio

COUNTERS = {
    "responses": ({"object": "response.input_tokens", "input_tokens": 42}, "/v1/responses/input_tokens"),
    "anthropic": ({"input_tokens": 42}, "/v1/messages/count_tokens"),
    "gemini": ({"totalTokens": 42}, "/v1beta/models/gemini-4-argon:countTokens"),
}


@pytest.mark.requirement("ORC-196")
@pytest.mark.parametrize("vendor", COUNTERS)
async def test_the_vendor_counts_what_would_be_sent(endpoint, vendor):
    body, path = COUNTERS[vendor]
    endpoint.will(json_reply(body))
    provider = make_provider(vendor, endpoint.url)
    assert isinstance(provider, TokenCounter)
    request = ModelRequest(
        MODEL_OF[vendor],
        CONVERSATION,
        tools=TOOLS,
        output_schema=SCHEMA,
        max_output_tokens=5,
        reasoning_effort="low",
        timeout_s=10,
    )
    assert await provider.count_tokens(request) == 42
    assert endpoint.last.path == path
    asked = endpoint.last.json
    await provider.close()
    contracts.need(vendor)
    contracts.check(vendor, "count", body)
    if (
        vendor == "anthropic"
    ):  # its description has no request of its own; it is one for a message without a limit
        contracts.check(vendor, "request", {**asked, "max_tokens": 1})
        assert "max_tokens" not in asked
    else:
        contracts.check(vendor, "count request", asked)


async def test_a_compatible_server_without_a_counter_is_not_asked(endpoint):
    provider = make_provider("openai", endpoint.url)
    with pytest.raises(Unsupported):
        await provider.count_tokens(ModelRequest("m", CONVERSATION))
    assert not endpoint.requests
