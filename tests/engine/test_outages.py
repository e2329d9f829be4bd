"""The database goes away and comes back: nothing that was done is lost."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace

import psycopg
import pytest

from mosaic.engine import Engine, Outcome, Safety
from mosaic.events import Journal, open_bus
from mosaic.storage import Database
from tests.engine.conftest import SETTINGS, WAIT_S

pytestmark = pytest.mark.anyio


@pytest.fixture
async def impatient(storage_settings, redactor, blobs):
    """A database that gives up on a lock soon, its bus and its journal."""
    database = Database(replace(storage_settings, busy_timeout_ms=100))
    bus = open_bus(database)
    yield database, bus, Journal(database, bus, redactor=redactor, blobs=blobs)
    await bus.close()
    await database.close()


@contextlib.contextmanager
def outage(url):
    """Nobody can write while this is open."""
    if url.startswith("sqlite"):
        with contextlib.closing(
            sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(url, autocommit=True, dbname="postgres") as other:
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


class Work:
    """One effect that has been made when `made` is set, and is recorded once `go` is."""

    def __init__(self, safety):
        self.safety = safety
        self.calls = 0
        self.made = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, execution):
        async def call(_):
            self.calls += 1
            self.made.set()
            await self.go.wait()
            return Outcome("made")

        return await execution.effects.effect("make", call, safety=self.safety)


async def begin(parts, ctx, work, **changes):
    database, bus, journal = parts
    engine = Engine(database, journal, bus, replace(SETTINGS, **changes))
    engine.register("work", work)
    await engine.launch()
    await engine.start(ctx, execution_id="e1", run_id="r1", handler="work", input={})
    async with asyncio.timeout(WAIT_S):
        await work.made.wait()
    return engine


async def test_a_finished_effect_waits_for_the_database_and_is_not_repeated(
    impatient, ctx, database_url, caplog
):
    work = Work(Safety.UNSAFE)
    engine = await begin(impatient, ctx, work)
    with outage(database_url):
        work.go.set()
        async with asyncio.timeout(WAIT_S):
            while "waits for the database" not in caplog.text:  # noqa: ASYNC110  # a log line tells nobody
                await asyncio.sleep(0.02)
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output == "made"
    assert work.calls == 1
    await engine.shutdown()


async def test_an_execution_that_outlasts_its_patience_starts_again_from_the_journal(
    impatient, ctx, database_url, caplog
):
    work = Work(Safety.REPEATABLE)
    engine = await begin(impatient, ctx, work, storage_patience_s=0.2, max_recoveries=0)
    with outage(database_url):
        work.go.set()
        async with asyncio.timeout(WAIT_S):
            while "execution e1 waits" not in caplog.text:  # noqa: ASYNC110  # a log line tells nobody
                await asyncio.sleep(0.02)
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output == "made"
    assert work.calls == 2
    (info,) = await engine.executions(ctx, "r1")
    assert info.crashes == 0
    await engine.shutdown()
