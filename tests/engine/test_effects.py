"""Effects: recorded once, answered from the record ever after."""

import asyncio

import pytest

from mosaic.core.errors import (
    Cancelled,
    Conflict,
    InvalidInput,
    LimitExceeded,
    MosaicError,
    OutcomeUnknown,
    ToolFailed,
)
from mosaic.engine import Effects, Outcome, Safety
from mosaic.events import NewEvent

pytestmark = pytest.mark.anyio


class Recorder:
    """A call that counts itself."""

    def __init__(self, *results):
        self.results = list(results)
        self.calls = []

    async def __call__(self, call):
        self.calls.append(call)
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        return result if isinstance(result, Outcome) else Outcome(result)


@pytest.fixture
def effects(journal, ctx):
    """Effects as a process sees them after a restart: nothing in memory."""
    return lambda path="": Effects.open(journal, ctx, "run1", path=path)


async def types(journal, ctx):
    return [event.type for event in await journal.read(ctx)]


async def test_an_effect_is_called_once_and_then_answered_from_the_journal(effects, journal, ctx):
    call = Recorder(Outcome({"n": (1, 2)}, events=(NewEvent("made", {"n": 1}),)))
    first = effects("build[2]")
    assert await first.effect("make", call) == {"n": [1, 2]}
    assert await first.effect("make", call) == {"n": [1, 2]}
    assert await effects("build[2]").effect("make", call) == {"n": [1, 2]}
    assert len(call.calls) == 1
    (event,) = await journal.read(ctx)
    assert (event.type, event.run_id, event.path) == ("made", "run1", "build[2]")


async def test_parallel_branches_in_any_order_get_their_own_results_back(effects):
    async def branch(effects, name, order):
        at = effects.at(f"branch[{name}]")
        await order[name].wait()
        return await at.effect("same", Recorder(f"result of {name}"))

    for names in ("abc", "cab"):
        run, order = effects(), {name: asyncio.Event() for name in "abc"}
        branches = {name: asyncio.create_task(branch(run, name, order)) for name in "abc"}
        for name in names:
            order[name].set()
            assert await branches[name] == f"result of {name}"


async def test_an_error_is_raised_again_equal_in_code_message_and_data(effects, journal, ctx):
    call = Recorder(LimitExceeded("slow down", hint="wait", retry_after_s=7))

    async def attempt():
        with pytest.raises(LimitExceeded) as caught:
            await effects().effect(
                "ask", call, events_on_error=lambda error: [NewEvent("ask.failed", {"code": error.code})]
            )
        return caught.value.to_json()

    assert (
        await attempt()
        == await attempt()
        == {"code": "limit_exceeded", "message": "slow down", "hint": "wait", "data": {"retry_after_s": 7}}
    )
    assert len(call.calls) == 1
    assert await types(journal, ctx) == ["ask.failed"]


async def test_what_was_masked_in_the_journal_is_masked_at_once(effects, redactor):
    redactor.add("hunter2-hunter2")
    for _ in range(2):
        shown = await effects().effect("tell", Recorder("the key is hunter2-hunter2"))
        assert shown == "the key is [redacted]"
        with pytest.raises(ToolFailed, match=r"^bad key \[redacted\]$"):
            await effects().effect("fail", Recorder(ToolFailed("bad key hunter2-hunter2")))


async def test_an_unsafe_call_whose_result_was_lost_is_not_made_again(effects, journal, ctx):
    class PowerCut(BaseException):
        pass

    with pytest.raises(PowerCut):
        await effects().effect("pay", Recorder(PowerCut()))
    again = Recorder("paid")
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="may or may not have happened") as caught:
            await effects().effect("pay", again, events_on_error=lambda _: [NewEvent("pay.unknown")])
        assert caught.value.data == {"run_id": "run1", "key": "#pay"}
    assert not again.calls
    assert await types(journal, ctx) == ["pay.unknown"]


@pytest.mark.parametrize("safety", [Safety.KEYED, Safety.REPEATABLE])
async def test_a_repeatable_call_is_made_again_with_the_same_idempotency_key(effects, safety):
    class PowerCut(BaseException):
        pass

    call = Recorder(PowerCut(), "sent")
    with pytest.raises(PowerCut):
        await effects().effect("send", call, safety=safety)
    assert await effects().effect("send", call, safety=safety) == "sent"
    first, second = call.calls
    assert first.idempotency_key == second.idempotency_key
    other = Recorder("sent")
    await effects("elsewhere").effect("send", other, safety=safety)
    assert other.calls[0].idempotency_key != first.idempotency_key


