"""A transaction is whole or nothing, and says what stood in its way."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Table, func, insert, select, text

from mosaic.core.errors import StorageFull, Unavailable
from mosaic.storage import Database, Duplicate, StorageSettings, Transaction

pytestmark = pytest.mark.anyio


async def count(database: Database, table: Table) -> int:
    async with database.transaction(read_only=True) as tx:
        return int(await tx.scalar(select(func.count()).select_from(table)))


async def test_a_block_that_ends_commits_and_then_calls_back(database: Database, notes: Table) -> None:
    called: list[str] = []
    async with database.transaction() as tx:
        await tx.execute(insert(notes).values(id=1, text="a"))
        tx.after_commit(lambda: called.append("now"))
        assert not called
    assert called == ["now"]
    assert await count(database, notes) == 1


@pytest.mark.requirement("ENT-23")
async def test_a_block_that_raises_writes_nothing_and_calls_nobody(database: Database, notes: Table) -> None:
    called: list[str] = []

    async def fail() -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="a"))
            tx.after_commit(lambda: called.append("now"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert not called
    assert await count(database, notes) == 0


async def test_an_error_after_the_commit_does_not_deny_the_commit(
    database: Database, notes: Table, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("later")

    async with database.transaction() as tx:
        await tx.execute(insert(notes).values(id=1, text="a"))
        tx.after_commit(fail)
    assert await count(database, notes) == 1
    assert "should follow a commit" in caplog.text


async def test_rows_come_as_mappings_and_absence_as_none(database: Database, notes: Table) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(notes), [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}])
        assert [row["text"] for row in await tx.rows(select(notes).order_by(notes.c.id))] == ["a", "b"]
        assert await tx.row(select(notes).where(notes.c.id == 3)) is None
        assert await tx.scalar(select(notes.c.text).where(notes.c.id == 3)) is None


@pytest.mark.requirement("ENT-23")
async def test_a_reader_sees_one_moment_and_does_not_hold_up_a_writer(
    database: Database, notes: Table
) -> None:
    async with database.transaction(read_only=True) as reader:
        assert await reader.scalar(select(func.count()).select_from(notes)) == 0
        async with database.transaction() as writer:
            await writer.execute(insert(notes).values(id=1, text="a"))
        if database.dialect == "sqlite":
            assert await reader.scalar(select(func.count()).select_from(notes)) == 0
    assert await count(database, notes) == 1


async def test_a_read_only_transaction_refuses_to_write(database: Database, notes: Table) -> None:
    with pytest.raises(RuntimeError, match="only reads"):
        async with database.transaction(read_only=True) as tx:
            await tx.execute(insert(notes).values(id=1, text="a"))


async def test_a_second_write_inside_an_open_one_fails_at_once_instead_of_waiting_for_itself(
    database: Database, notes: Table
) -> None:
    async with asyncio.timeout(2), database.transaction():
        with pytest.raises(RuntimeError, match="open transaction"):
            async with database.transaction():
                pass
        with pytest.raises(RuntimeError, match="open transaction"):
            await database.committer.commit(lambda tx: tx.send(insert(notes).values(id=1, text="a")))


async def test_a_key_that_is_taken_is_reported_as_a_duplicate_without_the_row(
    database: Database, notes: Table
) -> None:
    with pytest.raises(Duplicate) as refused:
        async with database.transaction() as tx:
            await tx.execute(insert(notes), [{"id": 1, "text": "private words"}, {"id": 1, "text": "b"}])
    assert "private words" not in repr(refused.value.to_json())
    assert await count(database, notes) == 0


@pytest.mark.requirement("ENT-23", "MAOS-46")
async def test_fifty_writers_get_their_turns(database: Database, notes: Table) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=number, text="x"))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(write(number))
    assert await count(database, notes) == 50


async def test_a_task_cancelled_in_its_transaction_writes_nothing_and_frees_the_database(
    database: Database, notes: Table
) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="a"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    async with asyncio.timeout(10):
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=2, text="b"))
    assert await count(database, notes) == 1


async def test_a_task_cancelled_while_it_commits_has_committed_and_says_so_to_the_bus(
    database: Database, notes: Table
) -> None:
    called: list[str] = []

    async def write() -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="a"))
            tx.after_commit(lambda: called.append("now"))
            me = asyncio.current_task()
            assert me is not None
            asyncio.get_running_loop().call_soon(me.cancel)  # arrives while the commit is under way

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(write())
    assert (await count(database, notes), called) in [(1, ["now"]), (0, [])]


@contextmanager
def writer_process(file: str, lock_dir: Path, address: str | None) -> Iterator[int]:
    """Another process that holds SQLite's write lock (and the data lock, when it has an address)."""
    script = f"""
import sqlite3, sys
from pathlib import Path
from mosaic.storage import DataLock
if {address!r}:
    lock = DataLock(Path({str(lock_dir)!r}))
    lock.acquire(address={address!r})
connection = sqlite3.connect({file!r}, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("address", [None, "http://127.0.0.1:8700"])
async def test_a_locked_sqlite_file_names_the_process_that_holds_it(
    storage_settings: StorageSettings, address: str | None
) -> None:
    database = Database(replace(storage_settings, busy_timeout_ms=50))
    file = str(database.sync_url.database)
    async with asyncio.timeout(20):
        with writer_process(file, storage_settings.data_dir, address) as pid:
            with pytest.raises(Unavailable, match=f"locked by process {pid}") as refused:
                async with database.transaction():
                    pass
            assert (address or "") in str(refused.value)
            with pytest.raises(Unavailable, match=f"locked by process {pid}"):
                await database.committer.commit(lambda tx: None)
        async with database.transaction():
            pass
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_locked_postgres_row_names_the_session_that_holds_it(
    storage_settings: StorageSettings, notes: Table
) -> None:
    database = Database(replace(storage_settings, busy_timeout_ms=50))
    url = database.sync_url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name="a careless report") as holder:
        holder.execute("LOCK TABLE note")
        with pytest.raises(Unavailable, match=f"a careless report .*{holder.info.backend_pid}"):
            async with database.transaction() as tx:
                await tx.execute(insert(notes).values(id=1, text="a"))
        with pytest.raises(Unavailable, match=f"a careless report .*{holder.info.backend_pid}"):
            await database.committer.commit(lambda tx: tx.send(insert(notes).values(id=1, text="a")))
    await database.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_transaction_that_keeps_its_turn_too_long_is_named_as_ours(
    storage_settings: StorageSettings,
) -> None:
    database = Database(replace(storage_settings, busy_timeout_ms=50))
    release, inside = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.transaction():
            inside.set()
            await release.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(hold())
        await inside.wait()
        with pytest.raises(Unavailable, match="this process"):
            async with database.transaction():
                pass
        with pytest.raises(Unavailable, match="this process"):
            await database.committer.commit(lambda tx: None)
        release.set()
    await database.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_reported_as_such_and_nothing_is_half_written(
    storage_settings: StorageSettings, database: Database, notes: Table
) -> None:
    # SQLite enforces its page limit exactly as it meets a full disk: SQLITE_FULL in the middle of a statement.
    small = Database(replace(storage_settings, pool_size=1))
    limit = text("PRAGMA max_page_count = 1")  # raised to the present size: not one page more

    async def write(tx: Transaction) -> None:
        await tx.execute(insert(notes).values(id=1, text="fits"))
        await tx.execute(insert(notes).values(id=2, text="x" * 100_000))

    async with small.transaction() as tx:
        await tx.execute(limit)
    with pytest.raises(StorageFull, match=r"mosaic\.db"):
        async with small.transaction() as tx:
            await write(tx)
    await small.committer.commit(lambda tx: tx.execute(limit).close())
    with pytest.raises(StorageFull):
        await small.committer.commit(lambda tx: tx.send(insert(notes).values(id=3, text="x" * 100_000)))
    assert await count(small, notes) == 0
    await small.committer.commit(lambda tx: tx.send(insert(notes).values(id=4, text="fits")))
    assert await count(small, notes) == 1
    await small.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_full_disk_of_the_server_is_reported_as_such(database: Database) -> None:
    full = text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$")
    with pytest.raises(StorageFull):
        async with database.transaction() as tx:
            await tx.execute(full)
    with pytest.raises(StorageFull):
        await database.committer.commit(lambda tx: tx.send(full))


@pytest.mark.parametrize("where", ["transaction", "committer"])
async def test_a_server_that_does_not_answer_is_unavailable_and_its_password_stays_hidden(
    tmp_path: Path, where: str
) -> None:
    database = Database(StorageSettings("postgresql://me:hunter2hunter2@127.0.0.1:1/mosaic", tmp_path))

    async def use() -> None:
        if where == "committer":
            await database.committer.commit(lambda tx: None)
        async with database.transaction():
            pass

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1/mosaic") as refused:
        await use()
    assert "hunter2" not in repr(refused.value.to_json())
    await database.close()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "mosaic.db"
    file.write_bytes(b"these are not the bytes of a database" * 200)
    database = Database(StorageSettings(f"sqlite:///{file}", tmp_path))
    with pytest.raises(Unavailable, match="not a database"):
        async with database.transaction():
            pass
    await database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "transaction_timeout"])
async def test_a_session_that_the_server_ended_for_idling_may_be_tried_again(
    database: Database, notes: Table, postgres_server: "psycopg.Connection[object]", setting: str
) -> None:
    async def sessions(pid: int) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        return int(str(postgres_server.execute(query, (pid,)).fetchone()[0]))  # type: ignore[index]  # a count is there

    async def idle() -> None:
        async with database.transaction() as tx:
            pid = int(await tx.scalar(text("SELECT pg_backend_pid()")))
            await tx.execute(text(f"SET LOCAL {setting} = '20ms'"))
            async with asyncio.timeout(20):
                while await sessions(pid):  # noqa: ASYNC110  # only the server knows
                    await asyncio.sleep(0.01)
            await tx.execute(insert(notes).values(id=1, text="a"))

    with pytest.raises(Unavailable) as raised:
        await idle()
    assert raised.value.retryable
    async with database.transaction() as tx:  # the pool gives out a session that lives
        await tx.execute(insert(notes).values(id=2, text="b"))
    assert await count(database, notes) == 1
