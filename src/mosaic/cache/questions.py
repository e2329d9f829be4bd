"""What a request asks, apart from everything else it says: the part that may differ when answers are shared.

Only the last words of the user may differ. The system prompt, the turns before, the model and every setting must be
the same, and a request with tools, images or anything but text is no question in this sense.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mosaic.cache.keys import request_key

__all__ = ["Question", "read_question"]

# With any of them the answer is an act, or depends on more than the words.
_ACTING = (
    "tools", "tool_choice", "functions", "function_call", "mcp_servers", "web_search_options", "container",
    "modalities", "audio", "prompt",
)  # fmt: skip
_TURNS = {"openai.chat": "messages", "anthropic.messages": "messages", "openai.responses": "input"}
_ROLES = frozenset({"system", "developer", "user", "assistant"})
_TEXTS = frozenset({"text", "input_text", "output_text"})
_TURN_FIELDS = frozenset({"role", "content", "type", "name", "id", "status"})
_MOST_CHARACTERS = 8_000  # longer texts embed badly, and are hardly asked again in other words


@dataclass(frozen=True, slots=True)
class Question:
    """The last words of a user, and where they may be compared.

    Attributes:
        key: the key of the exact request.
        space: the key of everything but the words, tenant included; only questions of one space are compared.
        text: the words.
    """

    key: str
    space: str
    text: str


def read_question(wire: str, body: bytes | Mapping[str, Any], *, tenant: str, route: str) -> Question | None:
    """Return the question of a request, or None when its answer must not be shared by similarity.

    Raises:
        InvalidInput: if the body is not a JSON object.
    """
    key = request_key(wire, body, tenant=tenant, route=route)
    name = _TURNS.get(wire)
    if key is None or name is None:
        return None
    fields: dict[str, Any] = msgspec.json.decode(body) if isinstance(body, bytes) else dict(body)
    if any(fields.get(acting) for acting in _ACTING):
        return None
    turns = fields.get(name)
    if isinstance(turns, str) and wire == "openai.responses":
        text, before = turns, []
    elif isinstance(turns, list) and turns and all(_is_text(turn) for turn in turns):
        *before, last = turns
        if last["role"] != "user":
            return None
        text = last["content"] if isinstance(last["content"], str) else _only_text(last["content"])
    else:
        return None
    if not text.strip() or len(text) > _MOST_CHARACTERS:
        return None
    space = request_key(wire, {**fields, name: before}, tenant=tenant, route=route)
    return None if space is None else Question(key, space, text.strip())


def _is_text(turn: Any) -> bool:
    """Say whether a turn is words of a known role and nothing more."""
    if not isinstance(turn, dict) or turn.get("role") not in _ROLES or not _TURN_FIELDS.issuperset(turn):
        return False
    if turn.get("type", "message") != "message":
        return False
    content = turn.get("content")
    if isinstance(content, list):
        return all(isinstance(part, dict) and part.get("type") in _TEXTS for part in content)
    return isinstance(content, str)


def _only_text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(str(part.get("text", "")) for part in parts)
