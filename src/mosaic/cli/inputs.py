"""Inputs as people give them on the command line: a file, and ``name=value`` over it."""

import json
from pathlib import Path
from typing import Any

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["read_inputs"]


def read_inputs(
    pairs: tuple[str, ...], file: Path | None = None, *, schema: JsonObject | None = None
) -> JsonObject:
    """Return inputs from ``name=value`` pairs over a JSON or YAML file.

    A value that is JSON keeps its type, unless the schema wants text: ``version=1.10`` is then no number.

    Args:
        pairs: what was given one by one.
        file: a mapping.
        schema: the workflow's schema of its inputs, when it is known.

    Raises:
        InvalidInput: for a pair without ``=`` or a file that is no mapping.
    """
    inputs = _from_file(file) if file is not None else {}
    properties = (schema or {}).get("properties") or {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise InvalidInput(
                f"--input takes name=value, got {pair!r}.", hint='Such as: -i goal="Add a page"'
            )
        inputs[name] = text if _wants_text(properties.get(name)) else _value(text)
    return inputs


def _wants_text(schema: Any) -> bool:
    kinds = schema.get("type") if isinstance(schema, dict) else None
    return kinds in ("string", ["string"])


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _from_file(file: Path) -> JsonObject:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        loaded = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError, OSError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidInput(f"The inputs in {file} cannot be read: {' '.join(said[:3])}") from None
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{file} must hold a mapping of inputs: a name and a value on each line.")
    # YAML has dates and numbers as names; the inputs of a run are JSON.
    plain: JsonObject = json.loads(json.dumps(loaded, default=str))
    return plain
