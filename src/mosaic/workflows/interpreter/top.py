"""Executing a whole run: its steps, its own `catch`, its time limit, its outputs."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from mosaic.core.clock import now
from mosaic.core.errors import ContractViolation, ExpressionFailed, StepFailed, TimedOut
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
    return await _finished(run, frame, datetime.fromisoformat(str(started)))


async def _finished(run: RunState, frame: Frame, started: datetime) -> JsonValue:
    """Execute the steps, again and again if the run's `catch` says so, and return the run's outputs."""
    retries: Counter[tuple[str, int]] = Counter()
    failures = 0
    while True:
        values: dict[str, JsonValue] = {}
        try:
            return _outputs(run, frame, values, await _in_time(run, frame, values, started))
        except Failure as failure:
            failures += 1
            where = Handling(run.definition.catch, "", frame, tag(failures), retries)
            try:
                if await _caught(where, failure) == "end":
                    return _outputs(run, frame, values, None)
            except Failure as stands:
                raise stands.as_run_error() from None


async def _caught(where: Handling, failure: Failure) -> str:
    """Undo what was finished, unless the run goes on, and let the run's `catch` handle the failure."""
    run, log, root = where.frame.run, where.frame.undo, where.frame.root
    try:
        index = choose(where, failure)
        if index is None or where.clauses[index].then != "retry":
            await compensate(log, failure, run, root=root)
        return (await handle(where, failure, run_block)).then
    except Failure as stands:
        await compensate(log, stands, run, root=root)  # nothing is left to undo, but where it was to go on
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


def _outputs(run: RunState, frame: Frame, values: dict[str, JsonValue], result: JsonValue) -> JsonValue:
    """Return the run's outputs; `result` is that of its block.

    Raises:
        Failure: if they cannot be computed, or do not fit their schema.
    """
    definition = run.definition
    try:
        if definition.outputs is None:
            outputs: JsonValue = {"result": result}
        else:
            unfinished: dict[str, JsonValue] = {step.name: None for step in definition.steps}
            outputs = definition.outputs.evaluate(frame.scope.new_child({**unfinished, **values}))
    except ExpressionFailed as error:
        raise Failure(error, step="outputs", path="outputs") from None
    problems = schema_problems(definition.outputs_schema or {}, outputs, "outputs")
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:5])
        broken = ContractViolation(
            f"The run's outputs do not fit the workflow's `output` schema: {shown}",
            problems=[str(problem) for problem in problems],
        )
        raise Failure(broken, step="outputs", path="outputs")
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
