"""Where each character of a YAML value stands in its file."""

import re
from bisect import bisect_right
from collections.abc import Sequence

from mosaic.workflows.language.nodes import ScalarNode

__all__ = ["line_and_column", "line_starts", "sources"]

_ESCAPES = {"x": 3, "u": 5, "U": 9}
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


def line_starts(text: str) -> list[int]:
    """Return the index of the first character of each line."""
    return [0, *(found.end() for found in re.finditer("\n", text))]


def line_and_column(starts: Sequence[int], index: int) -> tuple[int, int]:
    """Return line and column, from 1, of the character at `index`."""
    line = bisect_right(starts, index)
    return line, index - starts[line - 1] + 1


def sources(text: str, node: ScalarNode) -> list[int]:
    """Return where in the file each character of the value stands, and last where the value ends.

    YAML drops quotes, indentation, escapes and line folds; white space therefore matches any white space, and
    what does not match is skipped.
    """
    position = _start(text, node)
    found: list[int] = []
    for char in node.text:
        if not char.isspace():
            position = _skipped(text, position, char, node)
        found.append(min(position, node.end))
        position = _after(text, position, char, node)
    found.append(min(position, node.end))
    return found


def _start(text: str, node: ScalarNode) -> int:
    if node.style in ("|", ">"):
        return text.find("\n", node.start) + 1
    if node.style in ("'", '"'):
        return text.find(node.style, node.start) + 1  # an anchor or a tag may stand before it
    properties = _PROPERTIES.match(text, node.start)
    return properties.end() if properties else node.start


def _skipped(text: str, position: int, char: str, node: ScalarNode) -> int:
    while position < node.end and text[position] != char and text[position] in " \t\r\n'\"":
        position += 1
    return position


def _after(text: str, position: int, char: str, node: ScalarNode) -> int:
    if position >= node.end:
        return position
    if node.style == '"' and text[position] == "\\":
        return position + 1 + _ESCAPES.get(text[position + 1 : position + 2], 1)
    if char.isspace():
        return _after_space(text, position, node)
    if node.style == "'" and text[position : position + 2] == "''":
        return position + 2
    return position + 1


def _after_space(text: str, position: int, node: ScalarNode) -> int:
    if text[position] not in "\r\n" and node.style in ("|", ">"):
        return position + 1
    while position < node.end and text[position].isspace():
        position += 1
        if node.style == "|" and text[position - 1] == "\n":
            break
    return position
