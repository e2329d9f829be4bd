"""What is sent is what the vendor describes, and says what was meant."""

import base64
import json

import pytest

from mosaic.core.errors import Unsupported
from mosaic.providers import (
    BlobPart,
    Message,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    UriPart,
    tool_arguments,
)
from tests.plugins import contracts
from tests.plugins.vendors import KEY, MODEL_OF, VENDORS, Said, make_provider, reply, stream

pytestmark = pytest.mark.anyio

every_vendor = pytest.mark.parametrize("vendor", VENDORS)
IMAGE = base64.b64encode(b"an image").decode()
TOOLS = (
    ToolDefinition(
        "files.read",
        "Read.",
        {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    ),
    ToolDefinition("ask", "Ask.", {"properties": {}}),
)
CONVERSATION = (
    Message.of("system", "Be brief."),
    Message("user", (TextPart("Look: "), BlobPart("image", "image/png", IMAGE))),
    Message(
        "assistant",
        (
            ReasoningPart("mine", signature="sealed"),
            ReasoningPart("another vendor's"),
            TextPart("Reading."),
            ToolCallPart("c1", "files.read", {"path": "a"}),
            ToolCallPart("c2", "files.read", tool_arguments("{oops")),
        ),
    ),
    Message(
        "tool",
        (
            ToolCallResponsePart("c1", "files.read", {"text": "x"}),
            ToolCallResponsePart("c2", "files.read", "no such file", is_error=True),
        ),
    ),
    Message.of("user", "Go on."),
)
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}},
    "required": ["n"],
    "additionalProperties": False,
}


async def sent(endpoint, vendor, *, streamed=False, config=None, **fields):
    """Send a request and return its body."""
    endpoint.answer = lambda received: (
        stream if received.json.get("stream") or ":stream" in received.path else reply
    )(vendor, Said("{}"))
    provider = make_provider(vendor, endpoint.url, **(config or {}))
    given = {"model": MODEL_OF[vendor], "messages": CONVERSATION, "timeout_s": 10}
    request = ModelRequest(**{**given, **fields})
    if streamed:
        [item async for item in provider.stream(request, idempotency_key="key-1")]
    else:
        await provider.complete(request, idempotency_key="key-1")
    await provider.close()
    return endpoint.last.json


@pytest.mark.requirement("MAOS-46", "ORC-243")
@every_vendor
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": "none"},
        {"tools": TOOLS, "tool_choice": "files.read"},
        {"output_schema": SCHEMA},
        {"output_schema": SCHEMA, "tools": TOOLS},
        {"output_schema": {"type": "object"}},
        {"output_schema": {"type": "array", "items": {"type": "string"}}},
        {"max_output_tokens": 100, "temperature": 0.2, "stop": ("END",)},
    ],
    ids=lambda fields: ",".join(fields) or "plain",
)
async def test_every_body_fits_the_vendors_own_description(endpoint, vendor, streamed, fields):
    contracts.need(vendor)
    contracts.check(vendor, "request", await sent(endpoint, vendor, streamed=streamed, **fields))


@every_vendor
@pytest.mark.parametrize(
    "said", [Said("a\nb"), Said("x", calls=(("c", "files_read", '{"path": "a"}'),), thought="hm")]
)
async def test_the_scripted_answers_fit_the_vendors_own_description_too(vendor, said):
    contracts.need(vendor)
    contracts.check(vendor, "response", json.loads(reply(vendor, said).pieces[0]))
    for piece in stream(vendor, said).pieces:
        text = piece.decode().rpartition("data: ")[2].strip()
        if text != "[DONE]" and '"ping"' not in text:
            contracts.check(vendor, "event", json.loads(text))


