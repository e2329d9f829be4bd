"""A YAML document as nodes that know where they stand: the loader reports every problem at its place.

YAML 1.2 core schema, nothing else: no tags but the standard ones, no merge keys, no second document. Built from
the parser's events with a stack, so that depth, aliases and size are bounded before anything is made of them.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from mosaic.core.errors import Problem
from mosaic.core.values import JsonValue
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode
from mosaic.workflows.language.positions import line_and_column, line_starts, sources

__all__ = ["MAX_BYTES", "Document", "read_document"]

MAX_BYTES = 1_000_000
"""Bytes in one file."""
MAX_LINE = 100_000
"""Characters in one line: some tokens take the parser time that grows with the square of their length."""
MAX_DEPTH = 50
"""Levels of nesting, aliases followed."""
MAX_NODES = 20_000
"""Values in one document, aliases followed: a few lines of aliases can stand for billions."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 300
_STANDARD_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document:
    """One file: its text, its root value (None when it cannot be read) and what is wrong with the YAML."""

    file: str
    text: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    max_nodes: int = MAX_NODES
    _sources: dict[int, list[int]] = field(default_factory=dict, repr=False)
    _lines: list[int] = field(default_factory=list, repr=False)

    def locate(self, node: ScalarNode, offset: int) -> tuple[int, int]:
        """Return line and column of the character at `offset` of a scalar's value."""
        places = self._sources.get(id(node))
        if places is None:
            places = self._sources[id(node)] = sources(self.text, node)
        return self.position(places[min(offset, len(places) - 1)])

    def position(self, index: int) -> tuple[int, int]:
        """Return line and column of a character of the file."""
        if not self._lines:
            self._lines = line_starts(self.text)
        return line_and_column(self._lines, min(index, len(self.text)))


def read_document(
    data: bytes, file: str, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES
) -> Document:
    """Return the document that `data` holds; every problem that can be told at once is in it."""
    document = Document(file, "", max_nodes=max_nodes)
    if len(data) > max_bytes:
        document.problems.append(
            Problem(
                f"The file has {len(data)} bytes; at most {max_bytes} are read.", file=file, line=1, column=1
            )
        )
        return document
    try:
        document.text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        message = "The file is not UTF-8 text."
        document.problems.append(Problem(message, file=file, line=row, column=column))
        return document
    for number, line in enumerate(document.text.split("\n"), 1):
        if len(line) > MAX_LINE:
            message = f"This line has {len(line)} characters; at most {MAX_LINE} are read."
            document.problems.append(Problem(message, file=file, line=number, column=1))
            return document
    _parse(document)
    return document


def _parse(document: Document) -> None:
    from ruamel.yaml import YAML  # noqa: PLC0415  # 60 ms, and a run from a bundle may never need it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    composer = _Composer(document)
    try:
        for event in YAML(typ="safe", pure=True).parse(document.text):
            composer.take(event)
            if composer.stopped:
                break
        document.root = None if composer.stopped else composer.root
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message, hint = _explained(document.text, str(error.problem or error.context or ""), line)
        document.problems.append(Problem(message, "", document.file, line, column, hint))
    except YAMLError as error:
        index = min(getattr(error, "position", 0) or 0, len(document.text))
        line, column = document.position(index)
        message = "The file holds a character that YAML does not allow."
        document.problems.append(Problem(message, "", document.file, line, column))
    except (ValueError, OverflowError, IndexError, AttributeError, AssertionError, TypeError, KeyError):
        # The parser trips over some hostile input (a directive or an escape that means no character).
        document.problems.append(Problem("The file is not YAML.", "", document.file, 1, 1))


def _explained(text: str, reason: str, line: int) -> tuple[str, str | None]:
    lines = text.split("\n")
    source = lines[line - 1] if line <= len(lines) else ""
    hint = None
    if "\\t" in reason or "\t" in source[: len(source) - len(source.lstrip())]:
        hint = "indent with spaces"
    elif "${" in source:
        hint = "put expressions in quotes"
    elif "mapping values are not allowed" in reason:
        hint = "quote text that holds `: `"
    reason = re.sub(r"\s+", " ", reason)[:200]
    return f"This is not YAML: {reason or 'it cannot be read'}.", hint


