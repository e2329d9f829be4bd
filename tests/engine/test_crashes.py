"""Processes that die, freeze and stop: what was recorded stays, what was not goes on."""

import signal
from dataclasses import replace
from functools import partial

import psutil
import pytest
import sqlalchemy

from mosaic.core.errors import OutcomeUnknown, StepFailed
from mosaic.engine import ExecutionStatus
from tests.engine.conftest import SETTINGS, WAIT_S, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes"


async def tell(engine, database, ctx, name, payload=None):
    async with database.transaction() as tx:
        await engine.send_signal(tx, ctx, "r1", name, payload)


def order(handler, notes, **given):
    return {
        "execution_id": "e1",
        "run_id": "r1",
        "handler": handler,
        "input": {"notes": str(notes), **given},
    }


@pytest.mark.requirement("MOZ-02", "MAOS-12")
async def test_effects_are_recorded_once_and_replayed_after_kill_9(
    worker, engine, ctx, database, notes, happened
):
    node = await worker()
    await node.start(**order("steps", notes))
    await happened("step.done", branch="left", step=1)
    await happened("step.done", branch="right", step=2)
    await node.kill()
    await tell(engine, database, ctx, "go")
    await worker()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output == {
        "left": [{"branch": "left", "step": n, "attempt": 1 if n < 2 else 2} for n in range(3)],
        "right": [{"branch": "right", "step": n, "attempt": 1} for n in range(3)],
        "attempt": 2,
    }
    assert sorted(notes.read_text().splitlines()) == sorted(
        f"{branch} {step}" for branch in ("left", "right") for step in range(3)
    )
    (info,) = await engine.executions(ctx, "r1")
    assert (info.attempt, info.status) == (2, ExecutionStatus.SUCCEEDED)


async def test_a_child_and_its_parent_both_go_on_after_kill_9(worker, engine, ctx, database, notes, happened):
    node = await worker()
    await node.start(**order("parent", notes))
    await happened("step.done", branch="right", step=2)
    await node.kill()
    await tell(engine, database, ctx, "go")
    await worker()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output["attempt"] == 2
    assert len(notes.read_text().splitlines()) == 6


async def test_a_sleep_goes_on_across_a_restart_and_does_not_begin_anew(worker, engine, ctx, notes, happened):
    node = await worker()
    await node.start(**order("sleeper", notes, seconds=2.5))
    began = await happened("sleeper.began")
    await node.kill()
    await worker()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output == 2
    ended = await happened("execution.succeeded", execution="e1")
    assert 2.5 <= (ended.occurred_at - began.occurred_at).total_seconds() < 5.0 + 2.5


async def test_a_process_that_stops_in_order_hands_over_and_is_not_counted_as_crashed(
    worker, engine, ctx, database, notes, happened
):
    node = await worker()
    await node.start(**order("steps", notes))
    await happened("step.done", branch="right", step=2)
    node.send(signal.SIGTERM)
    assert await node.ended() == 0
    assert node.output[-1] == "stopped"
    (info,) = await engine.executions(ctx, "r1")
    assert (info.status, info.crashes) == (ExecutionStatus.QUEUED, 0)
    await tell(engine, database, ctx, "go")
    await worker()
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output["attempt"] == 2


async def test_a_cancel_from_another_process_ends_a_running_program(worker, engine, ctx, notes, happened):
    node = await worker()
    await node.start(**order("child_of_shell", notes))
    program = psutil.Process((await happened("shell.began")).data["pid"])
    await engine.cancel(ctx, "r1")
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.status is ExecutionStatus.CANCELLED
    assert not program.is_running()
    await happened("run.cancel_requested")
    await happened("execution.cancelled", execution="e1")
    await node.kill()
    await worker()
    (info,) = await engine.executions(ctx, "r1")
    assert info.attempt == 1


async def test_a_cancel_while_no_node_runs_is_not_forgotten(worker, engine, ctx, notes, happened):
    node = await worker()
    await node.start(**order("steps", notes))
    await happened("step.done", branch="right", step=2)
    await node.kill()
    await engine.cancel(ctx, "r1")
    await worker()
    assert (await engine.wait("e1", timeout_s=WAIT_S)).status is ExecutionStatus.CANCELLED
    assert "left 2" not in notes.read_text()


