"""The `/v1` door, as clients meet it."""

import asyncio
import json
from dataclasses import replace

import pytest

from mosaic.app.learned_file import LearnedFile
from mosaic.core.errors import Unavailable
from mosaic.cost import NewBudget
from mosaic.providers.testing.endpoint import Reply, json_reply
from mosaic.routing import Outcome
from mosaic.security import KeyLimits
from tests.gateway.conftest import GatewaySite, chat_reply, chat_stream, message_reply, message_stream

pytestmark = pytest.mark.anyio


async def test_a_request_of_the_vendors_own_protocol_passes_as_it_is(gateway: GatewaySite) -> None:
    answer = await gateway.chat("fast", temperature=0.2, strange={"kept": True})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there"
    assert answer.headers["x-mosaic-model"] == "openai:gpt-4o"
    assert answer.headers["x-mosaic-route"] == "fast"
    sent = gateway.openai.last
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer sk-upstream-openai"
    assert sent.json == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.2,
        "strange": {"kept": True},
    }


@pytest.mark.requirement("ENT-47")
async def test_every_call_is_in_the_ledger_with_its_cost(gateway: GatewaySite) -> None:
    await gateway.chat("fast")
    (call,) = await gateway.ledger()
    assert call["model"] == "openai:gpt-4o-2024-08-06"
    assert (call["input_tokens"], call["output_tokens"]) == (10, 5)
    assert call["usd"] == pytest.approx((10 * 1.0 + 5 * 10.0) / 1_000_000)
    assert call["route"] == "fast"


async def test_a_stream_passes_with_its_usage_taken_out_again(gateway: GatewaySite) -> None:
    gateway.openai.will(chat_stream("Hel", "lo"))
    answer = await gateway.chat("fast", stream=True)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    texts = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(texts) == "Hello"
    assert gateway.openai.last.json["stream_options"] == {"include_usage": True}
    (call,) = await gateway.ledger()
    assert (call["input_tokens"], call["output_tokens"], call["usage_estimated"]) == (10, 2, False)


