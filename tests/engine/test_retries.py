"""Retries: durable delays, one budget per run, no multiplication."""

import pytest

from mosaic.core.errors import BudgetExceeded, Cancelled, LimitExceeded, ToolFailed, Unavailable
from mosaic.engine import Effects, Outcome, RetryPolicy, Safety
from tests.engine.conftest import SETTINGS, WAIT_S

pytestmark = pytest.mark.anyio
FAST = RetryPolicy(attempts=4, base_s=0.01, factor=1.0, jitter=0.0)


def failing(effects, name, errors, calls):
    """A call whose attempts fail with `errors`, one effect per attempt."""

    async def attempt(number):
        async def call(_):
            calls.append(number)
            if number <= len(errors):
                raise errors[number - 1]
            return Outcome(f"ok at {number}")

        return await effects.effect(f"{name}/{number}", call, safety=Safety.REPEATABLE)

    return attempt


@pytest.fixture
def effects(journal, ctx):
    return lambda **options: Effects.open(journal, ctx, "run1", **options)


@pytest.mark.requirement("ENT-42")
async def test_a_call_is_retried_until_it_succeeds_and_replays_without_calling(effects, journal, ctx):
    calls = []
    for _ in range(2):
        run = effects()
        call = failing(run, "ask", [Unavailable("down"), Unavailable("still down")], calls)
        assert await run.retrying("ask", call, FAST) == "ok at 3"
    assert calls == [1, 2, 3]
    shown = [event.data for event in await journal.read(ctx, types=["retry"])]
    assert [(data["name"], data["attempt"], data["budget_left"]) for data in shown] == [
        ("ask", 1, 19),
        ("ask", 2, 18),
    ]
    assert shown[0]["reason"] == {"code": "unavailable", "message": "down"}
    assert shown[0]["delay_s"] == pytest.approx(0.01)


async def test_the_last_error_is_raised_when_the_attempts_are_used_up(effects):
    run, calls = effects(), []
    errors = [Unavailable(f"down {n}") for n in range(9)]
    with pytest.raises(Unavailable, match="down 3") as caught:
        await run.retrying("ask", failing(run, "ask", errors, calls), FAST)
    assert caught.value.data["retries"] == "exhausted"
    assert calls == [1, 2, 3, 4]


@pytest.mark.parametrize("error", [ToolFailed("no"), BudgetExceeded("402"), Cancelled("stop")])
async def test_what_is_not_worth_it_is_not_retried(effects, error):
    run, calls = effects(), []
    with pytest.raises(type(error)):
        await run.retrying("ask", failing(run, "ask", [error], calls), FAST)
    assert calls == [1]


async def test_a_policy_can_name_the_codes_to_retry(effects):
    policy = RetryPolicy(attempts=2, base_s=0.0, on=frozenset({"tool_failed"}))
    run, calls = effects(), []
    assert await run.retrying("a", failing(run, "a", [ToolFailed("no")], calls), policy) == "ok at 2"
    with pytest.raises(Unavailable):
        await run.retrying("b", failing(run, "b", [Unavailable("down")], calls), policy)


@pytest.mark.requirement("ENT-42", "MOZ-37")
def test_delays_grow_up_to_a_limit_and_respect_what_the_other_side_asks():
    policy = RetryPolicy(base_s=1.0, factor=2.0, max_s=5.0, jitter=0.0)
    error = Unavailable("down")
    assert [policy.delay_s(n, error) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 5.0]
    assert policy.delay_s(1, LimitExceeded("slow", retry_after_s=9)) == 9.0
    spread = {RetryPolicy(base_s=1.0, jitter=0.5).delay_s(1, error) for _ in range(50)}
    assert all(0.5 <= delay <= 1.5 for delay in spread)
    assert len(spread) > 40


async def test_an_empty_budget_ends_all_retries_of_the_run(effects):
    run, calls = effects(retry_budget=1), []
    errors = [Unavailable("down")] * 9
    with pytest.raises(Unavailable) as caught:
        await run.retrying("a", failing(run, "a", errors, calls), FAST)
    assert caught.value.data["retries"] == "budget_empty"
    assert calls == [1, 2]


@pytest.mark.requirement("ENT-42")
async def test_nested_retries_do_not_multiply(effects):
    run, calls = effects(), []

    async def outer(number):
        call = failing(run, f"outer{number}/inner", [Unavailable("down")] * 9, calls)
        return await run.retrying(f"outer{number}/inner", call, FAST)

    with pytest.raises(Unavailable):
        await run.retrying("outer", outer, FAST)
    assert calls == [1, 2, 3, 4]


async def test_all_executions_of_a_run_share_one_budget(launch, ctx, database):
    calls = []

    async def child(execution):
        call = failing(execution.effects, "ask", [Unavailable("down")] * 9, calls)
        return await execution.effects.retrying("ask", call, FAST)

    async def parent(execution):
        for name in ("one", "two", "three"):
            try:
                await execution.call(name, "child", {})
            except Unavailable as error:
                last = error
        return last.data["retries"]

    engine = await launch(SETTINGS, child=child, parent=parent)
    async with database.transaction() as tx:
        await engine.set_retry_budget(tx, ctx, "r1", 5)
    await engine.start(ctx, execution_id="e1", run_id="r1", handler="parent", input={})
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output == "budget_empty"
    assert calls == [1, 2, 3, 4, 1, 2, 3, 1]