@pytest.mark.parametrize("error", [Cancelled("stop"), ZeroDivisionError(), asyncio.CancelledError()])
async def test_neither_a_cancellation_nor_a_mistake_is_recorded(effects, error):
    call = Recorder(error, "fine")
    with pytest.raises(type(error)):
        await effects().effect("try", call, safety=Safety.REPEATABLE)
    assert not effects().is_recorded("try")
    assert await effects().effect("try", call, safety=Safety.REPEATABLE) == "fine"


async def test_a_result_is_recorded_even_when_its_task_is_cancelled_meanwhile(effects):
    called = asyncio.Event()

    async def call(_):
        called.set()
        return Outcome("done")

    run = effects()
    task = asyncio.create_task(run.effect("last", call))
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await effects().effect("last", Recorder("again")) == "done"


async def test_a_result_that_is_not_json_is_recorded_as_an_error(effects):
    call = Recorder({1, 2})
    for _ in range(2):
        with pytest.raises(InvalidInput, match="cannot be journaled"):
            await effects().effect("odd", call)
    assert len(call.calls) == 1


async def test_a_name_cannot_be_used_twice_at_the_same_time(effects):
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_):
        begun.set()
        await go.wait()
        return Outcome("first")

    run = effects()
    first = asyncio.create_task(run.effect("name", slow, safety=Safety.REPEATABLE))
    await begun.wait()
    second = asyncio.create_task(run.effect("name", Recorder("second")))
    with pytest.raises(Conflict, match="#name is used twice"):
        await second
    go.set()
    assert await first == "first"


async def test_events_are_emitted_once_however_often_the_handler_runs(effects, journal, ctx):
    for _ in range(3):
        run = effects("plan")
        await run.emit(NewEvent("step.began"), NewEvent("step.named", {"name": "plan"}))
        await run.emit(NewEvent("step.began"), name="again")
        await run.emit()
    assert await types(journal, ctx) == ["step.began", "step.named", "step.began"]


async def test_a_remembered_value_is_made_once(effects):
    values = iter([1, 2])
    assert [await effects().remember("random", lambda: next(values)) for _ in range(3)] == [1, 1, 1]
    assert await effects("other").remember("random", lambda: next(values)) == 2


async def test_it_is_known_what_is_recorded(effects):
    await effects("a").effect("one", Recorder(1))
    run = effects()
    assert await run.at("a").effect("one", Recorder(2)) == 1
    assert run.at("a").is_recorded("one")
    assert not run.at("a").is_recorded("two")


async def test_a_fork_replays_the_effects_that_were_copied(effects, journal, ctx, database):
    await effects("plan").effect("think", Recorder("planned"))
    await effects("build").effect("work", Recorder("built"))
    async with database.transaction() as tx:
        assert await journal.copy_effects(tx, ctx, "run1", "run2", ["plan#think"]) == 1
    fork = Effects.open(journal, ctx, "run2")
    assert await fork.at("plan").effect("think", Recorder("again")) == "planned"
    assert await fork.at("build").effect("work", Recorder("again")) == "again"


async def test_a_replay_reads_the_journal_once(effects, database, monkeypatch):
    run = effects()
    for number in range(20):
        await run.at(f"s{number}").effect("e", Recorder(number))
    replay, reads = effects(), []
    transaction = database.transaction
    monkeypatch.setattr(database, "transaction", lambda **options: reads.append(1) or transaction(**options))
    for number in range(20):
        at = replay.at(f"s{number}")
        assert await replay.remember("", lambda: None) is None if number == 0 else True
        assert await at.effect("e", Recorder("never")) == number
    assert len(reads) == 1


async def test_an_unknown_error_code_stays_a_mosaic_error(effects):
    class Odd(MosaicError):
        code = "odd_thing"

    for _ in range(2):
        with pytest.raises(MosaicError) as caught:
            await effects().effect("odd", Recorder(Odd("strange", x=1)))
        assert caught.value.to_json()["code"] == "odd_thing"
