"""The vendors' own clients, over HTTP, against an endpoint that speaks through the wires."""

import json
from dataclasses import replace

import anthropic
import openai
import pytest
from pydantic import BaseModel

from mosaic.core.errors import Unavailable
from mosaic.providers import (
    EmbeddingResponse,
    Message,
    ModelResponse,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
)
from tests.gateway.wires.speaking import speak

pytestmark = pytest.mark.anyio

CALL = ToolCallPart("call_1", "weather", {"city": "Ulm"})
TEXT = ModelResponse(
    Message("assistant", (ReasoningPart("Hm.", signature="c2VhbA=="), TextPart("It is 12 degrees."))),
    "stop",
    Usage(20, 9, 4, 0, 3),
    "m",
    "p",
)
TURN = ModelResponse(Message("assistant", (TextPart("I ask."), CALL)), "tool_call", Usage(20, 9), "m", "p")


@pytest.fixture
async def openai_client(endpoint):
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="mk-x", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_client(endpoint):
    async with anthropic.AsyncAnthropic(base_url=endpoint.url, api_key="mk-x", max_retries=0) as client:
        yield client


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
ASK = [{"role": "user", "content": "Weather in Ulm?"}]


async def test_a_chat_with_a_tool_goes_through_its_turns(endpoint, openai_client):
    understood = speak(endpoint, TURN, TEXT)
    create = openai_client.chat.completions.create
    first = await create(model="route", messages=ASK, tools=[CHAT_TOOL])
    message = first.choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Ulm"}
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "12"}
    second = await create(model="route", messages=[*ASK, message, result], tools=[CHAT_TOOL])
    assert second.choices[0].message.content == "It is 12 degrees."
    assert [part.type for part in understood[1].messages[1].parts] == ["text", "tool_call"]
    assert understood[1].messages[2].parts[0].name == "weather"


async def test_a_streamed_chat_is_read_by_its_helper(endpoint, openai_client):
    speak(endpoint, TURN)
    options = {"include_usage": True}
    async with openai_client.chat.completions.stream(
        model="route", messages=ASK, tools=[CHAT_TOOL], stream_options=options
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert {"content.delta", "content.done", "tool_calls.function.arguments.delta"} <= set(kinds)
    assert final.choices[0].message.tool_calls[0].function.name == "weather"
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage.total_tokens == 29


class City(BaseModel):
    name: str
    size: int


async def test_a_structured_answer_is_parsed(endpoint, openai_client):
    answer = ModelResponse(
        Message.of("assistant", '{"name":"Ulm","size":126}'), "stop", Usage(1, 1), "m", "p"
    )
    understood = speak(endpoint, answer, answer)
    parsed = await openai_client.chat.completions.parse(model="route", messages=ASK, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Ulm", size=126)
    parsed = await openai_client.responses.parse(model="route", input="Ulm?", text_format=City)
    assert parsed.output_parsed == City(name="Ulm", size=126)
    assert all(set(request.output_schema["properties"]) == {"name", "size"} for request in understood)


async def test_a_response_goes_through_its_turns(endpoint, openai_client):
    understood = speak(
        endpoint, replace(TURN, message=Message("assistant", (*TEXT.message.parts[:1], CALL))), TEXT
    )
    tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
    more = {"model": "route", "tools": [tool], "store": False, "include": ["reasoning.encrypted_content"]}
    first = await openai_client.responses.create(input=ASK, **more)
    result = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "12"}
    second = await openai_client.responses.create(input=[*ASK, *first.output, result], **more)
    assert second.output_text == "It is 12 degrees."
    assert understood[1].messages[1].parts == (ReasoningPart("Hm.", signature="c2VhbA=="), CALL)
    assert understood[1].messages[2].parts[0].name == "weather"


async def test_a_streamed_response_is_read_by_its_helper(endpoint, openai_client):
    speak(endpoint, replace(TURN, message=Message("assistant", (*TEXT.message.parts, CALL))))
    tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
    async with openai_client.responses.stream(model="route", input="Weather?", tools=[tool]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "It is 12 degrees."
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage.total_tokens == 29


async def test_a_message_goes_through_its_turns(endpoint, anthropic_client):
    thinks = replace(TURN, message=Message("assistant", (*TEXT.message.parts[:1], CALL)))
    understood = speak(endpoint, thinks, TEXT)
    more = {
        "model": "route",
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "weather", "input_schema": WEATHER}],
    }
    first = await anthropic_client.messages.create(messages=ASK, **more)
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "12"}
    turns = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = await anthropic_client.messages.create(messages=turns, **more)
    assert second.content[1].text == "It is 12 degrees."
    assert understood[1].messages[1].parts == (ReasoningPart("Hm.", signature="c2VhbA=="), CALL)
    assert understood[1].messages[2].parts[0].name == "weather"


