"""Running compensations: in reverse order of finishing, each once, however often the node crashes."""

from mosaic.core.values import JsonObject
from mosaic.events import NewEvent
from mosaic.workflows.interpreter.block import run_block
from mosaic.workflows.interpreter.events import head
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.frame import Frame, RunState, Scope
from mosaic.workflows.interpreter.paths import child
from mosaic.workflows.interpreter.saga import Undo, UndoLog

__all__ = ["compensate"]

_ERROR = "compensation_failures"


async def compensate(log: UndoLog, failure: Failure, run: RunState, *, root: Scope) -> None:
    """Undo what `log` holds. One that fails does not keep the others from being done; `failure` then names it.

    Args:
        log: what finished; empty afterwards.
        failure: why; visible as ``error``.
        run: the run.
        root: what every expression of the run sees: ``inputs``, ``run``, ``feedback``.
    """
    failed: list[JsonObject] = []
    for undo in log.take():
        problem = await _undo(undo, failure, run, root)
        if problem is not None:
            failed.append({"step": undo.path, "error": problem.error.to_json()})
    if failed:
        failure.error.data[_ERROR] = [*failure.error.data.get(_ERROR, []), *failed]


async def _undo(undo: Undo, failure: Failure, run: RunState, root: Scope) -> Failure | None:
    step = run.compensations[undo.step]
    effects = run.at(undo.path)
    shown = head(undo.path)
    await effects.emit(NewEvent("step.compensating", shown, path=undo.path))
    frame = Frame(
        run=run,
        path=child(undo.path, "compensate"),
        scope=root.new_child({**undo.scope, "error": failure.variable()}),
        undo=UndoLog(),
        previous=undo.scope.get(step.name),
    )
    problem = None
    try:
        await run_block(step.compensate, frame)
    except Failure as caught:
        problem = caught
    error = problem.error.to_json() if problem is not None else None
    await effects.emit(NewEvent("step.compensated", {**shown, "error": error}, path=undo.path))
    return problem
