"""The answer of POST /v1/messages, whole or in pieces, as a canonical response."""

import json

from mosaic.core.values import JsonObject
from mosaic.plugins.anthropic.request import OUTPUT_TOOL
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
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def read_response(
    body: JsonObject,
    request: ModelRequest,
    *,
    provider: str,
    names: ToolNames,
    forced_output: bool,
    seed: str,
) -> ModelResponse:
    """Return the response that a whole body holds.

    Args:
        body: the vendor's message.
        request: what was asked.
        provider: who answers.
        names: the tool names on the wire.
        forced_output: the structured answer was asked for as a tool call.
        seed: makes ids for calls that have none.

    Raises:
        ModelRefused: if the model declined.
        ContractViolation: if the body is not a message.
    """
    with reading(provider):
        parts = call_ids([part for block in body["content"] for part in _parts(block, names)], seed=seed)
        finish = _FINISH.get(body.get("stop_reason") or "", "stop")
        if forced_output:
            parts = tuple(_as_text(part) for part in parts)
            finish = "stop" if finish == "tool_call" else finish
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
        why = (body.get("stop_details") or {}).get("explanation") or response.message.text
    if finish == "content_filter":
        raise refused(response, why)
    return response


def _parts(block: JsonObject, names: ToolNames) -> list[Part]:
    kind = block["type"]
    if kind == "text":
        return [TextPart(block["text"])] if block["text"] else []
    if kind == "thinking":
        return [ReasoningPart(block.get("thinking") or "", signature=block.get("signature"))]
    if kind == "redacted_thinking":
        return [ReasoningPart("", redacted=block["data"])]
    if kind == "tool_use":
        arguments = tool_arguments(block.get("input"))
        return [ToolCallPart(str(block.get("id") or ""), names.ours(block["name"]), arguments)]
    return []  # what the vendor's own server-side tools leave behind; we offer none


def _as_text(part: Part) -> Part:
    if isinstance(part, ToolCallPart) and part.name == OUTPUT_TOOL:
        raw = part.malformed
        return TextPart(raw if raw is not None else json.dumps(part.arguments, ensure_ascii=False))
    return part


def _usage(shown: JsonObject | None) -> Usage | None:
    if not shown:
        return None
    cached = int(shown.get("cache_read_input_tokens") or 0)
    written = int(shown.get("cache_creation_input_tokens") or 0)
    details = shown.get("output_tokens_details") or {}
    return Usage(
        # The vendor counts the cached tokens apart; ours are all that were read.
        input_tokens=int(shown.get("input_tokens") or 0) + cached + written,
        output_tokens=int(shown.get("output_tokens") or 0),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=int(details.get("thinking_tokens") or 0),
    )


class Pieces:
    """Puts a streamed answer together; `body` is then what the whole answer would have been.

    Attributes:
        finished: whether the vendor said that the message is complete.
    """

    def __init__(self, names: ToolNames, *, forced_output: bool, seed: str) -> None:
        self.finished = False
        self._names = names
        self._ids = CallIds(seed)
        self._forced_output = forced_output
        self._message: JsonObject = {}
        self._usage: JsonObject = {}
        self._blocks: dict[int, JsonObject] = {}

    def add(self, event: JsonObject) -> list[Delta]:
        """Take one event's object; return the deltas it holds. Unknown events are skipped, as the vendor asks."""
        kind = event.get("type")
        if kind == "message_start":
            self._message = dict(event["message"])
            self._usage = dict(self._message.get("usage") or {})
        elif kind == "content_block_start":
            return self._begin(event["index"], event["content_block"])
        elif kind == "content_block_delta":
            return self._add_delta(event["index"], event["delta"])
        elif kind == "content_block_stop":
            return self._seal(event["index"])
        elif kind == "message_delta":
            self._message.update({key: value for key, value in event["delta"].items() if value is not None})
            self._usage.update(
                {key: value for key, value in (event.get("usage") or {}).items() if value is not None}
            )
        elif kind == "message_stop":
            self.finished = True
        return []

    def body(self) -> JsonObject:
        """Return the whole answer's body."""
        content = []
        for index in sorted(self._blocks):
            block = self._blocks[index]
            raw = "".join(block.pop("$json"))
            content.append({**block, "input": raw} if raw else block)
        return {**self._message, "content": content, "usage": self._usage}

    def _add_delta(self, index: int, delta: JsonObject) -> list[Delta]:
        block, kind = self._blocks[index], delta.get("type")
        if kind == "text_delta":
            block["text"] = block.get("text", "") + delta["text"]
            return [Delta("text", delta["text"], index)]
        if kind == "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
            return [Delta("reasoning", delta["thinking"], index)]
        if kind == "signature_delta":
            block["signature"] = (block.get("signature") or "") + delta["signature"]
        elif kind == "input_json_delta":
            block["$json"].append(delta["partial_json"])
            # An empty piece says nothing: the call began with its block.
            return self._argument(block, delta["partial_json"], index) if delta["partial_json"] else []
        return []

    def _begin(self, index: int, shown: JsonObject) -> list[Delta]:
        block = self._blocks[index] = {**shown, "$json": []}
        if block["type"] != "tool_use" or self._is_output(block):
            return []
        block["id"] = self._ids.next(block.get("id"))
        return [Delta("tool_call", "", index, id=block["id"], name=self._names.ours(block["name"]))]

    def _seal(self, index: int) -> list[Delta]:
        signature = self._blocks.get(index, {}).get("signature")
        return [Delta("reasoning", "", index, id=signature)] if signature else []

    def _argument(self, block: JsonObject, text: str, index: int) -> list[Delta]:
        if block["type"] != "tool_use":
            return []  # a tool that the vendor runs itself
        return [Delta("text" if self._is_output(block) else "tool_call", text, index)]

    def _is_output(self, block: JsonObject) -> bool:
        return self._forced_output and block.get("name") == OUTPUT_TOOL
