"""What may be done without asking: decisions per risk word."""

from mosaic.workflows.shapes import Choice, Key, Named, Obj

__all__ = ["POLICIES", "POLICY_WORDS", "RISK_CLASSES"]

RISK_CLASSES = ("read_only", "generative", "external_api", "destructive", "financial")

_DECISION = Choice(("deny", "ask", "allow"))
_WORDS = {
    "read": "Reading files of the workspace (read_only).",
    "write": "Writing files of the workspace (generative).",
    "exec": "Running commands (destructive).",
    "network": "Reaching other systems (external_api).",
    "read_only": "Tools that only read.",
    "generative": "Tools that make something new inside the workspace.",
    "external_api": "Tools that call other systems.",
    "destructive": "Tools that may destroy something.",
    "financial": "Tools that spend money.",
}
POLICY_WORDS = tuple(_WORDS)

POLICIES = Named(
    "policies",
    Obj(
        "the policies",
        {word: Key(_DECISION, f"{doc} `allow`, `ask` a person first, or `deny`.") for word, doc in _WORDS.items()},
        lambda values, _reading, _node, _pointer: values,
    ),
)