@pytest.mark.requirement("ORC-199")
async def test_openai_gets_the_conversation(endpoint):
    body = await sent(endpoint, "openai", tools=TOOLS)
    system, user, assistant, first, second, last = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][1]["image_url"]["url"] == f"data:image/png;base64,{IMAGE}"
    assert assistant["content"] == "Reading."
    assert [call["function"]["name"] for call in assistant["tool_calls"]] == ["files_read", "files_read"]
    assert json.loads(assistant["tool_calls"][1]["function"]["arguments"])["$malformed"] == "{oops"
    assert first == {"role": "tool", "tool_call_id": "c1", "content": '{"text": "x"}'}
    assert second["content"] == "[error] no such file"
    assert last == {"role": "user", "content": "Go on."}
    assert endpoint.last.headers["authorization"] == f"Bearer {KEY}"
    assert endpoint.last.headers["idempotency-key"] == "key-1"
    assert endpoint.last.path == "/v1/chat/completions"


async def test_anthropic_gets_the_conversation_with_roles_in_turn(endpoint):
    body = await sent(endpoint, "anthropic", tools=TOOLS)
    assert body["system"] == "Be brief."
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assistant = body["messages"][1]["content"]
    assert assistant[0] == {"type": "thinking", "thinking": "mine", "signature": "sealed"}
    assert [block["type"] for block in assistant] == ["thinking", "text", "tool_use", "tool_use"]
    results = body["messages"][2]["content"]
    assert [block["type"] for block in results] == ["tool_result", "tool_result", "text"]
    assert results[1]["is_error"] is True
    assert endpoint.last.headers["x-api-key"] == KEY
    assert endpoint.last.headers["anthropic-version"] == "2023-06-01"
    assert endpoint.last.path == "/v1/messages"


async def test_anthropic_gets_tool_results_first_whatever_their_place(endpoint):
    mixed = Message("user", (TextPart("and now?"), ToolCallResponsePart("c1", "files.read", "x")))
    body = await sent(endpoint, "anthropic", messages=(*CONVERSATION[:3], mixed))
    assert [block["type"] for block in body["messages"][-1]["content"]] == ["tool_result", "text"]


async def test_ollama_gets_the_conversation(endpoint):
    body = await sent(endpoint, "ollama", tools=TOOLS)
    _, user, assistant, first, second, _ = body["messages"]
    assert user["images"] == [IMAGE]
    assert assistant["tool_calls"][0]["function"] == {"name": "files_read", "arguments": {"path": "a"}}
    assert first["tool_name"] == "files_read"
    assert second["content"] == "[error] no such file"
    assert endpoint.last.path == "/api/chat"


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_sampling_is_left_out_where_the_model_refuses_it(endpoint, vendor):
    assert "temperature" not in await sent(endpoint, vendor, temperature=0.1)
    older = {"anthropic": "claude-haiku-4-5", "openai": "gpt-4.1"}[vendor]
    assert (await sent(endpoint, vendor, temperature=0.1, model=older))["temperature"] == 0.1


async def test_a_forced_call_is_asked_for_only_where_the_model_takes_it(endpoint):
    newest = await sent(endpoint, "anthropic", tools=TOOLS, tool_choice="files.read")
    assert newest["tool_choice"] == {"type": "auto"}
    older = await sent(endpoint, "anthropic", tools=TOOLS, tool_choice="files.read", model="claude-haiku-4-5")
    assert older["tool_choice"] == {"type": "tool", "name": "files_read"}


async def test_openai_asks_for_structure_strictly_where_the_schema_allows_it(endpoint):
    strict = (await sent(endpoint, "openai", output_schema=SCHEMA))["response_format"]["json_schema"]
    assert strict == {"name": "output", "schema": SCHEMA, "strict": True}
    loose = {"type": "object", "properties": {"n": {}}}
    assert (await sent(endpoint, "openai", output_schema=loose))["response_format"]["json_schema"][
        "strict"
    ] is False


async def test_anthropic_asks_for_structure_in_its_native_form(endpoint):
    body = await sent(endpoint, "anthropic", output_schema=SCHEMA, tools=TOOLS)
    closed = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": closed}}


