"""Steps that only compute: set, emit."""

from mosaic.core.values import JsonValue
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.steps import EmitStep, SetStep

__all__ = ["run_emit", "run_set"]


async def run_set(step: SetStep, here: Here) -> JsonValue:
    """Return the value."""
    return step.value.evaluate(here.scope)


async def run_emit(step: EmitStep, here: Here) -> JsonValue:
    """Return the event's data; the event is written with the end of the step, so exactly once."""
    return step.data.evaluate(here.scope) if step.data is not None else None
