"""Shapes of single values: words, numbers, durations, money, expressions."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from mosaic.core.money import ZERO, Money
from mosaic.core.values import JsonObject
from mosaic.workflows.durations import DURATION_PATTERN, parse_duration
from mosaic.workflows.expressions import Template
from mosaic.workflows.language.nodes import Node, ScalarNode
from mosaic.workflows.language.reading import Reading, kind_of
from mosaic.workflows.spelling import nearest

__all__ = [
    "Choice",
    "Condition",
    "Dollars",
    "Duration",
    "Expression",
    "Flag",
    "Number",
    "Shape",
    "Text",
    "Whole",
    "refuse",
]


class Shape(Protocol):
    """What a value may be."""

    @property
    def expected(self) -> str:
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
        elif self.pattern and not re.fullmatch(self.pattern, node.value, re.ASCII):
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
    """One of a few words; the first is what a wrong one is read as. `what` names them when they are many."""

    words: tuple[str, ...]
    what: str = ""

    @property
    def expected(self) -> str:
        """The words, or what they are."""
        *first, last = (f"`{word}`" for word in self.words)
        return self.what or (f"{', '.join(first)} or {last}" if first else last)

    def accepts(self, node: Node) -> bool:
        """Accept the words."""
        return isinstance(node, ScalarNode) and node.value in self.words

    def read(self, node: Node, reading: Reading, pointer: str) -> str:
        """Return the word."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, str) and value in self.words:
            return value
        near = nearest(value, self.words) if isinstance(value, str) else None
        refuse(self, node, reading, pointer, near if self.what or (near and near.startswith("did")) else None)
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
        return (
            isinstance(node, ScalarNode)
            and isinstance(node.value, int | float)
            and not isinstance(node.value, bool)
        )

    def read(self, node: Node, reading: Reading, pointer: str) -> int:
        """Return the number."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        refuse(
            self, node, reading, pointer, "an expression cannot stand here" if _is_expression(node) else None
        )
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
        return (
            isinstance(node, ScalarNode)
            and isinstance(node.value, int | float)
            and not isinstance(node.value, bool)
        )

    def read(self, node: Node, reading: Reading, pointer: str) -> float:
        """Return the number."""
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high:
            return float(value)
        refuse(
            self, node, reading, pointer, "an expression cannot stand here" if _is_expression(node) else None
        )
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


_UNITS = ("d", "h", "m", "s", "ms")
_LOOSE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|d|h|m|s)[a-z]*", re.IGNORECASE | re.ASCII)


def _duration_hint(text: str, reason: str) -> str | None:
    if reason.startswith("longer"):
        return reason
    parts = sorted(_LOOSE.findall(text[:60]), key=lambda part: _UNITS.index(part[1].lower()))
    tight = "".join(f"{number}{unit.lower()}" for number, unit in parts)
    if tight and not _LOOSE.sub("", text).strip(" ,"):
        try:
            parse_duration(tight)
        except ValueError:
            return None
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
            amount = Decimal(text) if re.fullmatch(r"[0-9]+(\.[0-9]{1,9})?", text) else None
        except InvalidOperation:  # too many digits for the context
            amount = None
        if amount is not None and 0 < amount <= 1_000_000_000:
            return Money.usd(amount)
        bare = text.replace("$", "").replace("USD", "").replace(",", "").strip()
        hint = f"write `{bare}`" if bare != text and re.fullmatch(r"[0-9]+(\.[0-9]+)?", bare) else None
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
