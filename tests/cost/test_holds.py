"""Budgets above a run: held before a call, in all of them or in none, settled after it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import BudgetExceeded, InvalidInput, NotFound, Unavailable
from mosaic.core.money import Money
from mosaic.cost import Budgets, Cost, LedgerEntry, ModelCall, NewBudget, Payer
from mosaic.providers import Usage
from mosaic.storage import Database
from tests.cost.conftest import PAYER, Node, Start, limit, until

pytestmark = pytest.mark.anyio


async def spent(node: Node, ctx: Context) -> dict[str, int]:
    await node.books.wait_for_batch()
    return {state.budget.subject or "all": state.spent.nanos for state in await node.limits.states(ctx)}


async def test_without_a_budget_nothing_is_limited_and_nothing_is_written(node: Node, ctx: Context) -> None:
    assert not node.budgets.limited(PAYER)
    hold = node.budgets.try_hold(PAYER, 10**15, 10**9)
    assert hold is not None
    node.budgets.settle(hold, 5, 5)
    assert node.books.holder is None


async def test_a_call_holds_in_every_budget_above_it_or_in_none(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "tenant", nanos=1_000)
    await limit(node, ctx, "project", "p1", nanos=600)
    await limit(node, ctx, "key", "key_1", nanos=100)
    await limit(node, ctx, "key", "key_2", nanos=10_000)
    hold = await node.hold(100)
    refused = await node.refused(1)
    assert (refused.data["scope"], refused.data["subject"], refused.data["left_nanos"]) == ("key", "key_1", 0)
    other_key = PAYER._replace(key_id="key_2")
    refused = await node.refused(501, payer=other_key)
    assert (refused.data["scope"], refused.data["left_nanos"]) == ("project", 500)
    other_project = Payer("t1", "p2", key_id="key_2")
    refused = await node.refused(901, payer=other_project)
    assert (refused.data["scope"], refused.data["left_nanos"]) == ("tenant", 900)
    node.budgets.settle(hold, 70, 1)
    assert await spent(node, ctx) == {"all": 70, "p1": 70, "key_1": 70, "key_2": 0}
    await node.hold(30)


async def test_a_refusal_names_the_budget_its_limit_and_what_is_left(node: Node, ctx: Context) -> None:
    budget_id = await limit(node, ctx, "project", "p1", nanos=2 * 10**9, period="month")
    await node.spend(15 * 10**8)
    refused = await node.refused(10**9)
    assert refused.http_status == 402
    assert refused.data == {
        "budget": budget_id, "scope": "project", "subject": "p1", "period": "month", "tenant": "t1",
        "reason": "usd", "limit_usd": 2.0, "used_usd": 1.5, "needed_usd": 1.0, "left_nanos": 5 * 10**8,
    }  # fmt: skip
    assert "$2.00 of the project p1 for the month" in refused.message
    assert "mosaic budgets set project p1" in str(refused.hint)


async def test_tokens_have_limits_too(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "agent", "coder", tokens=1_000)
    payer = Payer("t1", "p1", agent="coder")
    hold = await node.hold(None, 600, payer)
    refused = await node.refused(None, 401, payer)
    assert (refused.data["reason"], refused.data["left_tokens"]) == ("tokens", 400)
    node.budgets.settle(hold, 0, 100)
    await node.hold(None, 900, payer)


async def test_what_was_not_used_comes_back_once(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "tenant", nanos=100)
    hold = await node.hold(100)
    node.budgets.release(hold)
    node.budgets.release(hold)
    node.budgets.settle(hold, 100, 1)
    hold = await node.hold(100)
    await node.refused(1)
    node.budgets.settle(hold, 40, 1)
    node.budgets.settle(hold, 100, 1)
    assert await spent(node, ctx) == {"all": 40}


async def test_a_lost_answer_counts_as_spent_for_ever(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "tenant", nanos=100)
    node.budgets.leave_unconfirmed(await node.hold(60))
    await node.books.wait_for_batch()
    (state,) = await node.limits.states(ctx)
    assert (state.spent.nanos, state.unconfirmed.nanos) == (60, 60)
    assert (await node.refused(41)).data["left_nanos"] == 40


async def test_a_call_that_cost_more_than_was_held_is_not_hidden(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "tenant", nanos=100)
    node.budgets.settle(await node.hold(60), 150, 1)
    assert await spent(node, ctx) == {"all": 150}
    assert (await node.refused(1)).data["left_nanos"] == 0
    await limit(node, ctx, "tenant", nanos=200)
    await node.refused(51)
    await node.hold(50)


async def test_a_model_without_a_known_price_is_refused_where_dollars_are_limited(
    start: Start, ctx: Context
) -> None:
    strict, lenient = await start(), await start(unpriced="allow")
    await limit(strict, ctx, "tenant", nanos=100)
    await lenient.budgets.refresh()
    refused = await strict.refused(None)
    assert (refused.data["reason"], refused.data["scope"]) == ("unpriced", "tenant")
    assert "mosaic cost prices set" in str(refused.hint)
    await lenient.hold(None)


async def test_a_budget_of_another_tenant_neither_limits_nor_shows(
    node: Node, ctx: Context, other: Context
) -> None:
    await limit(node, ctx, "project", "p1", nanos=10)
    stranger = Payer("t2", "p1", key_id="key_1")
    assert not node.budgets.limited(stranger)
    await node.hold(10**9, payer=stranger)
    assert await node.limits.states(other) == []
    (state,) = await node.limits.states(ctx)
    for forbidden in (node.limits.get(other, state.budget.id), node.limits.remove(other, state.budget.id)):
        with pytest.raises(NotFound):
            await forbidden
    assert await node.limits.states(ctx) == [state]


async def test_each_period_begins_anew_and_the_one_before_stays_as_it_was(
    database: Database, start: Start, ctx: Context
) -> None:
    node = await start()
    moment = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    budgets = Budgets(
        database,
        node.journal,
        node.budgets._bus,
        node.books,
        clock=lambda: moment,
        seconds=lambda: moment.timestamp(),  # noqa: PLW0108  # the moment changes
    )
    await limit(node, ctx, "tenant", nanos=100, period="day")
    await limit(node, ctx, "project", "p1", nanos=150, period="month")
    budgets.settle(await budgets.hold(PAYER, 100, 1), 100, 1)
    with pytest.raises(BudgetExceeded):
        await budgets.hold(PAYER, 1, 1)
    moment += timedelta(minutes=2)
    hold = budgets.try_hold(PAYER, 100, 1) or await budgets.hold(PAYER, 100, 1)
    budgets.settle(hold, 100, 1)
    with pytest.raises(BudgetExceeded) as caught:
        await budgets.hold(PAYER, 51, 1)
    assert caught.value.data["scope"] == "tenant", "a new month has begun, too"
    await node.books.wait_for_batch()


async def test_a_limit_is_raised_and_lowered_for_every_process(start: Start, ctx: Context) -> None:
    here, there = await start(), await start()
    budget_id = await limit(here, ctx, "tenant", nanos=100)
    await there.budgets.refresh()
    await here.spend(100)
    await there.refused(1)
    await there.limits.set(ctx, NewBudget("tenant", nanos=1_000_000))

    async def heard() -> bool:
        try:
            here.budgets.release(await here.hold(500))
        except BudgetExceeded:
            return False
        return True

    await until(heard)
    assert (await there.limits.get(ctx, budget_id)).spent.nanos == 100, "what is spent stays spent"
    await there.limits.set(ctx, NewBudget("tenant", nanos=50))

    async def lowered() -> bool:
        try:
            here.budgets.release(await here.hold(1))
        except BudgetExceeded:
            return True
        return False

    await until(lowered)


async def test_a_limit_in_dollars_may_come_and_go_while_tokens_are_counted(node: Node, ctx: Context) -> None:
    await limit(node, ctx, "tenant", tokens=1_000)
    await node.spend(70, 10)
    await limit(node, ctx, "tenant", tokens=1_000, nanos=100)
    assert (await node.refused(31)).data["left_nanos"] == 30
    await node.spend(30, 10)
    await limit(node, ctx, "tenant", tokens=30)
    await node.spend(10**9, 10)
    assert (await node.refused(None, 1)).data["reason"] == "tokens"
    (state,) = await node.limits.states(ctx)
    assert (state.spent.nanos, state.spent_tokens) == (10**9 + 100, 30)


async def test_a_budget_that_is_removed_limits_no_more(node: Node, ctx: Context) -> None:
    budget_id = await limit(node, ctx, "tenant", nanos=10)
    hold = await node.hold(10)
    await node.limits.remove(ctx, budget_id)
    await node.budgets.refresh()
    await node.hold(10**9)
    node.budgets.settle(hold, 10, 1)
    await node.books.wait_for_batch()
    assert await node.limits.states(ctx) == []


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (NewBudget("planet", "earth", nanos=1), "scope"),  # type: ignore[arg-type]  # wrong on purpose
        (NewBudget("tenant", "t1", nanos=1), "subject"),
        (NewBudget("project", nanos=1), "subject"),
        (NewBudget("tenant"), "usd"),
        (NewBudget("tenant", nanos=-1), "usd"),
        (NewBudget("tenant", tokens=2**63), "tokens"),
        (NewBudget("tenant", nanos=1, alert_at=(0,)), "alert_at"),
        (NewBudget("tenant", nanos=1, period="year"), "period"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused_with_the_place(
    node: Node, ctx: Context, wanted: NewBudget, where: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await node.limits.set(ctx, wanted)
    assert [problem.path for problem in caught.value.problems] == [where]


async def test_an_alert_is_given_once_for_each_threshold(start: Start, ctx: Context) -> None:
    node, second = await start(refresh_s=0.02), await start(refresh_s=0.02)
    budget_id = await limit(node, ctx, "project", "p1", nanos=1_000, alert_at=(50, 90))
    await second.budgets.refresh()

    async def alerts(count: int) -> list[dict[str, object]]:
        events = await node.journal.read(ctx, types=["budget.alerted"])
        return [event.data for event in events] if len(events) >= count else []

    await node.spend(400)
    await second.spend(150)
    (half,) = await until(lambda: alerts(1))
    assert (half["budget"], half["percent"], half["limit_usd"]) == (budget_id, 50, 0.000001)
    await node.spend(400)
    await node.budgets.maintain()
    await second.budgets.maintain()
    assert [alert["percent"] for alert in await until(lambda: alerts(2))] == [50, 90]


async def test_thousands_that_wait_for_one_lease_are_answered_by_a_few_commits(
    node: Node, ctx: Context
) -> None:
    await limit(node, ctx, "tenant", nanos=10**12)
    holds = await asyncio.gather(*(node.hold(1_000) for _ in range(2_000)))
    for hold in holds:
        node.budgets.settle(hold, 1_000, 1)
    assert await spent(node, ctx) == {"all": 2_000_000}


async def test_nobody_is_let_in_while_too_much_waits_to_be_written(start: Start, ctx: Context) -> None:
    node = await start(most_behind=2)
    for number in range(2):
        node.ledger.record(LedgerEntry(PAYER, f"r{number}", "chat", None, "openai", "m", Usage(1, 1), 1))
    assert node.ledger.is_full
    with pytest.raises(Unavailable):
        node.budgets.try_hold(PAYER, 1, 1)
    await node.ledger.flush()
    assert node.budgets.try_hold(PAYER, 1, 1) is not None


async def test_what_calls_hold_when_a_process_ends_counts_as_spent(start: Start, ctx: Context) -> None:
    node, later = await start(), await start()
    await limit(node, ctx, "tenant", nanos=1_000)
    await node.hold(300)
    await node.budgets.close()
    (state,) = await later.limits.states(ctx)
    assert (state.spent.nanos, state.unconfirmed.nanos, state.leased.nanos) == (300, 300, 0)
    assert await later.limits.lost(ctx) == []


CALL = ModelCall("build", "coder", "openai", "gpt-4o", Usage(60, 40), Money(70))


async def test_an_agents_call_draws_on_the_budgets_above_its_run(
    node: Node, database: Database, ctx: Context
) -> None:
    cost = Cost(database)
    cost.draw_on(node.budgets)
    await limit(node, ctx, "agent", "coder", nanos=150)

    async def reserve(key: str) -> object:
        return await cost.reserve(ctx, "run_1", key, money=Money(100), tokens=10, agent="coder")

    first = await reserve("a")
    with pytest.raises(BudgetExceeded) as caught:
        await reserve("b")
    assert caught.value.data["scope"] == "agent"
    await cost.settle_now(ctx, first, CALL)
    assert await spent(node, ctx) == {"coder": 70}
    with pytest.raises(BudgetExceeded):
        await reserve("c")
    await limit(node, ctx, "agent", "coder", nanos=1_000)
    await cost.release(await reserve("d"))
    await cost.leave_unconfirmed(await reserve("e"))
    assert await spent(node, ctx) == {"coder": 170}
    # What the budget above refused holds nothing in the run's own.
    assert (await cost.run_cost(ctx, "run_1")).reserved == Money(0)
