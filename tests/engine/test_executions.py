"""Executions in one process: results, errors, children, deadlines, hand-over."""

import asyncio
import contextlib
import threading

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import (
    Conflict,
    InvalidInput,
    Locked,
    MosaicError,
    NotFound,
    Problem,
    TimedOut,
    ToolFailed,
    Unavailable,
)
from mosaic.engine import Engine, ExecutionStatus, Outcome
from mosaic.events import NewEvent
from tests.engine.conftest import SETTINGS, WAIT_S

pytestmark = pytest.mark.anyio


async def echo(execution):
    return {"b": [1, 2.5, None, "ü", True], "a": execution.input}


async def fail(execution):
    raise ToolFailed("pytest failed", hint="Look at it.", exit_status=2, tail=["a", {"b": None}])


async def run(engine, ctx, handler, given=None, *, execution_id="e1", run_id="r1", **options):
    await engine.start(
        ctx, execution_id=execution_id, run_id=run_id, handler=handler, input=given or {}, **options
    )
    return await engine.wait(execution_id, timeout_s=WAIT_S)


async def test_an_execution_returns_the_exact_json_of_its_handler(launch, ctx):
    engine = await launch(echo=echo)
    result = await run(engine, ctx, "echo", {"x": 1})
    assert result.status is ExecutionStatus.SUCCEEDED
    assert result.output == {"b": [1, 2.5, None, "ü", True], "a": {"x": 1}}
    assert list(result.output) == ["b", "a"]


async def test_a_large_result_comes_back_whole(launch, ctx):
    async def handler(execution):
        return "x" * 100_000

    engine = await launch(large=handler)
    assert (await run(engine, ctx, "large")).output == "x" * 100_000


async def test_a_handler_may_return_null(launch, ctx):
    async def handler(execution):
        return None

    engine = await launch(nothing=handler)
    result = await run(engine, ctx, "nothing")
    assert (result.status, result.output, result.error) == (ExecutionStatus.SUCCEEDED, None, None)


async def test_an_error_of_a_handler_is_equal_wherever_it_is_read(launch, ctx, engine):
    problem = Problem("bad", path="do[1]", line=3)

    async def invalid(execution):
        raise InvalidInput("two things are wrong", problems=[problem], hint="fix them")

    node = await launch(fail=fail, invalid=invalid)
    await run(node, ctx, "fail")
    error = (await engine.wait("e1", timeout_s=WAIT_S)).error
    assert isinstance(error, ToolFailed)
    assert error.to_json() == {
        "code": "tool_failed",
        "message": "pytest failed",
        "hint": "Look at it.",
        "data": {"exit_status": 2, "tail": ["a", {"b": None}]},
    }
    error = (await run(node, ctx, "invalid", execution_id="e2")).error
    assert isinstance(error, InvalidInput)
    assert error.problems == (problem,)


async def test_a_mistake_in_a_handler_is_an_internal_error_and_logged(launch, ctx, caplog):
    async def broken(execution):
        return {}["missing"]

    engine = await launch(broken=broken)
    result = await run(engine, ctx, "broken")
    assert result.status is ExecutionStatus.FAILED
    assert type(result.error) is MosaicError
    assert "KeyError: 'missing'" in result.error.message
    assert 'return {}["missing"]' in caplog.text


async def test_a_result_that_is_not_json_is_an_error(launch, ctx):
    async def odd(execution):
        return {1, 2}

    engine = await launch(odd=odd)
    result = await run(engine, ctx, "odd")
    assert result.status is ExecutionStatus.FAILED
    assert isinstance(result.error, InvalidInput)


async def test_the_same_id_starts_once(launch, ctx):
    calls = []

    async def count(execution):
        calls.append(execution.id)
        return len(calls)

    engine = await launch(count=count)
    first = await run(engine, ctx, "count")
    assert (await run(engine, ctx, "count")).output == first.output == 1
    assert calls == ["e1"]


async def test_an_id_cannot_be_taken_by_another_tenant_run_or_handler(launch, ctx):
    engine = await launch(echo=echo, fail=fail)
    await run(engine, ctx, "echo")
    other = Context("t2", "p1", Actor("user", "u2"))
    with pytest.raises(Conflict, match="taken"):
        await run(engine, other, "echo")
    with pytest.raises(Conflict, match="taken"):
        await run(engine, ctx, "echo", run_id="r2")
    with pytest.raises(Conflict, match="taken"):
        await run(engine, ctx, "fail")
    with pytest.raises(NotFound):
        await engine.wait("e1", ctx=other)
    assert not await engine.executions(other, "r1")


