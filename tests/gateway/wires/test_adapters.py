"""Our own adapters as clients of our own wires: what goes in at one end comes out at the other."""

from importlib import import_module

import pytest

from mosaic.providers import (
    BlobPart,
    Message,
    ModelRequest,
    ModelResponse,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    Usage,
)
from tests.gateway.wires.speaking import speak

pytestmark = pytest.mark.anyio

MODELS = {"openai": "gpt-6.1-sol", "responses": "gpt-6.1-sol", "anthropic": "claude-sonnet-5-5"}
WAYS = {
    "openai": ("openai", "/v1", {}),
    "responses": ("openai", "/v1", {"api": "responses"}),
    "anthropic": ("anthropic", "", {}),
}
SEALS = {"openai": None, "responses": "openai:rs_1:gAAAA", "anthropic": "c2VhbA=="}
every_vendor = pytest.mark.parametrize("vendor", list(SEALS))
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def make_provider(vendor, url):
    plugin, path, more = WAYS[vendor]
    create = import_module(f"mosaic.plugins.{plugin}").provider.create
    return create({"base_url": url + path, "api_key": "sk-test-0123456789", **more})


def a_request(vendor, **more):
    return ModelRequest(
        model=MODELS[vendor],
        messages=(
            Message.of("system", "Be brief."),
            Message("user", (TextPart("Where is this?"), BlobPart("image", "image/png", "iVBORw0K"))),
            Message(
                "assistant",
                (
                    *([ReasoningPart("Hm.", signature=SEALS[vendor])] if SEALS[vendor] else []),
                    TextPart("I look."),
                    ToolCallPart("call_1", "look", {"city": "Ulm"}),
                    ToolCallPart("call_2", "look", {"city": "Bonn"}),
                ),
            ),
            Message(
                "tool",
                (ToolCallResponsePart("call_1", "look", "yes"), ToolCallResponsePart("call_2", "look", "no")),
            ),
            Message.of("user", "And now?"),
        ),
        tools=(ToolDefinition("look", "Looks.", SCHEMA),),
        max_output_tokens=4000,
        timeout_s=10,
        **more,
    )


ANSWER = ModelResponse(
    Message("assistant", (TextPart("Ulm \u2603."), ToolCallPart("call_3", "look", {"city": "\u00c5"}))),
    "tool_call",
    Usage(40, 12, 7),
    "m",
    "p",
)


@every_vendor
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_gateway_behind_a_gateway_changes_nothing(endpoint, vendor, streamed):
    understood = speak(endpoint, ANSWER)
    provider = make_provider(vendor, endpoint.url)
    request = a_request(vendor)
    if streamed:
        *_, response = [item async for item in provider.stream(request, idempotency_key="k")]
    else:
        response = await provider.complete(request, idempotency_key="k")
    await provider.close()
    assert understood[0].messages == request.messages
    assert understood[0].tools == request.tools
    assert understood[0].max_output_tokens == 4000
    assert response.message == ANSWER.message
    assert response.finish_reason == "tool_call"
    assert response.usage == ANSWER.usage
    assert response.model == MODELS[vendor]


@every_vendor
async def test_a_structured_answer_passes_both(endpoint, vendor):
    answer = ModelResponse(Message.of("assistant", '{"city":"Ulm"}'), "stop", Usage(1, 1), "m", "p")
    understood = speak(endpoint, answer)
    provider = make_provider(vendor, endpoint.url)
    request = ModelRequest(
        MODELS[vendor], (Message.of("user", "Where?"),), output_schema=SCHEMA, timeout_s=10
    )
    response = await provider.complete(request, idempotency_key="k")
    await provider.close()
    assert response.message.text == '{"city":"Ulm"}'
    assert understood[0].output_schema == SCHEMA
