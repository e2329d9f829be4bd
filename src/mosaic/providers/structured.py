"""Output schemas as vendors accept them. The caller checks the answer against its own schema in any case."""

import json
from typing import Any

from mosaic.core.values import JsonObject

__all__ = ["closed_schema", "is_object_schema", "is_strict", "schema_instruction"]

# What constrained decoding does not understand, and what only describes: leaving them out widens the schema.
_DROPPED = frozenset(
    [
        "$schema",
        "$id",
        "$comment",
        "default",
        "examples",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "pattern",
        "readOnly",
        "writeOnly",
        "deprecated",
        "contentEncoding",
        "contentMediaType",
    ]
)
_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]
)
# What cannot be left out without changing the meaning.
_INEXPRESSIBLE = frozenset(
    [
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "propertyNames",
        "dependentSchemas",
        "dependentRequired",
        "contains",
        "prefixItems",
        "unevaluatedProperties",
        "$dynamicRef",
    ]
)
_NOT_STRICT = _INEXPRESSIBLE | frozenset(
    {"allOf", "oneOf", "default", "minProperties", "maxProperties", "uniqueItems"}
)


class _Open(Exception):
    """The schema has an object whose keys are not known, or something else that cannot be closed."""


def is_object_schema(schema: JsonObject) -> bool:
    """Say whether `schema` describes an object at its root."""
    return schema.get("type") == "object"


def is_strict(schema: JsonObject) -> bool:
    """Say whether OpenAI's strict mode takes `schema` as it is: every object closed, every property required."""
    return is_object_schema(schema) and _strict(schema)


def _strict(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if _NOT_STRICT.intersection(schema):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(properties):
            return False
    return all(_strict(part) for part in _parts(schema))


def _parts(schema: JsonObject) -> list[Any]:
    maps = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return maps + [schema[key] for key in ("items", "anyOf") if key in schema]


def closed_schema(schema: JsonObject) -> JsonObject | None:
    """Return `schema` as constrained decoding takes it: closed objects, no value limits, no recursion.

    None when that would change what the schema means: an object with free keys, a recursive definition.
    """
    if not is_object_schema(schema) or _recursive(schema):
        return None
    try:
        closed: JsonObject = _closed(schema)
    except _Open:
        return None
    return closed


def _closed(schema: Any) -> Any:
    if isinstance(schema, bool):
        raise _Open
    if _INEXPRESSIBLE.intersection(schema):
        raise _Open
    closed: JsonObject = {}
    for key, value in schema.items():
        if key in _DROPPED or (key == "format" and value not in _FORMATS):
            continue
        closed["anyOf" if key == "oneOf" else key] = _closed_value(key, value)
    if closed.get("type") == "object":
        if schema.get("additionalProperties", True) not in (True, False) or not closed.get("properties"):
            raise _Open
        closed["additionalProperties"] = False
    return closed


def _closed_value(key: str, value: Any) -> Any:
    if key in ("properties", "$defs", "definitions"):
        return {name: _closed(part) for name, part in value.items()}
    if key in ("anyOf", "oneOf", "allOf"):
        return [_closed(part) for part in value]
    if key == "items":
        return _closed(value)
    return value


def _recursive(schema: JsonObject) -> bool:
    definitions = {
        f"#/{where}/{name}": part
        for where in ("$defs", "definitions")
        for name, part in schema.get(where, {}).items()
    }

    def reaches(part: Any, path: tuple[str, ...]) -> bool:
        if isinstance(part, list):
            return any(reaches(item, path) for item in part)
        if not isinstance(part, dict):
            return False
        target = part.get("$ref")
        if isinstance(target, str):
            if target in path or target not in definitions:
                return True
            if reaches(definitions[target], (*path, target)):
                return True
        return any(
            reaches(value, path) for key, value in part.items() if key not in ("$ref", "$defs", "definitions")
        )

    return reaches(schema, ()) or any(reaches(part, (name,)) for name, part in definitions.items())


def schema_instruction(schema: JsonObject) -> str:
    """Return the words that ask for an answer of this schema, for where the vendor has no parameter for it."""
    text = json.dumps(schema, ensure_ascii=False, sort_keys=True)
    return (
        "Your final answer must be one JSON document that fits this JSON Schema, and nothing else: no prose before "
        f"or after it, no code fence.\n{text}"
    )
