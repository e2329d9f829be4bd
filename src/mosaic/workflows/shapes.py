"""Shapes: what a place in the file may hold. One description reads the file and publishes its JSON Schema.

`Shape.read` always returns a value of the right type: after a problem it is the shape's fallback, so that one
mistake never hides the next.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from mosaic.core.money import ZERO, Money
from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.durations import DURATION_PATTERN, parse_duration
from mosaic.workflows.expressions import Template
from mosaic.workflows.nodes import ListNode, MapNode, Node, ScalarNode
from mosaic.workflows.reading import Reading, join_pointer, kind_of, nearest, shown

__all__ = [
    "AnyValue",
    "Choice",
    "Condition",
    "Dollars",
    "Duration",
    "Expression",
    "Flag",
    "Key",
    "ListOf",
    "MapOf",
    "NAMED",
    "Named",
    "Number",
    "Obj",
    "OneOf",
    "Shape",
    "Text",
    "Whole",
]


class Shape(Protocol):
    """What a value may be."""

    expected: str
    """Completes "this must be ..."."""

    def accepts(self, node: Node) -> bool:
        """Say whether the value is of this kind at all; decides between the alternatives of `OneOf`."""

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return the value, its problems noted in `reading`."""

    def schema(self) -> JsonObject:
        """Return the JSON Schema (draft 7, which every editor knows)."""


def refuse(shape: Shape, node: Node, reading: Reading, pointer: str, suggestion: str | None = None) -> None:
    """Note that a value is not what its shape expects."""
    name = re.split(r"[.\[]", pointer)[-1].rstrip("]")
    what = f"`{name}`" if name and not name.isdigit() else "This"
    reading.complain(node, pointer, f"{what} must be {shape.expected}, not {kind_of(node)}.", suggestion)


def is_text(node: Node) -> bool:
    """Say whether a node is a string."""
    return isinstance(node, ScalarNode) and isinstance(node.value, str)


