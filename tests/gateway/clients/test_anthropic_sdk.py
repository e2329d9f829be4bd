"""Anthropic's own client, unmodified: at Anthropic, at the gateway over Anthropic, at the gateway over OpenAI."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import anthropic
import pytest
from anthropic import AsyncAnthropic

from tests.gateway.clients.conftest import Place
from tests.gateway.clients.upstreams import tool_results
from tests.plugins.vendors import Said

pytestmark = pytest.mark.anyio

POEM = "Roses are red,\nviolets are blue,\nso are you."
CALLS = Said(
    "Let me look.",
    calls=(
        ("toolu_1", "weather", '{"city": "Paris", "days": 3}'),
        ("toolu_2", "weather", '{"city": "Oslo", "days": 1}'),
    ),
)
TOOL = {
    "name": "weather",
    "description": "The weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
USER = {"role": "user", "content": "A poem, please."}


@pytest.fixture
async def client(anthropic_place: Place) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        base_url=anthropic_place.url, api_key=anthropic_place.key, max_retries=0
    ) as client:
        yield client


def tokens_read(usage) -> int:
    """All tokens of the prompt: this vendor counts those from and to its cache apart."""
    return (
        usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    )


async def test_a_message(anthropic_place: Place, client: AsyncAnthropic) -> None:
    anthropic_place.upstream.says(POEM)
    answer = await client.messages.create(
        model=anthropic_place.model, max_tokens=100, system="Rhyme.", messages=[USER]
    )
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert [(block.type, block.text) for block in answer.content] == [("text", POEM)]
    assert (tokens_read(answer.usage), answer.usage.output_tokens) == (11, 7)
    assert b"Rhyme." in anthropic_place.upstream.asked[0].body


async def test_a_streamed_message(anthropic_place: Place, client: AsyncAnthropic) -> None:
    anthropic_place.upstream.says(POEM)
    async with client.messages.stream(model=anthropic_place.model, max_tokens=100, messages=[USER]) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(pieces) == POEM
    assert len(pieces) >= 3
    assert final.content[0].text == POEM
    assert final.stop_reason == "end_turn"
    assert (tokens_read(final.usage), final.usage.output_tokens) == (11, 7)


async def test_the_events_of_a_stream_stand_in_their_order(
    anthropic_place: Place, client: AsyncAnthropic
) -> None:
    anthropic_place.upstream.says(CALLS)
    stream = await client.messages.create(
        model=anthropic_place.model, max_tokens=100, messages=[USER], tools=[TOOL], stream=True
    )
    events = [event async for event in stream]
    kinds = [event.type for event in events if event.type != "ping"]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    started = [event.index for event in events if event.type == "content_block_start"]
    stopped = [event.index for event in events if event.type == "content_block_stop"]
    assert started == stopped == [0, 1, 2]
    open_block = None
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None, "one block ends before the next begins"
            open_block = event.index
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_are_called_and_their_results_go_back(
    anthropic_place: Place, client: AsyncAnthropic, streamed: bool
) -> None:
    anthropic_place.upstream.says(CALLS, "Sunny.")
    messages: list = [{"role": "user", "content": "The weather in Paris and Oslo?"}]
    asked = {"model": anthropic_place.model, "max_tokens": 100, "tools": [TOOL]}
    if streamed:
        async with client.messages.stream(messages=messages, **asked) as stream:
            first = await stream.get_final_message()
    else:
        first = await client.messages.create(messages=messages, **asked)
    assert first.stop_reason == "tool_use"
    assert first.content[0].text == "Let me look."
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.id, call.name, call.input) for call in calls] == [
        ("toolu_1", "weather", {"city": "Paris", "days": 3}), ("toolu_2", "weather", {"city": "Oslo", "days": 1}),
    ]  # fmt: skip
    messages.append(
        {
            "role": "assistant",
            "content": [
                block.model_dump(exclude_none=True, include={"type", "text", "id", "name", "input"})
                for block in first.content
            ],
        }
    )
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"{call.id}: 20"} for call in calls]
    messages.append({"role": "user", "content": [*results, {"type": "text", "text": "Well?"}]})
    second = await client.messages.create(messages=messages, **asked)
    assert second.content[0].text == "Sunny."
    assert tool_results(anthropic_place.upstream.asked[1]) == ["toolu_1: 20", "toolu_2: 20"]
    assert b"Well?" in anthropic_place.upstream.asked[1].body


async def test_an_image_reaches_the_model(anthropic_place: Place, client: AsyncAnthropic) -> None:
    anthropic_place.upstream.says("A pixel.")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    answer = await client.messages.create(
        model=anthropic_place.model,
        max_tokens=100,
        messages=[{"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}],
    )
    assert answer.content[0].text == "A pixel."
    assert PIXEL.encode() in anthropic_place.upstream.asked[0].body


async def test_an_answer_cut_at_its_limit_says_so(anthropic_place: Place, client: AsyncAnthropic) -> None:
    cut = {"openai": "length", "anthropic": "max_tokens"}[anthropic_place.vendor]
    anthropic_place.upstream.says(Said("Roses are", finish=cut))
    answer = await client.messages.create(model=anthropic_place.model, max_tokens=2, messages=[USER])
    assert answer.stop_reason == "max_tokens"
    sent = anthropic_place.upstream.asked[0].json
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 2


async def test_tokens_are_counted_before_anything_is_spent(
    anthropic_place: Place, client: AsyncAnthropic
) -> None:
    anthropic_place.upstream.says(POEM)
    if anthropic_place.vendor == "openai":
        # That vendor has no such operation: an estimate or a clear refusal, and no call of a model.
        counting = client.messages.count_tokens(model=anthropic_place.model, messages=[USER])
        (outcome,) = await asyncio.gather(counting, return_exceptions=True)
        if isinstance(outcome, anthropic.APIStatusError):
            assert outcome.status_code in (400, 404, 501)
        else:
            assert outcome.input_tokens > 0
        assert anthropic_place.upstream.asked == []
        return
    counted = await client.messages.count_tokens(model=anthropic_place.model, messages=[USER])
    assert counted.input_tokens == 11
    assert json.loads(anthropic_place.upstream.asked[0].body)["model"] == anthropic_place.upstream.model


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wrong_key_is_an_authentication_error(anthropic_place: Place, streamed: bool) -> None:
    async with AsyncAnthropic(base_url=anthropic_place.url, api_key="mk-wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(
                model=anthropic_place.model, max_tokens=10, messages=[USER], stream=streamed
            )


async def test_a_request_without_what_the_vendor_demands_is_refused_in_its_form(upstreams, gateway) -> None:
    async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        with pytest.raises(anthropic.BadRequestError) as told:
            await client.messages.create(
                model=gateway.route("openai", "gpt-6.1-sol"),
                max_tokens=10,
                messages=[{"role": "nobody", "content": "x"}],
            )
    assert told.value.body["error"]["type"] == "invalid_request_error"
    assert "role" in told.value.body["error"]["message"]
