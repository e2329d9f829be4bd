"""Many changes share one commit, and a bad one harms only itself."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    table,
    text,
    update,
)

from mosaic.core.errors import Fenced, Unavailable
from mosaic.storage import (
    Database,
    Duplicate,
    Prepared,
    SyncTransaction,
    Transaction,
    UtcDateTime,
    stored_time,
)

pytestmark = pytest.mark.anyio


class Committed:
    """Counts commits from the outside: an announcer is told once per commit."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, ...]] = []

    async def announce(self, tx: Transaction, topics: object) -> None:
        raise AssertionError("not through here")

    def announce_sync(self, tx: SyncTransaction, topics: object) -> None:
        tx.scalar(select(1))  # inside the transaction

    def announced(self, topics: Sequence[str]) -> None:
        self.batches.append(tuple(topics))


async def stored(database: Database, table: Table) -> list[int]:
    async with database.transaction(read_only=True) as tx:
        return [row["id"] for row in await tx.rows(select(table.c.id).order_by(table.c.id))]


async def test_a_change_is_answered_with_its_own_result_once_it_is_written(
    database: Database, notes: Table
) -> None:
    def unit(tx: SyncTransaction) -> int:
        tx.execute(insert(notes).values(id=7, text="a"))
        return int(tx.scalar(select(func.max(notes.c.id))))

    assert await database.committer.commit(unit) == 7
    assert await stored(database, notes) == [7]


@pytest.mark.requirement("STK-44", "ORC-64")
async def test_changes_that_wait_together_share_one_commit(database: Database, notes: Table) -> None:
    committed, first_runs, go = Committed(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: SyncTransaction) -> None:
        tx.announce(committed, "slow")
        loop.call_soon_threadsafe(first_runs.set)
        go.wait(10)

    def write(number: int, tx: SyncTransaction) -> None:
        tx.send(insert(notes).values(id=number, text="x"))
        tx.announce(committed, f"n{number}")

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(database.committer.commit(slow))
        await first_runs.wait()
        for number in range(20):
            group.create_task(database.committer.commit(lambda tx, n=number: write(n, tx)))  # type: ignore[misc]  # the default binds the number
        await asyncio.sleep(0)
        go.set()
    assert await stored(database, notes) == list(range(20))
    assert committed.batches == [("slow",), tuple(f"n{n}" for n in range(20))]


async def test_a_bad_change_fails_alone_and_its_neighbours_are_written(
    database: Database, notes: Table
) -> None:
    first_runs, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: SyncTransaction) -> None:
        loop.call_soon_threadsafe(first_runs.set)
        go.wait(10)

    def fail(tx: SyncTransaction) -> None:
        tx.send(insert(notes).values(id=99, text="x"))
        raise LookupError("bad")

    def write(number: int) -> "asyncio.Task[None]":
        statement = insert(notes).values(id=number, text="x")
        return asyncio.create_task(database.committer.commit(lambda tx: tx.send(statement)))

    async with asyncio.timeout(20):
        waiting = asyncio.create_task(database.committer.commit(slow))
        await first_runs.wait()
        good, twice, bad, late = (
            write(1),
            write(1),
            asyncio.create_task(database.committer.commit(fail)),
            write(2),
        )
        await asyncio.sleep(0)
        go.set()
        results = await asyncio.gather(waiting, good, twice, bad, late, return_exceptions=True)
    assert [type(result) for result in results] == [
        type(None),
        type(None),
        Duplicate,
        LookupError,
        type(None),
    ]
    assert await stored(database, notes) == [1, 2]


async def test_what_units_defer_is_written_together_and_before_the_announcement(
    database: Database, notes: Table
) -> None:
    calls: list[list[int]] = []
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)

    def flush(tx: SyncTransaction, numbers: list[int]) -> None:
        calls.append(numbers)
        tx.run(prepared, [prepared.row({"id": number, "text": "x"}) for number in numbers])

    def unit(tx: SyncTransaction) -> None:
        tx.defer(flush, 1)
        tx.defer(flush, 2)

    await database.committer.commit(unit)
    assert calls == [[1, 2]]
    assert await stored(database, notes) == [1, 2]


async def test_a_prepared_question_is_answered_in_the_middle_of_the_batch(
    database: Database, notes: Table
) -> None:
    prepared = Prepared(select(notes.c.text).where(notes.c.id == bindparam("id")), database.dialect)

    def unit(tx: SyncTransaction) -> list[tuple[str]]:
        tx.send(insert(notes).values(id=1, text="asked"))
        return [*tx.ask(prepared, (1,)), *tx.ask(prepared, (2,))]

    assert await database.committer.commit(unit) == [("asked",)]


