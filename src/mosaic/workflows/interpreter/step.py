"""Executing one step: skip, replay or perform it, and record how it ended.

A step's end is one effect at its path: ``output`` when it succeeded or was skipped, ``failed``, ``failed~2``, ... for
each time it failed. On recovery a finished step is answered from it whole; a failed one fails again in the same
way, so that whatever handled the failure handles it again.

A step that failed and is run again (a `catch` with ``then: retry``, there or further out) keeps what was finished
inside it: only what failed is done again.
"""

import time
from collections.abc import Sequence

from mosaic.core.errors import Cancelled, ContractViolation, Fenced, MosaicError
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.workflows.inputs import schema_problems
from mosaic.workflows.interpreter.events import bounded, head, kind_of, step_event
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.frame import Deadline, Done, Frame, Here, RunState, Visits
from mosaic.workflows.interpreter.paths import inside, numbered, static
from mosaic.workflows.interpreter.saga import Undo, UndoLog, captured, variables_of
from mosaic.workflows.steps import AgentStep, EmitStep, HandoffStep, SetStep, Step, VoteStep

__all__ = ["check_output", "run_step"]

_OUTPUT, _FAILED, _STARTED, _CHECKPOINT = "output", "failed", "started", "checkpoint"

_INSTANT = (SetStep, EmitStep)
"""Kinds that begin and end in one commit."""


async def run_step(step: Step, frame: Frame, path: str, previous: JsonValue) -> Done:
    """Execute `step` at `path`, or answer from the record.

    Raises:
        Failure: if the step failed for good, as far as it can tell.
    """
    run = frame.run
    visits = run.visits_of(path)
    here = Here(
        frame=frame,
        path=path,
        number=visits.failures + (0 if visits.settled else 1),
        previous=previous,
        undo=UndoLog(frame.undo),
        deadline=Deadline(step.timeout_s, path=path),
    )
    record = await _recorded(here) or await _perform(step, here)
    for undo in record.get("undo", ()):
        frame.undo.add(Undo.from_json(undo))
    if "failed" in record:
        failure = Failure.from_json(record["failed"])
        visits.failures = here.number
        visits.job = failure.error.data.get("job") if failure.path == path else None
        _restore(run, record.get("visits", {}))
        raise failure
    return Done(record.get("output"), ran="skipped" not in record)


def _restore(run: RunState, visits: JsonObject) -> None:
    """Take over what a recorded failure says about the steps inside: they are not entered this time."""
    for path, (failures, settled, job) in visits.items():
        run.visits[path] = Visits(failures, settled=settled, job=job)


async def _recorded(here: Here) -> JsonObject | None:
    """Return how this execution of the step ended, when that is known."""
    effects = here.effects
    for name in (_OUTPUT, numbered(_FAILED, here.number)):
        if effects.is_recorded(name):
            record = await effects.effect(name, _never)
            return dict(record) if isinstance(record, dict) else {}
    return None


async def _never(_: EffectCall) -> Outcome:
    raise AssertionError("a recorded effect was called")


async def _perform(step: Step, here: Here) -> JsonObject:
    began = time.monotonic()
    events: tuple[NewEvent, ...] = ()
    try:
        if step.condition is not None and not step.condition.evaluate_bool(here.scope):
            reason: JsonObject = {"reason": "its `if` is false"}
            return await _record(
                here, _OUTPUT, {"skipped": True}, [step_event("skipped", step, here.path, reason)]
            )
        here.run.active.add(here.path)
        events = await _begin(step, here)
        async with here.deadline:
            output = await here.run.bodies[type(step)](step, here)
        check_output(step, output, path=here.path)
    except (Cancelled, Fenced):
        raise
    except (Failure, MosaicError) as error:
        failure = error if isinstance(error, Failure) else Failure(error, step=step.name, path=here.path)
        return await _record_failure(step, here, failure, began)
    duration_ms = round((time.monotonic() - began) * 1000)
    data: JsonObject = {"output": bounded(output), "duration_ms": duration_ms}
    ended = step_event("completed", step, here.path, data)
    events = (*events, *_spoken(step, output, here.path), *_left_behind(here), ended)
    if step.compensate:
        here.undo.add(_undo(step, here, output))
    return await _record(here, _OUTPUT, {"output": output, **_undos(here.undo)}, events)


