"""Several nodes on PostgreSQL: adoption, fencing, hand-over."""

import asyncio
import contextlib
import signal

import pytest
import sqlalchemy

from mosaic.core.errors import Fenced
from mosaic.engine import Engine, ExecutionStatus
from mosaic.events import NewEvent
from tests.engine.conftest import SETTINGS, WAIT_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]


def order(handler, **given):
    return {"execution_id": "e1", "run_id": "r1", "handler": handler, "input": given}


async def tell(engine, database, ctx, name):
    async with database.transaction() as tx:
        await engine.send_signal(tx, ctx, "r1", name, None)


async def node_of(engine, ctx):
    (info,) = await engine.executions(ctx, "r1")
    return info.node


@pytest.mark.requirement("MOZ-02", "ENT-51", "MAOS-44")
async def test_the_work_of_a_killed_node_is_adopted_by_another(
    worker, engine, ctx, database, tmp_path, happened
):
    first = await worker()
    second = await worker()
    await first.start(**order("steps", notes=str(tmp_path / "notes")))
    await happened("step.done", branch="right", step=2)
    nodes = {node.id: node.pid for node in await engine.nodes()}
    assert set(nodes.values()) == {first.pid, second.pid}
    assert nodes[await node_of(engine, ctx)] == first.pid
    await first.kill()
    await tell(engine, database, ctx, "go")
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output["attempt"] == 2
    assert nodes[await node_of(engine, ctx)] == second.pid
    assert len((tmp_path / "notes").read_text().splitlines()) == 6
    dead = {node.pid: node.dead for node in await engine.nodes()}
    assert dead == {first.pid: True, second.pid: False}


@pytest.mark.requirement("MAOS-44")
async def test_a_frozen_node_that_wakes_up_writes_nothing_and_ends(
    worker, engine, ctx, journal, tmp_path, happened
):
    until = tmp_path / "enough"
    first = await worker()
    await first.start(**order("writer", until=str(until)))
    await happened("written", number=20)
    second = await worker()
    first.send(signal.SIGSTOP)
    await happened("written", pid=second.pid)
    frozen_until = await journal.head(ctx)
    first.send(signal.SIGCONT)
    assert await first.ended() == 75
    assert any("was declared dead" in line for line in first.output)
    until.touch()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.status is ExecutionStatus.SUCCEEDED
    written = await journal.read(ctx, types=["written"], limit=100_000)
    assert [event.data["number"] for event in written] == list(range(1, result.output + 1))
    assert {event.data["pid"] for event in written if event.seq > frozen_until} <= {second.pid}
    takeover = [event.data["pid"] for event in written].index(second.pid)
    assert {event.data["pid"] for event in written[takeover:]} == {second.pid}


async def test_a_node_that_stops_in_order_is_adopted_at_once(
    worker, engine, ctx, tmp_path, database, happened
):
    first = await worker()
    second = await worker()
    await first.start(**order("steps", notes=str(tmp_path / "notes")))
    await happened("step.done", branch="right", step=2)
    first.send(signal.SIGTERM)
    assert await first.ended() == 0
    await tell(engine, database, ctx, "go")
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output["attempt"] == 2
    assert {node.pid: node.dead for node in await engine.nodes()}[second.pid] is False


async def test_a_queued_execution_of_a_killed_node_keeps_its_place_and_finishes(
    worker, engine, ctx, database, tmp_path, happened
):
    first = await worker()
    await first.start(**order("steps", notes=str(tmp_path / "notes")), queue="agents", priority=5)
    await happened("step.done", branch="right", step=2)
    await worker()
    await first.kill()
    await tell(engine, database, ctx, "go")
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output["attempt"] == 2


async def test_a_node_that_was_declared_dead_can_commit_nothing(database, journal, bus, ctx):
    ends = []
    engine = Engine(database, journal, bus, SETTINGS, on_fenced=ends.append)

    async def quiet(execution):
        await execution.wait_signal("never")

    engine.register("quiet", quiet)
    await engine.launch()
    await engine.start(ctx, execution_id="e1", run_id="r1", handler="quiet", input={})
    # Another session declares it dead, as a peer would.
    peer = database.sync_engine()
    with peer.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE executor SET dead = true"))
    peer.dispose()
    with pytest.raises(Fenced):
        async with database.transaction() as tx:
            await tx.execute(sqlalchemy.text("SELECT 1"))
    with pytest.raises(Fenced):
        await database.committer.commit(lambda tx: None)
    async with database.transaction(read_only=True) as tx:
        assert await tx.scalar(sqlalchemy.text("SELECT 1")) == 1

    async def ended():
        return bool(ends)

    await until(ended)
    assert "was declared dead" in ends[0]
    await engine.shutdown()
    async with database.transaction() as tx:  # the fence is gone with the engine
        await tx.execute(sqlalchemy.text("SELECT 1"))
    (info,) = await engine.executions(ctx, "r1")
    assert info.status is ExecutionStatus.RUNNING


@pytest.fixture
async def fenced():
    """Shuts engines down after the test, also when it failed: another could not be launched beside them."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("changes_before", [0, 3], ids=["by the thread", "the short way"])
async def test_a_change_that_meets_the_declaration_waits_for_it_and_is_not_written(
    database, journal, bus, ctx, fenced, changes_before
):
    engine = Engine(database, journal, bus, SETTINGS, on_fenced=lambda _: None)
    await engine.launch()
    fenced.push_async_callback(engine.shutdown)
    for number in range(changes_before):
        await journal.finish_effect(ctx, "r1", f"#before{number}", events=[NewEvent("before", {})])
    head = await journal.head(ctx)
    waiting = sqlalchemy.text(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND query LIKE '%CASE WHEN executor.dead%' AND pid <> pg_backend_pid()"
    )
    peer = database.sync_engine()
    with peer.connect() as connection:
        # As DECLARE_DEAD does it: the update alone would not make the fence wait.
        connection.execute(sqlalchemy.text("SELECT id FROM executor FOR UPDATE"))
        connection.execute(sqlalchemy.text("UPDATE executor SET dead = true"))
        late = asyncio.create_task(journal.finish_effect(ctx, "r1", "#late", events=[NewEvent("late", {})]))

        async def waits():
            async with database.transaction(read_only=True) as tx:
                return await tx.scalar(waiting)

        await until(waits)
        connection.commit()
    peer.dispose()
    with pytest.raises(Fenced):
        await late
    assert await journal.head(ctx) == head
    assert "#late" not in await journal.recorded(ctx, "r1")
