"""The answer of POST /chat/completions, whole or in pieces, as a canonical response."""

from dataclasses import dataclass, field
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.providers.adapter import CallIds, call_ids, estimated_usage, reading, refused
from mosaic.providers.ai import (
    Delta,
    FinishReason,
    Message,
    ModelRequest,
    ModelResponse,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    Usage,
    tool_arguments,
)
from mosaic.providers.naming import ToolNames

__all__ = ["Pieces", "read_response"]

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


def read_response(
    body: JsonObject, request: ModelRequest, *, provider: str, names: ToolNames, seed: str
) -> ModelResponse:
    """Return the response that a whole body of `provider` holds.

    Raises:
        ModelRefused: if the model declined, or a filter left nothing of its answer.
        ContractViolation: if the body is not a chat completion.
    """
    with reading(provider):
        choice = body["choices"][0]
        message = choice["message"]
        refusal = message.get("refusal")
        parts = call_ids(_parts(message, names), seed=seed)
        finish = _FINISH.get(choice.get("finish_reason") or "", "stop")
        if finish == "stop" and any(isinstance(part, ToolCallPart) for part in parts):
            finish = "tool_call"
        usage = _usage(body.get("usage"))
        response = ModelResponse(
            message=Message("assistant", parts),
            finish_reason=finish,
            usage=usage or estimated_usage(request, parts),
            model=body.get("model") or request.model,
            provider=provider,
            response_id=body.get("id") or None,
            usage_estimated=usage is None,
        )
    if refusal or (finish == "content_filter" and not parts):
        raise refused(response, refusal or "its content filter stopped the answer")
    return response


def _parts(message: JsonObject, names: ToolNames) -> list[Part]:
    parts: list[Part] = []
    # Not OpenAI's own fields, but what compatible servers show of the reasoning.
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        parts.append(ReasoningPart(reasoning))
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(piece.get("text", "") for piece in content)
    if content:
        parts.append(TextPart(content))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        if function.get("name"):
            arguments = tool_arguments(function.get("arguments"))
            parts.append(ToolCallPart(str(call.get("id") or ""), names.ours(function["name"]), arguments))
    return parts


def _usage(shown: JsonObject | None) -> Usage | None:
    if not shown:
        return None
    read = shown.get("prompt_tokens_details") or {}
    written = shown.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=int(shown.get("prompt_tokens") or 0),
        output_tokens=int(shown.get("completion_tokens") or 0),
        cached_input_tokens=int(read.get("cached_tokens") or 0),
        cache_write_tokens=int(read.get("cache_write_tokens") or 0),
        reasoning_tokens=int(written.get("reasoning_tokens") or 0),
    )


class Pieces:
    """Puts a streamed answer together; `body` is then what the whole answer would have been.

    Attributes:
        finished: whether the model said that it was done; a stream without that has broken off.
    """

    def __init__(self, names: ToolNames, *, seed: str) -> None:
        self.finished = False
        self._names = names
        self._ids = CallIds(seed)
        self._body: JsonObject = {}
        self._finish: str | None = None
        self._texts: dict[str, list[str]] = {"content": [], "refusal": [], "reasoning_content": []}
        self._calls: list[_Call] = []
        self._slots: dict[int, _Call] = {}
        self._order: dict[Any, int] = {}

    def add(self, chunk: JsonObject) -> list[Delta]:
        """Take one event's object; return the deltas it holds."""
        for name in ("id", "model", "usage"):
            if chunk.get(name):
                self._body[name] = chunk[name]
        deltas: list[Delta] = []
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            if choice.get("finish_reason"):
                self._finish, self.finished = choice["finish_reason"], True
            deltas += self._add_delta(choice.get("delta") or {})
        return deltas

    def body(self) -> JsonObject:
        """Return the whole answer's body."""
        message: JsonObject = {name: "".join(texts) or None for name, texts in self._texts.items()}
        message["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": "".join(call.pieces)}}
            for call in self._calls
        ]
        return {**self._body, "choices": [{"message": message, "finish_reason": self._finish}]}

    def _add_delta(self, delta: JsonObject) -> list[Delta]:
        deltas: list[Delta] = []
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self._texts["reasoning_content"].append(reasoning)
            deltas.append(Delta("reasoning", reasoning, self._index("reasoning")))
        if delta.get("refusal"):
            self._texts["refusal"].append(delta["refusal"])
        if delta.get("content"):
            self._texts["content"].append(delta["content"])
            deltas.append(Delta("text", delta["content"], self._index("text")))
        for piece in delta.get("tool_calls") or ():
            deltas += self._add_call(piece)
        return deltas

    def _add_call(self, piece: JsonObject) -> list[Delta]:
        slot, function = piece.get("index") or 0, piece.get("function") or {}
        call = self._slots.get(slot)
        given = piece.get("id") or ""
        # Some servers give every call the index 0 and tell them apart by id alone.
        if call is None or (given and call.given and given != call.given):
            call = self._slots[slot] = _Call()
            self._calls.append(call)
        call.given = call.given or given
        text = function.get("arguments") or ""
        call.pieces.append(text)
        if call.name:
            return [Delta("tool_call", text, call.index)]
        if not function.get("name"):
            return []  # nobody can say yet what is called; its beginning comes with the name
        call.name, call.id = function["name"], self._ids.next(call.given)
        call.index = self._index(id(call))
        name = self._names.ours(call.name)
        return [Delta("tool_call", "".join(call.pieces), call.index, id=call.id, name=name)]

    def _index(self, part: Any) -> int:
        return self._order.setdefault(part, len(self._order))


@dataclass(slots=True)
class _Call:
    """A tool call that is arriving; `given` is the server's own id, which may come late, twice or not at all."""

    given: str = ""
    id: str = ""
    name: str = ""
    index: int = 0
    pieces: list[str] = field(default_factory=list)
