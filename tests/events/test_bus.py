"""The bus wakes who waits: in this process at once, in others soon, and only for what was committed."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from mosaic.events import Bus, LocalBus, PostgresBus, open_bus
from mosaic.events.shared_bus import SharedBus
from mosaic.storage import Database, SyncTransaction

pytestmark = pytest.mark.anyio


@pytest.fixture
async def elsewhere(database: Database) -> AsyncIterator[Bus]:
    """A bus as another process has it: with its own connections and its own name."""
    other = Database(database.settings)
    bus = open_bus(other)
    yield bus
    await bus.close()
    await other.close()


async def settled(bus: Bus, *topics: str) -> None:
    """Wait until `bus` listens to other processes: it wakes everyone when it begins to."""
    with bus.subscribe(*topics) as subscription:
        assert await subscription.wait(timeout_s=10)


async def test_a_publication_wakes_the_waiter_and_only_its_topic(bus: Bus) -> None:
    await settled(bus, "a")
    with bus.subscribe("a", "b") as waiting, bus.subscribe("c") as other:
        task = asyncio.create_task(waiting.wait(timeout_s=10))
        await asyncio.sleep(0)
        bus.publish("b")
        assert await task
        assert not await other.wait(timeout_s=0)


async def test_publications_before_a_wait_wake_it_once(bus: Bus) -> None:
    await settled(bus, "a")
    with bus.subscribe("a") as waiting:
        for _ in range(100):
            bus.publish("a")
        assert await waiting.wait(timeout_s=10)
        assert not await waiting.wait(timeout_s=0)


async def test_a_wait_ends_with_its_time(bus: Bus) -> None:
    await settled(bus, "a")
    with bus.subscribe("a") as waiting:
        assert not await waiting.wait(timeout_s=0.01)


async def test_a_closed_subscription_releases_its_waiter() -> None:
    bus = LocalBus()
    subscription = bus.subscribe("a")
    task = asyncio.create_task(subscription.wait())
    await asyncio.sleep(0)
    subscription.close()
    async with asyncio.timeout(10):
        assert not await task
    bus.publish("a")
    assert not await subscription.wait(timeout_s=0)
    assert not bus._subscriptions
    subscription.close()


async def test_a_thread_can_wake_an_event_loop() -> None:
    bus = LocalBus()
    with bus.subscribe("a") as waiting:
        threading.Thread(target=bus.publish, args=("a",)).start()
        assert await waiting.wait(timeout_s=10)


async def test_a_waiter_whose_loop_is_gone_does_no_harm() -> None:
    bus = LocalBus()
    subscription = bus.subscribe("a")

    def wait_and_vanish() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(subscription.wait())
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is pending is the point
        loop.close()

    await asyncio.to_thread(wait_and_vanish)
    bus.publish("a")


@pytest.mark.parametrize("how", ["transaction", "committer"])
async def test_a_publication_in_a_transaction_comes_with_its_commit(
    database: Database, bus: Bus, how: str
) -> None:
    await settled(bus, "a")
    with bus.subscribe("a") as waiting:
        if how == "committer":
            await database.committer.commit(lambda tx: bus.publish_in(tx, "a"))
        else:
            async with database.transaction() as tx:
                bus.publish_in(tx, "a")
                assert not await waiting.wait(timeout_s=0)
        assert await waiting.wait(timeout_s=10)


async def test_a_publication_in_a_transaction_that_fails_never_comes(
    database: Database, bus: Bus, elsewhere: Bus
) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            bus.publish_in(tx, "a")
            raise KeyError

    await settled(bus, "a")
    await settled(elsewhere, "a")
    with bus.subscribe("a") as here, elsewhere.subscribe("a") as there, elsewhere.subscribe("b") as after:
        with pytest.raises(KeyError):
            await fail()
        async with database.transaction() as tx:
            bus.publish_in(tx, "b")
        assert await after.wait(timeout_s=10)  # what came later has arrived
        assert not await here.wait(timeout_s=0)
        assert not await there.wait(timeout_s=0)


@pytest.mark.parametrize("how", ["publish", "transaction", "committer"])
async def test_another_process_is_woken_soon(database: Database, bus: Bus, elsewhere: Bus, how: str) -> None:
    await settled(elsewhere, "a")
    with elsewhere.subscribe("a") as waiting:
        if how == "publish":
            bus.publish("a")
        elif how == "transaction":
            async with database.transaction() as tx:
                bus.publish_in(tx, "a")
        else:
            await database.committer.commit(lambda tx: bus.publish_in(tx, "a"))
        assert await waiting.wait(timeout_s=10)


async def test_others_hear_of_every_publication_of_many_in_a_row(
    database: Database, bus: Bus, elsewhere: Bus
) -> None:
    await settled(elsewhere, "a")
    with elsewhere.subscribe("a") as waiting:
        for _ in range(6):
            for _ in range(3):
                await database.committer.commit(lambda tx: bus.publish_in(tx, "a"))
            # What follows the last one is at least one wake; the ones before may have come with it.
            assert await waiting.wait(timeout_s=10)


async def test_many_publications_in_a_moment_are_few_messages_to_others(database: Database, bus: Bus) -> None:
    assert isinstance(bus, SharedBus)
    told: list[str] = []
    tell = bus._tell

    def counting(tx: SyncTransaction, topics: Sequence[str]) -> None:
        told.extend(topics)
        tell(tx, topics)

    bus._tell = counting  # type: ignore[method-assign]  # it still tells
    bus._quiet_s = 60.0
    for _ in range(20):
        await database.committer.commit(lambda tx: bus.publish_in(tx, "a"))
    await database.committer.commit(lambda tx: bus.publish_in(tx, "b"))
    assert told == ["a", "b"]
    await database.committer.close()  # what was to be told later is told now
    assert told == ["a", "b", "a"]


async def test_a_bus_does_not_wake_itself_twice(database: Database, bus: Bus, elsewhere: Bus) -> None:
    await settled(bus, "a")
    await settled(elsewhere, "a")
    with bus.subscribe("a") as mine, bus.subscribe("b") as from_elsewhere:
        bus.publish("a")
        assert await mine.wait(timeout_s=10)
        await database.committer.commit(lambda tx: None)  # our notice is written
        elsewhere.publish("b")
        assert await from_elsewhere.wait(timeout_s=10)  # and what came after it was heard
        assert not await mine.wait(timeout_s=0)


@pytest.mark.requirement("MAOS-13", "STK-20")
async def test_a_real_second_process_wakes_us(database: Database, bus: Bus) -> None:
    script = f"""