async def test_any_statement_can_be_sent_whatever_it_would_answer(database: Database, notes: Table) -> None:
    counted = Table("counted", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))
    engine = database.sync_engine()
    counted.metadata.create_all(engine)
    engine.dispose()

    def unit(tx: SyncTransaction) -> None:
        tx.send(insert(counted).values(text="the database makes the key"))
        tx.send(insert(counted), [{"text": "two"}, {"text": "three"}])
        tx.send(insert(counted).returning(counted.c.id), {"text": "four"})
        tx.send(select(counted))
        tx.send(text("SELECT 1"))
        tx.send(update(counted).values(text="changed").where(counted.c.id.in_([1, 2])))
        tx.send(delete(counted).where(counted.c.id == 3))
        tx.announce(Committed(), "x")

    await database.committer.commit(unit)
    async with database.transaction(read_only=True) as tx:
        found = {row["id"]: row["text"] for row in await tx.rows(select(counted))}
    assert found == {1: "changed", 2: "changed", 4: "four"}


def test_a_prepared_statement_refuses_to_hold_a_value_of_its_own(notes: Table) -> None:
    with pytest.raises(ValueError, match="bindparam"):
        Prepared(select(notes).where(notes.c.id == 5), "sqlite")


async def test_a_guard_that_refuses_stops_every_change_of_the_batch(database: Database, notes: Table) -> None:
    def fence(tx: SyncTransaction) -> None:
        assert tx.scalar(select(1)) == 1
        raise Fenced("this node lost its lease")

    database.committer.guards.append(fence)
    writes = [
        database.committer.commit(lambda tx, n=n: tx.send(insert(notes).values(id=n, text="x")))  # type: ignore[misc]  # the default binds the number
        for n in range(3)
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [Fenced] * 3
    database.committer.guards.clear()
    assert await stored(database, notes) == []


async def test_a_change_whose_caller_left_before_it_began_is_dropped(
    database: Database, notes: Table
) -> None:
    first_runs, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: SyncTransaction) -> None:
        loop.call_soon_threadsafe(first_runs.set)
        go.wait(10)

    async with asyncio.timeout(20):
        waiting = asyncio.create_task(database.committer.commit(slow))
        await first_runs.wait()
        left = asyncio.create_task(
            database.committer.commit(lambda tx: tx.send(insert(notes).values(id=1, text="x")))
        )
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        go.set()
        await waiting
        await database.committer.commit(lambda tx: None)
    assert left.cancelled()
    assert await stored(database, notes) == []


async def test_closing_writes_what_waits_and_refuses_what_comes_later(
    database: Database, notes: Table
) -> None:
    writes = [
        asyncio.create_task(
            database.committer.commit(lambda tx, n=n: tx.send(insert(notes).values(id=n, text="x")))  # type: ignore[misc]  # the default binds the number
        )
        for n in range(5)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await database.committer.close()
        await asyncio.gather(*writes)
        with pytest.raises(Unavailable, match="closed"):
            await database.committer.commit(lambda tx: None)
        await database.committer.close()
    assert await stored(database, notes) == list(range(5))


async def test_a_change_nobody_waits_for_is_written_and_its_failure_logged(
    database: Database, notes: Table, caplog: pytest.LogCaptureFixture
) -> None:
    statement = insert(notes).values(id=1, text="x")
    database.committer.submit(lambda tx: tx.send(statement))
    await database.committer.commit(lambda tx: None)
    database.committer.submit(lambda tx: tx.send(statement))
    await database.committer.commit(lambda tx: None)
    assert await stored(database, notes) == [1]
    assert "nobody waits for failed" in caplog.text


async def test_one_committer_serves_several_event_loops(database: Database, notes: Table) -> None:
    def elsewhere() -> None:
        asyncio.run(database.committer.commit(lambda tx: tx.send(insert(notes).values(id=1, text="x"))))

    async with asyncio.timeout(20):
        await asyncio.gather(
            asyncio.to_thread(elsewhere),
            database.committer.commit(lambda tx: tx.send(insert(notes).values(id=2, text="x"))),
        )
    assert await stored(database, notes) == [1, 2]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_connection_that_dies_costs_the_caller_nothing(database: Database, notes: Table) -> None:
    url = database.sync_url.set(drivername="postgresql").render_as_string(hide_password=False)
    await database.committer.commit(lambda tx: tx.send(insert(notes).values(id=1, text="x")))

    def killed_once(tx: SyncTransaction) -> None:
        tx.send(insert(notes).values(id=3, text="x"))
        if not died:
            died.append(tx.scalar(text("SELECT pg_backend_pid()")))
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (died[0],))

    died: list[int] = []
    with psycopg.connect(url, autocommit=True) as other:  # between two batches
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await database.committer.commit(lambda tx: tx.send(insert(notes).values(id=2, text="x")))
    await database.committer.commit(killed_once)
    assert await stored(database, notes) == [1, 2, 3]


async def test_many_writers_of_both_kinds_get_through(database: Database, notes: Table) -> None:
    async def alone(number: int) -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=number, text="x"))

    async def grouped(number: int) -> None:
        await database.committer.commit(lambda tx: tx.send(insert(notes).values(id=number, text="x")))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(0, 60, 2):
            group.create_task(alone(number))
            group.create_task(grouped(number + 1))
    assert await stored(database, notes) == list(range(60))


