"""Cancelling a run: everything of it ends, nothing of it starts any more."""

import asyncio

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import Cancelled
from mosaic.engine import ExecutionStatus, Outcome, Safety
from mosaic.events import NewEvent
from tests.engine.conftest import WAIT_S

pytestmark = pytest.mark.anyio


async def stuck(execution):
    await execution.effects.emit(NewEvent("stuck.began", {"path": execution.path}))
    await asyncio.Event().wait()


async def start(engine, ctx, handler, *, execution_id="e1", run_id="r1"):
    await engine.start(ctx, execution_id=execution_id, run_id=run_id, handler=handler, input={})


async def status(engine, execution_id):
    return (await engine.wait(execution_id, timeout_s=WAIT_S)).status


async def test_all_executions_of_a_run_end_and_those_of_others_do_not(launch, ctx, happened):
    seen = []

    async def parent(execution):
        try:
            await asyncio.gather(*(execution.call(name, "stuck", {}) for name in ("a", "b")))
        except asyncio.CancelledError:
            seen.append(execution.cancelled.is_set())
            raise

    engine = await launch(stuck=stuck, parent=parent)
    await start(engine, ctx, "parent")
    await start(engine, ctx, "stuck", execution_id="e2", run_id="r2")
    await happened("stuck.began", path="a")
    await happened("stuck.began", path="b")
    await happened("stuck.began", path="")
    await engine.cancel(ctx, "r1")
    for execution_id in ("e1", "e1/#a", "e1/#b"):
        assert await status(engine, execution_id) is ExecutionStatus.CANCELLED
    assert seen == [True]
    (other,) = await engine.executions(ctx, "r2")
    assert other.status is ExecutionStatus.RUNNING
    error = (await engine.wait("e1")).error
    assert isinstance(error, Cancelled)
    assert error.data == {"run_id": "r1"}


async def test_what_starts_in_a_cancelled_run_does_not_run(launch, ctx, database):
    engine = await launch(stuck=stuck)
    await engine.cancel(ctx, "r1")
    await start(engine, ctx, "stuck")
    assert await status(engine, "e1") is ExecutionStatus.CANCELLED
    async with database.transaction() as tx:
        await engine.start(ctx, execution_id="e2", run_id="r1", handler="stuck", input={}, tx=tx)
    assert await status(engine, "e2") is ExecutionStatus.CANCELLED


async def test_a_cancel_of_another_tenant_does_nothing(launch, ctx, happened):
    engine = await launch(stuck=stuck)
    await start(engine, ctx, "stuck")
    await happened("stuck.began")
    await engine.cancel(Context("t2", "p1", Actor("user", "u2")), "r1")
    await start(engine, ctx, "stuck", execution_id="e2")
    infos = await engine.executions(ctx, "r1")
    assert [info.status for info in infos] == [ExecutionStatus.RUNNING] * 2


async def test_cancelling_twice_or_after_the_end_does_no_harm(launch, ctx):
    async def quick(execution):
        return 1

    engine = await launch(quick=quick)
    await start(engine, ctx, "quick")
    assert await status(engine, "e1") is ExecutionStatus.SUCCEEDED
    await engine.cancel(ctx, "r1")
    await engine.cancel(ctx, "r1")
    assert await status(engine, "e1") is ExecutionStatus.SUCCEEDED


async def test_a_handler_that_waits_durably_is_cancelled_too(launch, ctx, happened):
    async def waits(execution):
        await execution.effects.emit(NewEvent("waits.began"))
        await asyncio.gather(
            execution.wait_signal("never"), execution.sleep("long", 3600), asyncio.Event().wait()
        )

    engine = await launch(waits=waits)
    await start(engine, ctx, "waits")
    await happened("waits.began")
    await engine.cancel(ctx, "r1")
    assert await status(engine, "e1") is ExecutionStatus.CANCELLED


async def test_a_cancelled_effect_leaves_nothing_recorded(launch, ctx, happened, journal):
    async def works(execution):
        async def call(_):
            await execution.effects.emit(NewEvent("call.began"))
            await asyncio.Event().wait()
            return Outcome(None)

        await execution.effects.effect("work", call, safety=Safety.REPEATABLE)

    engine = await launch(works=works)
    await start(engine, ctx, "works")
    await happened("call.began")
    await engine.cancel(ctx, "r1")
    assert await status(engine, "e1") is ExecutionStatus.CANCELLED
    assert set(await journal.recorded(ctx, "r1")) == {"#emit:call.began"}


async def test_a_branch_that_ends_takes_its_child_with_it(launch, ctx, happened):
    async def first_wins(execution):
        slow = asyncio.create_task(execution.at("race").call("slow", "stuck", {}))
        await execution.wait_signal("stop")
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        return "done"

    engine = await launch(stuck=stuck, first_wins=first_wins)
    await start(engine, ctx, "first_wins")
    await happened("stuck.began", path="race/slow")
    async with engine._database.transaction() as tx:
        await engine.send_signal(tx, ctx, "r1", "stop", None)
    assert await status(engine, "e1") is ExecutionStatus.SUCCEEDED
    assert await status(engine, "e1/race#slow") is ExecutionStatus.CANCELLED
