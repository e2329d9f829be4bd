"""Executing a block: its steps in order, jumps back, and `catch`."""

from collections import Counter
from dataclasses import dataclass, field, replace

from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Outcome, Safety
from mosaic.workflows.interpreter.events import step_event
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.frame import Done, Frame
from mosaic.workflows.interpreter.handling import Handling, handle
from mosaic.workflows.interpreter.paths import child, numbered, tag, visit
from mosaic.workflows.interpreter.step import run_step
from mosaic.workflows.steps import Step, TryStep

__all__ = ["run_block"]


@dataclass(slots=True)
class _Counts:
    """Of one execution of a block: how often each step was visited, jumped back from, retried by a clause."""

    visits: Counter[str] = field(default_factory=Counter)
    jumps: Counter[str] = field(default_factory=Counter)
    retries: Counter[tuple[str, int]] = field(default_factory=Counter)


async def run_block(
    steps: tuple[Step, ...], frame: Frame, *, values: dict[str, JsonValue] | None = None
) -> Done:
    """Execute `steps` and return the output of the last one that ran.

    Args:
        steps: the block.
        frame: where it stands; its scope is what the block sees from outside.
        values: where the steps' outputs go, by name; what it holds at the start is visible, too.

    Raises:
        Failure: if a step failed and nothing in the block dealt with it.
    """
    values = {} if values is None else values
    inner = replace(frame, scope=frame.scope.new_child(values))
    places = {step.name: index for index, step in enumerate(steps)}
    counts = _Counts()
    last = Done(frame.previous, ran=False)
    at = 0
    while at < len(steps):
        step = steps[at]
        counts.visits[step.name] += 1
        path = visit(child(frame.path, step.name), counts.visits[step.name])
        try:
            done = await _run_caught(step, inner, path, last.output, counts)
        except _Jump as jump:
            values["feedback"] = jump.feedback
            at = places[jump.goto]
            continue
        if _asked_by(values.get("feedback"), step):
            values["feedback"] = None
        values[step.name] = done.output
        last = done if done.ran else last
        at += 1
    return last if last.ran else Done(None, ran=False)


class _Jump(Exception):  # a change of place, not an error
    def __init__(self, goto: str, feedback: JsonObject) -> None:
        super().__init__(goto)
        self.goto = goto
        self.feedback = feedback


def _asked_by(feedback: JsonValue, step: Step) -> bool:
    return isinstance(feedback, dict) and feedback.get("step") == step.name


async def _run_caught(step: Step, frame: Frame, path: str, previous: JsonValue, counts: _Counts) -> Done:
    """Run one step; a failure leads to a jump, to a `catch` clause, or out."""
    while True:
        try:
            return await run_step(step, frame, path, previous)
        except Failure as failure:
            if step.on_fail is not None and counts.jumps[step.name] < step.on_fail.max:
                await _jump(step, frame, path, failure, counts)
            if isinstance(step, TryStep):
                raise  # its body has tried its clauses, before its `finally`
            mark = tag(frame.run.visits_of(path).failures)
            where = Handling(step.catch, path, frame, mark, counts.retries)
            verdict = await handle(where, failure, run_block)
        if verdict.then == "retry":
            continue
        return Done(verdict.output)


async def _jump(step: Step, frame: Frame, path: str, failure: Failure, counts: _Counts) -> None:
    """Jump back if the run's retry budget allows it.

    Raises:
        _Jump: if it does.
    """
    on_fail, effects = step.on_fail, frame.run.at(path)
    if on_fail is None:
        return
    number = frame.run.visits_of(path).failures
    attempt = counts.jumps[step.name] + 1
    shown = {
        "by": "on_fail",
        "goto": on_fail.goto,
        "attempt": attempt,
        "max": on_fail.max,
        "reason": failure.error.message,
        "code": failure.code,
    }

    async def pay(_: EffectCall) -> Outcome:
        left = await effects.take_retry(numbered("jump", number))
        if left is None:
            return Outcome(None)
        event = step_event("retrying", step, path, {**shown, "budget_left": left})
        return Outcome(left, events=(event,))

    if await effects.effect(numbered("jump", number), pay, safety=Safety.REPEATABLE) is None:
        failure.error.data["retries"] = "budget_empty"
        return
    frame.run.visits_of(path).settled = True
    counts.jumps[step.name] = attempt
    raise _Jump(
        on_fail.goto,
        {"step": step.name, "attempt": attempt, "message": failure.error.message, "data": failure.error.data},
    )