async def test_anthropic_takes_a_schema_it_cannot_express_as_a_forced_tool(endpoint):
    endpoint.will(reply("anthropic", Said(calls=(("c", "output", '{"a": 1}'),))))
    provider = make_provider("anthropic", endpoint.url)
    request = ModelRequest(
        "claude-haiku-4-5", (Message.of("user", "hi"),), output_schema={"type": "object"}, timeout_s=10
    )
    response = await provider.complete(request, idempotency_key="k")
    assert endpoint.last.json["tool_choice"] == {"type": "tool", "name": "output"}
    assert response.message.parts == (TextPart('{"a": 1}'),)
    assert response.finish_reason == "stop"
    await provider.close()


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_a_schema_without_a_native_form_is_asked_for_in_words(endpoint, vendor):
    body = await sent(endpoint, vendor, output_schema={"type": "array", "items": {"type": "string"}})
    assert "JSON Schema" in (body["system"] if vendor == "anthropic" else body["messages"][0]["content"])
    assert "response_format" not in body
    assert "output_config" not in body


async def test_ollama_asks_for_structure_by_its_format_unless_there_are_tools(endpoint):
    assert (await sent(endpoint, "ollama", output_schema=SCHEMA))["format"] == SCHEMA
    with_tools = await sent(endpoint, "ollama", output_schema=SCHEMA, tools=TOOLS)
    assert "format" not in with_tools
    assert "JSON Schema" in with_tools["messages"][0]["content"]


async def test_ollama_gets_a_context_that_holds_the_conversation(endpoint):
    small = await sent(endpoint, "ollama", messages=(Message.of("user", "hi"),))
    large = await sent(endpoint, "ollama", messages=(Message.of("user", "word " * 40_000),))
    assert small["options"]["num_ctx"] == 16_384
    assert large["options"]["num_ctx"] == 65_536


async def test_anthropic_caches_the_conversation_of_an_agent_with_tools(endpoint):
    assert "cache_control" not in await sent(endpoint, "anthropic")
    assert (await sent(endpoint, "anthropic", tools=TOOLS))["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in await sent(
        endpoint, "anthropic", tools=TOOLS, config={"prompt_cache": False}
    )


async def test_the_answers_limit_has_the_name_that_the_server_knows(endpoint):
    assert (await sent(endpoint, "openai", max_output_tokens=9))["max_tokens"] == 9
    assert (await sent(endpoint, "anthropic", max_output_tokens=9))["max_tokens"] == 9
    assert (await sent(endpoint, "anthropic"))["max_tokens"] == 128_000
    assert (await sent(endpoint, "ollama", max_output_tokens=9))["options"]["num_predict"] == 9


@pytest.mark.requirement("ORC-197", "ORC-200", "ORC-202", "ORC-206", "ORC-207")
@pytest.mark.parametrize(
    ("vendor", "part", "shown"),
    [
        ("openai", UriPart("image", None, "https://x.test/a.png"), {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}),
        ("openai", BlobPart("audio", "audio/wav", "aGk="), {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
        (
            "openai",
            BlobPart("document", "application/pdf", "aGk="),
            {"type": "file", "file": {"filename": "document", "file_data": "data:application/pdf;base64,aGk="}},
        ),
        ("anthropic", UriPart("image", None, "https://x.test/a.png"), {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}),
        (
            "anthropic",
            BlobPart("document", "application/pdf", "aGk="),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        (
            "anthropic",
            BlobPart("document", "text/markdown", "aGk="),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
        ),
    ],
)  # fmt: skip
async def test_media_take_the_vendors_form(endpoint, vendor, part, shown):
    body = await sent(endpoint, vendor, messages=(Message("user", (part,)),))
    assert body["messages"][0]["content"] == [shown]
    contracts.check(vendor, "request", body)


@pytest.mark.parametrize(
    ("vendor", "part"),
    [
        ("openai", BlobPart("video", "video/mp4", "aGk=")),
        ("openai", UriPart("document", None, "https://x.test/a.pdf")),
        ("anthropic", BlobPart("audio", "audio/wav", "aGk=")),
        ("ollama", BlobPart("audio", "audio/wav", "aGk=")),
        ("ollama", UriPart("image", None, "https://x.test/a.png")),
    ],
)
async def test_content_without_a_form_is_unsupported_and_not_sent(endpoint, vendor, part):
    with pytest.raises(Unsupported):
        await sent(endpoint, vendor, messages=(Message("user", (part,)),))
    assert not endpoint.requests