async def test_what_does_not_exist_is_not_started(launch, ctx, engine):
    node = await launch(echo=echo)
    with pytest.raises(NotFound, match="handler 'nobody'"):
        await run(node, ctx, "nobody")
    with pytest.raises(NotFound, match="queue 'nowhere'"):
        await run(node, ctx, "echo", queue="nowhere")
    with pytest.raises(NotFound, match="execution e1"):
        await node.wait("e1")
    with pytest.raises(Conflict, match="runs no executions"):
        await run(engine, ctx, "echo")


async def test_a_wait_ends_in_time_and_the_execution_goes_on(launch, ctx):
    go = asyncio.Event()

    async def patient(execution):
        await go.wait()
        return "done"

    engine = await launch(patient=patient)
    await engine.start(ctx, execution_id="e1", run_id="r1", handler="patient", input={})
    with pytest.raises(TimedOut, match="had not ended after"):
        await engine.wait("e1", timeout_s=0.05)
    go.set()
    assert (await engine.wait("e1", timeout_s=WAIT_S)).output == "done"


async def test_an_execution_written_in_a_transaction_starts_with_its_commit(launch, ctx, database):
    engine = await launch(echo=echo)
    order = {"run_id": "r1", "handler": "echo", "input": {}}
    async with database.transaction() as tx:
        await engine.start(ctx, execution_id="e1", tx=tx, **order)
    assert (await engine.wait("e1", timeout_s=WAIT_S)).status is ExecutionStatus.SUCCEEDED
    with contextlib.suppress(InterruptedError):
        async with database.transaction() as tx:
            await engine.start(ctx, execution_id="e2", tx=tx, **order)
            raise InterruptedError
    with pytest.raises(NotFound):
        await engine.wait("e2")


async def test_a_deadline_ends_an_execution_and_its_children(launch, ctx):
    async def stuck(execution):
        await asyncio.Event().wait()

    async def parent(execution):
        return await execution.call("child", "stuck", {})

    engine = await launch(stuck=stuck, parent=parent)
    result = await run(engine, ctx, "parent", deadline_s=0.2)
    assert isinstance(result.error, TimedOut)
    child = await engine.wait("e1/#child", timeout_s=WAIT_S)
    assert child.status is ExecutionStatus.CANCELLED


async def test_a_child_returns_its_result_to_its_parent(launch, ctx):
    async def parent(execution):
        plain = await execution.at("plan").call("agent", "echo", {"n": 1})
        queued = await execution.at("build[0]").call("agent", "echo", {"n": 2}, queue="agents", priority=3)
        return [plain["a"], queued["a"]]

    engine = await launch(echo=echo, parent=parent)
    assert (await run(engine, ctx, "parent")).output == [{"n": 1}, {"n": 2}]
    found = {info.id: (info.path, info.queue) for info in await engine.executions(ctx, "r1")}
    assert found == {
        "e1": ("", None),
        "e1/plan#agent": ("plan/agent", None),
        "e1/build[0]#agent": ("build[0]/agent", "agents"),
    }


async def test_a_childs_error_is_raised_in_its_parent_and_can_be_handled(launch, ctx):
    async def parent(execution):
        try:
            await execution.call("child", "fail", {})
        except ToolFailed as error:
            return error.data["exit_status"]

    engine = await launch(fail=fail, parent=parent)
    assert (await run(engine, ctx, "parent")).output == 2


async def test_many_children_run_in_parallel(launch, ctx):
    async def parent(execution):
        calls = [execution.at(f"step[{n}]").call("agent", "echo", {"n": n}) for n in range(60)]
        return [result["a"]["n"] for result in await asyncio.gather(*calls)]

    engine = await launch(echo=echo, parent=parent)
    assert (await run(engine, ctx, "parent")).output == list(range(60))


async def test_a_long_path_gives_a_child_a_short_id(launch, ctx):
    async def parent(execution):
        deep = "/".join(f"step{n}" for n in range(60))
        return [
            (await execution.at(deep + "/a").call("agent", "echo", {"n": 1}))["a"],
            (await execution.at(deep + "/b").call("agent", "echo", {"n": 2}))["a"],
        ]

    engine = await launch(echo=echo, parent=parent)
    assert (await run(engine, ctx, "parent")).output == [{"n": 1}, {"n": 2}]
    assert all(len(info.id) <= 200 for info in await engine.executions(ctx, "r1"))


