"""Nobody overspends: thousands of calls at once, several processes, one of them killed in the middle."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mosaic.core.context import Context
from mosaic.cost import BudgetState
from mosaic.storage import Database
from tests.cost.conftest import PAYER, WAIT_S, Node, Spender, Start, limit, until

pytestmark = pytest.mark.anyio
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Spend = Callable[..., Awaitable[Spender]]
TENANT, PROJECT, AGENT, KEY = 600_000, 400_000, 300_000, 150_000


async def set_limits(node: Node, ctx: Context, share: int = 1) -> None:
    await limit(node, ctx, "tenant", nanos=TENANT // share)
    for number in range(2):
        await limit(node, ctx, "project", f"p{number}", nanos=PROJECT // share, period="month")
    for number in range(3):
        await limit(node, ctx, "agent", f"a{number}", nanos=AGENT // share, period="day")
    for number in range(5):
        await limit(node, ctx, "key", f"key_{number}", nanos=KEY // share, tokens=10_000_000)


def kept(states: list[BudgetState]) -> bool:
    """Say whether every limit holds, counting what is leased as spent."""
    return all(
        state.spent.nanos + state.leased.nanos <= (state.budget.nanos or 0)
        and state.spent_tokens + state.leased_tokens <= (state.budget.tokens or 2**62)
        for state in states
    )


async def watched(node: Node, ctx: Context, spenders: list[Spender], until: str) -> list[dict[str, int]]:
    """Look again and again whether every limit holds, until each spender has said something; return that."""
    waiting = [asyncio.create_task(_until(spender, until)) for spender in spenders]
    async with asyncio.timeout(WAIT_S * 2):
        while not all(task.done() for task in waiting):
            assert kept(await node.limits.states(ctx))
            await asyncio.wait(waiting, timeout=0.05)
    return [task.result() for task in waiting]


async def _until(spender: Spender, word: str) -> dict[str, int]:
    while word not in (said := await spender.said()):
        pass
    return said


@on_postgresql
@pytest.mark.slow
async def test_ten_thousand_calls_on_two_nodes_never_pass_a_limit_by_one_nano(
    start: Start, spender: Spend, ctx: Context, database: Database
) -> None:
    node = await start()
    await set_limits(node, ctx)
    spenders = [await spender(calls=5_000, most=1_000, seed=seed) for seed in (1, 2)]
    for one in spenders:
        one.go()
    said = await watched(node, ctx, spenders, "spent")
    (tenant, *_) = await node.limits.states(ctx)
    billed = sum(one.spent for one in spenders)
    assert billed == sum(one["spent"] for one in said)
    assert sum(one["refused"] for one in said) > 0, "there was not enough for all"
    assert all(one["spent"] > 0 for one in said), "both nodes got a share"
    assert billed <= tenant.spent.nanos <= TENANT, "what may have been billed counts as spent"
    assert kept(await node.limits.states(ctx))
    assert all(state.leased.nanos == 0 for state in await node.limits.states(ctx)), "all was given back"
    # Calls are refused only when there is no room for them: some limit above them is used up to one call's price.
    assert any(
        state.budget.nanos - state.spent.nanos < 1_000
        for state in await node.limits.states(ctx)
        if state.budget.nanos
    )


@on_postgresql
@pytest.mark.slow
async def test_the_lease_of_a_killed_node_counts_as_spent_until_it_is_reconciled(
    start: Start, spender: Spend, ctx: Context
) -> None:
    node = await start(holder_ttl_s=2.0)
    await limit(node, ctx, "tenant", nanos=TENANT)
    victim = await spender(calls=1_000_000, most=100, seed=1, ttl_s=2.0)
    survivor = await spender(calls=3_000, most=1_000, seed=2, ttl_s=2.0)
    victim.go()
    survivor.go()
    await watched(node, ctx, [victim, survivor], "calls")
    await victim.kill()
    (said,) = await watched(node, ctx, [survivor], "spent")
    (tenant,) = await node.limits.states(ctx)
    billed = victim.spent + survivor.spent
    assert said["spent"] == survivor.spent
    assert billed <= tenant.spent.nanos + tenant.leased.nanos <= TENANT
    lost = await until(lambda: node.limits.lost(ctx))
    assert sum(lease.nanos for lease in lost) == tenant.leased.nanos > 0
    # Nobody can spend it while it is not known what became of it ...
    left = TENANT - tenant.spent.nanos - tenant.leased.nanos
    await node.refused(left + 1)
    # ... and everybody can once somebody has said so.
    assert await node.limits.reconcile(ctx, as_spent=False) == lost
    assert await node.limits.lost(ctx) == []
    await node.budgets.refresh()
    hold = await node.hold(left + 1)
    node.budgets.release(hold)
    events = [event async for event in _events(node, ctx, "budget.reconciled")]
    assert [event["leases"][0]["holder"] for event in events] == [lost[0].holder]


async def _events(node: Node, ctx: Context, kind: str):
    for event in await node.journal.read(ctx, types=[kind]):
        yield event.data


@on_sqlite
async def test_ten_thousand_calls_at_once_in_one_process_never_pass_a_limit_by_one_nano(
    start: Start, spender: Spend, ctx: Context
) -> None:
    node = await start()
    await set_limits(node, ctx)
    one = await spender(calls=10_000, most=1_000, seed=3)
    one.go()
    (said,) = await watched(node, ctx, [one], "spent")
    (tenant, *_) = await node.limits.states(ctx)
    assert one.spent == said["spent"] <= tenant.spent.nanos <= TENANT
    assert said["refused"] > 0
    assert all(state.leased.nanos == 0 for state in await node.limits.states(ctx))


async def test_a_lease_that_is_counted_as_spent_stays_spent(start: Start, ctx: Context) -> None:
    gone, node = await start(holder_ttl_s=0.2), await start(holder_ttl_s=0.2)
    await limit(node, ctx, "tenant", nanos=1_000)
    await gone.budgets.refresh()
    await gone.hold(600)
    await _frozen(gone)
    ended = await until(lambda: node.limits.reconcile(ctx, as_spent=True))
    leased = sum(lease.nanos for lease in ended)
    (state,) = await node.limits.states(ctx)
    assert (state.spent.nanos, state.leased.nanos, state.unconfirmed.nanos) == (leased, 0, leased)
    assert (await node.refused(1_000 - leased + 1)).data["left_nanos"] == 1_000 - leased


async def test_a_process_taken_for_dead_spends_nothing_of_what_was_reconciled(
    start: Start, ctx: Context
) -> None:
    frozen, node = await start(holder_ttl_s=0.2), await start(holder_ttl_s=0.2)
    await limit(node, ctx, "tenant", nanos=1_000)
    await frozen.budgets.refresh()
    hold = await frozen.hold(600)
    await _frozen(frozen)
    await until(lambda: node.limits.reconcile(ctx, as_spent=False))
    await node.spend(900)
    assert frozen.budgets.try_hold(PAYER, 1, 1) is None, "it must show that it lives before it spends again"
    await frozen.refused(101)
    # What it had begun is billed all the same, and is not hidden.
    frozen.budgets.settle(hold, 50, 1)
    await frozen.books.wait_for_batch()
    (state,) = await node.limits.states(ctx)
    assert state.spent.nanos == 950


async def _frozen(node: Node) -> None:
    """Have a node do nothing more by itself, as a process that was stopped."""
    for watch in node.budgets._watches:
        await watch.stop()


async def test_what_another_process_leased_and_does_not_use_comes_back_when_it_is_needed(
    start: Start, ctx: Context
) -> None:
    rich, poor = await start(idle_s=3_600.0), await start(recall_s=WAIT_S)
    await limit(rich, ctx, "tenant", nanos=80_000_000)
    await poor.budgets.refresh()
    rich.budgets.release(await rich.hold(60_000_000))
    assert (await poor.limits.states(ctx))[0].leased.nanos > 60_000_000
    hold = await poor.hold(75_000_000)
    poor.budgets.settle(hold, 75_000_000, 1)
    await poor.books.wait_for_batch()
    assert (await rich.refused(6_000_000)).data["left_nanos"] <= 5_000_000


async def test_an_unused_lease_is_given_back_by_itself(start: Start, ctx: Context) -> None:
    node = await start(idle_s=0.0, refresh_s=0.02)
    await limit(node, ctx, "tenant", nanos=10**9)
    node.budgets.release(await node.hold(1_000))

    async def given_back() -> bool:
        return (await node.limits.states(ctx))[0].leased.nanos == 0

    await until(given_back)
