"""The nodes of a YAML document, and where each character of a value stands in its file."""

import re
from dataclasses import dataclass, field

from mosaic.core.values import JsonValue

__all__ = ["ListNode", "MapNode", "Node", "ScalarNode", "line_and_column", "plain", "source_index"]

_ESCAPES = {"x": 3, "u": 5, "U": 9}
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


@dataclass(slots=True)
class Node:
    """A value of the document; `start` and `end` are its place in the text, line and column count from 1."""

    line: int
    column: int
    start: int
    end: int
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class ScalarNode(Node):
    """Text, a number, a boolean or null. `text` is the content as written, `style` the quote or ``|`` or ``>``."""

    value: JsonValue = None
    text: str = ""
    style: str = ""


@dataclass(slots=True)
class ListNode(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode(Node):
    """A mapping, in the order of the file; keys are unique."""

    entries: dict[str, tuple[ScalarNode, Node]] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """Return the value of a key."""
        found = self.entries.get(key)
        return found[1] if found else None


def plain(node: Node) -> JsonValue:
    """Return the value of a node."""
    if isinstance(node, MapNode):
        return {key: plain(item) for key, (_, item) in node.entries.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, ScalarNode) else None


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Return line and column, from 1, of a character of `text`."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def source_index(text: str, node: ScalarNode, offset: int) -> int:
    """Return where in the file the character at `offset` of the value stands.

    YAML drops quotes, indentation, escapes and line folds; white space therefore matches any white space, and
    what does not match is skipped.
    """
    position = _content_start(text, node)
    for char in node.text[:offset]:
        position = _after(text, position, char, node)
    if offset < len(node.text) and not node.text[offset].isspace():
        position = _skipped(text, position, node.text[offset], node)
    return min(position, node.end)


def _content_start(text: str, node: ScalarNode) -> int:
    if node.style in ("|", ">"):
        return text.find("\n", node.start) + 1
    found = (
        text.find(node.style, node.start) if node.style in ("'", '"') else -1
    )  # an anchor or a tag may precede it
    return found + 1 if found >= 0 else _after_properties(text, node)


def _after_properties(text: str, node: ScalarNode) -> int:
    found = _PROPERTIES.match(text, node.start)
    return found.end() if found and not node.style else node.start


def _skipped(text: str, position: int, char: str, node: ScalarNode) -> int:
    while position < node.end and text[position] != char and text[position] in " \t\r\n'\"":
        position += 1
    return position


def _after(text: str, position: int, char: str, node: ScalarNode) -> int:
    if char.isspace():
        return _after_space(text, position, node)
    position = _skipped(text, position, char, node)
    if position >= node.end:
        return position
    if node.style == '"' and text[position] == "\\":
        return position + 1 + _ESCAPES.get(text[position + 1 : position + 2], 1)
    if node.style == "'" and text[position : position + 2] == "''":
        return position + 2
    return position + 1


def _after_space(text: str, position: int, node: ScalarNode) -> int:
    if node.style == '"' and text[position : position + 1] == "\\":
        return position + 2
    if text[position : position + 1] in ("\n", "\r") or node.style not in ("|", ">"):
        while position < node.end and text[position].isspace():
            position += 1
            if node.style == "|" and text[position - 1] == "\n":
                break
        return position
    return position + 1
