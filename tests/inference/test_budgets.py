"""A hard budget stops a run before the call that would exceed it, however many calls are made at once."""

import asyncio
from dataclasses import replace

import pytest

from mosaic.core.errors import BudgetExceeded
from mosaic.core.money import Money
from mosaic.providers import ToolDefinition
from tests.inference.conftest import ASKED, RUN
from tests.plugins.vendors import Said, reply

pytestmark = pytest.mark.anyio

HELLO = reply("openai", Said("hello"))  # 18 tokens at a thousandth of a dollar
MODEL = "openai:dear"


async def test_a_call_that_does_not_fit_is_not_sent(inference, effects, endpoint, budget, events):
    await budget("0.50")
    with pytest.raises(BudgetExceeded) as caught:
        await inference.complete(effects(), "turn1", replace(ASKED, max_output_tokens=1_000), model=MODEL)
    assert not endpoint.requests
    assert caught.value.data["limit_usd"] == 0.5
    (failed,) = await events("model.failed")
    assert failed["error"]["code"] == "budget_exceeded"


async def test_a_refused_call_does_not_go_to_the_next_model(inference, effects, second_endpoint, budget):
    await budget("0.50")
    asked = replace(ASKED, max_output_tokens=1_000)
    with pytest.raises(BudgetExceeded):
        await inference.complete(effects(), "turn1", asked, model=(MODEL, "anthropic:dear"))
    assert not second_endpoint.requests


async def test_the_answers_own_limit_is_lowered_to_what_the_budget_has_left(
    inference, effects, endpoint, budget
):
    await budget("3")
    endpoint.will(HELLO)
    await inference.complete(effects(), "turn1", ASKED, model=MODEL)
    limit = endpoint.last.json["max_tokens"]
    assert 2_800 < limit < 3_000, "what is left of 3,000 tokens after the prompt"


async def test_a_limit_that_was_asked_for_is_never_lowered(inference, effects, endpoint, budget):
    await budget("3")
    endpoint.will(HELLO)
    with pytest.raises(BudgetExceeded):
        await inference.complete(effects(), "turn1", replace(ASKED, max_output_tokens=5_000), model=MODEL)
    await inference.complete(effects(), "turn2", replace(ASKED, max_output_tokens=1_000), model=MODEL)
    assert endpoint.last.json["max_tokens"] == 1_000


async def test_a_limit_is_not_lowered_to_where_no_answer_fits(inference, effects, endpoint, budget):
    await budget("0.50")
    with pytest.raises(BudgetExceeded):
        await inference.complete(effects(), "turn1", ASKED, model=MODEL)
    assert not endpoint.requests


async def test_a_token_budget_lowers_and_stops_alike(inference, effects, endpoint, budget):
    await budget(tokens=2_000)
    endpoint.will(HELLO)
    await inference.complete(effects(), "turn1", ASKED, model=MODEL)
    assert 1_024 <= endpoint.last.json["max_tokens"] < 2_000
    large = replace(ASKED, max_output_tokens=2_000)
    with pytest.raises(BudgetExceeded, match="2,000 tokens"):
        await inference.complete(effects(), "turn2", large, model=MODEL)


async def test_a_large_request_is_estimated_by_its_real_size(inference, effects, endpoint, budget):
    await budget("3")
    tools = (ToolDefinition("t", "word " * 3_000, {}),)
    with pytest.raises(BudgetExceeded):
        await inference.complete(
            effects(), "turn1", replace(ASKED, tools=tools, max_output_tokens=10), model=MODEL
        )
    assert not endpoint.requests


async def test_the_default_limit_is_bounded_by_the_model(inference, effects, endpoint):
    endpoint.will(HELLO)
    await inference.complete(effects(), "turn1", ASKED, model=MODEL)
    assert endpoint.last.json["max_tokens"] == 8_192
    await inference.complete(
        effects(), "turn2", replace(ASKED, max_output_tokens=100_000), model="openai:gpt-4o"
    )
    assert endpoint.last.json["max_tokens"] == 16_384


async def test_many_calls_at_once_never_pass_the_budget(inference, effects, endpoint, budget, cost, ctx):
    await budget("5")
    endpoint.answer = lambda _: HELLO
    asked = replace(ASKED, max_output_tokens=1_000)
    scope = effects()

    async def one(number: int) -> bool:
        try:
            await inference.complete(scope, f"call{number}", asked, model=MODEL)
        except BudgetExceeded:
            return False
        return True

    async with asyncio.timeout(60):
        answered = sum(await asyncio.gather(*(one(number) for number in range(40))))
    shown = await cost.run_cost(ctx, RUN)
    assert 0 < answered < 40, "some fit and some do not"
    assert len(endpoint.requests) == answered == shown.calls
    assert shown.money == Money(Money.usd("0.018").nanos * answered)
    assert shown.reserved == Money(0)


async def test_a_model_without_a_known_price_is_not_asked_when_dollars_are_limited(
    inference, effects, endpoint, budget
):
    await budget("5")
    with pytest.raises(BudgetExceeded) as caught:
        await inference.complete(effects(), "turn1", ASKED, model="openai:unknown")
    assert caught.value.data["reason"] == "unpriced"
    assert not endpoint.requests


async def test_a_model_without_a_known_price_is_counted_apart(
    inference, effects, endpoint, cost, ctx, events
):
    endpoint.will(HELLO)
    await inference.complete(effects(), "turn1", ASKED, model="openai:unknown")
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.calls, shown.unpriced_calls, shown.money) == (1, 1, Money(0))
    assert (await events("model.called"))[0]["usd"] is None


async def test_a_local_model_is_free_within_any_budget(inference, effects, endpoint, budget, cost, ctx):
    await budget("0.000000001")
    endpoint.will(reply("ollama", Said("hello")))
    await inference.complete(effects(), "turn1", ASKED, model="ollama:qwen3:8b")
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.calls, shown.unpriced_calls, shown.money) == (1, 0, Money(0))


async def test_a_scripts_declared_price_counts(inference, effects, tmp_path, cost, ctx, budget, events):
    await budget("1")
    play = tmp_path / "scripted.yaml"
    play.write_text(
        "{scripted: 1, name: play, price: {input_usd_per_mtok: 3, output_usd_per_mtok: 15}, agents: "
        "{coder: [{text: hi, usage: {input_tokens: 1000, output_tokens: 100}}]}}"
    )
    await inference.complete(effects(), "turn1", ASKED, model=f"scripted:{play}", agent="coder")
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.money, shown.scripted) == (Money.usd("0.0045"), True)
    assert (await events("model.called"))[0]["scripted"] is True


async def test_a_scripted_call_cut_off_by_a_crash_is_counted_once(
    inference, effects, tmp_path, cost, ctx, budget, events
):
    await budget("1", tokens=20_000)
    play = tmp_path / "scripted.yaml"
    text = "{scripted: 1, price: {input_usd_per_mtok: 3, output_usd_per_mtok: 15}, agents: {'*': [{text: hi, delay_s: %s}]}}"
    play.write_text(text % 60)
    scope = effects()
    task = asyncio.create_task(inference.complete(scope, "turn1", ASKED, model=f"scripted:{play}"))
    async with asyncio.timeout(10):
        while (await cost.run_cost(ctx, RUN)).reserved == Money(0):
            pass  # until the call is on its way
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    play.write_text(text % 0 + "\n")
    await inference.complete(effects(), "turn1", ASKED, model=f"scripted:{play}")
    shown = await cost.run_cost(ctx, RUN)
    assert (shown.calls, shown.reserved, shown.unconfirmed) == (1, Money(0), Money(0))