async def _record_failure(step: Step, here: Here, failure: Failure, began: float) -> JsonObject:
    data: JsonObject = {
        "error": bounded_error(failure),
        "attempt": here.number,
        "duration_ms": round((time.monotonic() - began) * 1000),
    }
    record: JsonObject = {"failed": failure.to_json(), **_undos(here.undo), **_visits(here)}
    name = numbered(_FAILED, here.number)
    ended = step_event("failed", step, here.path, data)
    return await _record(here, name, record, [*_left_behind(here), ended])


def _left_behind(here: Here) -> tuple[NewEvent, ...]:
    """Return the end of every step inside that was cancelled because it was not needed any more."""
    active = here.run.active
    active.discard(here.path)
    left = sorted(path for path in active if inside(path, here.path))
    active.difference_update(left)
    reason = "the step around it has ended"
    return tuple(NewEvent("step.cancelled", {**head(path), "reason": reason}, path=path) for path in left)


def bounded_error(failure: Failure) -> JsonObject:
    """Return a failure's error as an event shows it, with the path where it began."""
    shown = failure.error.to_json()
    if "data" in shown:
        shown["data"] = bounded(shown["data"])
    return {**shown, "at": failure.path}


async def _record(here: Here, name: str, record: JsonObject, events: Sequence[NewEvent]) -> JsonObject:
    for path in [path for path in here.run.children if path == here.path or inside(path, here.path)]:
        # Its branch was cancelled: it was not needed any more, or the time was up.
        await here.run.services.children.cancel(here.run.ctx, here.run.children.pop(path))

    async def end(_: EffectCall) -> Outcome:
        return Outcome(record, events=tuple(events))

    kept = await here.effects.effect(name, end, safety=Safety.REPEATABLE)
    return dict(kept) if isinstance(kept, dict) else {}


async def _begin(step: Step, here: Here) -> tuple[NewEvent, ...]:
    """Journal that the step began; with a worktree, keep the files as they are now, for a fork from here.

    Returns the events still to be written, for kinds that end in the same commit.
    """
    data: JsonObject = {"agent": step.agent} if isinstance(step, AgentStep) else {}
    event = step_event("started", step, here.path, data)
    if isinstance(step, _INSTANT) and here.run.workspace_record is None:
        return (event,)
    effects = here.effects
    if here.run.workspace_record is None:
        await effects.emit(event, name=str(here.number))
        return ()

    async def begin(_: EffectCall) -> Outcome:
        return Outcome(await _checkpoint(here), events=(event,))

    await effects.effect(numbered(_CHECKPOINT, here.number), begin, safety=Safety.REPEATABLE)
    return ()


async def _checkpoint(here: Here) -> str | None:
    worktrees, record = here.run.services.worktrees, here.run.workspace_record
    if worktrees is None or record is None:
        return None
    if here.run.checkpoint is not None:
        return here.run.checkpoint
    key = f"{here.run.id}/{here.path}#{here.number}"
    commit = await worktrees.checkpoint(here.run.ctx, record, label=here.path, key=key)
    if not here.run.touching:
        here.run.checkpoint = commit
    return commit


def _spoken(step: Step, output: JsonValue, path: str) -> tuple[NewEvent, ...]:
    """Return the event that an `emit` step stands for: it is written with the step's end, so exactly once."""
    if not isinstance(step, EmitStep):
        return ()
    data = output if isinstance(output, dict) else {} if output is None else {"data": output}
    return (NewEvent(f"workflow.{step.event}", data, path=path),)


def _undo(step: Step, here: Here, output: JsonValue) -> Undo:
    wanted = variables_of(step.compensate) | {"feedback"}
    scope = captured(wanted, here.scope, without=frozenset({"inputs", "run", "error", step.name}))
    return Undo(here.path, static(here.path), time.time_ns(), {**scope, step.name: output})


def _undos(log: UndoLog) -> JsonObject:
    undos = log.to_json()
    return {"undo": undos} if undos else {}


def _visits(here: Here) -> JsonObject:
    found = {
        path: [visits.failures, visits.settled, visits.job]
        for path, visits in here.run.visits.items()
        if visits.failures and inside(path, here.path)
    }
    return {"visits": found} if found else {}


def check_output(step: Step, output: JsonValue, *, path: str) -> None:
    """Check a step's output against its own schema.

    Raises:
        ContractViolation: with every place that does not fit.
    """
    if step.output_schema is None or isinstance(step, AgentStep | HandoffStep | VoteStep):
        return  # an agent is held to its schema while it can still correct itself
    problems = schema_problems(step.output_schema, output, "output")
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:5])
        raise ContractViolation(
            f"The output of the {kind_of(step)} step {path!r} does not fit its schema: {shown}",
            problems=[str(problem) for problem in problems],
        )
