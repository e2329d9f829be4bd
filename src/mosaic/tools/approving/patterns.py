"""Which calls a yes holds for: a pattern over a tool's arguments, shown to whoever grants it before it holds.

A pattern names every argument that a matching call may have. ``{"path": {"like": "src/**"}, "content": {"any": true}}``
matches a call with a path below ``src`` and any content, and no call that has a further argument: what nobody saw when
saying yes is asked about again.

In a `like`, ``*`` and ``?`` stop at ``/`` and ``**`` does not. No wildcard stands for a step up (``..``) or for what
makes one command of a shell into two, so ``src/**`` does not hold for ``src/../../etc`` and ``make **`` does not hold
for ``make test; rm -rf .``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools.nearest import nearest

__all__ = ["ArgumentPattern", "Condition", "like"]

Kind = Literal["equals", "like", "any"]

_MOST_PATTERN = 500
_MOST_VALUE = 4_000
_NEVER_WILD = frozenset(";&|<>$`\n\r\0(){}\\\"'")
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Condition:
    """What one argument must be.

    Attributes:
        kind: ``equals`` a value, be ``like`` a text with wildcards, or be ``any`` value.
        value: the value, or the text with wildcards.
    """

    kind: Kind
    value: JsonValue = None

    def holds(self, value: JsonValue) -> bool:
        """Say whether a value fulfils it."""
        if self.kind == "any":
            return True
        if self.kind == "like":
            return isinstance(value, str) and like(value, str(self.value))
        return _same(value, self.value)

    def to_json(self) -> JsonObject:
        """Return it as it is stored and shown."""
        return {"any": True} if self.kind == "any" else {self.kind: self.value}

    def __str__(self) -> str:
        if self.kind == "any":
            return "anything"
        shown = str(self.value) if self.kind == "like" else repr(self.value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(shown)} characters)"
        return f"like {shown}" if self.kind == "like" else shown


@dataclass(frozen=True, slots=True)
class ArgumentPattern:
    """Which arguments a yes holds for; a call with an argument that it does not name does not match."""

    conditions: Mapping[str, Condition]

    @classmethod
    def exactly(cls, arguments: Mapping[str, JsonValue]) -> "ArgumentPattern":
        """Return the pattern of calls with these arguments and no others."""
        return cls({name: Condition("equals", value) for name, value in arguments.items()})

    @classmethod
    def around(cls, arguments: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> "ArgumentPattern":
        """Return the pattern of calls like the one that was asked about.

        Args:
            arguments: what was asked about.
            wanted: name -> text with wildcards, or another value that must be the same. Arguments of the call that
                it does not name may be anything; with an empty one every argument must stay as it is.

        Raises:
            InvalidInput: if a name is not one of the call's, or the call itself does not match.
        """
        if not wanted:
            return cls.exactly(arguments)
        problems: list[Problem] = []
        conditions = {name: Condition("any") for name in arguments}
        for name, value in wanted.items():
            if name not in arguments:
                close = nearest(name, arguments)
                tip = f"did you mean {close[0]}?" if close else f"the call has: {', '.join(arguments)}"
                problems.append(
                    Problem(f"the call has no argument {name[:_SHOWN]!r}", path="match", suggestion=tip)
                )
                continue
            conditions[name] = _condition(name, value, problems)
            if not conditions[name].holds(arguments[name]):
                asked = Condition("equals", arguments[name])
                problems.append(
                    Problem(f"{name} is {asked}, which is not {conditions[name]}", path=f"match.{name}")
                )
        if problems:
            raise InvalidInput(
                "The pattern does not hold for the call that was asked about.", problems=problems
            )
        return cls(conditions)

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> "ArgumentPattern":
        """Return the pattern that `to_json` wrote.

        Raises:
            InvalidInput: if it is none.
        """
        conditions: dict[str, Condition] = {}
        for name, said in shown.items():
            kind = next(iter(said), None) if isinstance(said, dict) and len(said) == 1 else None
            if kind not in ("equals", "like", "any"):
                raise InvalidInput(
                    f"The pattern of the argument {name!r} is none.",
                    hint='One of {"equals": value}, {"like": "src/**"}, {"any": true}.',
                )
            conditions[name] = Condition(kind, None if kind == "any" else said[kind])
        return cls(conditions)

    def matches(self, arguments: Mapping[str, JsonValue]) -> bool:
        """Say whether a call with these arguments is one of those it was granted for."""
        # A named argument that is missing has its default, and that is not what was seen.
        return arguments.keys() == self.conditions.keys() and all(
            condition.holds(arguments[name]) for name, condition in self.conditions.items()
        )

    def to_json(self) -> JsonObject:
        """Return it as it is stored and shown."""
        return {name: condition.to_json() for name, condition in self.conditions.items()}

    def __str__(self) -> str:
        if not self.conditions:
            return "no arguments"
        return ", ".join(f"{name} {condition}" for name, condition in self.conditions.items())


def like(value: str, pattern: str) -> bool:
    """Say whether a text fits a pattern with ``*``, ``?`` and ``**``; takes time in proportion to both lengths."""
    if len(value) > _MOST_VALUE or len(pattern) > _MOST_PATTERN:
        return False
    if ".." in value.split("/") and ".." not in pattern.split("/"):
        return False
    parts = _parts(pattern)
    # Every place in the pattern where one may be after the text so far: no way back, so no pattern is slow.
    places = _skipping({0}, parts)
    for character in value:
        places = _skipping(
            {
                place if parts[place] in ("*", "**") else place + 1
                for place in places
                if place < len(parts) and _takes(parts[place], character)
            },
            parts,
        )
        if not places:
            return False
    return len(parts) in places


def _parts(pattern: str) -> list[str]:
    parts: list[str] = []
    rest = pattern
    while rest:
        part = "**" if rest.startswith("**") else rest[0]
        rest = rest[len(part) :]
        if not (parts and part in ("*", "**") and parts[-1] == part):
            # Not mistaken for a wildcard: a literal is kept with a mark before it.
            parts.append(part if part in ("*", "**", "?") else f"={part}")
    return parts


def _skipping(places: set[int], parts: list[str]) -> set[int]:
    found = set(places)
    for place in places:
        while place < len(parts) and parts[place] in ("*", "**"):
            place += 1
            found.add(place)
    return found


def _takes(part: str, character: str) -> bool:
    if part.startswith("="):
        return part[1] == character
    return character not in _NEVER_WILD and (part == "**" or character != "/")


def _condition(name: str, value: JsonValue, problems: list[Problem]) -> Condition:
    if not isinstance(value, str):
        return Condition("equals", value)
    if len(value) > _MOST_PATTERN:
        problems.append(Problem(f"longer than {_MOST_PATTERN} characters", path=f"match.{name}"))
    if value in ("*", "**"):
        return Condition("any")
    return Condition("like", value) if any(mark in value for mark in "*?") else Condition("equals", value)


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Say whether two values are the same JSON; Python takes True for 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
