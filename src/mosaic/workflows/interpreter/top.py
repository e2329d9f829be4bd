"""Executing a whole run: its steps, its own `catch`, its time limit, its outputs."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from mosaic.core.clock import now
from mosaic.core.errors import ContractViolation, StepFailed, TimedOut
from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.inputs import schema_problems
from mosaic.workflows.interpreter.block import run_block
from mosaic.workflows.interpreter.failure import Failure, Stopped
from mosaic.workflows.interpreter.frame import Frame, RunState, Scope
from mosaic.workflows.interpreter.handling import Handling, choose, handle
from mosaic.workflows.interpreter.paths import tag
from mosaic.workflows.interpreter.saga import UndoLog
from mosaic.workflows.interpreter.undoing import compensate
from mosaic.workflows.steps import Step

__all__ = ["compensations", "execute"]


async def execute(run: RunState, inputs: JsonObject) -> JsonValue:
    """Execute the run's definition and return its outputs.

    Raises:
        StepFailed: naming the step that failed; its `data` holds the reason.
    """
    definition = run.definition
    about = {"id": run.id, "workflow": definition.name, "version": definition.version}
    scope = Scope({"inputs": inputs, "run": about, "feedback": None})
    frame = Frame(run=run, path="", scope=scope, undo=UndoLog(), previous=inputs)
    # The first effect: it reads the run's record, which every later one is answered from.
    started = await run.execution.effects.remember("started", lambda: now().isoformat())
    values = await _steps(run, frame, datetime.fromisoformat(str(started)))
    return _outputs(run, frame, values)


async def _steps(run: RunState, frame: Frame, started: datetime) -> dict[str, JsonValue]:
    """Execute the steps, again and again if the run's `catch` says so; return their outputs by name."""
    retries: Counter[tuple[str, int]] = Counter()
    failures = 0
    while True:
        values: dict[str, JsonValue] = {}
        try:
            done = await _in_time(run, frame, values, started)
            return {**values, "result": done}
        except Failure as failure:
            failures += 1
            where = Handling(run.definition.catch, "", frame, tag(failures), retries)
            try:
                then = await _caught(where, failure)
            except Failure as stands:
                raise stands.as_run_error() from None
        if then == "end":
            return {**values, "result": None}


async def _caught(where: Handling, failure: Failure) -> str:
    """Undo what was finished, unless the run goes on, and let the run's `catch` handle the failure."""
    run, log, root = where.frame.run, where.frame.undo, where.frame.root
    index = choose(where, failure)
    goes_on = index is not None and where.clauses[index].then == "retry"
    if not goes_on:
        await compensate(log, failure, run, root=root)
    try:
        return (await handle(where, failure, run_block)).then
    except Failure as stands:
        if goes_on:
            await compensate(log, stands, run, root=root)
        raise


async def _in_time(run: RunState, frame: Frame, values: dict[str, JsonValue], started: datetime) -> JsonValue:
    """Execute the steps within the run's time limit, which counts from its start, whatever happened since."""
    limit_s = run.definition.limits.duration_s
    left_s = None if limit_s is None else max(0.0, limit_s - (now() - started).total_seconds())
    timer = asyncio.timeout(left_s)
    try:
        async with timer:
            return (await run_block(run.definition.steps, frame, values=values)).output
    except Stopped:
        error = StepFailed("A step was cancelled from outside.", reason={"code": "cancelled"})
        raise Failure(error, step="", path="") from None
    except TimeoutError:
        if not timer.expired():
            raise
        late = TimedOut(f"The run took longer than its limit of {limit_s:g} s.", duration_s=limit_s)
        raise Failure(late, step="", path="") from None


def _outputs(run: RunState, frame: Frame, values: dict[str, JsonValue]) -> JsonValue:
    definition = run.definition
    if definition.outputs is None:
        outputs: JsonValue = {"result": values["result"]}
    else:
        unfinished: dict[str, JsonValue] = {step.name: None for step in definition.steps}
        outputs = definition.outputs.evaluate(frame.scope.new_child({**unfinished, **values}))
    if definition.outputs_schema is not None:
        problems = schema_problems(definition.outputs_schema, outputs, "outputs")
        if problems:
            raise ContractViolation(
                "The run's outputs do not fit the workflow's `output` schema: "
                + "; ".join(str(problem) for problem in problems[:5]),
                problems=[str(problem) for problem in problems],
            )
    return outputs


def compensations(*blocks: tuple[Step, ...]) -> Iterator[tuple[str, Step]]:
    """Yield the steps, at any depth, that have a compensation, with their paths in the definition."""
    for block in blocks:
        for step in block:
            if step.compensate:
                yield step.path, step
            yield from compensations(*_blocks(step))


def _blocks(step: Step) -> Iterator[tuple[Step, ...]]:
    """Yield every block inside a step, also those of its clauses."""
    for name in ("do", "branches", "finally_", "default", "compensate"):
        block = getattr(step, name, None)
        if block:
            yield block
    for case in getattr(step, "cases", ()):
        yield case.do
    for clause in step.catch:
        yield clause.do
