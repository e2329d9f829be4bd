"""The answer of POST /v1/chat/completions."""

from typing import Any

from mosaic.core.errors import ModelRefused, MosaicError
from mosaic.gateway.wires.encoding import as_json, event
from mosaic.gateway.wires.faults import declined, openai_fault
from mosaic.gateway.wires.progress import Progress
from mosaic.gateway.wires.schemas import Asked
from mosaic.gateway.wires.tools import call_input, call_text
from mosaic.gateway.wires.usage import chat_usage
from mosaic.providers import Delta, ModelResponse, ReasoningPart, ToolCallPart

__all__ = ["ChatWriter", "write_chat_response"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    # There is no word for an answer that broke off; that it is not whole is what a client has to know.
    "error": "length",
}
_DONE = b"data: [DONE]\n\n"


def write_chat_response(response: ModelResponse, asked: Asked) -> bytes:
    """Return the whole body."""
    message: dict[str, Any] = {"role": "assistant", "content": response.message.text or None, "refusal": None}
    thought = "".join(part.content for part in response.message.parts if isinstance(part, ReasoningPart))
    if thought:
        message["reasoning_content"] = thought
    calls = response.message.tool_calls
    if calls:
        custom = asked.extras.get("custom_tools", ())
        message["tool_calls"] = [_call(call, custom) for call in calls]
    elif message["content"] is None:
        message["content"] = ""
    return as_json(
        {
            "id": f"chatcmpl-{asked.id}",
            "object": "chat.completion",
            "created": asked.created,
            "model": asked.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": _FINISH[response.finish_reason],
                }
            ],
            "usage": chat_usage(response.usage),
        }
    )


def _call(call: ToolCallPart, custom: Any) -> dict[str, Any]:
    if call.name in custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call_input(call)}}
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call_text(call)},
    }


class ChatWriter:
    """Writes the chunks of one streamed completion."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._custom = frozenset(asked.extras.get("custom_tools", ()))
        self._progress = Progress()
        self._slots: dict[int, int] = {}
        self._usage = bool(asked.extras.get("include_usage"))
        head = {
            "id": f"chatcmpl-{asked.id}",
            "object": "chat.completion.chunk",
            "created": asked.created,
            "model": asked.model,
        }
        # Every chunk differs only in what stands between these two.
        self._before = b"data: " + as_json(head)[:-1] + b',"choices":[{"index":0,"delta":'
        tail = b',"logprobs":null,"finish_reason":null}]'
        self._after = tail + (b',"usage":null}\n\n' if self._usage else b"}\n\n")
        self._head = head

    def start(self) -> bytes:
        """Return the chunk that names the role."""
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def feed(self, delta: Delta) -> bytes:
        """Return the chunk for one piece; nothing for a call that has not said its name."""
        if delta.kind == "text":
            self._progress.text += len(delta.text)
            return self._text(delta.text)
        if delta.kind == "reasoning":
            self._progress.reasoning += len(delta.text)
            return self._reasoning(delta.text)
        # A custom tool's input stands inside JSON; it can be shown only when the call is whole.
        if delta.name in self._custom:
            return b""
        written = b""
        if self._progress.begins(delta):
            written = self._begin(delta.index, delta.id or "", delta.name or "")
        if self._progress.goes_on(delta):
            written += self._arguments(delta.index, delta.text)
        return written

    def finish(self, response: ModelResponse) -> bytes:
        """Return what no delta brought, the finish reason, the usage when it was asked for, and the end."""
        progress = self._progress
        written = self._reasoning(progress.reasoning_left(response)) + self._text(
            progress.text_left(response)
        )
        for index, call in progress.bare_calls(response):
            written += self._arguments(index, call_text(call))
        for call in progress.calls_left(response):
            written += self._whole_call(call)
        written += event({**self._head, "choices": [self._last(response)], **self._null_usage()})
        if self._usage:
            written += event({**self._head, "choices": [], "usage": chat_usage(response.usage)})
        return written + _DONE

    def fail(self, error: MosaicError) -> bytes:
        """Return the event that ends the stream in an error; a refusal is an answer and ends as one."""
        if isinstance(error, ModelRefused):
            return self.finish(declined(error))
        return event({"error": openai_fault(error)})

    def _last(self, response: ModelResponse) -> dict[str, Any]:
        reason = _FINISH[response.finish_reason]
        return {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}

    def _null_usage(self) -> dict[str, Any]:
        return {"usage": None} if self._usage else {}

    def _chunk(self, delta: bytes) -> bytes:
        return self._before + delta + self._after

    def _text(self, text: str) -> bytes:
        return self._chunk(b'{"content":' + as_json(text) + b"}") if text else b""

    def _reasoning(self, text: str) -> bytes:
        return self._chunk(b'{"reasoning_content":' + as_json(text) + b"}") if text else b""

    def _slot(self, index: int) -> int:
        return self._slots.setdefault(index, len(self._slots))

    def _begin(self, index: int, identifier: str, name: str) -> bytes:
        function = {"name": name, "arguments": ""}
        call = {"index": self._slot(index), "id": identifier, "type": "function", "function": function}
        return self._chunk(as_json({"tool_calls": [call]}))

    def _arguments(self, index: int, text: str) -> bytes:
        call = {"index": self._slot(index), "function": {"arguments": text}}
        return self._chunk(as_json({"tool_calls": [call]}))

    def _whole_call(self, call: ToolCallPart) -> bytes:
        slot = len(self._slots)
        self._slots[-1 - slot] = slot  # deltas count from 0, so this index is nobody's
        return self._chunk(as_json({"tool_calls": [{"index": slot, **_call(call, self._custom)}]}))
