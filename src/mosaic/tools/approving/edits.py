"""Other arguments than those that were asked about: given whole, or as changes to single places."""

import json
from collections.abc import Iterator, Mapping

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import MASK
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["edited", "masked_places", "same_json"]

_DEEPEST = 100


def edited(
    asked: JsonObject | None, *, arguments: JsonObject | None, changes: Mapping[str, JsonValue] | None
) -> JsonObject | None:
    """Return the arguments that a yes is for; None when they are those that were asked about.

    Args:
        asked: what was asked about, secrets masked; None when it was too large to be kept.
        arguments: all of them, in place of the old ones.
        changes: dotted place -> new value, such as ``{"headers.accept": "*/*"}``.

    Raises:
        InvalidInput: if both are given, a place does not exist, or a masked value would be left in.
    """
    if arguments is not None and changes:
        raise InvalidInput("Give either the whole arguments or changes to them.")
    if not changes and arguments is None:
        return None
    if changes:
        if asked is None:
            raise InvalidInput(
                "What was asked about is too large to be changed in part.", hint="Give the whole `arguments`."
            )
        arguments = _changed(asked, changes)
    if arguments is None or (asked is not None and same_json(arguments, asked)):
        return None
    if places := list(masked_places(arguments)):
        raise InvalidInput(
            "The edited arguments still hold masked values, which the tool would get as they are.",
            problems=[Problem("a secret stood here; give the value anew", path=place) for place in places],
        )
    return arguments


def _changed(asked: JsonObject, changes: Mapping[str, JsonValue]) -> JsonObject:
    made: JsonObject = json.loads(json.dumps(asked))
    problems = []
    for place, value in changes.items():
        *above, name = place.split(".")
        target: JsonValue = made
        for part in above:
            target = target.get(part) if isinstance(target, dict) else None
        if not isinstance(target, dict) or not name:
            problems.append(Problem("there is no such place in the arguments", path=place[:200]))
        else:
            target[name] = value
    if problems:
        raise InvalidInput("The changes do not fit the arguments that were asked about.", problems=problems)
    return made


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Say whether two values are the same JSON; key order does not matter, and true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def masked_places(value: JsonValue, path: str = "", depth: int = 0) -> Iterator[str]:
    """Yield every place where a secret was masked."""
    if isinstance(value, str) and MASK in value:
        yield path
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, item in value.items():
            yield from masked_places(item, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        for index, item in enumerate(value):
            yield from masked_places(item, f"{path}[{index}]", depth + 1)
