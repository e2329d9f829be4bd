"""A hard budget holds: whatever happens at once, in whatever process, after whatever crash."""

import asyncio
import json
import os
import sys
from dataclasses import replace

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import BudgetExceeded
from mosaic.core.money import Money
from mosaic.cost import Cost, CostSettings, ModelCall
from mosaic.providers import Usage
from mosaic.storage import Database

pytestmark = pytest.mark.anyio

CALL = ModelCall("build", "coder", "openai", "gpt-4o", Usage(60, 40), Money(70))


@pytest.fixture
def cost(database: Database) -> Cost:
    return Cost(database)


async def open_budget(database, cost, ctx, run_id="run_1", *, root=None, nanos=None, tokens=None):
    async with database.transaction() as tx:
        await cost.open_budget(
            tx, ctx, run_id, root_run_id=root, usd=Money(nanos) if nanos is not None else None, tokens=tokens
        )


async def reserve(cost, ctx, key="#turn1", run_id="run_1", nanos=100, tokens=100, **options):
    money = Money(nanos) if nanos is not None else None
    return await cost.reserve(ctx, run_id, key, money=money, tokens=tokens, **options)


async def settle(database, cost, ctx, reservation, call=CALL):
    async with database.transaction() as tx:
        for write in cost.settle(ctx, reservation, call):
            await tx.execute(write)


@pytest.mark.requirement("ORC-72")
async def test_what_fits_is_set_aside_to_the_last_nano_and_no_further(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=250)
    await reserve(cost, ctx, "a")
    await reserve(cost, ctx, "b")
    with pytest.raises(BudgetExceeded) as caught:
        await reserve(cost, ctx, "c", nanos=51)
    assert caught.value.http_status == 402
    assert caught.value.data["left_nanos"] == 50
    assert "$0.00" in caught.value.message
    await reserve(cost, ctx, "c", nanos=50)
    assert (await cost.run_cost(ctx, "run_1")).reserved == Money(250)


async def test_tokens_have_a_limit_too(database, cost, ctx):
    await open_budget(database, cost, ctx, tokens=150)
    await reserve(cost, ctx, "a", nanos=None)
    with pytest.raises(BudgetExceeded) as caught:
        await reserve(cost, ctx, "b", nanos=None)
    assert (caught.value.data["reason"], caught.value.data["left_tokens"]) == ("tokens", 50)


async def test_the_real_cost_takes_the_place_of_what_was_set_aside(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    await settle(database, cost, ctx, await reserve(cost, ctx, "a"))
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.reserved, shown.limit) == (Money(70), Money(0), Money(100))
    assert (shown.usage, shown.calls, shown.unpriced_calls) == (Usage(60, 40), 1, 0)
    await reserve(cost, ctx, "b", nanos=30)
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "c", nanos=1)


async def test_what_was_not_used_is_given_back_once(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    reservation = await reserve(cost, ctx)
    await cost.release(reservation)
    await cost.release(reservation)
    assert (await cost.run_cost(ctx, "run_1")).reserved == Money(0)
    await reserve(cost, ctx, "b")
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "c", nanos=1)


async def test_an_answer_that_is_an_error_is_paid_once(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    reservation = await reserve(cost, ctx)
    await cost.settle_now(ctx, reservation, CALL)
    await cost.settle_now(ctx, reservation, CALL)
    await cost.release(reservation)
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.calls, shown.reserved) == (Money(70), 1, Money(0))


async def test_a_call_that_may_have_been_billed_counts_for_ever(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    reservation = await reserve(cost, ctx)
    await cost.leave_unconfirmed(reservation)
    await cost.release(reservation)
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.unconfirmed, shown.reserved) == (Money(0), Money(100), Money(0))
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "b", nanos=1)


async def test_a_call_sent_again_after_a_crash_says_so_and_both_count(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=250)
    first = await reserve(cost, ctx)
    again = await reserve(cost, ctx)
    assert (first.repeated, first.turn, again.repeated, again.turn) == (False, 1, True, 2)
    await settle(database, cost, ctx, again)
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.unconfirmed, shown.reserved) == (Money(70), Money(100), Money(0))
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "b", nanos=81)


async def test_a_call_that_costs_nothing_to_repeat_counts_once(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    await reserve(cost, ctx)
    again = await reserve(cost, ctx, forget_lost=True)
    assert again.repeated
    await settle(database, cost, ctx, again)
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.unconfirmed, shown.reserved) == (Money(70), Money(0), Money(0))


async def test_a_new_attempt_after_a_settled_one_is_no_repetition(database, cost, ctx):
    await open_budget(database, cost, ctx)
    await cost.release(await reserve(cost, ctx))
    again = await reserve(cost, ctx)
    assert (again.repeated, again.turn) == (False, 2)


async def test_child_runs_share_the_budget_of_their_root(database, cost, ctx):
    await open_budget(database, cost, ctx, "root", nanos=100)
    await open_budget(database, cost, ctx, "child", root="root", nanos=1_000_000)
    await settle(database, cost, ctx, await reserve(cost, ctx, run_id="child"))
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, run_id="root", nanos=31)
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "b", run_id="child", nanos=31)
    assert (await cost.run_cost(ctx, "root")).money == Money(70)
    child = await cost.run_cost(ctx, "child")
    assert (child.money, child.limit) == (Money(70), Money(100))


async def test_a_run_without_a_budget_has_no_limit_and_is_counted(database, cost, ctx):
    await settle(database, cost, ctx, await reserve(cost, ctx, nanos=10**15))
    shown = await cost.run_cost(ctx, "run_1")
    assert (shown.money, shown.limit, shown.calls) == (Money(70), None, 1)


