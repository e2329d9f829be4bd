"""What a client notices when providers are in trouble."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from mosaic.cost import NewBudget
from mosaic.providers.testing.endpoint import Reply, json_reply
from tests.app.site import WAIT_S
from tests.gateway.conftest import GatewaySite, chat_reply, chat_stream, message_reply, open_gateway

pytestmark = pytest.mark.anyio

CLAUDE = "anthropic:claude-sonnet-4-5"
AWAY = json_reply({"error": {"message": "overloaded"}}, status=503)
NOISE = bytes(range(256)) * 4


async def test_a_target_that_rests_is_asked_when_there_is_nowhere_else_to_go(gateway: GatewaySite) -> None:
    gateway.openai.will(AWAY)
    for _ in range(8):
        assert (await gateway.chat("fast")).status_code == 503
    assert gateway.application.model.guards.is_open("openai:gpt-4o")
    gateway.openai.will(chat_reply())
    assert (await gateway.chat("fast")).status_code == 200
    assert not gateway.application.model.guards.is_open("openai:gpt-4o")


async def test_targets_that_rest_come_after_all_others(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", fallback=[CLAUDE])
    gateway.openai.will(AWAY)
    for _ in range(8):
        assert (await gateway.chat("safe")).status_code == 200
    assert gateway.application.model.guards.is_open("openai:gpt-4o")
    gateway.openai.will(chat_reply())
    before = len(gateway.openai.requests)
    assert (await gateway.chat("safe")).headers["x-mosaic-model"] == CLAUDE
    assert len(gateway.openai.requests) == before
    gateway.anthropic.will(AWAY)
    assert (await gateway.chat("safe")).headers["x-mosaic-model"] == "openai:gpt-4o"


async def test_a_target_that_asked_for_rest_gets_it(gateway: GatewaySite) -> None:
    gateway.openai.will(
        json_reply({"error": {"message": "slow down"}}, status=503, headers={"retry-after": "60"})
    )
    await gateway.chat("fast")
    before = len(gateway.openai.requests)
    refused = await gateway.chat("fast")
    assert refused.status_code == 503
    assert len(gateway.openai.requests) == before


async def test_asking_those_who_rest_has_a_budget(gateway: GatewaySite) -> None:
    gateway.openai.will(AWAY)
    calls, began = 400, monotonic()
    for _ in range(calls // 50):
        await asyncio.gather(*(gateway.chat("fast") for _ in range(50)))
    # A hundred are saved up, a fifth of the calls and ten a second come on top; fifty came before the breaker opened.
    assert len(gateway.openai.requests) <= calls // 5 + 100 + 50 + 12 * (monotonic() - began)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_noise_instead_of_an_answer_is_asked_elsewhere(gateway: GatewaySite, stream: bool) -> None:
    gateway.route("safe", "openai.chat", fallback=[CLAUDE])
    kind = "text/event-stream" if stream else "application/json"
    gateway.openai.will(Reply((NOISE,), headers={"content-type": kind}))
    if stream:
        gateway.route("safe", "openai.chat", fallback=["openai:gpt-4o-mini"])
        gateway.openai.will(Reply((NOISE,), headers={"content-type": kind}), chat_stream("Hel", "lo"))
    answer = await gateway.chat("safe", stream=stream)
    assert answer.status_code == 200
    assert b"\xff" not in answer.content
    (call,) = await gateway.ledger()
    assert call["outcome"] == "ok"
    assert [bool(attempt.get("error")) for attempt in call["attempts"]] == [True, False]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_silent_provider_of_another_protocol_is_given_up_in_time(
    database_url: str, tmp_path: Path, stream: bool
) -> None:
    async with (
        asyncio.timeout(WAIT_S),
        open_gateway(tmp_path / "home", database_url, gateway={"first_byte_s": 0.2}) as site,
    ):
        site.route("claude", "anthropic.messages", fallback=["openai:gpt-4o"])
        site.anthropic.will(Reply(then="hang"))
        site.openai.will(chat_stream("Hel", "lo") if stream else chat_reply())
        answer = await site.chat("claude", stream=stream)
        assert answer.status_code == 200
        assert answer.headers["x-mosaic-model"] == "openai:gpt-4o"


async def test_the_second_of_two_answers_is_paid_for_and_not_recorded(gateway: GatewaySite) -> None:
    gateway.route("hedged", "openai.chat", fallback=[CLAUDE], hedge="1ms", strategy="round-robin")
    gateway.openai.will(chat_reply())
    gateway.anthropic.will(message_reply())
    answers = await asyncio.gather(*(gateway.chat("hedged") for _ in range(60)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await gateway.ledger()) == len(answers)
    model = gateway.application.model
    assert all(figures["active"] == 0 for figures in model.live.to_json().values())


async def test_a_request_with_a_picture_of_many_megabytes_passes(gateway: GatewaySite) -> None:
    address = "data:image/png;base64," + "A" * 20_000_000
    picture = {"type": "image_url", "image_url": {"url": address}}
    body = {
        "model": "fast",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}],
    }
    answer = await gateway.post("/v1/chat/completions", body)
    assert answer.status_code == 200, answer.text
    assert gateway.openai.last.json["messages"] == body["messages"]


async def test_every_picture_that_is_named_by_its_address_counts_for_the_budget(gateway: GatewaySite) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/picture.png"}}
    body = {"model": "fast", "max_tokens": 1, "messages": [{"role": "user", "content": [picture] * 50}]}
    key_id, key = await gateway.new_key("poor")
    await gateway.application.model.limits.set(gateway.ctx, NewBudget("key", key_id, nanos=100_000_000))
    await gateway.application.model.budgets.refresh()
    answer = await gateway.post("/v1/chat/completions", body, key=key)
    assert answer.status_code == 402, answer.text
    assert not gateway.openai.requests


ACTING = {
    "model": "claude",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Send the invoice."}],
    "mcp_servers": [{"type": "url", "url": "https://tools.example.com", "name": "mail"}],
}


async def test_what_a_provider_may_have_done_is_not_asked_for_again(gateway: GatewaySite) -> None:
    gateway.route("claude", "anthropic.messages", fallback=["anthropic:claude-haiku-4-5"], hedge="1ms")
    gateway.anthropic.will(Reply((b'{"type": "mess',), then="drop"), message_reply())
    answer = await gateway.post("/v1/messages", ACTING)
    assert answer.status_code == 502, answer.text
    assert answer.headers["x-mosaic-error"] == "outcome_unknown"
    assert answer.headers["x-should-retry"] == "false"
    assert len(gateway.anthropic.requests) == 1
    (call,) = await gateway.ledger()
    assert call["outcome"] == "outcome_unknown"


async def test_what_a_provider_refused_at_once_is_asked_elsewhere_whatever_it_does(
    gateway: GatewaySite,
) -> None:
    gateway.route("claude", "anthropic.messages", fallback=["anthropic:claude-haiku-4-5"])
    gateway.anthropic.will(json_reply({"error": {"message": "overloaded"}}, status=529), message_reply())
    answer = await gateway.post("/v1/messages", ACTING)
    assert answer.status_code == 200, answer.text
    assert len(gateway.anthropic.requests) == 2
