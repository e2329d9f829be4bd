"""Inputs: defaults filled in, and every problem told without showing a value."""

import copy
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.schema_rules import follow, validator
from mosaic.workflows.spelling import nearest

__all__ = ["bind_inputs", "schema_problems"]

_MAX_PROBLEMS = 50
_MAX_DEPTH = 100
_KINDS = {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number", "str": "text", "list": "a list", "dict": "an object"}  # fmt: skip
_SAID = {
    "minimum": "must be at least {0}",
    "maximum": "must be at most {0}",
    "exclusiveMinimum": "must be more than {0}",
    "exclusiveMaximum": "must be less than {0}",
    "multipleOf": "must be a multiple of {0}",
    "minLength": "must have at least {0} characters",
    "maxLength": "must have at most {0} characters",
    "minItems": "must have at least {0} items",
    "maxItems": "must have at most {0} items",
    "minProperties": "must have at least {0} entries",
    "maxProperties": "must have at most {0} entries",
    "pattern": "must match the pattern {0}",
    "format": "must be a {0}",
    "const": "must be {0!r}",
    "uniqueItems": "must not hold an item twice",
}


def bind_inputs(schema: JsonObject, inputs: JsonObject) -> JsonObject:
    """Return a copy of `inputs` with the defaults of `schema` filled in.

    Raises:
        InvalidInput: with one problem for everything that is wrong.
    """
    if not isinstance(inputs, dict):
        raise InvalidInput("The inputs are an object: name and value of each input.")
    if _is_deep(inputs):
        raise InvalidInput(f"The inputs are nested too deeply: more than {_MAX_DEPTH} levels.")
    bound: JsonObject = _defaults(schema, copy.deepcopy(inputs), schema, 0)
    problems = [*_undeclared(schema, bound), *schema_problems(schema, bound, "inputs")]
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:3])
        raise InvalidInput(f"The inputs are wrong: {shown}", problems=problems)
    return bound


def _is_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _defaults(schema: Any, value: Any, root: JsonObject, depth: int) -> Any:
    schema = follow(schema, root)
    if not isinstance(schema, dict) or not isinstance(value, dict) or depth > _MAX_DEPTH:
        return value
    for name, inner in (schema.get("properties") or {}).items():
        found = follow(inner, root)
        if name not in value and isinstance(found, dict) and "default" in found:
            value[name] = copy.deepcopy(found["default"])
        if name in value:
            value[name] = _defaults(found, value[name], root, depth + 1)
    return value


def _undeclared(schema: JsonObject, inputs: JsonObject) -> list[Problem]:
    """Refuse inputs that a plain schema does not name: a misspelt one would be dropped without a word."""
    declared = schema.get("properties") or {}
    if (
        "additionalProperties" in schema
        or "patternProperties" in schema
        or schema.keys() & {"$ref", "allOf", "anyOf", "oneOf"}
    ):
        return []
    return [
        Problem(
            f"there is no input `{name[:60]}`", path=f"inputs.{name[:60]}", suggestion=nearest(name, declared)
        )
        for name in inputs
        if name not in declared
    ]


def schema_problems(schema: JsonObject, value: JsonValue, path: str = "") -> list[Problem]:
    """Return everything that keeps `value` from meeting `schema`, as problems that do not quote the value."""
    found: list[Problem] = []
    try:
        for error in validator(schema).iter_errors(value):
            found.extend(_problems(error, path))
            if len(found) >= _MAX_PROBLEMS:
                break
    except RecursionError:
        found.append(Problem("the value is nested too deeply to be checked", path=path))
    return found[:_MAX_PROBLEMS]


def _problems(error: Any, path: str) -> list[Problem]:
    place = path
    for key in error.absolute_path:
        place += f"[{key}]" if isinstance(key, int) else f".{key}" if place else str(key)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        name = next((name for name in missing if f"'{name}'" in error.message), missing[0])
        return [Problem("is missing", path=f"{place}.{name}" if place else name)]
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = [name for name in error.instance if name not in known]
        return [
            Problem(f"there is no `{name[:60]}` here", path=place, suggestion=nearest(name, known))
            for name in extra[:10]
        ]
    return [Problem(_message(error), path=place)]


def _message(error: Any) -> str:
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"must be {' or '.join(wanted)}, not {_KINDS.get(type(error.instance).__name__, 'that')}"
    if error.validator == "enum":
        return "must be one of " + ", ".join(repr(item) for item in error.validator_value[:20])
    said = _SAID.get(str(error.validator))
    return said.format(error.validator_value) if said else f"does not meet `{error.validator}` of its schema"
