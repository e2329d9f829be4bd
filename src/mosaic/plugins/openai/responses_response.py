"""The answer of POST /responses, whole or in events, as a canonical response."""

from mosaic.core.values import JsonObject
from mosaic.plugins.openai.responses_request import SEAL
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

__all__ = ["Events", "read_responses"]

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


def read_responses(
    body: JsonObject, request: ModelRequest, *, provider: str, names: ToolNames, seed: str
) -> ModelResponse:
    """Return the response that a whole body of `provider` holds.

    Raises:
        ModelRefused: if the model declined, or a filter left nothing of its answer.
        ContractViolation: if the body is not a response.
    """
    with reading(provider):
        parts = call_ids([part for item in body["output"] for part in _parts(item, names)], seed=seed)
        usage = _usage(body.get("usage"))
        response = ModelResponse(
            message=Message("assistant", parts),
            finish_reason=_finish(body, parts),
            usage=usage or estimated_usage(request, parts),
            model=body.get("model") or request.model,
            provider=provider,
            response_id=body.get("id") or None,
            usage_estimated=usage is None,
        )
        refusal = _refusal(body)
    if refusal or (response.finish_reason == "content_filter" and not parts):
        raise refused(response, refusal or "its content filter stopped the answer")
    return response


def _finish(body: JsonObject, parts: tuple[Part, ...]) -> FinishReason:
    reason = (body.get("incomplete_details") or {}).get("reason")
    if reason:
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_call" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"


def _refusal(body: JsonObject) -> str:
    return "".join(
        piece.get("refusal") or ""
        for item in body["output"]
        if item["type"] == "message"
        for piece in item["content"]
    )


def _parts(item: JsonObject, names: ToolNames) -> list[Part]:
    kind = item["type"]
    if kind == "message":
        text = "".join(piece.get("text") or "" for piece in item["content"])
        return [TextPart(text)] if text else []
    if kind == "function_call":
        arguments = tool_arguments(item.get("arguments"))
        return [ToolCallPart(item.get("call_id") or "", names.ours(item["name"]), arguments)]
    if kind == "reasoning":
        shown = [piece.get("text") or "" for piece in (item.get("summary") or item.get("content") or ())]
        seal = _seal(item)
        return [ReasoningPart("\n\n".join(shown), signature=seal)] if seal or shown else []
    return []  # what the vendor's own tools leave behind; we offer none


def _seal(item: JsonObject) -> str | None:
    encrypted = item.get("encrypted_content")
    return sealed(SEAL, f"{item['id']}:{encrypted}") if encrypted else None


def _usage(shown: JsonObject | None) -> Usage | None:
    if not shown:
        return None
    read, written = shown.get("input_tokens_details") or {}, shown.get("output_tokens_details") or {}
    return Usage(
        input_tokens=int(shown.get("input_tokens") or 0),
        output_tokens=int(shown.get("output_tokens") or 0),
        cached_input_tokens=int(read.get("cached_tokens") or 0),
        cache_write_tokens=int(read.get("cache_write_tokens") or 0),
        reasoning_tokens=int(written.get("reasoning_tokens") or 0),
    )


class Events:
    """Reads a streamed answer's events.

    Attributes:
        body: the whole answer, once the vendor has said that it is over; None before that.
        error: the vendor's error object, when the answer ended in one.
    """

    def __init__(self, names: ToolNames, *, seed: str) -> None:
        self.body: JsonObject | None = None
        self.error: JsonObject | None = None
        self._names = names
        self._ids = CallIds(seed)

    def add(self, event: JsonObject) -> list[Delta]:
        """Take one event; return the deltas it holds. Unknown events are skipped."""
        kind, index = event.get("type"), event.get("output_index") or 0
        if kind == "response.output_text.delta":
            return [Delta("text", event["delta"], index)]
        if kind in _TEXTS:
            return [Delta("reasoning", event["delta"], index)]
        if kind == "response.reasoning_summary_part.added" and event.get("summary_index"):
            return [Delta("reasoning", "\n\n", index)]
        if kind == "response.function_call_arguments.delta":
            return [Delta("tool_call", event["delta"], index)]
        if kind == "response.output_item.added" and event["item"]["type"] == "function_call":
            item = event["item"]
            call_id = self._ids.next(item.get("call_id"))
            return [Delta("tool_call", "", index, id=call_id, name=self._names.ours(item["name"]))]
        if kind == "response.output_item.done" and event["item"]["type"] == "reasoning":
            seal = _seal(event["item"])
            return [Delta("reasoning", "", index, id=seal)] if seal else []
        if kind == "error":
            self.error = event
        elif kind in _ENDS:
            self.body = event["response"]
            self.error = self.body.get("error") or None
        return []
