"""What we rely on in DBOS beyond its documentation. An upgrade that breaks one of these needs a new look."""

import asyncio
import importlib.metadata
import json
import threading

import pytest
import sqlalchemy
from dbos import DBOS

from mosaic.engine.dbos_runtime import DbosRuntime
from mosaic.engine.dispatch import make_dispatch_engine
from mosaic.engine.schemas import QueueLimits
from tests.engine.conftest import WAIT_S, until

pytestmark = pytest.mark.anyio
QUEUES = {"agents": QueueLimits(per_tenant_concurrency=1, per_node_concurrency=4)}


class Runs:
    """Executions as DBOS hands them over; each stays until it is let go."""

    def __init__(self):
        self.began = []
        self.gates = {}
        self.keep = True

    async def __call__(self, execution_id):
        self.began.append(execution_id)
        await self.gates.setdefault(execution_id, asyncio.Event()).wait()
        return self.keep

    async def seen(self, *executions):
        async def all_there():
            return sorted(self.began) == sorted(executions)

        await until(all_there)


@pytest.fixture
async def runtime(database):
    """Make runtimes one after the other on one database."""
    made = []

    async def runtime(executor_id="local"):
        runs, engine = Runs(), make_dispatch_engine(database)
        found = DbosRuntime(engine, executor_id=executor_id, queues=QUEUES, run=runs)
        await found.launch()
        made.append((found, engine))
        return found, runs

    yield runtime
    for found, engine in made:
        await found.destroy()
        engine.dispose()


def rows(database, table="workflow_status"):
    engine = make_dispatch_engine(database)
    schema = "dbos." if database.dialect == "postgresql" else ""
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text(f"SELECT * FROM {schema}{table}")).mappings().all()
    engine.dispose()
    return {row["workflow_uuid"]: row for row in found}


def test_the_version_is_the_one_that_was_read():
    assert importlib.metadata.version("dbos") == "3.4.0"


async def test_an_execution_runs_on_the_applications_loop_in_a_context_of_its_own(runtime):
    loops, inside = [], []
    found, _ = await runtime()

    async def run(execution_id):
        loops.append(asyncio.get_running_loop())
        inside.append(DBOS.workflow_id)
        return True

    found._run = run
    await found.start("w1", "e1")

    async def ended():
        return loops

    await until(ended)
    assert loops == [asyncio.get_running_loop()]
    assert inside == [None]


async def test_the_same_workflow_id_starts_once(runtime):
    found, runs = await runtime()
    for _ in range(2):
        await found.start("w1", "e1")
        await found.enqueue("w2", "e2", queue="agents", priority=1, partition="t1")
    await runs.seen("e1", "e2")
    assert await found.live(["w1", "w2", "w3"]) == {"w1", "w2"}
    for gate in runs.gates.values():
        gate.set()

    async def ended():
        return not await found.live(["w1", "w2"])

    await until(ended)
    assert sorted(runs.began) == ["e1", "e2"]


@pytest.mark.requirement("MAOS-46")
async def test_what_is_handed_over_stays_recoverable_and_comes_back_at_the_next_launch(runtime, database):
    found, runs = await runtime()
    await found.start("w1", "e1")
    await found.enqueue("w2", "e2", queue="agents", priority=7, partition="t1")
    await runs.seen("e1", "e2")
    runs.keep = False
    found.stop_claiming()
    for gate in runs.gates.values():
        gate.set()
    await found.destroy()
    assert {row["status"] for row in rows(database).values()} == {"PENDING"}
    _, runs = await runtime()
    await runs.seen("e1", "e2")
    kept = rows(database)["w2"]
    assert (kept["queue_name"], kept["priority"], kept["queue_partition_key"]) == ("agents", 7, "t1")


async def test_the_work_of_another_executor_is_adopted_once(runtime, database):
    found, runs = await runtime("first")
    await found.start("w1", "e1")
    await found.enqueue("w2", "e2", queue="agents", priority=1, partition="t1")
    await runs.seen("e1", "e2")
    await found.destroy()  # with work in progress, as a crash leaves it
    found, runs = await runtime("second")
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, found.owners) == {"first"}
    assert await loop.run_in_executor(None, found.adopt, ["first"]) == 2
    await runs.seen("e1", "e2")
    assert await loop.run_in_executor(None, found.adopt, ["first"]) == 0
    assert await loop.run_in_executor(None, found.owners) == {"second"}
    assert sorted(runs.began) == ["e1", "e2"]


async def test_a_cancelled_execution_leaves_its_queue_and_is_not_recovered(runtime):
    found, runs = await runtime()
    for number in range(3):
        await found.enqueue(f"w{number}", f"e{number}", queue="agents", priority=1, partition="t1")
    await runs.seen("e0")
    await found.cancel(["w1"])
    runs.gates["e0"].set()
    await runs.seen("e0", "e2")
    assert await found.live(["w0", "w1", "w2"]) == {"w2"}


async def test_nothing_is_pickled(runtime, database):
    found, runs = await runtime()
    await found.start("w1", "e1")
    await runs.seen("e1")
    runs.gates["e1"].set()

    async def ended():
        return not await found.live(["w1"])

    await until(ended)
    assert {row["serialization"] for row in rows(database).values()} == {"mosaic_json"}
    assert json.loads(rows(database, "workflow_input")["w1"]["inputs"]) == {"args": ["e1"], "kwargs": {}}
    assert json.loads(rows(database, "workflow_output")["w1"]["output"]) == "done"


async def test_rows_of_work_that_ended_are_pruned(runtime, database):
    found, runs = await runtime()
    await found.start("w1", "e1")
    await found.start("w2", "e2")
    await runs.seen("e1", "e2")
    runs.gates["e1"].set()

    async def ended():
        return await found.live(["w1", "w2"]) == {"w2"}

    await until(ended)
    await found.prune(older_than_ms=1)
    assert set(rows(database)) == {"w1", "w2"}
    await found.prune(older_than_ms=2**52)
    assert set(rows(database)) == {"w2"}
    assert not set(rows(database, "workflow_input")) - {"w2"}


async def test_destroying_leaves_no_thread_and_the_loops_own_thread_pool_alone(runtime, database):
    before = set(threading.enumerate())  # of a test before this one, which may still be ending
    found, runs = await runtime()
    await found.start("w1", "e1")
    await runs.seen("e1")
    runs.gates["e1"].set()
    await found.settle()
    assert rows(database)["w1"]["status"] == "SUCCESS"
    await found.destroy()
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.to_thread(lambda: "still works") == "still works"
    ours = ("dbos", "queue-worker", "engine-")
    left = [
        thread for thread in threading.enumerate() if thread not in before and thread.name.startswith(ours)
    ]
    for thread in left:
        await asyncio.to_thread(thread.join, WAIT_S)
    assert not [thread.name for thread in left if thread.is_alive()]
