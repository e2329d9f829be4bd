"""OpenAI's own client, unmodified: at OpenAI, at the gateway over OpenAI, at the gateway over Anthropic."""

import base64
import json
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.gateway.clients.conftest import Place
from tests.gateway.clients.upstreams import EMBEDDED, Upstream, tool_results
from tests.plugins.vendors import Said

pytestmark = pytest.mark.anyio

POEM = "Roses are red,\nviolets are blue,\nso are you."
CALLS = Said(
    calls=(
        ("call_1", "weather", '{"city": "Paris", "days": 3}'),
        ("call_2", "weather", '{"city": "Oslo", "days": 1}'),
    )
)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CHAT_TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": PARAMETERS},
}
RESPONSES_TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather.",
    "parameters": PARAMETERS,
    "strict": True,
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


@pytest.fixture
async def client(openai_place: Place) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{openai_place.url}/v1", api_key=openai_place.key, max_retries=0
    ) as client:
        yield client


async def test_a_chat_completion(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(POEM)
    answer = await client.chat.completions.create(
        model=openai_place.model,
        messages=[{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "A poem, please."}],
        max_completion_tokens=100,
    )
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", POEM, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        11,
        7,
        18,
    )
    assert answer.object == "chat.completion"
    assert b"Rhyme." in openai_place.upstream.asked[0].body
    assert b"A poem, please." in openai_place.upstream.asked[0].body


