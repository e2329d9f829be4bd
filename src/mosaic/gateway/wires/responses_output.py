"""The items of a response, and the response around them."""

import msgspec

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.schemas import Asked
from mosaic.gateway.wires.seals import written_seal
from mosaic.gateway.wires.tools import call_input, call_text
from mosaic.gateway.wires.usage import responses_usage
from mosaic.providers import FinishReason, ModelResponse, Part, ReasoningPart, TextPart, ToolCallPart, Usage

__all__ = ["Items", "ending", "failure", "response_head", "write_responses_response"]

_INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_DEFAULTS: JsonObject = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
_FAILURES = {
    "limit_exceeded": "rate_limit_exceeded",
    "invalid_input": "invalid_prompt",
    # Not in the vendor's list of codes, but the word at which its clients stop asking again.
    "budget_exceeded": "insufficient_quota",
}


class Items:
    """Makes the items of one answer, each with its own id."""

    def __init__(self, asked: Asked) -> None:
        self._id = asked.id
        self._custom = frozenset(asked.extras.get("custom_tools", ()))
        self._namespaces: dict[str, list[str]] = asked.extras.get("namespaces") or {}
        self._encrypted = bool(asked.extras.get("encrypted"))

    def name(self, prefix: str, index: int) -> str:
        """Return the id of the item at `index` of the output."""
        return f"{prefix}_{self._id}_{index}"

    def is_custom(self, name: str) -> bool:
        """Whether the tool takes one text."""
        return name in self._custom

    def message(self, index: int, text: str | None, *, status: str = "completed") -> JsonObject:
        """Return a message item; without text, one that begins."""
        content = [] if text is None else [self.text(text)]
        identifier = self.name("msg", index)
        return {
            "id": identifier,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    @staticmethod
    def text(text: str) -> JsonObject:
        """Return the text of a message item."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def reasoning(self, index: int, part: ReasoningPart) -> JsonObject:
        """Return a reasoning item; its seal is in it when the client asked for it."""
        summary = [{"type": "summary_text", "text": part.content}] if part.content else []
        item: JsonObject = {"id": self.name("rs", index), "type": "reasoning", "summary": summary}
        return {**item, "encrypted_content": written_seal(part)} if self._encrypted else item

    def call(self, index: int, call: ToolCallPart, *, status: str = "completed") -> JsonObject:
        """Return the item for a tool call; a begun one has no arguments yet."""
        begun = status == "in_progress"
        namespace, name = self._namespaces.get(call.name, [None, call.name])
        if self.is_custom(call.name):
            text = "" if begun else call_input(call)
            item: JsonObject = {
                "id": self.name("ctc", index),
                "type": "custom_tool_call",
                "status": status,
                "call_id": call.id,
                "name": name,
                "input": text,
            }
        else:
            item = {
                "id": self.name("fc", index),
                "type": "function_call",
                "status": status,
                "call_id": call.id,
                "name": name,
                "arguments": "" if begun else call_text(call),
            }
        return {**item, "namespace": namespace} if namespace else item

    def whole(self, index: int, part: Part) -> JsonObject | None:
        """Return the item for a part of an answer; None for one that says nothing."""
        if isinstance(part, TextPart):
            return self.message(index, part.content) if part.content else None
        if isinstance(part, ReasoningPart):
            return self.reasoning(index, part)
        return self.call(index, part) if isinstance(part, ToolCallPart) else None


def response_head(asked: Asked) -> JsonObject:
    """Return what every form of one response has in common."""
    head = {
        "id": f"resp_{asked.id}",
        "object": "response",
        "created_at": asked.created,
        "model": asked.model,
        **_DEFAULTS,
        **asked.extras.get("echo", {}),
        "store": False,  # nothing is kept here, whatever the client asked for
    }
    # Tools can be long, and a stream repeats them three times: they are written once.
    head["tools"] = msgspec.Raw(as_json(head["tools"]))
    return head


def ending(finish_reason: FinishReason, output: list[JsonObject], usage: Usage, *, at: int) -> JsonObject:
    """Return how a response ends: its status, its output and what it used."""
    reason = _INCOMPLETE.get(finish_reason)
    status = "incomplete" if reason else "failed" if finish_reason == "error" else "completed"
    broken = {"code": "server_error", "message": "The answer broke off before its end."}
    return {
        "status": status,
        "completed_at": at if status == "completed" else None,
        "error": broken if status == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": responses_usage(usage),
    }


def failure(error: MosaicError, output: list[JsonObject]) -> JsonObject:
    """Return how a response ends in an error."""
    message = f"{error.message} {error.hint}" if error.hint else error.message
    return {
        "status": "failed",
        "error": {"code": _FAILURES.get(error.code, "server_error"), "message": message},
        "incomplete_details": None,
        "output": output,
    }


def write_responses_response(response: ModelResponse, asked: Asked) -> bytes:
    """Return the whole body."""
    items = Items(asked)
    output: list[JsonObject] = []
    for part in response.message.parts:
        item = items.whole(len(output), part)
        if item is not None:
            output.append(item)
    end = ending(response.finish_reason, output, response.usage, at=asked.created)
    return as_json({**response_head(asked), **end})
