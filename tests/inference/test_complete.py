"""A model call is made once, recorded with its cost, and answered from the record ever after."""

import asyncio
import json
from dataclasses import replace

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    ModelRefused,
    NotFound,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from mosaic.core.money import Money
from mosaic.engine import RetryPolicy
from mosaic.inference import Inference, call
from mosaic.providers import ProviderManifest, ProviderPlugin, ProviderRegistry
from tests.inference.conftest import ASKED, RUN
from tests.plugins.vendors import KEY, Said, error_body, reply, stream
from tests.providers.endpoint import Reply, json_reply, unused_url

pytestmark = pytest.mark.anyio

HELLO = reply("openai", Said("hello"))
BUSY = json_reply(error_body("openai", "busy", "server_error"), status=503)


@pytest.mark.requirement("ENT-47")
async def test_an_answer_is_recorded_with_its_cost_and_its_event(
    inference, effects, endpoint, cost, ctx, events
):
    endpoint.will(HELLO)
    response = await inference.complete(effects(), "turn1", ASKED, model="openai:dear", agent="coder")
    assert response.message.text == "hello"
    assert endpoint.last.json["model"] == "dear"
    (data,) = await events("model.called")
    assert (data["model"], data["agent"], data["finish_reason"]) == ("openai:dear", "coder", "stop")
    assert (data["input_tokens"], data["output_tokens"], data["usd"]) == (11, 7, 0.018)
    assert data["gen_ai"]["gen_ai.response.id"] == "chatcmpl-1"
    assert data["latency_ms"] >= 0
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.money, shown.calls, shown.reserved) == (Money.usd("0.018"), 1, Money(0))
    (row,) = await cost.calls(ctx, RUN)
    assert (row.path, row.agent, row.provider, row.response_id) == ("build", "coder", "openai", "chatcmpl-1")


async def test_a_replay_answers_from_the_journal_and_costs_nothing(
    inference, effects, endpoint, cost, ctx, events
):
    endpoint.will(HELLO)
    first = await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    again = await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    assert again == first
    assert len(endpoint.requests) == 1
    assert (await cost.run_cost(ctx, RUN)).calls == 1
    assert len(await events("model.called")) == 1


async def test_the_prompt_and_the_key_are_in_no_event(inference, effects, endpoint, journal, ctx):
    endpoint.will(
        json_reply(error_body("openai", f"bad key {KEY}, said {ASKED.messages[0].text[:6]}"), status=503),
        HELLO,
    )
    await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    shown = json.dumps([event.to_json() for event in await journal.read(ctx)])
    assert "private prompt" not in shown
    assert KEY not in shown
    assert '"hash": "sha256:' in shown


async def test_the_same_key_is_sent_with_every_repetition_of_one_attempt(inference, effects, endpoint):
    endpoint.will(BUSY, HELLO)
    await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    keys = [request.headers["idempotency-key"] for request in endpoint.requests]
    assert len(set(keys)) == 2, "another attempt is another call"


async def test_pieces_are_shown_while_they_arrive_and_not_on_a_replay(inference, effects, endpoint):
    endpoint.will(stream("openai", Said("one\ntwo\n")))
    shown = []
    ask = {"model": "openai:dear", "on_delta": lambda delta: shown.append(delta.text)}
    response = await inference.complete(effects(), "turn1", ASKED, **ask)
    assert shown == ["one\n", "two\n"]
    assert response.message.text == "one\ntwo\n"
    await inference.complete(effects(), "turn1", ASKED, **ask)
    assert shown == ["one\n", "two\n"]


async def test_a_display_that_fails_does_not_lose_the_answer(inference, effects, endpoint, caplog):
    endpoint.will(stream("openai", Said("one\ntwo\n")))

    def broken(_):
        raise RuntimeError("the terminal went away")

    response = await inference.complete(effects(), "turn1", ASKED, model="openai:dear", on_delta=broken)
    assert response.message.text == "one\ntwo\n"
    assert [record.message for record in caplog.records] == ["showing a streamed answer failed"]


async def test_a_busy_provider_is_tried_again_and_each_failure_is_journaled(
    inference, effects, endpoint, events
):
    endpoint.will(BUSY, BUSY, HELLO)
    assert (await inference.complete(effects(), "turn1", ASKED, model="openai:dear")).message.text == "hello"
    failed = await events("model.failed")
    assert [(data["attempt"], data["error"]["code"]) for data in failed] == [
        (1, "unavailable"),
        (2, "unavailable"),
    ]
    assert len(await events("retry")) == 2


