"""Frameworks that people use, unmodified: pydantic-ai, langchain and llm, over both vendors."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llm.default_plugins.openai_models import Chat
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.gateway.clients.conftest import Place
from tests.gateway.clients.upstreams import EMBEDDED, tool_results
from tests.plugins.vendors import Said

pytestmark = pytest.mark.anyio

POEM = "Roses are red,\nviolets are blue,\nso are you."
CALL = Said(calls=(("call_1", "weather", '{"city": "Paris"}'),))


def weather(city: str) -> str:
    """The weather in a city."""
    return f"20 degrees in {city}"


# pydantic-ai


async def spoken(model: Model, place: Place) -> None:
    """An agent that uses a tool, whole and streamed."""
    agent = Agent(model, instructions="Be short.", tools=[weather])
    place.upstream.says(CALL, "Sunny.")
    result = await agent.run("The weather in Paris?")
    assert result.output == "Sunny."
    assert tool_results(place.upstream.asked[1]) == ["20 degrees in Paris"]
    assert (result.usage.input_tokens, result.usage.output_tokens) == (22, 14)
    place.upstream.says(CALL, POEM)
    async with agent.run_stream("The weather in Paris?") as streamed:
        pieces = [text async for text in streamed.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == POEM
    assert len(pieces) >= 3


async def test_pydantic_ai_on_chat_completions(openai_place: Place) -> None:
    provider = OpenAIProvider(base_url=f"{openai_place.url}/v1", api_key=openai_place.key)
    async with provider:
        await spoken(OpenAIChatModel(openai_place.model, provider=provider), openai_place)


async def test_pydantic_ai_on_responses(openai_place: Place) -> None:
    provider = OpenAIProvider(base_url=f"{openai_place.url}/v1", api_key=openai_place.key)
    async with provider:
        await spoken(OpenAIResponsesModel(openai_place.model, provider=provider), openai_place)


async def test_pydantic_ai_on_messages(anthropic_place: Place) -> None:
    provider = AnthropicProvider(base_url=anthropic_place.url, api_key=anthropic_place.key)
    async with provider:
        await spoken(AnthropicModel(anthropic_place.model, provider=provider), anthropic_place)


class Forecast(BaseModel):
    city: str
    degrees: int


async def test_pydantic_ai_gets_a_structured_answer_by_a_tool(openai_place: Place) -> None:
    provider = OpenAIProvider(base_url=f"{openai_place.url}/v1", api_key=openai_place.key)
    openai_place.upstream.says(Said(calls=(("call_1", "final_result", '{"city": "Paris", "degrees": 20}'),)))
    async with provider:
        agent = Agent(OpenAIChatModel(openai_place.model, provider=provider), output_type=Forecast)
        assert (await agent.run("Paris?")).output == Forecast(city="Paris", degrees=20)


# langchain


@pytest.fixture
async def http(anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Its connections, which it would leave open."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield http


@pytest.mark.parametrize("responses", [False, True])
async def test_langchain_speaks_streams_and_calls_tools(
    openai_place: Place, http: httpx2.AsyncClient, responses: bool
) -> None:
    model = ChatOpenAI(
        model=openai_place.model,
        base_url=f"{openai_place.url}/v1",
        api_key=openai_place.key,
        max_retries=0,
        use_responses_api=responses,
        http_async_client=http,
    )
    openai_place.upstream.says(POEM)
    answer = await model.ainvoke("A poem, please.")
    assert answer.text == POEM
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (11, 7)
    pieces = [chunk.text async for chunk in model.astream("A poem, please.")]
    assert "".join(pieces) == POEM
    assert sum(bool(piece) for piece in pieces) >= 3
    openai_place.upstream.says(CALL, "Sunny.")
    able = model.bind_tools([weather])
    turns = [HumanMessage("The weather in Paris?")]
    called = await able.ainvoke(turns)
    assert isinstance(called, AIMessage)
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    turns += [called, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])]
    assert (await able.ainvoke(turns)).text == "Sunny."
    assert tool_results(openai_place.upstream.asked[1]) == ["20 degrees in Paris"]


async def test_langchain_embeds(openai_place: Place, http: httpx2.AsyncClient) -> None:
    if openai_place.vendor == "anthropic":
        pytest.skip("Anthropic has no embeddings")
    embeddings = OpenAIEmbeddings(
        model=openai_place.model.replace(openai_place.upstream.model, "text-embedding-3-small"),
        base_url=f"{openai_place.url}/v1",
        api_key=openai_place.key,
        check_embedding_ctx_length=False,  # it would fetch a tokenizer
        max_retries=0,
        http_async_client=http,
    )
    assert await embeddings.aembed_documents(["hello", "world"]) == [EMBEDDED, EMBEDDED]


# llm


async def test_llm_speaks_and_streams(openai_place: Place) -> None:
    model = Chat(
        "gateway",
        model_name=openai_place.model,
        api_base=f"{openai_place.url}/v1",
        can_stream=True,
        supports_tools=True,
    )
    openai_place.upstream.says(POEM)

    def ask(*, stream: bool) -> tuple[str, int]:
        response = model.prompt("A poem, please.", system="Rhyme.", stream=stream, key=openai_place.key)
        return response.text(), response.usage().output

    # A client that blocks: in a thread, while the gateway answers in the loop.
    assert await asyncio.to_thread(ask, stream=False) == (POEM, 7)
    text, _ = await asyncio.to_thread(ask, stream=True)
    assert text == POEM
    assert b"Rhyme." in openai_place.upstream.asked[0].body


async def test_llm_runs_tools_in_a_chain(openai_place: Place) -> None:
    model = Chat(
        "gateway", model_name=openai_place.model, api_base=f"{openai_place.url}/v1", supports_tools=True
    )
    openai_place.upstream.says(CALL, "Sunny.")

    def ask() -> str:
        return model.chain(
            "The weather in Paris?", tools=[weather], stream=False, key=openai_place.key
        ).text()

    assert (await asyncio.to_thread(ask)).strip().endswith("Sunny.")
    assert tool_results(openai_place.upstream.asked[1]) == ["20 degrees in Paris"]
    assert json.loads(openai_place.upstream.asked[0].body)["tools"]
