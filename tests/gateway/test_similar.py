"""Similar questions share an answer, where route, tenant and installation want it; tool turns never do."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mosaic.providers.testing.endpoint import Received, Reply, json_reply
from tests.app.site import WAIT_S
from tests.gateway.conftest import GatewaySite, chat_reply, open_gateway

pytestmark = pytest.mark.anyio

_EMBEDDER = "openai:text-embedding-3-small"
# What the scripted vendor thinks of texts: the first two are alike.
_VECTORS = {
    "How do I reset my password?": [1.0, 0.0, 0.1],
    "How can I reset the password?": [1.0, 0.05, 0.1],
    "What is the capital of Austria?": [0.0, 1.0, 0.0],
}
_RESET, _RESET_TOO, _CAPITAL = _VECTORS


def _answered(request: Received) -> Reply:
    if not request.path.endswith("/embeddings"):
        return chat_reply(f"answer {request.json['messages'][-1]['content']}")
    texts = request.json["input"]
    texts = [texts] if isinstance(texts, str) else texts
    data = [
        {"object": "embedding", "index": number, "embedding": _VECTORS[text]}
        for number, text in enumerate(texts)
    ]
    used = {"prompt_tokens": 7 * len(texts), "total_tokens": 7 * len(texts)}
    return json_reply({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": used})


@pytest.fixture
async def similar(database_url: str, tmp_path: Path) -> AsyncIterator[GatewaySite]:
    cache = {"semantic": {"embedder": _EMBEDDER, "similarity": 0.95}}
    async with (
        asyncio.timeout(2 * WAIT_S),
        open_gateway(tmp_path / "home", database_url, cache=cache) as site,
    ):
        site.openai.answer = _answered
        site.route("kept", "openai.chat", cache={"ttl": "5m", "semantic": True})
        site.route("exact", "openai.chat", cache="5m")
        yield site


async def _ask(site: GatewaySite, text: str, *, route: str = "kept", **more: Any) -> tuple[str, str]:
    """Return what the cache said of it, and the answer."""
    answer = await site.chat(route, messages=[{"role": "user", "content": text}], **more)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-mosaic-cache"], answer.json()["choices"][0]["message"]["content"]


@pytest.mark.requirement("ORC-24")
async def test_a_similar_question_gets_the_answer_and_another_does_not(similar: GatewaySite) -> None:
    assert await _ask(similar, _RESET) == ("miss", f"answer {_RESET}")
    assert await _ask(similar, _RESET_TOO) == ("similar", f"answer {_RESET}")
    assert await _ask(similar, _CAPITAL) == ("miss", f"answer {_CAPITAL}")
    assert await _ask(similar, _RESET) == ("hit", f"answer {_RESET}")


async def test_vectors_are_in_the_ledger_and_the_answer_they_found_costs_nothing(
    similar: GatewaySite,
) -> None:
    await _ask(similar, _RESET)
    await _ask(similar, _RESET_TOO)
    calls = await similar.ledger()
    embedded = [call for call in calls if call["operation"] == "cache.embed"]
    assert [call["input_tokens"] for call in embedded] == [7, 7]
    assert all(call["usd"] == pytest.approx(7 / 1_000_000) for call in embedded)
    answered = [call for call in calls if call["operation"] == "openai.chat"]
    assert [(call["cached"], call["usd"] > 0) for call in answered] == [(False, True), (True, False)]


async def test_only_routes_that_say_so_compare_questions(similar: GatewaySite) -> None:
    await _ask(similar, _RESET, route="exact")
    assert (await _ask(similar, _RESET_TOO, route="exact"))[0] == "miss"
    assert not [request for request in similar.openai.requests if request.path.endswith("/embeddings")]


@pytest.mark.requirement("ORC-24")
async def test_a_request_with_tools_is_never_compared(similar: GatewaySite) -> None:
    tool = {"type": "function", "function": {"name": "reset", "parameters": {"type": "object"}}}
    await _ask(similar, _RESET, tools=[tool])
    assert (await _ask(similar, _RESET_TOO, tools=[tool]))[0] == "miss"


async def test_another_system_prompt_is_another_question(similar: GatewaySite) -> None:
    await _ask(similar, _RESET)
    turns = [{"role": "system", "content": "Answer in German."}, {"role": "user", "content": _RESET_TOO}]
    assert (await similar.chat("kept", messages=turns)).headers["x-mosaic-cache"] == "miss"


async def test_without_a_vector_the_model_is_asked(similar: GatewaySite) -> None:
    await _ask(similar, _RESET)

    def broken(request: Received) -> Reply:
        return json_reply({}, status=500) if request.path.endswith("/embeddings") else _answered(request)

    similar.openai.answer = broken
    assert (await _ask(similar, _RESET_TOO))[0] == "miss"


async def test_it_is_off_until_a_model_for_vectors_is_named(database_url: str, tmp_path: Path) -> None:
    async with asyncio.timeout(2 * WAIT_S), open_gateway(tmp_path / "home", database_url) as site:
        site.openai.answer = _answered
        site.route("kept", "openai.chat", cache={"ttl": "5m", "semantic": True})
        await _ask(site, _RESET)
        assert (await _ask(site, _RESET_TOO))[0] == "miss"


async def test_a_tenant_that_did_not_ask_for_it_has_its_questions_compared_with_nothing(
    database_url: str, tmp_path: Path
) -> None:
    cache = {"semantic": {"embedder": _EMBEDDER, "tenants": ["acme"]}}
    async with (
        asyncio.timeout(2 * WAIT_S),
        open_gateway(tmp_path / "home", database_url, cache=cache) as site,
    ):
        site.openai.answer = _answered
        site.route("kept", "openai.chat", cache={"ttl": "5m", "semantic": True})
        await _ask(site, _RESET)
        assert (await _ask(site, _RESET_TOO))[0] == "miss"


async def test_a_purge_takes_the_answer_from_similar_questions_too(similar: GatewaySite) -> None:
    await _ask(similar, _RESET)
    purged = await similar.application.cache_operations.purge_cache(similar.ctx, route="kept")
    assert purged == {"forgotten": 1}
    assert (await _ask(similar, _RESET_TOO))[0] == "miss"
    shown = await similar.application.cache_operations.cache(similar.ctx)
    assert [(route["route"], route["lookups"], route["similar"]) for route in shown["routes"]] == [
        ("kept", 2, 0)
    ]


@pytest.mark.requirement("ORC-23")
async def test_a_providers_limit_holds_on_every_route(database_url: str, tmp_path: Path) -> None:
    cache = {"providers": {"open*": {"ttl_s": 0}}}
    async with (
        asyncio.timeout(2 * WAIT_S),
        open_gateway(tmp_path / "home", database_url, cache=cache) as site,
    ):
        site.route("kept", "openai.chat", cache="5m")
        site.route("other", "anthropic:claude-sonnet-4-5", cache="5m")
        for route, told in (("kept", [None, None]), ("other", ["miss", "hit"])):
            answers = [await site.chat(route) for _ in range(2)]
            assert [answer.headers.get("x-mosaic-cache") for answer in answers] == told


@pytest.mark.requirement("ORC-22")
async def test_what_was_popular_at_this_hour_is_in_memory_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    cache = {"objects_url": str(tmp_path / "objects")}
    for told in ("miss", "hit"):
        async with (
            asyncio.timeout(2 * WAIT_S),
            open_gateway(tmp_path / "home", database_url, cache=cache) as site,
        ):
            site.route("kept", "openai.chat", cache="5h")
            application = site.application
            if told == "hit":
                warmed = await application.cache_operations.warm_cache(site.ctx)
                assert warmed == {"warm": 1, "missing": 0}
                held = {
                    tier["name"]: tier["entries"]
                    for tier in (await application.cache_operations.cache(site.ctx))["tiers"]
                }
                assert held["memory"] == 1
            assert (await site.chat("kept")).headers["x-mosaic-cache"] == told
            assert (await site.chat("kept")).headers["x-mosaic-cache"] == "hit"
