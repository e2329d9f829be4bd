"""Signals and timers."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
import sqlalchemy

from mosaic.core.errors import Conflict
from mosaic.engine import Engine, ExecutionStatus
from mosaic.events import NewEvent
from tests.engine.conftest import SETTINGS, WAIT_S

pytestmark = pytest.mark.anyio


async def send(engine, database, ctx, name, payload, **options):
    async with database.transaction() as tx:
        await engine.send_signal(tx, ctx, "r1", name, payload, **options)


async def start(engine, ctx, handler="wait", **given):
    await engine.start(ctx, execution_id="e1", run_id="r1", handler=handler, input=given)


async def wait(execution):
    signal = await execution.wait_signal("approved", timeout_s=execution.input.get("timeout_s"))
    return None if signal is None else [signal.name, signal.payload, signal.sender]


async def test_a_signal_wakes_the_run_that_waits_for_it(launch, ctx, engine, database, journal):
    node = await launch(wait=wait)
    await start(node, ctx)
    await send(engine, database, ctx, "approved", {"by": "me", "n": [1]})
    result = await node.wait("e1", timeout_s=WAIT_S)
    assert result.output == ["approved", {"by": "me", "n": [1]}, "user:u1"]
    (event,) = await journal.read(ctx, types=["signal.received"])
    assert event.data == {"name": "approved", "payload": {"by": "me", "n": [1]}}


async def test_a_signal_that_came_before_anyone_waited_is_not_lost(launch, ctx, engine, database):
    await send(engine, database, ctx, "approved", None)
    node = await launch(wait=wait)
    await start(node, ctx, timeout_s=0)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == ["approved", None, "user:u1"]


async def test_the_first_signal_of_a_name_counts(ctx, engine, database):
    await send(engine, database, ctx, "approved", True)
    with pytest.raises(Conflict, match="told 'approved' before"):
        await send(engine, database, ctx, "approved", False)


async def test_a_wait_that_times_out_returns_nothing_and_stays_so(launch, ctx, engine, database, happened):
    async def twice(execution):
        first = await execution.wait_signal("approved", timeout_s=0.05)
        await execution.effects.emit(NewEvent("timed.out"))
        go = await execution.wait_signal("go")
        again = await execution.wait_signal("approved", timeout_s=0.05)
        later = await execution.wait_signal("approved", key="later")
        return [first, go.payload, again, later.payload]

    node = await launch(twice=twice)
    await start(node, ctx, "twice")
    await happened("timed.out")
    await send(engine, database, ctx, "approved", "late")
    await send(engine, database, ctx, "go", 1)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == [None, 1, None, "late"]


async def test_a_signal_in_time_beats_the_timeout(launch, ctx, engine, database):
    node = await launch(wait=wait)
    await start(node, ctx, timeout_s=WAIT_S)
    await send(engine, database, ctx, "approved", 1)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output[1] == 1


async def test_a_signal_that_may_come_often_goes_to_one_waiter_each_time(launch, ctx, engine, database):
    async def inbox(execution):
        waits = [execution.wait_signal("message", key=f"m{n}") for n in range(3)]
        return sorted([signal.payload for signal in await asyncio.gather(*waits)])

    node = await launch(inbox=inbox)
    await send(engine, database, ctx, "message", 0, multi=True)
    await start(node, ctx, "inbox")
    for number in (1, 2):
        await send(engine, database, ctx, "message", number, multi=True)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == [0, 1, 2]


async def test_everyone_who_waits_sees_a_signal_that_comes_once(launch, ctx, engine, database):
    async def both(execution):
        waits = [execution.at(path).wait_signal("go") for path in ("left", "right")]
        return [signal.payload for signal in await asyncio.gather(*waits)]

    node = await launch(both=both)
    await start(node, ctx, "both")
    await send(engine, database, ctx, "go", 1)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == [1, 1]


async def test_a_rolled_back_signal_was_never_sent(launch, ctx, engine, database):
    with contextlib.suppress(Conflict):
        async with database.transaction() as tx:
            await engine.send_signal(tx, ctx, "r1", "approved", 1)
            await engine.send_signal(tx, ctx, "r1", "approved", 2)
    node = await launch(wait=wait)
    await start(node, ctx, timeout_s=0.0)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output is None


async def test_a_sleep_ends_when_it_should(launch, ctx):
    async def nap(execution):
        await execution.sleep("short", 0.05)
        await execution.sleep_until("past", datetime(2020, 1, 1, tzinfo=UTC))
        return "awake"

    node = await launch(nap=nap)
    await start(node, ctx, "nap")
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == "awake"


async def test_hundreds_of_executions_wait_at_once(launch, ctx, engine, database):
    async def one(execution):
        return (await execution.wait_signal("go")).payload

    async def many(execution):
        names = [f"w{number}" for number in range(300)]
        return sum(await asyncio.gather(*(execution.call(name, "one", {}) for name in names)))

    node = await launch(SETTINGS, one=one, many=many)
    await start(node, ctx, "many")
    await send(engine, database, ctx, "go", 1)
    result = await node.wait("e1", timeout_s=WAIT_S)
    assert result.output == 300
    statuses = {info.status for info in await engine.executions(ctx, "r1")}
    assert statuses == {ExecutionStatus.SUCCEEDED}


async def test_secrets_in_what_a_run_is_told_are_masked(database, journal, bus, ctx, redactor, launch):
    redactor.add("hunter2-hunter2")
    node = await launch(wait=wait)
    outside = Engine(database, journal, bus, redactor=redactor)
    await send(outside, database, ctx, "approved", {"note": "use hunter2-hunter2"})
    await start(node, ctx)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output[1] == {"note": "use [redacted]"}
    async with database.transaction(read_only=True) as tx:
        stored = await tx.scalar(sqlalchemy.text("SELECT payload FROM signal"))
    assert "hunter2" not in str(stored)
