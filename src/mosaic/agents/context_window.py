"""The bound on a conversation's size: old tool results give way first, in an order that a replay repeats."""

from dataclasses import replace

from mosaic.providers.ai import Message, ModelRequest, Part, ToolCallResponsePart
from mosaic.providers.tokens import estimate_text, estimate_tokens

__all__ = ["ContextWindow"]

_REFILL = 0.7
_KEEP_LAST = 2
_WORTH_ELIDING_TOKENS = 100


class ContextWindow:
    """Replaces old tool results by a short note once a request would pass `limit` estimated tokens.

    It makes room down to 70 % of the limit, so that the beginning of the conversation stays the same for many turns
    and providers' prompt caches keep working. The results of the last two turns always stay. What was elided stays
    elided; as the decision depends only on the conversation, a replay comes to the same requests.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.elided: set[str] = set()

    def fit(self, request: ModelRequest) -> ModelRequest:
        """Return `request` with as many old tool results elided as its size asks for."""
        messages = [self._shown(message) for message in request.messages]
        size = estimate_tokens(replace(request, messages=tuple(messages)))
        if size > self.limit:
            size = self._make_room(messages, size)
        return replace(request, messages=tuple(messages))

    def _make_room(self, messages: list[Message], size: int) -> int:
        results = [index for index, message in enumerate(messages) if message.role == "tool"]
        for index in results[:-_KEEP_LAST]:
            for part in messages[index].parts:
                if size <= self.limit * _REFILL:
                    return size
                if isinstance(part, ToolCallResponsePart) and part.id not in self.elided:
                    saved = estimate_text(part.text) - estimate_text(_note(part))
                    if saved >= _WORTH_ELIDING_TOKENS:
                        self.elided.add(part.id)
                        size -= saved
                        messages[index] = self._shown(messages[index])
        return size

    def _shown(self, message: Message) -> Message:
        if not self.elided or message.role != "tool":
            return message
        return replace(message, parts=tuple(self._part(part) for part in message.parts))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCallResponsePart) and part.id in self.elided:
            return replace(part, response=_note(part))
        return part


def _note(part: ToolCallResponsePart) -> str:
    return f"[This older result of {part.name}, {len(part.text)} characters, was left out. Call it again if needed.]"
