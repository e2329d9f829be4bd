"""Checks values against JSON Schemas: every error listed, nothing fetched, no time without bound."""

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mosaic.core.errors import ContractViolation, InvalidDefinition, Problem
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools.nearest import nearest

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

__all__ = ["check_schema", "problems_of", "safe_schema", "strict_json"]

_MOST_PROBLEMS = 20
_MOST_DEPTH = 100
_SHOWN_CHARACTERS = 120
# A pattern of a stranger can take for ever on a chosen text, and `re` cannot be interrupted.
_PATTERNS = frozenset({"pattern", "patternProperties", "format", "$schema"})
_NAMES = frozenset({"properties", "$defs", "definitions", "dependentSchemas", "dependentRequired"})
_LITERALS = frozenset({"enum", "const", "default", "examples"})


def check_schema(schema: JsonObject, *, what: str) -> None:
    """Check that a schema is one.

    Raises:
        InvalidDefinition: if it is not, or refers to something outside itself.
    """
    # Here and below: 100 ms, and most commands check no schema.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidDefinition(f"{what} has a schema that is none: {_short(error.message)}") from error
    except RecursionError as error:
        raise InvalidDefinition(f"{what} has a schema that is nested too deeply.") from error


def safe_schema(schema: JsonObject) -> JsonObject:
    """Return a stranger's schema without regular expressions; the stranger checks those himself."""

    def cleaned(value: Any, *, names: bool = False) -> Any:
        if isinstance(value, list):
            return [cleaned(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: item if key in _LITERALS and not names else cleaned(item, names=key in _NAMES and not names)
            for key, item in value.items()
            if names or key not in _PATTERNS
        }

    made: JsonObject = cleaned(schema)
    return made


def problems_of(value: JsonValue, schema: JsonObject, *, root: str = "") -> list[Problem]:
    """Return what is wrong with `value`, at most twenty problems, the first ones first.

    Args:
        value: the value.
        schema: a JSON Schema (2020-12); references lead only inside it.
        root: how the value is called in paths.

    Raises:
        ContractViolation: if the schema itself cannot be used.
    """
    from jsonschema import SchemaError  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    found: list[Problem] = []
    try:
        errors = _validator(json.dumps(schema, sort_keys=True)).iter_errors(value)
        for error in errors:
            found.extend(_explained(error, root))
            if len(found) >= _MOST_PROBLEMS:
                break
    except (Unresolvable, SchemaError) as error:
        raise ContractViolation(f"The schema cannot be used: {_short(str(error))}") from error
    except RecursionError:
        return [Problem("the value is nested too deeply", path=root)]
    return sorted(found, key=lambda problem: problem.path)[:_MOST_PROBLEMS]


def strict_json(value: object, *, what: str, limit_bytes: int) -> tuple[JsonValue, int]:
    """Return `value` as plain JSON and its size.

    Raises:
        ContractViolation: if it is no JSON (NaN, an object of Python, nested too deeply) or too large.
    """
    _check_depth(value, what)
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if size_bytes > limit_bytes:
            raise ContractViolation(f"{what} gave {size_bytes} bytes; at most {limit_bytes} are taken.")
        plain: JsonValue = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContractViolation(f"{what} gave something that is no JSON: {_short(str(error))}") from error
    return _storable(plain), size_bytes


@lru_cache(maxsize=256)
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    # An empty registry: a reference to another document is an error, not a download.
    return Draft202012Validator(json.loads(schema), registry=Registry())


def _explained(error: "ValidationError", root: str) -> Iterator[Problem]:
    path = root
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    schema = error.schema if isinstance(error.schema, dict) else {}
    plain = error.validator == "additionalProperties" and "patternProperties" not in schema
    if plain and isinstance(error.instance, dict):
        known = list(schema.get("properties") or {})
        for name in error.instance:
            if name not in known:
                close = nearest(name, known)
                tip = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
                yield Problem(f"unknown name {_short(repr(name))}", path=path, suggestion=tip)
        return
    yield Problem(_short(error.message, 300), path=path)


def _check_depth(value: object, what: str) -> None:
    level: list[object] = [value]
    for _ in range(_MOST_DEPTH):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list | tuple):
                deeper.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise ContractViolation(f"{what} gave the number {item}, which JSON does not have.")
        if not deeper:
            return
        level = deeper
    raise ContractViolation(f"{what} gave a value nested more than {_MOST_DEPTH} levels deep.")


def _storable(value: Any) -> Any:
    """Replace what no database or UTF-8 file takes: halves of characters, and NUL."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def _short(text: str, length: int = _SHOWN_CHARACTERS) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