@pytest.mark.requirement("ENT-41")
async def test_an_execution_that_keeps_killing_its_process_becomes_a_dead_letter(
    worker, engine, ctx, notes, tmp_path, happened
):
    two = replace(SETTINGS, max_recoveries=2)
    node = await worker(two)
    await node.start(**order("crash", notes, until=str(tmp_path / "mended")))
    for _ in range(2):
        await node.ended()
        node = await worker(two)
    await node.ended()
    node = await worker(two)
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.status is ExecutionStatus.DEAD
    assert isinstance(result.error, StepFailed)
    assert result.error.data["crashes"] == 3
    (letter,) = await engine.dead_letters(ctx)
    assert (letter.id, letter.crashes, letter.attempt) == ("e1", 3, 3)
    assert len(set(notes.read_text().splitlines())) == 1  # one idempotency key for all
    await happened("execution.dead", execution="e1")

    (tmp_path / "mended").touch()
    await engine.requeue(ctx, "e1")
    result = await engine.wait("e1", timeout_s=WAIT_S + 40)
    assert result.output == ["kept", "survived"]
    assert not await engine.dead_letters(ctx)


async def test_a_dead_execution_that_is_requeued_takes_the_dead_child_it_waits_for_along(
    worker, engine, ctx, notes, tmp_path, happened
):
    none = replace(SETTINGS, max_recoveries=0)
    node = await worker(none)
    await node.start(**order("parent_of_crash", notes, until=str(tmp_path / "mended")))
    await node.ended()
    node = await worker(none)
    assert (await engine.wait("e1", timeout_s=WAIT_S)).status is ExecutionStatus.DEAD

    async def both_dead():
        return len(await engine.dead_letters(ctx)) == 2

    await until(both_dead)
    (tmp_path / "mended").touch()
    await engine.requeue(ctx, "e1")
    assert (await engine.wait("e1", timeout_s=WAIT_S + 40)).output == ["kept", "survived"]
    assert not await engine.dead_letters(ctx)
    await happened("execution.requeued", execution="e1/#child")


async def test_a_program_that_waits_is_not_blamed_for_the_crashes_of_others(
    worker, engine, ctx, database, notes, happened
):
    one = replace(SETTINGS, max_recoveries=1)
    node = await worker(one)
    await node.start(**order("steps", notes))
    await happened("step.done", branch="right", step=2)
    for attempt in range(1, 4):
        await until(partial(has_attempt, engine, ctx, attempt))
        await until(partial(is_parked, database))
        await node.kill()
        node = await worker(one)
    await tell(engine, database, ctx, "go")
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.status is ExecutionStatus.SUCCEEDED


async def has_attempt(engine, ctx, attempt):
    (info,) = await engine.executions(ctx, "r1")
    return info.attempt == attempt


async def is_parked(database):
    async with database.transaction(read_only=True) as tx:
        return bool(await tx.scalar(sqlalchemy.text("SELECT parked FROM execution WHERE id = 'e1'")))


async def test_an_unsafe_effect_whose_process_died_is_reported_and_not_repeated(
    worker, engine, ctx, notes, tmp_path
):
    node = await worker()
    await node.start(**order("crash", notes, until=str(tmp_path / "mended"), safety="unsafe"))
    await node.ended()
    await worker()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert isinstance(result.error, OutcomeUnknown)
    assert len(notes.read_text().splitlines()) == 1
    (info,) = await engine.executions(ctx, "r1")
    assert (info.attempt, info.crashes) == (2, 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_losing_the_dispatchers_file_loses_no_execution(
    worker, engine, ctx, database, storage_settings, notes, happened
):
    node = await worker()
    await node.start(**order("steps", notes))
    await happened("step.done", branch="right", step=2)
    await node.kill()
    for file in storage_settings.data_dir.glob("engine.db*"):
        file.unlink()
    await tell(engine, database, ctx, "go")
    await worker()
    result = await engine.wait("e1", timeout_s=WAIT_S)
    assert result.output["attempt"] == 2
    assert len(notes.read_text().splitlines()) == 6
