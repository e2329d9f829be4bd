"""JSON Schemas of a definition (draft 2020-12): checked at their place, local ``$ref`` files folded in.

What comes out is self-contained: files stand under ``$defs`` and every ``$ref`` points inside. Nothing is ever
fetched. A schema may refer to itself; a ``$ref`` that leads back to itself without going into the value may not.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mosaic.core.values import JsonObject
from mosaic.workflows.language.document import read_document
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode, plain
from mosaic.workflows.language.reading import Reading, join_pointer, kind_of
from mosaic.workflows.schema_rules import (
    ANNOTATIONS,
    KEYWORDS,
    SCHEMA_KEYWORDS,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    UNSUPPORTED,
    meta_problems,
    self_references,
)
from mosaic.workflows.spelling import nearest, shown

__all__ = ["JsonSchema"]


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The shape of a place that holds a JSON Schema: a mapping, or the name of a file that holds one.

    Attributes:
        by_name: a text names a file; else only a mapping (which may be ``{$ref: file}``).
    """

    by_name: bool = True
    expected: str = "a JSON Schema: a mapping, or the name of a file beside the workflow"

    def accepts(self, node: Node) -> bool:
        """Accept mappings and names."""
        return isinstance(node, MapNode) or (isinstance(node, ScalarNode) and isinstance(node.value, str))

    def read(self, node: Node, reading: Reading, pointer: str) -> JsonObject:
        """Return the self-contained schema; ``{}`` after a problem."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value and self.by_name:
            return _Folding(reading).file(node.value.removeprefix("file:"), node, pointer)
        if isinstance(node, MapNode):
            return _Folding(reading).inline(node, pointer)
        reading.complain(node, pointer, f"This must be {self.expected}, not {kind_of(node)}.")
        return {}

    def schema(self) -> JsonObject:
        """Return the schema of a schema."""
        inline: JsonObject = {"$ref": "http://json-schema.org/draft-07/schema#"}
        return {"anyOf": [inline, {"type": "string", "minLength": 1}]} if self.by_name else inline


@dataclass(slots=True)
class _Source:
    """A document that holds schemas; `prefix` is where its root stands in the result, as a JSON pointer."""

    reading: Reading
    root: Node
    pointer: str
    prefix: str


@dataclass(slots=True)
class _Folding:
    """Makes one self-contained schema."""

    reading: Reading
    definitions: JsonObject = field(default_factory=dict)
    sources: dict[str, _Source] = field(default_factory=dict)
    before: int = 0

    def inline(self, node: MapNode, pointer: str) -> JsonObject:
        self.before = len(self.reading.problems)
        alone = node.get("$ref")
        if len(node.entries) == 1 and isinstance(alone, ScalarNode):
            path, _, fragment = alone.text.partition("#")
            if path and not fragment and ":" not in path:
                return self.file(path, alone, join_pointer(pointer, "$ref"))
        return self.finished(_Source(self.reading, node, pointer, ""), pointer)

    def file(self, path: str, node: Node, pointer: str) -> JsonObject:
        self.before = len(self.reading.problems)
        source = self.source(self.reading, path, node, pointer, prefix="")
        return self.finished(source, pointer) if source else {}

    def finished(self, source: _Source, pointer: str) -> JsonObject:
        schema = self.schema(source.root, source, source.pointer)
        if not isinstance(schema, dict) or len(self.reading.problems) > self.before:
            return {}
        if self.definitions:
            schema["$defs"] = {**schema.get("$defs", {}), **self.definitions}
        for message in self_references(schema):
            self.reading.complain_at(pointer, message)
            return {}
        return schema

    def source(
        self, reading: Reading, reference: str, node: Node, pointer: str, *, prefix: str | None = None
    ) -> _Source | None:
        """Return the document of a file, read once; its problems go to the one list."""
        found = reading.content(unquote(reference), node, pointer)
        if found is None:
            return None
        path, content = found
        if path in self.sources:
            return self.sources[path]
        document = read_document(content, path)
        reading.problems.extend(document.problems)
        if document.root is None or not isinstance(document.root, MapNode):
            if not document.problems:
                what = kind_of(document.root) if document.root else "nothing"
                reading.complain(
                    node, pointer, f"`{shown(reference)}` is not a JSON Schema: it holds {what}."
                )
            return None
        inner = Reading(reading.files, document, reading.problems)
        source = _Source(inner, document.root, "", prefix or "")
        self.sources[path] = source
        if prefix is None:
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", path)
            while name in self.definitions:
                name += "_"
            source.prefix = f"/$defs/{name}"
            self.definitions[name] = {}
            self.definitions[name] = self.schema(source.root, source, "")
        return source

    def schema(self, node: Node, source: _Source, pointer: str) -> Any:
        """Return the schema at `node` with its references rewritten."""
        source.reading.places.setdefault(pointer, node)
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        if not isinstance(node, MapNode):
            source.reading.complain(node, pointer, f"A schema is a mapping, not {kind_of(node)}.")
            return {}
        made: JsonObject = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            source.reading.places[inner] = item
            if name == "$ref":
                made[name] = self.reference(item, source, inner)
            elif name in ("$schema", "$id", "$comment"):
                continue
            elif self.known(name, key, inner, source):
                made[name] = self.keyword(name, item, source, inner)
        self.check(made, node, source, pointer)
        return made

    def known(self, name: str, key: ScalarNode, pointer: str, source: _Source) -> bool:
        if name in UNSUPPORTED:
            source.reading.complain(
                key, pointer, f"`{name}` is not supported in a schema.", UNSUPPORTED[name]
            )
            return False
        if name in KEYWORDS or name in ANNOTATIONS or name.startswith("x-"):
            return True
        near = nearest(name, KEYWORDS)
        hint = near if near and near.startswith("did") else None
        source.reading.complain(key, pointer, f"`{shown(name)}` is not a keyword of JSON Schema.", hint)
        return False

    def keyword(self, name: str, item: Node, source: _Source, pointer: str) -> Any:
        if name in SCHEMA_KEYWORDS:
            return self.schema(item, source, pointer)
        if name in SCHEMA_MAPS and isinstance(item, MapNode):
            return {
                key: self.schema(inner, source, join_pointer(pointer, key))
                for key, (_, inner) in item.entries.items()
            }
        if name in SCHEMA_LISTS and isinstance(item, ListNode):
            return [
                self.schema(inner, source, join_pointer(pointer, index))
                for index, inner in enumerate(item.items)
            ]
        return plain(item)

    def check(self, made: JsonObject, node: MapNode, source: _Source, pointer: str) -> None:
        for keys, message, hint in meta_problems(made):
            place, inner = node, pointer
            for key in keys:
                inner = join_pointer(inner, key)
                place = source.reading.places.get(inner, _member(place, key))  # type: ignore[assignment]
            source.reading.complain(place, inner, message, hint)

    def reference(self, node: Node, source: _Source, pointer: str) -> str:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value:
            source.reading.complain(node, pointer, f"`$ref` must be text, not {kind_of(node)}.")
            return "#"
        path, _, fragment = node.value.partition("#")
        if "://" in path or path.startswith(("http:", "https:", "urn:")):
            hint = "copy the schema beside the workflow; nothing is fetched"
            source.reading.complain(node, pointer, "A `$ref` names a local file, not an address.", hint)
            return "#"
        target: _Source | None = source
        if path:
            target = self.source(source.reading, path, node, pointer)
        if target is None:
            return "#"
        if fragment and not _exists(target.root, fragment):
            source.reading.complain(node, pointer, f"The `$ref` `{shown(node.value)}` leads nowhere.")
            return "#"
        return f"#{target.prefix}{fragment}"


def _member(node: Node, key: str | int) -> Node:
    if isinstance(node, MapNode) and isinstance(key, str):
        return node.get(key) or node
    if isinstance(node, ListNode) and isinstance(key, int) and key < len(node.items):
        return node.items[key]
    return node


def _exists(root: Node, fragment: str) -> bool:
    """Say whether a JSON pointer leads somewhere in a document."""
    if not fragment.startswith("/"):
        return False
    node: Node = root
    for token in fragment[1:].split("/"):
        key = unquote(token).replace("~1", "/").replace("~0", "~")
        inner = _member(
            node, int(key) if isinstance(node, ListNode) and re.fullmatch(r"[0-9]{1,9}", key) else key
        )
        if inner is node:
            return False
        node = inner
    return True
