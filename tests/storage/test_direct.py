"""A change that is alone takes the short way, and nobody can tell but by the clock."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import Table, bindparam, func, insert, select, text

from mosaic.storage import Database, Duplicate, Prepared, StorageSettings, SyncTransaction

pytestmark = pytest.mark.anyio

Unit = Callable[[SyncTransaction], None]
postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def write(database: Database, notes: Table) -> Callable[[int], Unit]:
    """Return the change that writes a note by a prepared statement."""
    prepared = Prepared(insert(notes).values(id=bindparam("id"), text=bindparam("text")), database.dialect)

    def unit(number: int) -> Unit:
        return lambda tx: tx.run(prepared, [prepared.row({"id": number, "text": "x"})])

    return unit


async def stored(database: Database, notes: Table) -> list[int]:
    async with database.transaction(read_only=True) as tx:
        return [row["id"] for row in await tx.rows(select(notes.c.id).order_by(notes.c.id))]


def noting(unit: Unit, threads: list[str]) -> Unit:
    def noted(tx: SyncTransaction) -> None:
        threads.append(threading.current_thread().name)
        unit(tx)

    return noted


async def test_changes_one_after_the_other_need_no_thread_on_a_server(
    database: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    threads: list[str] = []
    for number in range(4):
        await database.committer.commit(noting(write(number), threads))
    assert await stored(database, notes) == [0, 1, 2, 3]
    assert threads[0] == "group-commit"  # it makes the connection
    short = threading.current_thread().name if database.dialect == "postgresql" else "group-commit"
    assert threads[-1] == short


async def test_a_lone_change_that_needs_an_answer_gets_it(
    database: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    def count(tx: SyncTransaction) -> int:
        write(9)(tx)
        return int(tx.scalar(select(func.count()).select_from(notes)))

    for number in range(3):
        await database.committer.commit(write(number))
    assert await database.committer.commit(count) == 4
    assert await stored(database, notes) == [0, 1, 2, 9]


async def test_a_unit_that_goes_on_without_its_answer_is_still_asked_again(
    database: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    def unsure(tx: SyncTransaction) -> None:
        try:
            present = bool(tx.scalar(select(func.count()).select_from(notes)))
        except Exception:  # noqa: BLE001  # that it swallows everything is the point
            present = False
        write(10 if present else 11)(tx)

    for number in range(3):
        await database.committer.commit(write(number))
    await database.committer.commit(unsure)
    assert await stored(database, notes) == [0, 1, 2, 10]


async def test_a_lone_change_that_the_database_refuses_is_told_why(
    database: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    for number in range(3):
        await database.committer.commit(write(number))
    with pytest.raises(Duplicate):
        await database.committer.commit(write(1))
    await database.committer.commit(write(3))
    assert await stored(database, notes) == [0, 1, 2, 3]


@postgresql
async def test_a_refusal_that_comes_only_with_the_commit_is_heard(database: Database, notes: Table) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("CREATE TABLE pair (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)"))
    pair = Prepared(text("INSERT INTO pair (id) VALUES (CAST(:id AS int))"), database.dialect)
    for number in range(3):
        await database.committer.commit(lambda tx, n=number: tx.run(pair, [(n,)]))  # type: ignore[misc]  # the default binds the number
    with pytest.raises(Duplicate):
        await database.committer.commit(lambda tx: tx.run(pair, [(1,)]))
    await database.committer.commit(lambda tx: tx.run(pair, [(5,)]))


@postgresql
async def test_a_connection_that_dies_under_a_lone_change_costs_nothing(
    database: Database,
    notes: Table,
    write: Callable[[int], Unit],
    postgres_server: "psycopg.Connection[object]",
) -> None:
    def kill() -> None:
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            (database.sync_url.database,),
        )

    def killed_once(tx: SyncTransaction) -> None:
        if not killed:
            killed.append(True)
            kill()
        write(4)(tx)

    killed: list[bool] = []
    for number in range(3):
        await database.committer.commit(write(number))
    kill()
    await database.committer.commit(write(3))
    await database.committer.commit(write(5))
    await database.committer.commit(killed_once)
    await database.committer.commit(write(6))
    assert await stored(database, notes) == [0, 1, 2, 3, 4, 5, 6]


async def test_a_caller_that_is_cancelled_learns_of_it_after_the_commit(
    database: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    async def keep(number: int) -> str:
        pending = database.committer.begin(write(number))
        cancelled = await pending.end()
        assert pending.error is None
        return "cancelled" if cancelled is not None else "undisturbed"

    for number in range(4):
        task = asyncio.create_task(keep(number))
        await asyncio.sleep(0)
        for _ in range(number):
            task.cancel()
            await asyncio.sleep(0)
        assert await task == ("cancelled" if number else "undisturbed")
    assert await stored(database, notes) == [0, 1, 2, 3]


@pytest.fixture
async def impatient(storage_settings: StorageSettings) -> AsyncIterator[Database]:
    database = Database(replace(storage_settings, busy_timeout_ms=300))
    yield database
    await database.close()


@postgresql
async def test_an_event_loop_that_stops_under_its_change_stops_nobody_else(
    impatient: Database, notes: Table, write: Callable[[int], Unit]
) -> None:
    for number in range(3):
        await impatient.committer.commit(write(number))

    async def begin_and_stop() -> None:
        impatient.committer.begin(write(3))

    loop = asyncio.new_event_loop()
    await asyncio.to_thread(loop.run_until_complete, begin_and_stop())
    async with asyncio.timeout(20):
        await impatient.committer.commit(write(4))
        await impatient.committer.commit(write(5))
    loop.close()
    assert await stored(impatient, notes) == [0, 1, 2, 3, 4, 5]
