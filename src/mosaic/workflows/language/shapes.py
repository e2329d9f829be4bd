"""Shapes: what a place in the file may hold. One description reads the file and publishes its JSON Schema.

`Shape.read` always returns a value of the right type: after a problem it is the shape's fallback, so that one
mistake never hides the next.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.scalars import (
    Choice,
    Condition,
    Dollars,
    Duration,
    Expression,
    Flag,
    Number,
    Shape,
    Text,
    Whole,
    refuse,
)
from mosaic.workflows.spelling import nearest, shown

__all__ = [
    "NAMED",
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
    "Named",
    "Number",
    "Obj",
    "OneOf",
    "Shape",
    "Text",
    "Whole",
]


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
            if self.single and (self.item.accepts(node) or not isinstance(node, MapNode)):
                return (self.item.read(node, reading, pointer),)
            refuse(self, node, reading, pointer)
            return ()
        if len(node.items) < self.low:
            few = "This list is empty." if not node.items else f"This list needs at least {self.low} items."
            reading.complain(node, pointer, few)
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

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> dict[str, Any]:
        """Return the entries."""
        if not isinstance(node, MapNode):
            refuse(self, node, reading, pointer)
            return {}
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
        example: how it is written.
    """

    what: str
    keys: Mapping[str, Key]
    make: Callable[[dict[str, Any], Reading, MapNode, str], Any]
    any_of: Sequence[str] = ()
    example: str = ""

    @property
    def expected(self) -> str:
        """The mapping's name, and how it is written."""
        return f"{self.what}, such as {self.example}" if self.example else self.what

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return what `make` makes."""
        if not isinstance(node, MapNode):
            refuse(self, node, reading, pointer)
            node = MapNode(node.line, node.column, node.start, node.end)
            return self.make({}, reading, node, pointer)
        return self.make(self._values(node, reading, pointer), reading, node, pointer)

    def _values(self, node: MapNode, reading: Reading, pointer: str) -> dict[str, Any]:
        """Return the values of the keys that are there; unknown and missing keys are noted."""
        found: dict[str, Any] = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            reading.places[inner] = item
            if name in self.keys:
                found[name] = self.keys[name].shape.read(item, reading, inner)
            else:
                reading.complain(
                    key, inner, f"Unknown key `{shown(name)}` in {self.what}.", nearest(name, self.keys)
                )
        for name, known in self.keys.items():
            if known.required and name not in node.entries:
                reading.complain(node, pointer, f"The key `{name}` is missing in {self.what}.", known.doc)
        if self.any_of and not any(name in node.entries for name in self.any_of):
            names = ", ".join(f"`{name}`" for name in self.any_of)
            reading.complain(node, pointer, f"{self.what[0].upper()}{self.what[1:]} needs one of {names}.")
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
        return found


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
        words = [word for shape in self.shapes if isinstance(shape, Choice) for word in shape.words]
        near = nearest(str(node.value), words) if isinstance(node, ScalarNode) else None
        refuse(self, node, reading, pointer, near if near and near.startswith("did") else None)
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