@dataclass(frozen=True, slots=True)
class Text:
    """Text, taken as it is.

    Attributes:
        pattern: what all of it must match.
        expected: what that is, in words.
    """

    expected: str = "text"
    pattern: str = ""
    may_be_empty: bool = False
    example: str = ""

    def accepts(self, node: Node) -> bool:
        """Accept any string."""
        return is_text(node)

    def read(self, node: Node, reading: Reading, pointer: str) -> str:
        """Return the text."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            written = isinstance(node, ScalarNode) and node.value is not None
            refuse(self, node, reading, pointer, "put it in quotes" if written else None)
            return ""
        if not node.value and not self.may_be_empty:
            refuse(self, node, reading, pointer)
        elif self.pattern and not re.fullmatch(self.pattern, node.value):
            hint = f"for example `{self.example}`" if self.example else None
            if "${" in node.value:
                hint = "an expression cannot stand here"
            refuse(self, node, reading, pointer, hint)
            return ""
        return node.value

    def schema(self) -> JsonObject:
        """Return a string schema."""
        found: JsonObject = {"type": "string"}
        if self.pattern:
            found["pattern"] = f"^(?:{self.pattern})$"
        elif not self.may_be_empty:
            found["minLength"] = 1
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; the first is what a wrong one is read as."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        *first, last = (f"`{word}`" for word in self.words)
        return f"{', '.join(first)} or {last}" if first else last

    def accepts(self, node: Node) -> bool:
        """Accept any string."""
        return is_text(node)

    def read(self, node: Node, reading: Reading, pointer: str) -> str:
        """Return the word."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, str) and value in self.words:
            return value
        near = nearest(value, self.words) if isinstance(value, str) else None
        refuse(self, node, reading, pointer, near if near and near.startswith("did") else None)
        return self.words[0]

    def schema(self) -> JsonObject:
        """Return an enum."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int = 1
    high: int = 1_000_000_000

    @property
    def expected(self) -> str:
        """The range."""
        return f"a whole number from {self.low} to {self.high}"

    def accepts(self, node: Node) -> bool:
        """Accept numbers."""
        return isinstance(node, ScalarNode) and isinstance(node.value, int | float) and not isinstance(node.value, bool)

    def read(self, node: Node, reading: Reading, pointer: str) -> int:
        """Return the number."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        refuse(self, node, reading, pointer, "an expression cannot stand here" if _is_expression(node) else None)
        return self.low

    def schema(self) -> JsonObject:
        """Return an integer schema."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        """The range."""
        return f"a number from {self.low:g} to {self.high:g}"

    def accepts(self, node: Node) -> bool:
        """Accept numbers."""
        return isinstance(node, ScalarNode) and isinstance(node.value, int | float) and not isinstance(node.value, bool)

    def read(self, node: Node, reading: Reading, pointer: str) -> float:
        """Return the number."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high:
            return float(value)
        refuse(self, node, reading, pointer, "an expression cannot stand here" if _is_expression(node) else None)
        return self.low

    def schema(self) -> JsonObject:
        """Return a number schema."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}


def _is_expression(node: Node) -> bool:
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and "${" in node.value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    expected: str = "true or false"

    def accepts(self, node: Node) -> bool:
        """Accept booleans."""
        return isinstance(node, ScalarNode) and isinstance(node.value, bool)

    def read(self, node: Node, reading: Reading, pointer: str) -> bool:
        """Return the truth."""
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        refuse(self, node, reading, pointer)
        return False

    def schema(self) -> JsonObject:
        """Return a boolean schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time; read as seconds."""

    expected: str = "a duration such as 90s, 2h or 1h30m"

    def accepts(self, node: Node) -> bool:
        """Accept strings and numbers: a number is a mistake that deserves its own message."""
        return isinstance(node, ScalarNode) and node.value is not None

    def read(self, node: Node, reading: Reading, pointer: str) -> float:
        """Return the seconds."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, str):
            try:
                seconds = parse_duration(value)
            except ValueError as error:
                refuse(self, node, reading, pointer, _duration_hint(value, str(error)))
                return 1.0
            if seconds > 0:
                return seconds
            reading.complain(node, pointer, "This duration must be longer than nothing.")
        else:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            refuse(self, node, reading, pointer, f"write `{value}s` for seconds" if is_number else None)
        return 1.0

    def schema(self) -> JsonObject:
        """Return a string schema with the pattern of durations."""
        return {"type": "string", "pattern": DURATION_PATTERN}


_WORDS = {"d": "d", "h": "h", "m": "m", "s": "s", "ms": "ms"}
_LOOSE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|d|h|m|s)[a-z]*", re.IGNORECASE)


def _duration_hint(text: str, reason: str) -> str | None:
    if reason.startswith("longer"):
        return reason
    parts = _LOOSE.findall(text[:60])
    tight = "".join(f"{number}{_WORDS[unit.lower()]}" for number, unit in parts)
    if tight and not _LOOSE.sub("", text).strip(" ,"):
        return f"did you mean `{tight}`?"
    return "an expression cannot stand here" if "${" in text else None


