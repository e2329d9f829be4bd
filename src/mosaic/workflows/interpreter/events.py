"""The events that the interpreter journals. Run-level events are the runs room's.

=====================  =============================================================================================
``step.started``       ``{kind, name, step}`` and, for agents, ``agent``; `step` is the path in the definition
``step.completed``     ``{kind, name, step, output, duration_ms}``; a long output is cut and says so
``step.failed``        ``{kind, name, step, error, attempt, duration_ms}``: for good, unless something around handles it
``step.skipped``       ``{kind, name, step, reason}``
``step.cancelled``     ``{name, step, reason}``: a branch of a fork or `for` that was not needed any more
``step.retrying``      ``{name, step, by, goto?, attempt, max, reason, code}``; `by` is ``on_fail`` or ``catch``
``step.caught``        ``{name, step, clause, then, code, message}``: a `catch` clause takes a failure
``step.compensating``  ``{name, step}``: the compensation of a finished step begins
``step.compensated``   ``{name, step, error}``: it ended; `error` is null when it went well
``budget.extended``    ``{usd, tokens, clause}``
``handoff.made``       ``{from, to, turn, task, kind}``
``vote.cast``          ``{agent, choice, ranking, reason, error}``; `error` when the agent cast none
``workflow.<name>``    what an `emit` step says
=====================  =============================================================================================

A retried effect also journals the engine's ``retry``; tools, models and approvals journal their own events.
"""

from mosaic.core.values import JsonObject, JsonValue, canonical_json
from mosaic.events import NewEvent
from mosaic.workflows.interpreter.paths import static
from mosaic.workflows.steps import Step, StepBase

__all__ = ["bounded", "head", "kind_of", "step_event"]

_MAX_BYTES = 4_000
_PREVIEW = 1_000


def kind_of(step: Step | StepBase) -> str:
    """Return the step's kind as the definition spells it: ``agent``, ``for``."""
    return type(step).__name__.removesuffix("Step").lower()


def bounded(value: JsonValue) -> JsonValue:
    """Return `value`, or a short form of it that says how long it was."""
    encoded = canonical_json(value)
    if len(encoded) <= _MAX_BYTES:
        return value
    shown = value if isinstance(value, str) else encoded.decode()
    return {"truncated": True, "size_bytes": len(encoded), "preview": shown[:_PREVIEW]}


def head(path: str) -> JsonObject:
    """Return what every event of a step says about it."""
    place = static(path)
    return {"name": place.rpartition("/")[2], "step": place}


def step_event(verb: str, step: Step | StepBase, path: str, data: JsonObject | None = None) -> NewEvent:
    """Return the event ``step.<verb>`` of a step."""
    return NewEvent(f"step.{verb}", {"kind": kind_of(step), **head(path), **(data or {})}, path=path)
