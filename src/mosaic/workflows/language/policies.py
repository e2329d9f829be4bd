"""What may be done without asking: decisions per risk word or tool."""

from collections.abc import Mapping
from dataclasses import dataclass

from mosaic.core.values import JsonObject
from mosaic.workflows.language.nodes import MapNode, Node
from mosaic.workflows.language.reading import Reading, join_pointer, kind_of
from mosaic.workflows.language.shapes import Choice, Named

__all__ = ["POLICIES", "POLICY_WORDS", "RISK_CLASSES"]

RISK_CLASSES = ("read_only", "generative", "external_api", "destructive", "financial")

POLICY_WORDS: Mapping[str, str] = {
    "read": "Reading files.",
    "write": "Writing files.",
    "exec": "Running commands.",
    "network": "Reaching other systems.",
    "read_only": "Tools that only read.",
    "generative": "Tools that make something new inside the workspace.",
    "external_api": "Tools that call other systems.",
    "destructive": "Tools that may destroy something.",
    "financial": "Tools that spend money.",
    "ask": "With `deny`: nobody is there to answer, so what would ask a person is refused.",
}
_DECISION = Choice(("deny", "ask", "allow"))


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """A mapping of risk words and tool names to decisions. A name that is no word is checked with the tools."""

    expected: str = "a mapping of risk words or tools to `allow`, `ask` or `deny`"

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> dict[str, str]:
        """Return the decisions."""
        if not isinstance(node, MapNode):
            reading.complain(node, pointer, f"This must be {self.expected}, not {kind_of(node)}.")
            return {}
        found: dict[str, str] = {}
        for word, (key, item) in node.entries.items():
            inner = join_pointer(pointer, word)
            reading.places[inner] = key
            found[word] = _DECISION.read(item, reading, inner)
        return found

    def schema(self) -> JsonObject:
        """Return an object schema: the words, and any tool's name."""
        decision = _DECISION.schema()
        words = {word: {"description": doc, **decision} for word, doc in POLICY_WORDS.items()}
        return {"type": "object", "properties": words, "additionalProperties": decision}


POLICIES = Named("policies", PolicyRules())