@pytest.mark.requirement("MAOS-12")
async def test_an_orderly_shutdown_hands_over_and_another_launch_goes_on(launch, ctx, database, happened):
    async def patient(execution):
        first = await execution.effects.remember("first", lambda: execution.attempt)
        await execution.effects.emit(NewEvent("patient.waits"))
        signal = await execution.wait_signal("go")
        return [first, execution.attempt, signal.payload]

    node = await launch(patient=patient)
    await node.start(ctx, execution_id="e1", run_id="r1", handler="patient", input={})
    await happened("patient.waits")
    await node.shutdown()
    (info,) = await node.executions(ctx, "r1")
    assert (info.status, info.node) == (ExecutionStatus.QUEUED, None)
    with pytest.raises(Conflict):
        await node.start(ctx, execution_id="e2", run_id="r1", handler="patient", input={})
    node = await launch(patient=patient)
    async with database.transaction() as tx:
        await node.send_signal(tx, ctx, "r1", "go", "now")
    result = await node.wait("e1", timeout_s=WAIT_S)
    assert result.output == [1, 2, "now"]
    (info,) = await node.executions(ctx, "r1")
    assert (info.status, info.crashes) == (ExecutionStatus.SUCCEEDED, 0)


async def test_a_shutdown_waits_for_the_effect_that_has_begun_and_records_it(launch, ctx):
    begun, finish, made = asyncio.Event(), asyncio.Event(), []

    async def slow(execution):
        async def call(_):
            begun.set()
            await finish.wait()
            made.append("first")
            return Outcome("first")

        async def second(_):
            made.append("second")
            return Outcome("second")

        return [await execution.effects.effect("one", call), await execution.effects.effect("two", second)]

    node = await launch(slow=slow)
    await node.start(ctx, execution_id="e1", run_id="r1", handler="slow", input={})
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
        stopping = asyncio.create_task(node.shutdown())
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="stopping"):
            await node.start(ctx, execution_id="e2", run_id="r1", handler="slow", input={})
        finish.set()
        await stopping
    assert made == ["first"]
    node = await launch(slow=slow)
    assert (await node.wait("e1", timeout_s=WAIT_S)).output == ["first", "second"]
    assert made == ["first", "second"]


async def test_engines_one_after_the_other_leave_no_thread_behind(launch, ctx):
    before = {thread.name for thread in threading.enumerate()}
    for number in range(3):
        engine = await launch(echo=echo)
        await run(engine, ctx, "echo", execution_id=f"e{number}")
        await engine.shutdown()
    after = {thread.name for thread in threading.enumerate()} - before
    kept_by_storage = ("group-commit", "reader", "bus", "asyncio", "Thread-", "anyio")
    assert not {name for name in after if not name.startswith(kept_by_storage)}
    assert not {name for name in after if "queue" in name or "dbos" in name}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_second_engine_on_one_sqlite_directory_is_refused(launch, database, journal, bus, worker):
    await worker()
    with pytest.raises(Locked):
        await Engine(database, journal, bus, SETTINGS).launch()


async def test_handlers_are_registered_once_and_before_the_launch(launch):
    engine = await launch(echo=echo)
    with pytest.raises(Conflict, match="taken"):
        engine.register("echo", echo)
    with pytest.raises(Conflict, match="before the engine is launched"):
        engine.register("other", echo)
    with pytest.raises(Conflict, match="launched already"):
        await engine.launch()


async def test_being_called_by_other_nodes_restarts_nothing_that_is_under_way(launch, ctx, bus):
    starts = []

    async def once(execution):
        starts.append(execution.id)
        return (await execution.wait_signal("go")).payload

    engine = await launch(once=once)
    for number in range(20):
        bus.publish("nodes")
        await engine.start(ctx, execution_id=f"e{number}", run_id="r1", handler="once", input={})
    bus.publish("nodes")
    async with engine._database.transaction() as tx:
        await engine.send_signal(tx, ctx, "r1", "go", "went")
    for number in range(20):
        assert (await engine.wait(f"e{number}", timeout_s=WAIT_S)).output == "went"
    assert sorted(starts) == sorted(f"e{number}" for number in range(20))
    assert {info.attempt for info in await engine.executions(ctx, "r1")} == {1}