async def test_a_streamed_message_is_read_by_its_helper(endpoint, anthropic_client):
    speak(endpoint, replace(TURN, message=Message("assistant", (*TEXT.message.parts, CALL))))
    async with anthropic_client.messages.stream(
        model="route",
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        messages=ASK,
        tools=[{"name": "weather", "input_schema": WEATHER}],
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_message()
    assert {"text", "thinking", "signature", "input_json", "content_block_stop", "message_stop"} <= kinds
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]
    assert (final.content[0].signature, final.content[2].input) == ("c2VhbA==", {"city": "Ulm"})
    assert final.stop_reason == "tool_use"
    assert final.usage.output_tokens == 9


async def test_a_stream_that_fails_raises_in_every_client(endpoint, openai_client, anthropic_client):
    gone = Unavailable("The model is gone.")
    speak(endpoint, gone, gone, gone)
    with pytest.raises(openai.APIError, match="gone"):
        async for _ in await openai_client.chat.completions.create(model="m", messages=ASK, stream=True):
            pass
    failed = [
        event async for event in await openai_client.responses.create(model="m", input="x", stream=True)
    ][-1]
    assert (failed.type, failed.response.error.message) == ("response.failed", "The model is gone.")
    with pytest.raises(anthropic.APIStatusError, match="gone"):
        async with anthropic_client.messages.stream(model="m", max_tokens=9, messages=ASK) as stream:
            await stream.get_final_message()


@pytest.mark.parametrize("form", ["base64", "float"])
async def test_embeddings_are_read_in_both_forms(endpoint, openai_client, form):
    vectors = ((0.5, -2.0, 0.25), (1.0, 0.0, 3.5))
    understood = speak(endpoint, EmbeddingResponse(vectors, "m", "p", Usage(7)))
    found = await openai_client.embeddings.create(
        model="route", input=["a", "b"], dimensions=3, encoding_format=form
    )
    wanted = [list(vector) for vector in vectors]
    if form == "base64":
        assert [type(item.embedding) for item in found.data] == [str, str]
        plain = await _default_embeddings(endpoint, openai_client, vectors)
        assert [item.embedding for item in plain.data] == wanted
    else:
        assert [item.embedding for item in found.data] == wanted
    assert (found.model, found.usage.prompt_tokens) == ("route", 7)
    assert (understood[0].inputs, understood[0].dimensions) == (("a", "b"), 3)


async def _default_embeddings(endpoint, client, vectors):
    """Without being told otherwise the client asks for base64 and unpacks it itself."""
    speak(endpoint, EmbeddingResponse(vectors, "m", "p", Usage(7)))
    return await client.embeddings.create(model="route", input="a")


async def test_tokens_are_counted(endpoint, anthropic_client):
    understood = speak(endpoint, 42)
    counted = await anthropic_client.messages.count_tokens(model="route", system="Be brief.", messages=ASK)
    assert counted.input_tokens == 42
    assert [message.role for message in understood[0].messages] == ["system", "user"]
