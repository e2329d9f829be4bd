"""The answer of POST /v2/chat, whole or in events, as a canonical response."""

from typing import Any

from mosaic.core.values import JsonObject
from mosaic.providers.adapter import CallIds, call_ids, estimated_usage, reading
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

__all__ = ["Events", "read_response", "usage_of"]

_FINISH: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR": "error",
    "TIMEOUT": "error",
}


def read_response(
    body: JsonObject, request: ModelRequest, *, provider: str, names: ToolNames, seed: str
) -> ModelResponse:
    """Return the response that a whole body of `provider` holds.

    Raises:
        ContractViolation: if the body is not an answer of the chat.
    """
    with reading(provider):
        message = body["message"]
        parts = call_ids(_parts(message, names), seed=seed)
        usage = usage_of(body.get("usage"))
        return ModelResponse(
            message=Message("assistant", parts),
            finish_reason=_FINISH[body["finish_reason"]],
            usage=usage or estimated_usage(request, parts),
            model=request.model,
            provider=provider,
            response_id=body.get("id") or None,
            usage_estimated=usage is None,
        )


def _parts(message: JsonObject, names: ToolNames) -> list[Part]:
    parts: list[Part] = []
    if message.get("tool_plan"):
        parts.append(ReasoningPart(message["tool_plan"]))
    for piece in message.get("content") or ():
        if piece.get("thinking"):
            parts.append(ReasoningPart(piece["thinking"]))
        elif piece.get("text"):
            parts.append(TextPart(piece["text"]))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = tool_arguments(function.get("arguments"))
        parts.append(ToolCallPart(call.get("id") or "", names.ours(function["name"]), arguments))
    return parts


def usage_of(shown: JsonObject | None) -> Usage | None:
    """Return what was used: what is billed where the vendor says it, because its own preamble is not."""
    shown = shown or {}
    counts = shown.get("billed_units") or shown.get("tokens")
    if not counts:
        return None
    return Usage(
        input_tokens=int(counts.get("input_tokens") or 0),
        output_tokens=int(counts.get("output_tokens") or 0),
        cached_input_tokens=int(shown.get("cached_tokens") or 0),
    )


class Events:
    """Puts a streamed answer together; `body` is then what the whole answer would have been.

    Attributes:
        finished: whether the vendor said why it stopped; a stream without that has broken off.
        error: the vendor's words, when the answer ended in an error.
    """

    def __init__(self, names: ToolNames, *, seed: str) -> None:
        self.finished = False
        self.error: str | None = None
        self._names = names
        self._ids = CallIds(seed)
        self._body: JsonObject = {}
        self._plan: list[str] = []
        self._content: dict[int, dict[str, list[str]]] = {}
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._order: dict[Any, int] = {}

    def add(self, event: JsonObject) -> list[Delta]:
        """Take one event; return the deltas it holds. Unknown events are skipped."""
        kind, index = event.get("type"), event.get("index") or 0
        message = (event.get("delta") or {}).get("message") or {}
        if kind == "message-start":
            self._body["id"] = event.get("id")
        elif kind == "message-end":
            self._end(event)
        elif kind == "tool-plan-delta":
            self._plan.append(message["tool_plan"])
            return [Delta("reasoning", message["tool_plan"], self._index("plan"))]
        elif kind in ("content-start", "content-delta"):
            return self._add_content(index, message["content"])
        elif kind == "tool-call-start":
            return [self._begin(index, message["tool_calls"])]
        elif kind == "tool-call-delta":
            text = message["tool_calls"]["function"]["arguments"]
            self._calls[index][2].append(text)
            return [Delta("tool_call", text, self._index(("call", index)))]
        return []

    def body(self) -> JsonObject:
        """Return the whole answer's body."""
        content = [
            {kind: "".join(pieces) for kind, pieces in texts.items()}
            for _, texts in sorted(self._content.items())
        ]
        calls = [
            {"id": id_, "function": {"name": name, "arguments": "".join(pieces)}}
            for _, (id_, name, pieces) in sorted(self._calls.items())
        ]
        message = {"tool_plan": "".join(self._plan), "content": content, "tool_calls": calls}
        return {**self._body, "message": message}

    def _end(self, event: JsonObject) -> None:
        delta = event.get("delta") or {}
        self._body |= {"finish_reason": delta.get("finish_reason"), "usage": delta.get("usage")}
        self.error = delta.get("error")
        self.finished = bool(delta.get("finish_reason"))

    def _add_content(self, index: int, content: JsonObject) -> list[Delta]:
        for name in ("thinking", "text"):
            text = content.get(name)
            if text:
                self._content.setdefault(index, {}).setdefault(name, []).append(text)
                return [Delta("reasoning" if name == "thinking" else "text", text, self._index(index))]
        return []

    def _begin(self, index: int, call: JsonObject) -> Delta:
        function = call["function"]
        id_, text = self._ids.next(call.get("id")), function.get("arguments") or ""
        self._calls[index] = (id_, function["name"], [text])
        name = self._names.ours(function["name"])
        return Delta("tool_call", text, self._index(("call", index)), id=id_, name=name)

    def _index(self, part: Any) -> int:
        return self._order.setdefault(part, len(self._order))
