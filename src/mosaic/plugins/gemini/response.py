"""The answer of generateContent, whole or in pieces, as a canonical response."""

import json

from mosaic.core.values import JsonObject
from mosaic.plugins.gemini.request import SEAL
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
from mosaic.providers.seals import sealed

__all__ = ["Pieces", "read_response"]

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "OTHER": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
}


def read_response(
    body: JsonObject, request: ModelRequest, *, provider: str, names: ToolNames, seed: str
) -> ModelResponse:
    """Return the response that a whole body of `provider` holds.

    Raises:
        ModelRefused: if the prompt was blocked, or a filter left nothing of the answer.
        ContractViolation: if the body is not an answer of generateContent.
    """
    with reading(provider):
        blocked = (body.get("promptFeedback") or {}).get("blockReason")
        candidate: JsonObject = {"finishReason": "SAFETY"} if blocked else body["candidates"][0]
        shown = (candidate.get("content") or {}).get("parts") or ()
        parts = call_ids(_joined([part for piece in shown for part in _parts(piece, names)]), seed=seed)
        finish = _FINISH.get(candidate.get("finishReason") or "STOP", "content_filter")
        if finish == "stop" and any(isinstance(part, ToolCallPart) for part in parts):
            finish = "tool_call"
        usage = _usage(body.get("usageMetadata"))
        response = ModelResponse(
            message=Message("assistant", parts),
            finish_reason=finish,
            usage=usage or estimated_usage(request, parts),
            model=body.get("modelVersion") or request.model,
            provider=provider,
            response_id=body.get("responseId") or None,
            usage_estimated=usage is None,
        )
    if finish == "content_filter" and not response.message.text:
        reason = blocked or candidate.get("finishMessage") or candidate.get("finishReason")
        raise refused(response, f"its filter stopped it ({reason})")
    return response


def _parts(piece: JsonObject, names: ToolNames) -> list[Part]:
    parts: list[Part] = []
    text, call, seal = piece.get("text"), piece.get("functionCall"), piece.get("thoughtSignature")
    # A seal belongs to the part it comes with; in our words it is a thought just before that part.
    if seal:
        parts.append(ReasoningPart(text or "" if piece.get("thought") else "", signature=sealed(SEAL, seal)))
        if piece.get("thought"):
            return parts
    if call:
        arguments = tool_arguments(call.get("args"))
        parts.append(ToolCallPart(call.get("id") or "", names.ours(call["name"]), arguments))
    elif text:
        parts.append(ReasoningPart(text) if piece.get("thought") else TextPart(text))
    return parts


def _joined(parts: list[Part]) -> list[Part]:
    """Return the parts with pieces of one text joined, as a stream sends them."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            joined[-1] = TextPart(last.content + part.content)
        elif isinstance(part, ReasoningPart) and isinstance(last, ReasoningPart) and last.signature is None:
            joined[-1] = ReasoningPart(last.content + part.content, signature=part.signature)
        else:
            joined.append(part)
    return joined


def _usage(shown: JsonObject | None) -> Usage | None:
    if not shown:
        return None
    thoughts = int(shown.get("thoughtsTokenCount") or 0)
    return Usage(
        input_tokens=int(shown.get("promptTokenCount") or 0) + int(shown.get("toolUsePromptTokenCount") or 0),
        output_tokens=int(shown.get("candidatesTokenCount") or 0) + thoughts,
        cached_input_tokens=int(shown.get("cachedContentTokenCount") or 0),
        reasoning_tokens=thoughts,
    )


class Pieces:
    """Puts a streamed answer together; `body` is then what the whole answer would have been.

    Attributes:
        finished: whether the model said why it stopped; a stream without that has broken off.
    """

    def __init__(self, names: ToolNames, *, seed: str) -> None:
        self.finished = False
        self._names = names
        self._ids = CallIds(seed)
        self._body: JsonObject = {}
        self._candidate: JsonObject = {}
        self._parts: list[JsonObject] = []
        self._index = -1
        self._kind = ""

    def add(self, chunk: JsonObject) -> list[Delta]:
        """Take one event's object; return the deltas it holds."""
        for name in ("usageMetadata", "modelVersion", "responseId", "promptFeedback"):
            if chunk.get(name):
                self._body[name] = chunk[name]
        if (chunk.get("promptFeedback") or {}).get("blockReason"):
            self.finished = True
        deltas: list[Delta] = []
        for candidate in chunk.get("candidates") or ():
            if candidate.get("index"):
                continue
            for name in ("finishReason", "finishMessage"):
                if candidate.get(name):
                    self._candidate[name] = candidate[name]
                    self.finished = True
            for piece in (candidate.get("content") or {}).get("parts") or ():
                deltas += self._add_part(piece)
        return deltas

    def body(self) -> JsonObject:
        """Return the whole answer's body."""
        return {**self._body, "candidates": [{**self._candidate, "content": {"parts": self._parts}}]}

    def _add_part(self, piece: JsonObject) -> list[Delta]:
        call = piece.get("functionCall")
        if call:
            call = {**call, "id": self._ids.next(call.get("id"))}
            self._parts.append({**piece, "functionCall": call})
            text = json.dumps(call.get("args") or {}, ensure_ascii=False)
            name = self._names.ours(call["name"])
            return [Delta("tool_call", text, self._next("tool_call"), id=call["id"], name=name)]
        self._parts.append(piece)
        if not piece.get("text"):
            return []
        if piece.get("thought"):
            return [Delta("reasoning", piece["text"], self._next("reasoning"))]
        return [Delta("text", piece["text"], self._next("text"))]

    def _next(self, kind: str) -> int:
        """Return the part's number; texts of one kind that follow each other are one part."""
        if kind == "tool_call" or kind != self._kind:
            self._index += 1
        self._kind = kind
        return self._index