async def test_the_wait_that_the_provider_asks_for_is_kept(inference, effects, endpoint, events):
    endpoint.will(
        json_reply(error_body("openai", "slow"), status=429, headers={"retry-after-ms": "40"}), HELLO
    )
    await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    (retry,) = await events("retry")
    assert retry["delay_s"] == 0.04


async def test_attempts_end_with_the_last_error(inference, effects, endpoint, cost, ctx):
    endpoint.will(BUSY)
    with pytest.raises(Unavailable) as caught:
        await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    assert caught.value.data["retries"] == "exhausted"
    assert len(endpoint.requests) == 3


async def test_a_stream_that_breaks_off_is_tried_again_from_the_beginning(inference, effects, endpoint):
    endpoint.will(
        stream("openai", Said("one\ntwo\n"), then="drop", keep=2), stream("openai", Said("one\ntwo\n"))
    )
    shown = []
    response = await inference.complete(
        effects(), "turn1", ASKED, model="openai:dear", on_delta=lambda delta: shown.append(delta.text)
    )
    assert response.message.text == "one\ntwo\n"
    assert shown == ["one\n", "one\n", "two\n"]


@pytest.mark.requirement("ENT-49", "ORC-60")
async def test_the_next_model_is_used_when_one_cannot_answer(
    inference, effects, endpoint, second_endpoint, events
):
    endpoint.will(BUSY)
    second_endpoint.will(reply("anthropic", Said("from the other")))
    models = ("openai:dear", "anthropic:dear")
    response = await inference.complete(effects(), "turn1", ASKED, model=models)
    assert (response.provider, response.message.text) == ("anthropic", "from the other")
    assert len(endpoint.requests) == 2
    again = await inference.complete(effects(), "turn1", ASKED, model=models)
    assert again == response
    assert (len(endpoint.requests), len(second_endpoint.requests)) == (2, 1)
    assert [data["model"] for data in await events("model.called")] == ["anthropic:dear"]


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_a_fault_of_one_provider_goes_to_the_next_at_once(
    inference, effects, endpoint, second_endpoint, status
):
    endpoint.will(json_reply(error_body("openai", "no"), status=status, headers={"retry-after": "3600"}))
    second_endpoint.will(reply("anthropic", Said("ok")))
    models = ("openai:dear", "anthropic:dear")
    assert (await inference.complete(effects(), "turn1", ASKED, model=models)).provider == "anthropic"
    assert len(endpoint.requests) == 1


async def test_a_fault_of_the_request_does_not_go_to_the_next(inference, effects, endpoint, second_endpoint):
    endpoint.will(json_reply(error_body("openai", "no such parameter"), status=400))
    with pytest.raises(InvalidInput):
        await inference.complete(effects(), "turn1", ASKED, model=("openai:dear", "anthropic:dear"))
    assert not second_endpoint.requests


async def test_a_provider_without_a_key_says_so(inference, effects, endpoint):
    endpoint.will(json_reply(error_body("openai", "no key"), status=401))
    with pytest.raises(Unauthenticated):
        await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("model", "kind"),
    [("nobody:x", NotFound), ("openai", InvalidInput), ("", InvalidInput), ((), InvalidInput)],
)
async def test_what_names_no_model_is_refused(inference, effects, model, kind):
    with pytest.raises(kind):
        await inference.complete(effects(), "turn1", ASKED, model=model)


async def test_a_failure_is_replayed_as_the_same_failure(inference, effects, endpoint):
    endpoint.will(json_reply(error_body("openai", "no such parameter"), status=400))
    errors = []
    for _ in range(2):
        with pytest.raises(InvalidInput) as caught:
            await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
        errors.append(caught.value.to_json())
    assert errors[0] == errors[1]
    assert len(endpoint.requests) == 1


async def test_a_plugin_that_breaks_is_an_error_of_its_own(inference, effects, registry, events):
    class Broken:
        name = "broken"

        def capabilities(self, model):
            return registry.ai("ollama").capabilities(model)

        async def complete(self, request, *, idempotency_key):
            raise KeyError("surprise")

        async def close(self):
            pass

    manifest = ProviderManifest("broken", "ai", "Broken", "1", "", "", {"type": "object"})
    registry.register(ProviderPlugin(manifest, lambda _: Broken()))
    with pytest.raises(ContractViolation, match="broken"):
        await inference.complete(effects(), "turn1", ASKED, model="broken:x")
    assert len(await events("model.failed")) == 1


