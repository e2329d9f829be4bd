"""What runs have cost, asked for many at once."""

import pytest
from sqlalchemy import insert

from mosaic.core.context import Actor, Context
from mosaic.core.money import Money
from mosaic.cost import Cost
from mosaic.cost.models import model_call, reservation
from mosaic.storage import Database
from tests.cost.test_usage import MOMENT

pytestmark = pytest.mark.anyio


async def called(database: Database, tenant: str, run: str, root: str, key: str, nanos: int | None) -> None:
    """Write a row of the ledger."""
    tokens = dict.fromkeys(
        ("input_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens"), 0
    )
    values = {
        "tenant_id": tenant, "run_id": run, "call_key": key, "turn": 1, "root_run_id": root, "project_id": "p1",
        "path": "a", "provider": "openai", "model": "m", "output_tokens": 10, "estimated": False, "nanos": nanos,
        "occurred_at": MOMENT, **tokens,
    }  # fmt: skip
    async with database.transaction() as tx:
        await tx.execute(insert(model_call).values(values))


async def held(database: Database, run: str, root: str, nanos: int, status: str) -> None:
    """Write what was set aside for a call."""
    values = {
        "tenant_id": "t1", "run_id": run, "call_key": status, "turn": 1, "token": "x", "root_run_id": root,
        "nanos": nanos, "tokens": 1, "status": status, "reserved_at": MOMENT,
    }  # fmt: skip
    async with database.transaction() as tx:
        await tx.execute(insert(reservation).values(values))


async def test_the_cost_of_many_runs_is_that_of_each(database: Database, ctx: Context) -> None:
    cost = Cost(database)
    other = Context("t2", "p1", Actor("user", "u1"))
    async with database.transaction() as tx:
        await cost.open_budget(tx, ctx, "root", usd=Money(5_000), tokens=77)
        await cost.open_budget(tx, ctx, "child", root_run_id="root")
        await cost.open_budget(tx, ctx, "alone")
    await called(database, "t1", "root", "root", "1", 100)
    await called(database, "t1", "child", "root", "1", 30)
    await called(database, "t1", "child", "root", "2", None)
    await called(database, "t1", "alone", "alone", "1", 7)
    await called(database, "t2", "root", "root", "1", 9_999)
    await held(database, "child", "root", 40, "open")
    await held(database, "root", "root", 20, "unconfirmed")
    await held(database, "root", "root", 1_000, "settled")

    costs = await cost.run_costs(ctx, ["root", "child", "alone", "nobody"])

    figures = {run: (one.money.nanos, one.calls, one.unpriced_calls) for run, one in costs.items()}
    assert figures == {"root": (130, 3, 1), "child": (30, 2, 1), "alone": (7, 1, 0), "nobody": (0, 0, 0)}
    reserved = {run: (one.reserved.nanos, one.unconfirmed.nanos) for run, one in costs.items()}
    assert reserved == {"root": (40, 20), "child": (40, 0), "alone": (0, 0), "nobody": (0, 0)}
    assert costs["child"].limit == costs["root"].limit == Money(5_000)
    assert costs["child"].limit_tokens == 77
    assert costs["alone"].limit is None
    for run, one in costs.items():
        assert await cost.run_cost(ctx, run) == one
    assert (await cost.run_costs(other, ["root"]))["root"].money == Money(9_999)
    assert [call.money for call in await cost.calls(ctx, "child")] == [Money(30), None]
    assert len(await cost.calls(ctx, "root")) == 3
