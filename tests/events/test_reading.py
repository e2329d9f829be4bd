"""Other ways to read the journal than from its beginning to its end."""

from typing import Any

import pytest
from sqlalchemy.event import listen

from mosaic.core.context import Actor, Context
from mosaic.events import Event, Journal, NewEvent
from mosaic.storage import Database

pytestmark = pytest.mark.anyio

OTHER = Context(tenant="t2", project="p1", actor=Actor("user", "u2"))


async def append(database: Database, journal: Journal, ctx: Context, *events: NewEvent) -> list[Event]:
    async with database.transaction() as tx:
        return await journal.append(tx, ctx, events)


async def test_events_of_some_runs_and_types_are_read_together_and_in_order(
    database: Database, journal: Journal, ctx: Context
) -> None:
    for number in range(6):
        await append(
            database, journal, ctx, NewEvent("a.b" if number % 2 else "c.d", run_id=f"run_{number % 3}")
        )
    await append(database, journal, OTHER, NewEvent("c.d", run_id="run_0"))
    found = await journal.read_runs(ctx, ["run_0", "run_1"], after=0, types=["c.d"])
    assert [(event.seq, event.run_id) for event in found] == [(1, "run_0"), (5, "run_1")]
    assert await journal.read_runs(ctx, ["run_0", "run_1"], after=1, types=["c.d"], limit=1) == found[1:]


async def test_events_are_read_backwards_by_how_their_types_begin(
    database: Database, journal: Journal, ctx: Context
) -> None:
    someone = Context(tenant="t1", project="p1", actor=Actor("user", "u9"))
    for kind, who in (("key.created", ctx), ("keys.x", ctx), ("run.created", ctx), ("key.revoked", someone)):
        await append(database, journal, who, NewEvent(kind))

    async def read(**options: Any) -> list[int]:
        return [event.seq for event in await journal.read_back(ctx, **options)]

    assert await read() == [4, 3, 2, 1]
    assert await read(beginnings=["key."]) == [4, 1]
    assert await read(beginnings=["key.", "run.c"], before=4) == [3, 1]
    assert await read(beginnings=["key."], actor="user:u9") == [4]
    assert await read(after=1, limit=2) == [4, 3]
    assert await journal.read_back(OTHER) == []


@pytest.mark.parametrize("runs", [1, 2])
async def test_a_runs_events_are_found_without_going_through_the_journal(
    database: Database, journal: Journal, ctx: Context, runs: int
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL decides by what is in its tables, and there is nothing in them here")
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    listen(database.read_engine, "before_cursor_execute", note)
    if runs == 1:
        await journal.read(ctx, run_id="run_1", after=5)
    else:
        await journal.read_runs(ctx, ["run_1", "run_2"], after=5, types=["a.b"])
    statement, parameters = next(one for one in asked if "FROM event" in one[0])
    with database.sync_engine().connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters)).all()
        connection.engine.dispose()
    assert "ix_event_tenant_id_run_id_seq (tenant_id=? AND run_id=? AND seq>?)" in str(plan)
