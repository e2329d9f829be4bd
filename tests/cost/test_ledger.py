"""The ledger of calls from outside: every call once, whatever it holds, in one commit with its budgets and its event."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from mosaic.core.context import Context
from mosaic.cost import Cost, LedgerEntry, Payer
from mosaic.cost.models import model_call, spend_period
from mosaic.providers import Usage
from mosaic.storage import Database
from tests.cost.conftest import PAYER, Node, Start, limit

pytestmark = pytest.mark.anyio


def entry(number: int = 0, **fields: object) -> LedgerEntry:
    given: dict[str, object] = {
        "payer": PAYER, "call_key": f"req_{number}", "operation": "openai.chat", "route": "fast",
        "provider": "openai", "model": "gpt-4o", "usage": Usage(60, 40, 10, 5, 7), "nanos": 70,
    }  # fmt: skip
    return LedgerEntry(**{**given, **fields})  # type: ignore[arg-type]  # a test's own


async def rows(database: Database) -> list[dict[str, object]]:
    async with database.transaction(read_only=True) as tx:
        found = await tx.rows(select(model_call).order_by(model_call.c.occurred_at, model_call.c.call_key))
    return [dict(row) for row in found]


@pytest.mark.requirement("ENT-47", "ORC-73")
async def test_a_call_becomes_a_row_and_an_event(node: Node, database: Database, ctx: Context) -> None:
    moment = datetime(2026, 11, 28, 1, 2, 3, 456789, tzinfo=UTC)
    node.ledger.record(
        entry(
            payer=Payer("t1", "p1", agent="a1", key_id="key_1"), at=moment.timestamp(), response_id="chatcmpl-1",
            latency_ms=12, data={"asked": "fast", "attempts": [{"target": "openai:gpt-4o", "ms": 11.5}]},
        )
    )  # fmt: skip
    await node.ledger.flush()
    (row,) = await rows(database)
    assert abs((row.pop("occurred_at") - moment).total_seconds()) < 0.001  # type: ignore[operator]  # a time
    assert row == {
        "tenant_id": "t1", "run_id": "", "call_key": "req_0", "turn": 1, "root_run_id": "", "project_id": "p1",
        "path": "", "agent": "a1", "provider": "openai", "model": "gpt-4o", "response_id": "chatcmpl-1",
        "input_tokens": 60, "output_tokens": 40, "cached_input_tokens": 10, "cache_write_tokens": 5,
        "reasoning_tokens": 7, "estimated": False, "nanos": 70, "source": "gateway", "operation": "openai.chat",
        "key_id": "key_1", "route": "fast", "cached": False, "latency_ms": 12, "outcome": "ok",
    }  # fmt: skip
    (event,) = await node.journal.read(ctx)
    assert (event.type, event.seq, event.actor, event.correlation) == (
        "model.called",
        1,
        "webhook:key_1",
        "req_0",
    )
    assert event.data["model"] == "openai:gpt-4o"
    assert event.data["usd"] == 7e-08
    assert event.data["attempts"] == [{"target": "openai:gpt-4o", "ms": 11.5}]
    assert event.occurred_at.isoformat(timespec="milliseconds") == "2026-11-28T01:02:03.456+00:00"


async def test_hundreds_of_calls_of_two_tenants_take_their_places_without_a_gap(
    node: Node, database: Database, ctx: Context, other: Context
) -> None:
    for number in range(700):
        node.ledger.record(entry(number, payer=Payer("t2" if number % 3 == 0 else "t1", "p1")))
    assert node.ledger.behind == 700
    await node.ledger.flush()
    assert node.ledger.behind == 0
    assert len(await rows(database)) == 700
    for context, count in ((ctx, 466), (other, 234)):
        events = await node.journal.read(context, limit=1_000)
        assert [event.seq for event in events] == list(range(1, count + 1))
        assert len({event.id for event in events}) == count
        assert [event.id for event in events] == sorted(event.id for event in events)


async def test_rows_and_what_they_took_from_budgets_are_one_commit(
    node: Node, database: Database, ctx: Context
) -> None:
    await limit(node, ctx, "tenant", nanos=10**9)
    both = select(
        select(func.count()).select_from(model_call).scalar_subquery(),
        select(spend_period.c.spent_nanos).scalar_subquery(),
    )
    for number in range(50):
        node.budgets.settle(await node.hold(1_000), 70, 1)
        node.ledger.record(entry(number))
        async with database.transaction(read_only=True) as tx:
            (count, spent) = (await tx.execute(both)).one()
        assert (spent or 0) == 70 * count
    await node.ledger.flush()
    assert (await node.limits.states(ctx))[0].spent.nanos == 50 * 70


async def test_a_call_recorded_twice_is_one_row(node: Node, database: Database) -> None:
    node.ledger.record(entry())
    node.ledger.record(entry())
    await node.ledger.flush()
    assert len(await rows(database)) == 1


async def test_what_no_database_can_store_costs_no_other_row(
    node: Node, database: Database, ctx: Context
) -> None:
    node.ledger.record(entry(1))
    node.ledger.record(
        entry(2, model="gpt\0\ud83d", data={"asked": "\ud83d", "deep": [{"\0": {1: object()}}]})
    )
    node.ledger.record(entry(3, usage=Usage(2**70, 1)))
    node.ledger.record(entry(4))
    await node.ledger.flush()
    assert [row["call_key"] for row in await rows(database)] == ["req_1", "req_2", "req_4"]
    assert (node.ledger.behind, node.ledger.lost) == (0, 1)
    assert "gpt" in str((await rows(database))[1]["model"])
    assert len(await node.journal.read(ctx)) == 3


async def test_secrets_reach_no_event(node: Node, ctx: Context, redactor: object) -> None:
    redactor.add("hunter2hunter2")  # type: ignore[attr-defined]  # the fixture's redactor
    node.ledger.record(entry(data={"asked": "hunter2hunter2", "note": "sk-" + "a" * 30}))
    await node.ledger.flush()
    (event,) = await node.journal.read(ctx)
    assert "hunter2" not in json.dumps(event.to_json())
    assert "sk-aaa" not in json.dumps(event.to_json())


async def test_a_failed_call_is_told_apart(node: Node, database: Database, ctx: Context) -> None:
    node.ledger.record(entry(1, outcome="unavailable", usage=Usage(), nanos=0))
    node.ledger.record(entry(2, outcome="cancelled"))
    node.ledger.record(entry(3, cached=True, nanos=0))
    await node.ledger.flush()
    events = await node.journal.read(ctx)
    assert [event.type for event in events] == ["model.failed", "model.called", "model.called"]
    assert [row["outcome"] for row in await rows(database)] == ["unavailable", "cancelled", "ok"]


async def test_closing_writes_what_waits(start: Start, database: Database) -> None:
    node = await start()
    for number in range(300):
        node.ledger.record(entry(number))
    await node.budgets.close()
    assert len(await rows(database)) == 300


async def test_calls_from_outside_are_no_runs(node: Node, database: Database, ctx: Context) -> None:
    node.ledger.record(entry())
    await node.ledger.flush()
    assert (await Cost(database).run_cost(ctx, "run_1")).calls == 0


async def test_a_batch_repeated_after_a_lost_connection_changes_nothing(
    start: Start, database: Database, ctx: Context
) -> None:
    """The commit happens and its answer is lost: the same batch is written again, and must find itself there."""
    node = await start(running=False)
    await limit(node, ctx, "tenant", nanos=10**9)
    node.budgets.settle(await node.hold(1_000), 70, 1)
    node.ledger.record(entry())
    learn, lost = node.books._applied, []
    node.books._applied = lost.append  # type: ignore[method-assign, assignment]  # the answer gets lost
    batch = node.books._next()
    await node.books._commit(batch)
    assert lost == [batch]
    node.books._applied = learn  # type: ignore[method-assign]
    await node.books._commit(batch)
    assert batch.applied
    assert len(await rows(database)) == 1
    assert len(await node.journal.read(ctx, types=["model.called"])) == 1
    (state,) = await node.limits.states(ctx)
    assert (state.spent.nanos, state.leased.nanos) == (70, node.books.accounts()[0].leased_nanos)
    await node.spend(30)
    assert (await node.limits.states(ctx))[0].spent.nanos == 100