async def test_a_prepared_statement_takes_and_gives_every_simple_value(database: Database) -> None:
    kinds = Table(
        "kinds",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("text", Text),
        Column("number", Float),
        Column("flag", Boolean),
        Column("at", UtcDateTime),
    )
    engine = database.sync_engine()
    kinds.metadata.create_all(engine)
    engine.dispose()
    names = [column.name for column in kinds.c]
    write = Prepared(insert(kinds).values({name: bindparam(f"_{name}") for name in names}), database.dialect)
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    given: list[dict[str, Any]] = [
        {"_id": 1, "_text": "it's 50% $1 ä€😀\n", "_number": 1.5, "_flag": True, "_at": moment},
        {"_id": -(2**31), "_text": None, "_number": None, "_flag": None, "_at": None},
    ]
    rows = [write.row(row | {"_at": row["_at"] and stored_time(moment, database.dialect)}) for row in given]
    await database.committer.commit(lambda tx: tx.run(write, rows))
    async with database.transaction(read_only=True) as tx:
        found = await tx.rows(select(kinds).order_by(kinds.c.id.desc()))
    assert [{f"_{name}": row[name] for name in names} for row in found] == given


async def test_a_batch_larger_than_any_buffer_is_written_whole(database: Database, notes: Table) -> None:
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)
    rows = [prepared.row({"id": number, "text": "x" * 10_000}) for number in range(1000)]
    async with asyncio.timeout(60):
        await database.committer.commit(lambda tx: tx.run(prepared, rows))
    assert len(await stored(database, notes)) == 1000


async def test_a_prepared_statement_that_fails_leaves_the_committer_usable(
    database: Database, notes: Table
) -> None:
    missing = Prepared(
        insert(table("missing", column("id"))).values(id=bindparam("id", type_=Integer)), database.dialect
    )
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)
    with pytest.raises((sqlite3.Error, psycopg.Error), match="missing"):
        await database.committer.commit(lambda tx: tx.run(missing, [(1,)]))
    with pytest.raises(Duplicate):
        await database.committer.commit(lambda tx: tx.run(prepared, [(1, "a"), (1, "b")]))
    with pytest.raises((sqlite3.Error, TypeError)):
        await database.committer.commit(lambda tx: tx.run(prepared, [(1, "a"), (1, object())]))
    await database.committer.commit(lambda tx: tx.run(prepared, [(1, "a")]))
    assert await stored(database, notes) == [1]


async def test_a_rollback_after_many_statements_leaves_the_prepared_ones_in_place(
    database: Database, notes: Table
) -> None:
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)

    def unit(number: int, tx: SyncTransaction) -> None:
        tx.run(prepared, [(number, "a")])
        for _ in range(20):
            tx.send(update(notes).where(notes.c.id == number).values(text="b"))
        tx.run(prepared, [(number if number == 1 else number + 100, "again")])

    await database.committer.commit(lambda tx: unit(2, tx))
    for _ in range(2):
        with pytest.raises(Duplicate):
            await database.committer.commit(lambda tx: unit(1, tx))
        await database.committer.commit(lambda tx: tx.send(text("DROP TABLE IF EXISTS never_there")))
    await database.committer.commit(lambda tx: unit(3, tx))
    assert await stored(database, notes) == [2, 3, 102, 103]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_frozen_batch_is_idle_in_its_transaction_so_that_the_server_can_end_it(
    database: Database, notes: Table
) -> None:
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)
    ask = Prepared(select(func.count()).select_from(notes), database.dialect)
    url = database.sync_url.set(drivername="postgresql").render_as_string(hide_password=False)
    states: list[tuple[str, ...]] = []

    def unit(tx: SyncTransaction) -> None:
        for step in (
            lambda: tx.ask(ask),
            lambda: tx.send(insert(notes).values(id=1, text="x")),
            lambda: tx.run(prepared, [(2, "x")]),
            lambda: tx.ask(ask),
        ):
            step()
            with psycopg.connect(url, autocommit=True) as other:
                found = other.execute(
                    "SELECT DISTINCT state FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'mosaic' AND xact_start IS NOT NULL"
                )
                states.append(tuple(str(row[0]) for row in found))

    await database.committer.commit(unit)
    assert states == [("idle in transaction",)] * 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_nodes_that_wait_for_each_other_both_get_through(database: Database, notes: Table) -> None:
    other = Database(database.settings)
    await database.committer.commit(
        lambda tx: tx.send(insert(notes), [{"id": 1, "text": "0"}, {"id": 2, "text": "0"}])
    )
    meeting = threading.Barrier(2)

    def unit(first: int, second: int, tx: SyncTransaction) -> None:
        longer = notes.c.text + "x"
        tx.execute(update(notes).where(notes.c.id == first).values(text=longer))
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(5)  # both hold their first row now; later attempts find the barrier broken
            meeting.abort()
        tx.execute(update(notes).where(notes.c.id == second).values(text=longer))

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.committer.commit(lambda tx: unit(1, 2, tx)),
            other.committer.commit(lambda tx: unit(2, 1, tx)),
        )
    await other.close()
    async with database.transaction(read_only=True) as tx:
        assert [row["text"] for row in await tx.rows(select(notes))] == ["0xx", "0xx"]