@dataclass(frozen=True, slots=True)
class Dollars:
    """An amount of US dollars."""

    expected: str = "an amount of US dollars such as 5 or 0.50"

    def accepts(self, node: Node) -> bool:
        """Accept scalars."""
        return isinstance(node, ScalarNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> Money:
        """Return the amount."""
        text = node.text if isinstance(node, ScalarNode) and not isinstance(node.value, bool) else ""
        try:
            amount = Decimal(text) if re.fullmatch(r"\d+(\.\d{1,9})?", text) else None
        except InvalidOperation:  # too many digits for the context
            amount = None
        if amount is not None and 0 < amount <= 1_000_000_000:
            return Money.usd(amount)
        bare = text.replace("$", "").replace("USD", "").replace(",", "").strip()
        hint = f"write `{bare}`" if bare != text and re.fullmatch(r"\d+(\.\d+)?", bare) else None
        refuse(self, node, reading, pointer, hint)
        return ZERO

    def schema(self) -> JsonObject:
        """Return a number schema."""
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Expression:
    """Text that may hold expressions; numbers and booleans are taken as their text."""

    expected: str = "text, which may hold `${...}`"

    def accepts(self, node: Node) -> bool:
        """Accept scalars that are something."""
        return isinstance(node, ScalarNode) and node.value is not None

    def read(self, node: Node, reading: Reading, pointer: str) -> Template:
        """Return the template."""
        if isinstance(node, ScalarNode) and node.value is not None:
            return reading.template(node, pointer)
        refuse(self, node, reading, pointer)
        return Template("", (), reading.file)

    def schema(self) -> JsonObject:
        """Return a schema for any scalar."""
        return {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression that is true or false: bare CEL or ``${...}``."""

    expected: str = "a condition, such as `review.score < 0.9`"

    def accepts(self, node: Node) -> bool:
        """Accept strings and booleans."""
        return isinstance(node, ScalarNode) and isinstance(node.value, str | bool)

    def read(self, node: Node, reading: Reading, pointer: str) -> Template:
        """Return the template; it is whole, and its one part the expression."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str | bool):
            return reading.condition(node, pointer)
        refuse(self, node, reading, pointer)
        return Template("", (), reading.file)

    def schema(self) -> JsonObject:
        """Return a schema for text or a boolean."""
        return {"type": ["string", "boolean"]}


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Any value; its strings may hold expressions."""

    expected: str = "a value"

    def accepts(self, node: Node) -> bool:
        """Accept everything."""
        return isinstance(node, Node)

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return the value as `Value`."""
        return reading.value(node, pointer)

    def schema(self) -> JsonObject:
        """Return the schema that accepts everything."""
        return {}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; with `single` one value stands for a list of it."""

    item: Shape
    single: bool = False
    low: int = 0
    unique: bool = True

    @property
    def expected(self) -> str:
        """The list and its items."""
        one = f"{self.item.expected}, or " if self.single else ""
        return f"{one}a list, each item {self.item.expected}"

    def accepts(self, node: Node) -> bool:
        """Accept lists, and single items if they may stand alone."""
        return isinstance(node, ListNode) or (self.single and self.item.accepts(node))

    def read(self, node: Node, reading: Reading, pointer: str) -> tuple[Any, ...]:
        """Return the items."""
        if not isinstance(node, ListNode):
            if self.single and not isinstance(node, MapNode):
                return (self.item.read(node, reading, pointer),)
            refuse(self, node, reading, pointer)
            return ()
        if len(node.items) < self.low:
            reading.complain(node, pointer, f"This list needs at least {self.low} items; it has {len(node.items)}.")
        values: list[Any] = []
        for index, item in enumerate(node.items):
            inner = join_pointer(pointer, index)
            reading.places[inner] = item
            before = len(reading.problems)
            value = self.item.read(item, reading, inner)
            if len(reading.problems) > before:
                continue
            if self.unique and value in values:
                reading.complain(item, inner, f"{shown(str(value))} is in this list twice.", "remove one")
            values.append(value)
        return tuple(values)

    def schema(self) -> JsonObject:
        """Return an array schema."""
        found: JsonObject = {"type": "array", "items": self.item.schema()}
        if self.low:
            found["minItems"] = self.low
        if self.unique:
            found["uniqueItems"] = True
        return {"anyOf": [self.item.schema(), found]} if self.single else found


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with keys of the file's choosing."""

    item: Shape
    expected: str = "a mapping"
    name: str = ""
    name_expected: str = "a name"
    low: int = 0

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> dict[str, Any]:
        """Return the entries."""
        if not isinstance(node, MapNode):
            refuse(self, node, reading, pointer)
            return {}
        if len(node.entries) < self.low:
            reading.complain(node, pointer, f"This mapping needs at least {self.low} entries; it has {len(node.entries)}.")
        values: dict[str, Any] = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            reading.places[inner] = item
            if self.name and not re.fullmatch(self.name, name):
                reading.complain(key, inner, f"`{shown(name)}` is not a name: {self.name_expected}.")
            values[name] = self.item.read(item, reading, inner)
        return values

    def schema(self) -> JsonObject:
        """Return an object schema."""
        found: JsonObject = {"type": "object", "additionalProperties": self.item.schema()}
        if self.name:
            found["propertyNames"] = {"pattern": f"^(?:{self.name})$"}
        if self.low:
            found["minProperties"] = self.low
        return found


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping."""

    shape: Shape
    doc: str
    required: bool = False
    default: JsonValue = None

    def schema(self) -> JsonObject:
        """Return the schema of the value, with its description and default."""
        found = self.shape.schema()
        if "$ref" in found:  # draft 7 ignores what stands beside a reference
            found = {"allOf": [found]}
        described: JsonObject = {"description": self.doc, **found}
        if self.default is not None:
            described["default"] = self.default
        return described


@dataclass(frozen=True, slots=True)
class Obj:
    """A mapping with fixed keys; `make` turns what was read into a value of the room.

    Attributes:
        what: names it in messages, such as "a catch clause".
        keys: the keys.
        make: gets the values read (absent keys are absent), the reading and the mapping's place.
        any_of: at least one of these keys must be there.
        title: for the published schema.
    """

    what: str
    keys: Mapping[str, Key]
    make: Callable[[dict[str, Any], Reading, MapNode, str], Any]
    any_of: Sequence[str] = ()
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """The mapping's name."""
        return self.what

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return what `make` makes."""
        if not isinstance(node, MapNode):
            refuse(self, node, reading, pointer)
            node = MapNode(node.line, node.column, node.start, node.end)
            return self.make({}, reading, node, pointer)
        return self.make(self.values(node, reading, pointer), reading, node, pointer)

    def values(self, node: MapNode, reading: Reading, pointer: str) -> dict[str, Any]:
        """Return the values of the keys that are there; unknown and missing keys are noted."""
        found: dict[str, Any] = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            reading.places[inner] = item
            if name in self.keys:
                found[name] = self.keys[name].shape.read(item, reading, inner)
            else:
                reading.complain(key, inner, f"Unknown key `{shown(name)}` in {self.what}.", nearest(name, self.keys))
        for name, known in self.keys.items():
            if known.required and name not in node.entries:
                reading.complain(node, pointer, f"The key `{name}` is missing in {self.what}.", known.doc)
        if self.any_of and not any(name in node.entries for name in self.any_of):
            names = ", ".join(f"`{name}`" for name in self.any_of)
            reading.complain(node, pointer, f"{self.what.capitalize()} needs one of {names}.")
        return found

    def schema(self) -> JsonObject:
        """Return an object schema that refuses unknown keys."""
        found: JsonObject = {
            "type": "object",
            "properties": {name: key.schema() for name, key in self.keys.items()},
            "additionalProperties": False,
        }
        required = [name for name, key in self.keys.items() if key.required]
        if required:
            found["required"] = required
        if self.any_of:
            found["anyOf"] = [{"required": [name]} for name in self.any_of]
        return {**found, **self.extra}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several shapes, told apart by the kind of the value; the last one reads what none accepts."""

    shapes: tuple[Shape, ...]
    expected: str

    def accepts(self, node: Node) -> bool:
        """Accept what one of them accepts."""
        return any(shape.accepts(node) for shape in self.shapes)

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return what the first shape that accepts the value makes of it."""
        for shape in self.shapes:
            if shape.accepts(node):
                return shape.read(node, reading, pointer)
        before = len(reading.problems)
        value = self.shapes[-1].read(node, reading, pointer)
        del reading.problems[before:]
        refuse(self, node, reading, pointer)
        return value

    def schema(self) -> JsonObject:
        """Return the alternatives."""
        return {"anyOf": [shape.schema() for shape in self.shapes]}


@dataclass(frozen=True, slots=True)
class Named:
    """A shape that stands under its name in the published schema."""

    name: str
    shape: Shape

    @property
    def expected(self) -> str:
        """What the shape expects."""
        return self.shape.expected

    def accepts(self, node: Node) -> bool:
        """Accept what the shape accepts."""
        return self.shape.accepts(node)

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return what the shape makes."""
        return self.shape.read(node, reading, pointer)

    def schema(self) -> JsonObject:
        """Return a reference; `NAMED` holds what it leads to."""
        NAMED[self.name] = self.shape
        return {"$ref": f"#/definitions/{self.name}"}


NAMED: dict[str, Shape] = {}
"""The shapes that a schema made so far refers to, by name."""
