"""Answers to similar questions: only where a policy says so, within a tenant, and never where tools are."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from mosaic.cache import Cache, CachePolicy, SemanticCache, purge_tag, read_question
from mosaic.core.errors import Unavailable
from tests.cache.conftest import HeldClock, said

pytestmark = pytest.mark.anyio

POLICY = CachePolicy(similarity=0.9)
WORDS = ("capital", "france", "paris", "weather", "spain", "what", "is", "the", "of", "tell", "me", "please")


class Embedding:
    """A vector with one dimension for each word it knows."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.error: Exception | None = None
        self.silent = False

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(tuple(texts))
        if self.error:
            raise self.error
        if self.silent:
            await asyncio.Event().wait()
        return [[float(text.lower().count(word)) for word in WORDS] for text in texts]


def asked(text: str, *, tenant: str = "t1", **changes):
    body = {
        "model": "gpt-6",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": text}],
        **changes,
    }
    return read_question("openai.chat", body, tenant=tenant, route="fast")


@pytest.fixture
def embedding() -> Embedding:
    return Embedding()


@pytest.fixture
def semantic(clock: HeldClock, embedding: Embedding) -> SemanticCache:
    return SemanticCache(Cache(clock=clock), embedding)


async def answer(semantic: SemanticCache, question, text: str = "Paris", **meta: str) -> None:
    semantic._cache.put(question.key, said(text, **meta), POLICY)
    await semantic.remember(question, POLICY)


async def test_a_question_in_other_words_gets_the_answer_and_is_told_how_similar_it_was(semantic):
    await answer(semantic, asked("What is the capital of France"))
    found = await semantic.find(asked("Please, what is the capital of France"), POLICY)
    assert (found.answer.body, found.source) == (b"Paris", "similar")
    assert found.similarity == pytest.approx(6 / math.sqrt(6 * 7))
    assert semantic._cache.counts.by_route()["fast"].similar == 1


async def test_a_question_less_similar_than_the_policy_asks_gets_nothing(semantic):
    await answer(semantic, asked("What is the capital of France"))
    assert await semantic.find(asked("What is the capital of Spain"), POLICY) is None
    assert await semantic.find(asked("What is the capital of Spain"), CachePolicy(similarity=0.8)) is not None


async def test_it_is_off_where_the_policy_names_no_similarity(semantic, embedding):
    question = asked("What is the capital of France")
    await semantic.remember(question, CachePolicy())
    assert await semantic.find(question, CachePolicy()) is None
    assert embedding.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "t2"}, {"model": "gpt-7"}, {"temperature": 1}, {"stream": True}, {"max_tokens": 3},
        {"messages": [{"role": "system", "content": "Be long."}, {"role": "user", "content": "What is the capital of France"}]},
        {"messages": [{"role": "user", "content": "What is the capital of France"}]},
    ],
)  # fmt: skip
async def test_everything_but_the_last_words_must_be_the_same(semantic, change):
    await answer(semantic, asked("What is the capital of France"))
    assert await semantic.find(asked("What is the capital of France", **change), POLICY) is None


USER = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("openai.chat", {"messages": [USER], "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("openai.chat", {"messages": [USER], "functions": [{"name": "f"}]}),
        ("openai.chat", {"messages": [USER], "tool_choice": "auto"}),
        ("openai.chat", {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": []}, USER]}),
        ("openai.chat", {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}, USER]}),
        ("openai.chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}),
        ("openai.chat", {"messages": [USER, {"role": "assistant", "content": "hi"}]}),
        ("anthropic.messages", {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}),
        ("anthropic.messages", {"messages": [USER], "tools": [{"name": "f"}]}),
        ("anthropic.messages", {"messages": [USER], "mcp_servers": [{"url": "u"}]}),
        ("openai.responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}),
        ("openai.responses", {"input": "hello", "tools": [{"type": "web_search"}]}),
        ("openai.responses", {"input": "hello", "previous_response_id": "resp_1"}),
        ("openai.embeddings", {"input": "hello"}),
        ("openai.chat", {"messages": []}), ("openai.chat", {"messages": "x"}), ("openai.chat", {"messages": [7]}),
        ("openai.chat", {"messages": [{"role": "user", "content": "  "}]}), ("openai.chat", {}),
        ("openai.chat", {"messages": [{"role": "user", "content": "x" * 10_000}]}),
    ],
)  # fmt: skip
def test_a_turn_with_tools_or_more_than_words_is_no_question(wire, body):
    assert read_question(wire, body, tenant="t1", route="r") is None


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("openai.chat", b'{"messages": [{"role": "user", "content": " hello "}], "tools": []}'),
        ("anthropic.messages", {"system": "s", "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]}),
        ("openai.responses", {"input": "hello"}),
        ("openai.responses", {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}]}),
    ],
)  # fmt: skip
def test_plain_words_are_a_question_on_every_wire(wire, body):
    question = read_question(wire, body, tenant="t1", route="r")
    assert question.text == "hello"
    assert question.key != question.space


async def test_a_purged_or_expired_answer_is_not_found_by_similarity_either(semantic, clock):
    first, again = asked("What is the capital of France"), asked("what is the capital of france please")
    await answer(semantic, first, model="m")
    await semantic._cache.purge(purge_tag("t1", "model:m"))
    assert await semantic.find(again, POLICY) is None
    await answer(semantic, first)
    clock.forward(POLICY.ttl_s + 1)
    assert await semantic.find(again, POLICY) is None


@pytest.mark.parametrize("how", ["fails", "hangs", "says nothing"])
async def test_an_embedder_that_fails_is_a_miss(clock, embedding, how):
    semantic = SemanticCache(Cache(clock=clock), embedding, timeout_s=0.01)
    question = asked("What is the capital of France" if how != "says nothing" else "xyzzy")
    embedding.error = Unavailable("down") if how == "fails" else None
    embedding.silent = how == "hangs"
    await answer(semantic, question)
    assert await semantic.find(question, POLICY) is None


@pytest.mark.requirement("ORC-64")
async def test_questions_asked_at_once_are_embedded_in_one_call(semantic, embedding):
    questions = [asked(f"what is the capital of france {number}") for number in range(10)]
    await asyncio.gather(*(semantic.find(question, POLICY) for question in questions))
    assert [len(batch) for batch in embedding.calls] == [10]
    await semantic.find(questions[0], POLICY)
    assert len(embedding.calls) == 1, "what was embedded for the search is not embedded again"


async def test_it_remembers_a_bounded_number_of_questions_and_spaces(clock, embedding):
    semantic = SemanticCache(Cache(clock=clock), embedding, max_questions=5, max_spaces=3)
    for space in range(10):
        for number in range(20):
            await answer(semantic, asked(f"what is {number}", seed=space))
    assert len(semantic._spaces) == 3
    assert {len(space) for space in semantic._spaces.values()} == {5}
    assert len(semantic._embedded) == 5