class _Composer:
    """Makes nodes of events."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.root: Node | None = None
        self.stopped = False
        self.documents = 0
        self.nodes = 0
        self.stack: list[ListNode | MapNode] = []
        self.keys: list[ScalarNode | None] = []
        self.anchors: dict[str, Node | None] = {}
        self.open_anchors: list[str | None] = []

    def complain(
        self, message: str, node: Node, suggestion: str | None = None, *, stop: bool = False
    ) -> None:
        problem = Problem(message, "", self.document.file, node.line, node.column, suggestion)
        self.document.problems.append(problem)
        self.stopped = self.stopped or stop

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind in ("ScalarEvent", "AliasEvent"):
            self.leaf(event, kind)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self.open(event, kind)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self.close(event)
        elif kind == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                message = "The file holds a second document; a file is one document."
                self.complain(message, _empty(event), stop=True)

    def leaf(self, event: Any, kind: str) -> None:
        if kind == "ScalarEvent":
            node: Node = self.scalar(event)
            if event.anchor:
                self.anchors[event.anchor] = node
        else:
            found = self.anchors.get(event.anchor)
            if found is None:
                what = "stands inside itself" if event.anchor in self.anchors else "names no anchor before it"
                self.complain(f"The alias *{event.anchor[:40]} {what}.", _empty(event), stop=True)
                return
            node = found
        self.add(node)

    def open(self, event: Any, kind: str) -> None:
        shape = ListNode if kind == "SequenceStartEvent" else MapNode
        node = shape(*_place(event))
        self.check_tag(event, node, "seq" if shape is ListNode else "map")
        self.stack.append(node)
        self.keys.append(None)
        self.open_anchors.append(event.anchor)
        if event.anchor:
            self.anchors[event.anchor] = None
        if len(self.stack) > MAX_DEPTH:
            self.complain(f"The file nests deeper than {MAX_DEPTH} levels.", node, stop=True)

    def close(self, event: Any) -> None:
        node = self.stack.pop()
        self.keys.pop()
        node.end = event.end_mark.index
        anchor = self.open_anchors.pop()
        if anchor:
            self.anchors[anchor] = node
        self.add(node)

    def add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif self.keys[-1] is None:
            self.keys[-1] = self.key(node, parent)
            return
        else:
            self.entry(parent, self.keys[-1], node)
            self.keys[-1] = None
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        most = self.document.max_nodes
        if parent.size > most:
            self.complain(f"The file holds more than {most} values, aliases counted.", parent, stop=True)
        elif len(self.stack) + node.height > MAX_DEPTH + 1:
            self.complain(f"The file nests deeper than {MAX_DEPTH} levels.", parent, stop=True)

    def key(self, node: Node, parent: MapNode) -> ScalarNode:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node
        if isinstance(node, ScalarNode) and node.text:
            self.complain("A key is text.", node, "quote it")
        else:
            self.complain("A key is text, not a list, a mapping or nothing.", node)
        return ScalarNode(
            node.line, node.column, node.start, node.end, text=f"\0{len(parent.entries)}", style="?"
        )

    def entry(self, parent: MapNode, key: ScalarNode, node: Node) -> None:
        if key.style == "?" and key.text.startswith("\0"):
            return  # already told
        name = str(key.value)
        if name == "<<" and not key.style:
            self.complain(
                "Merge keys (`<<`) are not part of YAML 1.2.", key, "repeat the keys, or use an alias"
            )
        elif name in parent.entries:
            first = parent.entries[name][0]
            self.complain(
                f"The key `{name[:60]}` is here twice; first on line {first.line}.", key, "remove one"
            )
        else:
            parent.entries[name] = (key, node)

    def check_tag(self, event: Any, node: Node, kind: str) -> None:
        tag = str(event.tag) if event.tag else ""
        if tag and tag not in ("!", _STANDARD_TAG + kind):
            self.complain("YAML tags (`!name`) have no meaning here.", node, "remove it")

    def scalar(self, event: Any) -> ScalarNode:
        text = str(event.value)
        node = ScalarNode(*_place(event), text=text, style=event.style or "", value=text)
        if _SURROGATE.search(text):
            self.complain("This text holds half a character (a lone surrogate).", node)
            node.text = text = _SURROGATE.sub("?", text)
            node.value = text
        tag = str(event.tag) if event.tag else ""
        if tag.startswith(_STANDARD_TAG) and tag != _STANDARD_TAG + "str":
            node.value = self.resolved(node)
            self.check_tag(event, node, _kind(node.value))
        elif tag:
            self.check_tag(event, node, "str")
        elif not node.style:
            node.value = self.resolved(node)
        return node

    def resolved(self, node: ScalarNode) -> JsonValue:
        text = node.text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if len(text) <= _MAX_DIGITS:
            if _INT.fullmatch(text):
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if _FLOAT.fullmatch(text):
                return self.number(node)
        if _NOT_FINITE.fullmatch(text):
            self.complain("Numbers here are finite.", node)
        return text

    def number(self, node: ScalarNode) -> JsonValue:
        value = float(node.text)
        if value in (float("inf"), float("-inf")):
            self.complain("This number is too large.", node)
            return 0.0
        return value


def _kind(value: JsonValue) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "str"}
    return "null" if value is None else names[type(value)]


def _place(event: Any) -> tuple[int, int, int, int]:
    start, end = event.start_mark, event.end_mark
    return start.line + 1, start.column + 1, start.index, end.index


def _empty(event: Any) -> Node:
    return Node(*_place(event))
