"""What is known of a value before a run: the JSON Schema of each step's output, and of chains into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.expressions import Member
from mosaic.workflows.action_steps import (
    AgentStep,
    AskStep,
    HttpStep,
    ListenStep,
    RunStep,
    WaitStep,
    WorkflowStep,
)
from mosaic.workflows.control_steps import HandoffStep, VoteStep
from mosaic.workflows.schema_rules import follow
from mosaic.workflows.schemas import AgentEntry, Definition
from mosaic.workflows.steps import Step

__all__ = [
    "ERROR",
    "FEEDBACK",
    "RUN",
    "TEXT",
    "UNKNOWN",
    "WHOLE",
    "Known",
    "Wrong",
    "action_output",
    "descend",
    "list_of",
    "object_of",
]

_ASSERTIONS = ("allOf", "anyOf", "oneOf", "not", "if")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a value: its schema, and the schema that its references point into."""

    schema: Any
    root: JsonObject


@dataclass(frozen=True, slots=True)
class Wrong:
    """A member that cannot be there: why, what is there, and which member of the chain it is."""

    message: str
    names: tuple[str, ...]
    position: int


def _known(schema: Any) -> Known:
    return Known(schema, schema if isinstance(schema, dict) else {})


UNKNOWN = _known(True)
TEXT = _known({"type": "string"})
WHOLE = _known({"type": "integer"})
NULL = _known({"type": "null"})


def object_of(members: Mapping[str, Known]) -> Known:
    """Return an object that has exactly these members."""
    return _known({"type": "object", "properties": {name: _Nested(known) for name, known in members.items()}})


def list_of(item: Known) -> Known:
    """Return a list of such items."""
    return _known({"type": "array", "items": _Nested(item)})


class _Nested:
    """What is known of a member whose references point into a schema of its own."""

    __slots__ = ("known",)

    def __init__(self, known: Known) -> None:
        self.known = known


RUN = object_of({"id": TEXT, "workflow": TEXT, "version": TEXT})
ERROR = object_of({"code": TEXT, "message": TEXT, "data": UNKNOWN, "step": TEXT})
FEEDBACK = object_of({"step": TEXT, "attempt": WHOLE, "message": TEXT, "data": UNKNOWN})
_ASKED = {"approved": UNKNOWN, "note": UNKNOWN, "decided_by": UNKNOWN, "timed_out": UNKNOWN}
_RAN = {"exit_code": WHOLE, "stdout": TEXT, "stderr": TEXT, "truncated": UNKNOWN}
_VOTED = object_of({"decision": UNKNOWN, "passed": UNKNOWN, "votes": list_of(UNKNOWN), "tally": UNKNOWN})
_HTTP = object_of({"status": WHOLE, "headers": UNKNOWN, "body": UNKNOWN})


def action_output(step: Step, agents: Mapping[str, AgentEntry], children: Mapping[str, Definition]) -> Known:
    """Return what is known of the output of a step that holds no other steps."""
    if step.output_schema is not None:
        return _known(step.output_schema)
    if isinstance(step, AgentStep):
        return _answer((step.agent,), agents)
    if isinstance(step, HandoffStep):
        return _answer(step.among, agents)
    if isinstance(step, WorkflowStep):
        return _child(children[step.workflow]) if step.workflow in children else UNKNOWN
    return _fixed_output(step)


def _fixed_output(step: Step) -> Known:
    """Return what is known from the step alone."""
    match step:
        case RunStep(parse=parse):
            return object_of(_RAN if parse == "text" else {**_RAN, "value": UNKNOWN})
        case AskStep():
            answer = _known(step.answer_schema) if step.answer_schema else TEXT if step.choices else UNKNOWN
            return object_of({**_ASKED, "answer": answer})
        case ListenStep(payload_schema=schema) if schema is not None:
            return _known(schema)
        case HttpStep():
            return _HTTP
        case VoteStep():
            return _VOTED
        case WaitStep():
            return NULL
        case _:
            return UNKNOWN


def _answer(names: tuple[str, ...], agents: Mapping[str, AgentEntry]) -> Known:
    if any(name in agents and agents[name].spec.acp for name in names):
        return UNKNOWN  # a coding agent says what it says
    schemas = [agents[name].spec.output_schema for name in names if name in agents]
    if not schemas or len(schemas) != len(names) or any(schema != schemas[0] for schema in schemas):
        return UNKNOWN
    return TEXT if schemas[0] is None else _known(schemas[0])


def _child(child: Definition) -> Known:
    if child.outputs_schema is not None:
        return _known(child.outputs_schema)
    tree = child.outputs.tree if child.outputs else {"result": None}
    return object_of(dict.fromkeys(tree, UNKNOWN)) if isinstance(tree, dict) else UNKNOWN


def descend(known: Known, path: tuple[Member, ...], shown: str) -> Known | Wrong:
    """Return what is known at the end of a chain, or the first member that cannot be there."""
    for position, member in enumerate(path):
        found = _member(known, member, shown)
        if isinstance(found, Wrong):
            return Wrong(found.message, found.names, position)
        known = found
        shown += (
            f".{member.key}"
            if isinstance(member.key, str)
            else f"[{'*' if member.key is None else member.key}]"
        )
    return known


def _member(known: Known, member: Member, shown: str) -> Known | Wrong:
    schema = follow(known.schema, known.root)
    if not isinstance(schema, dict) or any(name in schema for name in _ASSERTIONS):
        return UNKNOWN
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types
    wanted = {"field": "object", "index": "array", "each": "array"}.get(member.kind)
    if types and wanted and wanted not in types:
        if member.kind == "each" and "object" in types:
            return UNKNOWN
        return _no_member(types, member, shown)
    if member.kind == "field":
        return _field(schema, known.root, str(member.key), shown)
    if types == ["object"] or "prefixItems" in schema:
        return UNKNOWN
    return _inner(schema.get("items", True), known.root)


def _inner(schema: Any, root: JsonObject) -> Known:
    return schema.known if isinstance(schema, _Nested) else Known(schema, root)


def _no_member(types: list[str], member: Member, shown: str) -> Wrong:
    words = {
        "string": "text",
        "array": "a list",
        "object": "an object",
        "integer": "a number",
        "boolean": "a boolean",
    }
    what = " or ".join(words.get(name, f"a {name}" if name != "null" else "null") for name in types)
    lacks = {"field": f"no field `{member.key}`", "index": f"no item {member.key}"}.get(
        member.kind, "no items"
    )
    return Wrong(f"`{shown}` is {what}: it has {lacks}", (), 0)


def _field(schema: JsonObject, root: JsonObject, name: str, shown: str) -> Known | Wrong:
    properties = schema.get("properties")
    more = schema.get("additionalProperties", False)
    if isinstance(properties, dict) and name in properties:
        return _inner(properties[name], root)
    if not isinstance(properties, dict) or "patternProperties" in schema or more is True:
        return UNKNOWN
    if isinstance(more, dict):
        return Known(more, root)
    names = tuple(sorted(properties))
    has = f" (it has: {', '.join(names[:20])})" if names else ""
    return Wrong(f"`{shown}` has no field `{name}`{has}", names, 0)