async def test_a_streamed_chat_completion(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(POEM)
    stream = await client.chat.completions.create(
        model=openai_place.model, messages=[{"role": "user", "content": "A poem, please."}], stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == POEM
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks), "nobody asked for it"
    assert all(chunk.choices for chunk in chunks), "a chunk without a choice comes only with usage"
    assert sum(bool(c.delta.content) for chunk in chunks for c in chunk.choices) >= 3, (
        "it comes piece by piece"
    )


async def test_a_streamed_chat_completion_with_usage(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(POEM)
    stream = await client.chat.completions.create(
        model=openai_place.model,
        messages=[{"role": "user", "content": "A poem, please."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (11, 7)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_tools_are_called_and_their_results_go_back(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(CALLS, "Sunny.")
    messages: list = [{"role": "user", "content": "The weather in Paris and Oslo?"}]
    first = await client.chat.completions.create(
        model=openai_place.model, messages=messages, tools=[CHAT_TOOL]
    )
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("call_1", "weather", {"city": "Paris", "days": 3}), ("call_2", "weather", {"city": "Oslo", "days": 1}),
    ]  # fmt: skip
    messages.append(choice.message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"{call.id}: 20 degrees"} for call in calls
    ]
    second = await client.chat.completions.create(
        model=openai_place.model, messages=messages, tools=[CHAT_TOOL]
    )
    assert second.choices[0].message.content == "Sunny."
    assert tool_results(openai_place.upstream.asked[1]) == ["call_1: 20 degrees", "call_2: 20 degrees"]
    assert b"The weather." in openai_place.upstream.asked[0].body, "the model learns what the tool is for"


async def test_streamed_tool_calls_are_put_together_by_the_clients_own_helper(
    openai_place: Place, client: AsyncOpenAI
) -> None:
    openai_place.upstream.says(CALLS)
    async with client.chat.completions.stream(
        model=openai_place.model,
        messages=[{"role": "user", "content": "The weather in Paris and Oslo?"}],
        tools=[CHAT_TOOL],
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, json.loads(call.function.arguments)["city"]) for call in calls] == [
        ("call_1", "weather", "Paris"), ("call_2", "weather", "Oslo"),
    ]  # fmt: skip
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert final.choices[0].finish_reason == "tool_calls"


class Forecast(BaseModel):
    city: str
    degrees: int


async def test_structured_output(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says('{"city": "Paris", "degrees": 20}')
    answer = await client.chat.completions.parse(
        model=openai_place.model, messages=[{"role": "user", "content": "Paris?"}], response_format=Forecast
    )
    assert answer.choices[0].message.parsed == Forecast(city="Paris", degrees=20)


async def test_an_image_reaches_the_model(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says("A pixel.")
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    answer = await client.chat.completions.create(
        model=openai_place.model,
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}],
    )
    assert answer.choices[0].message.content == "A pixel."
    assert PIXEL.encode() in openai_place.upstream.asked[0].body
    assert b"image/png" in openai_place.upstream.asked[0].body


async def test_a_response(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(POEM)
    answer = await client.responses.create(
        model=openai_place.model, instructions="Rhyme.", input="A poem, please.", store=False
    )
    assert (answer.output_text, answer.status, answer.object) == (POEM, "completed", "response")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7)
    assert b"Rhyme." in openai_place.upstream.asked[0].body


async def test_a_streamed_response(openai_place: Place, client: AsyncOpenAI) -> None:
    openai_place.upstream.says(POEM)
    async with client.responses.stream(
        model=openai_place.model, input="A poem, please.", store=False
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == POEM
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") >= 3
    for kind in (
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ):
        assert kinds.count(f"response.{kind}") == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_calls_tools_and_their_results_go_back(
    openai_place: Place, client: AsyncOpenAI, streamed: bool
) -> None:
    openai_place.upstream.says(CALLS, "Sunny.")
    turns: list = [{"role": "user", "content": "The weather in Paris and Oslo?"}]
    asked = {"model": openai_place.model, "tools": [RESPONSES_TOOL], "store": False}
    if streamed:
        async with client.responses.stream(input=turns, **asked) as stream:
            async for _ in stream:
                pass
            first = await stream.get_final_response()
    else:
        first = await client.responses.create(input=turns, **asked)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_1", "weather", {"city": "Paris", "days": 3}), ("call_2", "weather", {"city": "Oslo", "days": 1}),
    ]  # fmt: skip
    turns += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    turns += [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.call_id}: 20"}
        for call in calls
    ]
    second = await client.responses.create(input=turns, **asked)
    assert second.output_text == "Sunny."
    assert tool_results(openai_place.upstream.asked[1]) == ["call_1: 20", "call_2: 20"]


async def test_embeddings(openai_place: Place, client: AsyncOpenAI) -> None:
    if openai_place.vendor == "anthropic":
        with pytest.raises(openai.APIStatusError) as told:
            await client.embeddings.create(model=openai_place.model, input="hello")
        assert told.value.status_code in (400, 404, 501)
        assert "embed" in told.value.message
        assert openai_place.upstream.asked == []
        return
    model = "text-embedding-3-small"
    answer = await client.embeddings.create(
        model=openai_place.model.replace(openai_place.upstream.model, model), input=["hello", "world"]
    )
    assert [one.embedding for one in answer.data] == [EMBEDDED, EMBEDDED]
    assert answer.usage.prompt_tokens == 11
    assert openai_place.upstream.asked[0].json["model"] == model
    numbers = await client.embeddings.create(
        model=openai_place.model.replace(openai_place.upstream.model, model),
        input="hello",
        encoding_format="float",
    )
    assert numbers.data[0].embedding == EMBEDDED


async def test_the_models_it_may_ask_for_are_listed(openai_place: Place, client: AsyncOpenAI) -> None:
    models = [model.id async for model in client.models.list()]
    assert models
    if openai_place.straight:
        assert models == [openai_place.upstream.model]
    else:
        assert any(model.startswith(f"{openai_place.vendor}:") for model in models)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wrong_key_is_an_authentication_error(openai_place: Place, streamed: bool) -> None:
    async with AsyncOpenAI(base_url=f"{openai_place.url}/v1", api_key="mk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(
                model=openai_place.model, messages=[{"role": "user", "content": "hello"}], stream=streamed
            )
    assert openai_place.upstream.asked == []


async def test_a_model_that_nobody_has_is_not_found(upstreams: dict[str, Upstream], gateway) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as told:
            await client.chat.completions.create(
                model="nobody-has-it", messages=[{"role": "user", "content": "hello"}]
            )
    assert "nobody-has-it" in told.value.message