@pytest.mark.requirement("ORC-01", "ORC-02")
async def test_a_client_of_the_other_vendor_gets_its_own_protocol(gateway: GatewaySite) -> None:
    body = {"model": "fast", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    answer = await gateway.post("/v1/messages", body, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"] == [{"type": "text", "text": "Hello there", "citations": None}]
    gateway.route("claude", "anthropic.messages")
    gateway.anthropic.will(message_stream("Hel", "lo"))
    streamed = await gateway.chat("claude", stream=True)
    events = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    assert "".join(deltas) == "Hello"


async def test_a_wrong_key_is_refused_in_the_vendors_form(gateway: GatewaySite) -> None:
    openai = await gateway.chat(key="mk-wrong")
    assert (openai.status_code, openai.json()["error"]["code"]) == (401, "invalid_api_key")
    body = {"model": "fast", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    anthropic = await gateway.post("/v1/messages", body, key="mk-wrong")
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (401, "authentication_error")
    assert not gateway.openai.requests


async def test_a_key_may_use_only_its_models(gateway: GatewaySite) -> None:
    _, key = await gateway.new_key("narrow", models=("cheap*",))
    refused = await gateway.chat("fast", key=key)
    assert refused.status_code == 403
    assert "fast" in refused.json()["error"]["message"]


async def test_a_revoked_key_is_worth_nothing(gateway: GatewaySite) -> None:
    key_id, key = await gateway.new_key("gone")
    assert (await gateway.chat(key=key)).status_code == 200
    await gateway.application.model.keys.revoke(gateway.ctx, key_id)
    assert (await gateway.chat(key=key)).status_code == 401


@pytest.mark.requirement("ENT-49", "ORC-60")
async def test_another_target_answers_when_the_first_is_down(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"])
    gateway.openai.will(json_reply({"error": {"message": "overloaded"}}, status=503))
    answer = await gateway.chat("safe")
    assert answer.status_code == 200
    assert answer.headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"
    (call,) = await gateway.ledger()
    assert [attempt.get("error") for attempt in call["attempts"]] == ["unavailable", None]
    assert call["decision"]["route"] == "safe"


async def test_a_wrong_request_is_not_asked_elsewhere(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"])
    wrong = {"error": {"message": "temperature is too high", "type": "invalid_request_error"}}
    gateway.openai.will(json_reply(wrong, status=400))
    answer = await gateway.chat("safe")
    assert answer.status_code in (400, 422)
    assert "temperature is too high" in answer.json()["error"]["message"]
    assert not gateway.anthropic.requests


async def test_a_stream_that_breaks_off_says_so_and_is_billed_for_what_came(gateway: GatewaySite) -> None:
    gateway.openai.will(chat_stream("one ", "two ", then="drop", done=False))
    answer = await gateway.chat("fast", stream=True)
    last = answer.text.strip().split("\n\n")[-1]
    assert "error" in json.loads(last.removeprefix("data: "))
    (call,) = await gateway.ledger()
    assert call["outcome"] == "unavailable"
    assert call["usage_estimated"] is True
    assert call["output_tokens"] >= 2


async def test_an_unknown_model_is_named_with_what_is_near(gateway: GatewaySite) -> None:
    answer = await gateway.chat("fats")
    assert answer.status_code == 404
    assert "fast" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'{"model": 5}', b'{"model": "fast"}', b"\xff\xfe"]
)
async def test_a_body_that_is_no_request_gets_a_clear_answer(gateway: GatewaySite, body: bytes) -> None:
    headers = {"authorization": f"Bearer {gateway.key}"}
    answer = await gateway.client.post(gateway.url + "/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


async def test_answers_are_kept_where_the_route_says_so(gateway: GatewaySite) -> None:
    gateway.route("kept", "openai.chat", cache="5m")
    first = await gateway.chat("kept")
    second = await gateway.chat("kept")
    assert (first.headers["x-mosaic-cache"], second.headers["x-mosaic-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert len(gateway.openai.requests) == 1
    assert [call["cached"] for call in await gateway.ledger()] == [False, True]


async def test_streams_are_kept_too(gateway: GatewaySite) -> None:
    gateway.route("kept", "openai.chat", cache="5m")
    gateway.openai.will(chat_stream("Hel", "lo"))
    first = await gateway.chat("kept", stream=True)
    second = await gateway.chat("kept", stream=True)
    assert second.headers["x-mosaic-cache"] == "hit"
    assert first.content == second.content
    assert len(gateway.openai.requests) == 1


async def test_models_are_listed_in_the_form_of_the_client(gateway: GatewaySite) -> None:
    headers = {"authorization": f"Bearer {gateway.key}"}
    openai = (await gateway.client.get(gateway.url + "/v1/models", headers=headers)).json()
    assert openai["object"] == "list"
    assert openai["data"][0]["id"] == "fast"
    headers["anthropic-version"] = "2023-06-01"
    anthropic = (await gateway.client.get(gateway.url + "/v1/models", headers=headers)).json()
    assert anthropic["data"][0] | {"type": "model", "id": "fast"} == anthropic["data"][0]


async def test_an_upstream_that_talks_nonsense_is_a_failed_target(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"])
    gateway.openai.will(Reply(raw=b"HTTP/1.1 two hundred\r\n\r\n"))
    answer = await gateway.chat("safe")
    assert answer.headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"


@pytest.mark.requirement("ORC-56", "ENT-51")
async def test_a_provider_that_a_health_check_found_gone_gets_no_request(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"])
    gateway.openai.will(json_reply({"error": {"message": "no such key"}}, status=401))
    gateway.anthropic.will(json_reply({"data": [], "has_more": False}))
    await gateway.application.model.health.round()
    asked = len(gateway.openai.requests)
    gateway.anthropic.will(message_reply())
    answer = await gateway.chat("safe")
    assert answer.headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"
    assert len(gateway.openai.requests) == asked
    gateway.openai.will(json_reply({"object": "list", "data": []}))
    await gateway.application.model.health.round()
    gateway.openai.will(chat_reply())
    answer = await gateway.chat("safe")
    assert answer.headers["x-mosaic-model"] == "openai:gpt-4o"


async def test_a_late_answer_is_asked_for_twice_and_the_sooner_one_counts(gateway: GatewaySite) -> None:
    gateway.route("hedged", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"], hedge="50ms")
    gateway.openai.will(Reply(then="hang"))
    answer = await gateway.chat("hedged")
    assert answer.headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"
    async with asyncio.timeout(10):
        await gateway.openai.gone.wait()
    (call,) = await gateway.ledger()
    assert {attempt["target"] for attempt in call["attempts"]} == {
        "openai:gpt-4o",
        "anthropic:claude-sonnet-4-5",
    }


async def test_a_copy_goes_to_a_target_on_trial_and_nobody_waits_for_it(gateway: GatewaySite) -> None:
    gateway.route("tried", "openai.chat", shadow={"targets": ["anthropic:claude-sonnet-4-5"]})
    answer = await gateway.chat("tried")
    assert answer.headers["x-mosaic-model"] == "openai:gpt-4o"
    calls = await gateway.recorded(2)
    assert [call.get("shadow", False) for call in sorted(calls, key=lambda call: call["call"])] == [
        False,
        True,
    ]


async def test_a_client_that_leaves_a_stream_ends_the_call_upstream(gateway: GatewaySite) -> None:
    gateway.openai.will(chat_stream("one ", "two ", then="hang", done=False))
    body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with gateway.client.stream(
        "POST", gateway.url + "/v1/chat/completions", json=body, headers=headers
    ) as stream:
        async for line in stream.aiter_lines():
            if "two" in line:
                break
    async with asyncio.timeout(10):
        await gateway.openai.gone.wait()
    calls = await gateway.recorded(1)
    assert calls[0]["outcome"] == "cancelled"
    assert calls[0]["output_tokens"] >= 2
    assert calls[0]["usage_estimated"] is True


async def test_a_budget_is_refused_with_402_and_its_name_before_anything_is_sent(
    gateway: GatewaySite,
) -> None:
    key_id, key = await gateway.new_key("poor")
    budget = NewBudget(scope="key", subject=key_id, nanos=1_000)
    await gateway.application.model.limits.set(gateway.ctx, budget)
    await gateway.application.model.budgets.refresh()
    answer = await gateway.chat(key=key, max_tokens=100)
    assert answer.status_code == 402
    assert key_id in answer.json()["error"]["message"]
    assert not gateway.openai.requests


async def test_an_answer_without_a_limit_is_limited_to_what_the_budget_has(gateway: GatewaySite) -> None:
    key_id, key = await gateway.new_key("small")
    budget = NewBudget(scope="key", subject=key_id, nanos=20_000_000)
    await gateway.application.model.limits.set(gateway.ctx, budget)
    await gateway.application.model.budgets.refresh()
    assert (await gateway.chat(key=key)).status_code == 200
    sent = gateway.openai.last.json
    assert 256 <= sent["max_tokens"] <= 2_000


async def test_a_rate_limit_is_429_with_the_time_to_wait(gateway: GatewaySite) -> None:
    _, key = await gateway.new_key("slow", limits=KeyLimits(requests_per_minute=1))
    assert (await gateway.chat(key=key)).status_code == 200
    answer = await gateway.chat(key=key)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_what_is_counted_can_be_scraped(gateway: GatewaySite) -> None:
    await gateway.chat("fast")
    text = (await gateway.client.get(gateway.url + "/metrics")).text
    line = (
        'mosaic_model_calls_total{cached="no",model="gpt-4o",outcome="ok",provider="openai",route="fast"} 1.0'
    )
    assert line in text


async def test_what_a_route_learned_survives_a_restart(gateway: GatewaySite) -> None:
    gateway.route("clever", "openai.chat", "anthropic.messages", learned="on")
    for _ in range(4):
        assert (await gateway.chat("clever")).status_code == 200
    model = gateway.application.model
    learned = model.router.learned.report()["clever"]
    await model.close()
    again = LearnedFile(gateway.application.settings.home, model.router)
    model.router.learned.load({**model.router.learned.to_json(), "routes": {}})
    again.recall()
    assert model.router.learned.report()["clever"] == learned
    assert learned["requests"] == 4


async def test_a_provider_whose_limit_is_used_up_is_left_alone_before_it_refuses(
    gateway: GatewaySite,
) -> None:
    gateway.route("safe", "openai.chat", fallback=["anthropic:claude-sonnet-4-5"])
    told = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    gateway.openai.will(replace(chat_reply(), headers={"content-type": "application/json", **told}))
    assert (await gateway.chat("safe")).headers["x-mosaic-model"] == "openai:gpt-4o"
    assert (await gateway.chat("safe")).headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"
    assert len(gateway.openai.requests) == 1


@pytest.mark.requirement("ORC-57")
async def test_a_provider_that_gets_worse_is_left_before_its_breaker_opens(gateway: GatewaySite) -> None:
    gateway.route("safe", "openai.chat", "anthropic.messages", strategy="ordered")
    model = gateway.application.model
    target = model.router.targets.get("openai:gpt-4o")
    assert target is not None
    failed = Unavailable("overloaded")
    for error in [None, None, None, failed] * 4 + [None, failed]:
        assert model.guards.admit(target) is None
        model.guards.ended(target, Outcome(error is None, 0.1, error_code=error and error.code), error)
    assert not model.guards.is_open(target.id)
    assert model.guards.risky(target.id)
    answer = await gateway.chat("safe")
    assert answer.headers["x-mosaic-model"] == "anthropic:claude-sonnet-4-5"
