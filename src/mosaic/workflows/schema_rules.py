"""What JSON Schema (draft 2020-12) allows, the format checks, and the checks beyond its meta-schema."""

import datetime
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from mosaic.core.values import JsonObject
from mosaic.workflows.spelling import nearest

__all__ = [
    "ANNOTATIONS",
    "KEYWORDS",
    "SCHEMA_KEYWORDS",
    "SCHEMA_LISTS",
    "SCHEMA_MAPS",
    "UNSUPPORTED",
    "follow",
    "meta_problems",
    "self_references",
    "validator",
]

SCHEMA_KEYWORDS = frozenset(
    {
        "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
SCHEMA_MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
ANNOTATIONS = frozenset(
    {"contentEncoding", "contentMediaType", "default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"}
)  # fmt: skip
KEYWORDS = (
    SCHEMA_KEYWORDS
    | SCHEMA_MAPS
    | SCHEMA_LISTS
    | {
        "$ref", "const", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxContains",
        "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties",
        "minimum", "multipleOf", "pattern", "required", "type", "uniqueItems",
    }
)  # fmt: skip
UNSUPPORTED = {
    "$anchor": "use a JSON pointer: `$ref: '#/$defs/name'`",
    "$dynamicAnchor": "use `$ref`",
    "$dynamicRef": "use `$ref`",
    "$recursiveAnchor": "use `$ref`",
    "$recursiveRef": "use `$ref`",
    "$vocabulary": "leave it out",
    "additionalItems": "use `items` after `prefixItems`",
    "dependencies": "use `dependentRequired` or `dependentSchemas`",
    "example": "use `examples: [...]`",
    "nullable": "use `type: [string, 'null']`",
}

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_MAX_MESSAGE = 160

Found = tuple[tuple[str | int, ...], str, str | None]


@cache
def _meta() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # 100 ms, and a workflow may have no schema

    return Draft202012Validator(Draft202012Validator.META_SCHEMA)


def meta_problems(schema: JsonObject) -> Iterator[Found]:
    """Yield what is wrong with one schema itself, not with the schemas inside it: keys, message, suggestion."""
    flat = {name: _hollow(name, value) for name, value in schema.items()}
    errors = () if all(_is_right(name, value) for name, value in flat.items()) else _meta().iter_errors(flat)
    for error in errors:
        path = tuple(error.absolute_path)
        if path[:1] == ("type",):
            yield _type_problem(schema["type"])
        else:
            name = path[0] if path else "schema"
            yield path, f"`{name}` is wrong: {_short(error.message)}.", None
    yield from _pattern_problems(schema)
    yield from _required_problems(schema)


_COUNTS = frozenset({"maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"})
_NUMBERS = frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"})
_TEXTS = frozenset({"$ref", "description", "format", "pattern", "title"})


def _is_right(name: str, value: Any) -> bool:
    """Say whether a keyword is plainly right; else the meta-schema decides, which takes a thousand times longer."""
    if name == "type":
        return value in _TYPES
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _COUNTS:
        return type(value) is int and value >= 0
    if name in _NUMBERS:
        return type(value) in (int, float)
    if name == "required":
        return (
            isinstance(value, list)
            and all(isinstance(item, str) for item in value)
            and len({*value}) == len(value)
        )
    if name in SCHEMA_LISTS:
        return bool(value == [True])
    return (name in ("properties", "$defs", "patternProperties") and isinstance(value, dict)) or value is True


def _short(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "..."


def _hollow(name: str, value: Any) -> Any:
    """Return a keyword's value with every schema in it replaced by ``True``: those are checked on their own."""
    if name in SCHEMA_KEYWORDS and isinstance(value, dict | bool):
        return True
    if name in SCHEMA_MAPS and isinstance(value, dict):
        return dict.fromkeys(value, True)
    if name in SCHEMA_LISTS and isinstance(value, list) and value:
        return [True]
    return value


def _type_problem(value: Any) -> Found:
    words = value if isinstance(value, list) else [value]
    wrong = next((word for word in words if word not in _TYPES), None)
    if isinstance(wrong, str):
        near = nearest(wrong, _TYPES)
        return ("type",), f"`{wrong[:40]}` is not a type of JSON Schema.", near
    return ("type",), "`type` must be a type, or a list of different types.", f"known: {', '.join(_TYPES)}"


def _pattern_problems(schema: JsonObject) -> Iterator[Found]:
    patterns: list[tuple[tuple[str | int, ...], Any]] = [(("pattern",), schema.get("pattern"))]
    named = schema.get("patternProperties")
    patterns += [(("patternProperties", key), key) for key in named] if isinstance(named, dict) else []
    for keys, pattern in patterns:
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError):
                yield keys, "This pattern is not a regular expression.", None


def _required_problems(schema: JsonObject) -> Iterator[Found]:
    required, properties = schema.get("required"), schema.get("properties")
    open_ended = schema.get("additionalProperties", False) is not False or "patternProperties" in schema
    if not isinstance(required, list) or not isinstance(properties, dict) or open_ended:
        return
    if any(name in schema for name in ("$ref", *_IN_PLACE)):
        return
    for index, name in enumerate(required):
        if isinstance(name, str) and name not in properties:
            message = f"`{name[:60]}` is required, but `properties` does not name it."
            yield ("required", index), message, nearest(name, properties)


def follow(schema: Any, root: JsonObject) -> Any:
    """Return the schema that a chain of ``$ref`` leads to, for a schema whose references were checked."""
    for _ in range(100):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            return schema
        schema = _target(root, schema["$ref"])
    return True


def _target(root: Any, reference: str) -> Any:
    found = root
    for token in reference.lstrip("#").split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and re.fullmatch(r"[0-9]{1,9}", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def self_references(root: JsonObject) -> Iterator[str]:
    """Yield a message for a ``$ref`` that leads back to itself without going into the value: it never ends."""
    done: set[int] = set()
    for schema in _schemas(root):
        if _loops(schema, root, done, []):
            yield "A `$ref` in this schema leads back to itself: checking a value against it would never end."
            return


def _loops(schema: Any, root: JsonObject, done: set[int], trail: list[int]) -> bool:
    if not isinstance(schema, dict) or id(schema) in done:
        return False
    if id(schema) in trail:
        return True
    trail.append(id(schema))
    inner: list[Any] = []
    if isinstance(schema.get("$ref"), str):
        inner.append(_target(root, schema["$ref"]))
    for name in _IN_PLACE:
        value = schema.get(name)
        inner.extend(value if isinstance(value, list) else [value])
    found = any(_loops(item, root, done, trail) for item in inner)
    trail.pop()
    done.add(id(schema))
    return found


def _schemas(root: Any) -> Iterator[JsonObject]:
    stack = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def validator(schema: JsonObject) -> Any:
    """Return a validator of `schema` that checks formats too."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # see `_meta`

    return Draft202012Validator(schema, format_checker=_formats())


@cache
def _formats() -> Any:
    from jsonschema import FormatChecker  # noqa: PLC0415  # see `_meta`

    checker = FormatChecker()
    checker.checks("date-time", raises=ValueError)(_is_date_time)
    checker.checks("time", raises=ValueError)(_is_time)
    checker.checks("uri", raises=ValueError)(_is_uri)
    return checker


def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return "T" in value.upper() and datetime.datetime.fromisoformat(value).tzinfo is not None


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.time.fromisoformat(value).tzinfo is not None


def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return bool(parts.scheme) and bool(parts.netloc or parts.path) and not re.search(r"\s", value)
