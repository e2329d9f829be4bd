"""The nodes of a YAML document."""

from dataclasses import dataclass, field

from mosaic.core.values import JsonValue

__all__ = ["ListNode", "MapNode", "Node", "ScalarNode", "plain"]


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