async def test_a_plugin_that_never_answers_is_given_up(registry, cost, effects, monkeypatch):
    monkeypatch.setattr(call, "_GRACE_S", 0.0)

    class Deaf:
        name = "deaf"

        def capabilities(self, model):
            return registry.ai("ollama").capabilities(model)

        async def complete(self, request, *, idempotency_key):
            await asyncio.Event().wait()

        async def close(self):
            pass

    manifest = ProviderManifest("deaf", "ai", "Deaf", "1", "", "", {"type": "object"})
    registry.register(ProviderPlugin(manifest, lambda _: Deaf()))
    inference = Inference(registry, cost)
    with pytest.raises(TimedOut):
        await inference.complete(
            effects(), "turn1", replace(ASKED, timeout_s=0.05), model="deaf:x", retry=RetryPolicy(attempts=1)
        )


async def test_the_installations_timeout_for_a_provider_counts(cost, effects, endpoint, redactor):
    settings = {"ollama": {"base_url": endpoint.url, "timeout_s": 0.2}}
    registry = ProviderRegistry(redactor=redactor, environment={}, settings=settings)
    endpoint.will(Reply(then="hang"))
    with pytest.raises(TimedOut):
        await Inference(registry, cost).complete(
            effects(), "turn1", replace(ASKED, timeout_s=60), model="ollama:x", retry=RetryPolicy(attempts=1)
        )
    await registry.close()


async def test_a_refusal_is_an_error_and_is_paid(inference, effects, endpoint, cost, ctx, events):
    endpoint.will(reply("openai", Said(extra={"refusal": "I cannot."})))
    with pytest.raises(ModelRefused):
        await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.money, shown.calls, shown.reserved) == (Money.usd("0.018"), 1, Money(0))
    assert len(await events("model.failed")) == 1


async def test_a_call_that_was_not_sent_costs_nothing(cost, effects, redactor, ctx):
    registry = ProviderRegistry(
        redactor=redactor, environment={}, settings={"openai": {"base_url": await unused_url()}}
    )
    with pytest.raises(Unavailable):
        await Inference(registry, cost).complete(
            effects(), "turn1", ASKED, model="openai:dear", retry=RetryPolicy(attempts=1)
        )
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.reserved, shown.unconfirmed, shown.calls) == (Money(0), Money(0), 0)
    await registry.close()


async def test_an_answer_lost_to_a_timeout_counts_as_spent(inference, effects, endpoint, cost, ctx, events):
    endpoint.will(Reply(then="hang"))
    with pytest.raises(TimedOut):
        await inference.complete(
            effects(),
            "turn1",
            replace(ASKED, timeout_s=3.0),
            model="openai:dear",
            retry=RetryPolicy(attempts=1),
        )
    shown = await cost.run_cost(ctx, RUN)
    assert shown.unconfirmed > Money(0)
    (failed,) = await events("model.failed")
    assert failed["unconfirmed_usd"] == float(shown.unconfirmed.as_usd)


async def test_a_call_cut_off_by_a_crash_is_sent_again_and_journaled(
    inference, effects, endpoint, cost, ctx, events
):
    endpoint.will(Reply(then="hang"), HELLO)
    task = asyncio.create_task(inference.complete(effects(), "turn1", ASKED, model="openai:dear"))
    async with asyncio.timeout(10):
        await endpoint.received.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await endpoint.gone.wait()
    response = await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    assert response.message.text == "hello"
    (repeated,) = await events("model.repeated")
    assert (repeated["model"], repeated["turn"]) == ("openai:dear", 2)
    shown = await cost.run_cost(ctx, RUN)
    assert shown.calls == 1
    assert shown.unconfirmed > Money(0)
    keys = {request.headers["idempotency-key"] for request in endpoint.requests}
    assert len(keys) == 1, "the same attempt again has the same key"


async def test_too_many_requests_without_a_fallback_wait_and_go_on(inference, effects, endpoint):
    slow = json_reply(error_body("openai", "slow"), status=429)
    endpoint.will(slow, slow, slow)
    with pytest.raises(LimitExceeded):
        await inference.complete(effects(), "turn1", ASKED, model="openai:dear")
    assert len(endpoint.requests) == 3


async def test_the_runs_retry_budget_bounds_all_attempts(inference, effects, endpoint):
    endpoint.will(BUSY)
    with pytest.raises(Unavailable) as caught:
        await inference.complete(effects(retry_budget=1), "turn1", ASKED, model="openai:dear")
    assert caught.value.data["retries"] == "budget_empty"
    assert len(endpoint.requests) == 2