import asyncio
from pathlib import Path
from mosaic.events import open_bus
from mosaic.storage import Database, StorageSettings
async def main():
    database = Database(StorageSettings({database.settings.url!r}, Path({str(database.settings.data_dir)!r})))
    bus = open_bus(database)
    async with database.transaction() as tx:
        bus.publish_in(tx, "signal:t1:run_1")
    await database.close()
asyncio.run(main())
"""
    await settled(bus, "signal:t1:run_1")
    with bus.subscribe("signal:t1:run_1") as waiting:
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], check=True, capture_output=True, timeout=60
        )
        assert done.returncode == 0
        assert await waiting.wait(timeout_s=10)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_bus_that_loses_its_connection_listens_again_and_wakes_everyone(
    database: Database, bus: Bus, elsewhere: Bus
) -> None:
    assert isinstance(bus, PostgresBus)
    url = database.sync_url.set(drivername="postgresql").render_as_string(hide_password=False)
    await settled(bus, "a")
    with bus.subscribe("a") as waiting:
        with psycopg.connect(url, autocommit=True) as other:
            cut = other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mosaic-bus' "
                "AND datname = current_database()"
            ).fetchall()
        assert cut == [(True,)]
        assert await waiting.wait(timeout_s=10)  # something may have come meanwhile
        elsewhere.publish("a")
        assert await waiting.wait(timeout_s=10)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_old_notices_are_cleared_away(database: Database, bus: Bus) -> None:
    from sqlalchemy import func, select

    from mosaic.events.models import bus_notice

    async with asyncio.timeout(60):
        for topic in range(30):
            for number in range(100):
                bus.publish(f"a{topic}.{number}")
            await database.committer.commit(lambda tx: None)
    async with database.transaction(read_only=True) as tx:
        assert int(await tx.scalar(select(func.count()).select_from(bus_notice))) < 3000


async def test_closing_a_bus_ends_its_thread(database: Database) -> None:
    bus = open_bus(database)
    bus.subscribe("a").close()
    async with asyncio.timeout(10):
        await bus.close()
        await bus.close()
    began = time.monotonic()
    while any(thread.name == "bus" for thread in threading.enumerate()):
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.01)