async def test_a_run_without_calls_has_cost_nothing(cost, ctx):
    shown = await cost.run_cost(ctx, "run_nobody_knows")
    assert (shown.money, shown.calls, shown.usage) == (Money(0), 0, Usage())


async def test_opening_a_budget_again_changes_nothing(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    await reserve(cost, ctx)
    await open_budget(database, cost, ctx, nanos=10_000)
    with pytest.raises(BudgetExceeded):
        await reserve(cost, ctx, "b", nanos=1)


async def test_an_unknown_price_is_refused_where_dollars_are_limited(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=100)
    with pytest.raises(BudgetExceeded) as caught:
        await reserve(cost, ctx, nanos=None)
    assert caught.value.data["reason"] == "unpriced"
    assert "price" in str(caught.value.hint)


async def test_an_unknown_price_is_allowed_without_a_dollar_limit_or_by_the_settings(database, cost, ctx):
    await open_budget(database, cost, ctx, "free", tokens=1_000)
    await open_budget(database, cost, ctx, "tight", nanos=100)
    unpriced = replace(CALL, money=None)
    await settle(database, cost, ctx, await reserve(cost, ctx, run_id="free", nanos=None), unpriced)
    assert (await cost.run_cost(ctx, "free")).unpriced_calls == 1
    lenient = Cost(database, CostSettings(unpriced="allow"))
    await reserve(lenient, ctx, run_id="tight", nanos=None)


async def test_another_tenants_run_of_the_same_id_is_another_run(database, cost, ctx):
    other = Context(tenant="t2", project="p", actor=Actor("user", "u"))
    await open_budget(database, cost, ctx, nanos=100)
    await settle(database, cost, ctx, await reserve(cost, ctx))
    assert (await cost.run_cost(other, "run_1")).calls == 0
    assert await cost.calls(other, "run_1") == []
    await reserve(cost, other, nanos=10_000)
    assert (await cost.run_cost(ctx, "run_1")).limit == Money(100)


@pytest.mark.requirement("MOZ-130", "ENT-47")
async def test_the_ledger_lists_every_call(database, cost, ctx):
    await open_budget(database, cost, ctx, "child", root="run_1")
    for run_id in ("run_1", "child"):
        await settle(database, cost, ctx, await reserve(cost, ctx, run_id=run_id))
    calls = await cost.calls(ctx, "run_1")
    assert [replace(call, occurred_at=None) for call in calls] == [CALL, CALL]
    assert all(call.occurred_at is not None for call in calls)
    assert json.dumps(calls[0].to_json())
    assert len(await cost.calls(ctx, "run_1", limit=1)) == 1


async def test_scripted_answers_are_told_apart(database, cost, ctx):
    await settle(database, cost, ctx, await reserve(cost, ctx), replace(CALL, provider="scripted"))
    assert (await cost.run_cost(ctx, "run_1")).scripted


async def test_concurrent_reservations_never_pass_the_limit(database, cost, ctx):
    await open_budget(database, cost, ctx, nanos=1_000)

    async def one(number: int) -> int:
        nanos = 7 + number % 13
        try:
            await reserve(cost, ctx, f"call{number}", nanos=nanos)
        except BudgetExceeded:
            return 0
        return nanos

    given = sum(await asyncio.gather(*(one(number) for number in range(300))))
    assert 1_000 - 19 < given <= 1_000
    assert (await cost.run_cost(ctx, "run_1")).reserved == Money(given)


RIVAL = """
import asyncio, json, sys
from pathlib import Path
from mosaic.core.context import Actor, Context
from mosaic.core.errors import BudgetExceeded
from mosaic.core.money import Money
from mosaic.cost import Cost
from mosaic.storage import Database, StorageSettings

async def main(url, data, who):
    database = Database(StorageSettings(url, Path(data), busy_timeout_ms=30_000))
    cost, ctx = Cost(database), Context("t1", "p1", Actor("user", "u1"))
    print("ready", flush=True)
    sys.stdin.readline()
    async def one(number):
        nanos = 3 + number % 17
        try:
            await cost.reserve(ctx, "run_1", f"{who}/{number}", money=Money(nanos), tokens=1)
        except BudgetExceeded:
            return None
        return nanos
    given = []
    for start in range(0, 250, 25):  # in waves, so that the two processes take turns
        given += await asyncio.gather(*(one(n) for n in range(start, start + 25)))
    await database.close()
    print(json.dumps([n for n in given if n is not None]), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.requirement("ORC-72")
async def test_two_processes_reserving_five_hundred_times_never_pass_the_limit(
    database, cost, ctx, database_url, tmp_path
):
    limit = 2_500
    await open_budget(database, cost, ctx, nanos=limit)
    rivals = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RIVAL, database_url, str(tmp_path / who), who,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(os.environ),
        )
        for who in ("one", "two")
    ]  # fmt: skip
    given = []
    async with asyncio.timeout(90):
        for rival in rivals:
            assert await rival.stdout.readline() == b"ready\n"
        for rival in rivals:
            rival.stdin.write(b"go\n")
        for rival in rivals:
            output, _ = await rival.communicate()
            given.append(json.loads(output))
    total = sum(map(sum, given))
    assert all(given), "both processes got a share"
    assert limit - 3 < total <= limit, "the limit is used up to less than the smallest amount asked for"
    assert (await cost.run_cost(ctx, "run_1")).reserved == Money(total)
