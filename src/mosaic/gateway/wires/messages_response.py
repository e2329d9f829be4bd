"""The answer of POST /v1/messages: whole, and as events."""

from typing import Any

from mosaic.core.errors import ModelRefused, MosaicError
from mosaic.gateway.wires.encoding import as_json, named_event
from mosaic.gateway.wires.faults import anthropic_fault, declined
from mosaic.gateway.wires.progress import Progress
from mosaic.gateway.wires.schemas import Asked
from mosaic.gateway.wires.usage import messages_usage
from mosaic.providers import Delta, ModelResponse, Part, ReasoningPart, TextPart, ToolCallPart, Usage

__all__ = ["MessagesWriter", "write_count", "write_messages_response"]

_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "content_filter": "refusal",
    # There is no word for an answer that broke off; that it is not whole is what a client has to know.
    "error": "max_tokens",
}
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_FIELDS = {"text": ("text_delta", "text"), "reasoning": ("thinking_delta", "thinking")}


def write_messages_response(response: ModelResponse, asked: Asked) -> bytes:
    """Return the whole body. Thoughts are in it when the client asked for thinking."""
    thinks = bool(asked.extras.get("thinking"))
    blocks = [
        _block(part) for part in response.message.parts if thinks or not isinstance(part, ReasoningPart)
    ]
    shown = _message(asked, response.usage)
    shown["content"] = [block for block in blocks if block is not None]
    shown["stop_reason"] = _STOP[response.finish_reason]
    return as_json(shown)


def write_count(input_tokens: int, asked: Asked) -> bytes:
    """Return the body that answers a request to count tokens."""
    del asked  # the answer is the number alone
    return as_json({"input_tokens": input_tokens})


def _message(asked: Asked, usage: Usage) -> dict[str, Any]:
    return {
        "id": f"msg_{asked.id}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": messages_usage(usage),
    }


def _block(part: Part) -> dict[str, Any] | None:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content, "citations": None} if part.content else None
    if isinstance(part, ReasoningPart):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.content, "signature": part.signature or ""}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    return None


class MessagesWriter:
    """Writes the events of one streamed message: one content block after the other."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._thinks = bool(asked.extras.get("thinking"))
        self._progress = Progress()
        self._open: tuple[str, int] | None = None
        self._blocks = 0
        self._calls: dict[int, int] = {}
        self._sealed = False
        self._head = b""

    def start(self) -> bytes:
        """Return the event that names the message; what was read is told at its end."""
        return named_event({"type": "message_start", "message": _message(self._asked, Usage())})

    def feed(self, delta: Delta) -> bytes:
        """Return the events for one piece; nothing for thoughts that were not asked for."""
        if delta.kind == "tool_call":
            return self._call(delta)
        if delta.kind == "reasoning" and not self._thinks:
            return b""
        if not delta.text and not delta.id:
            return b""
        if delta.kind == "text":
            self._progress.text += len(delta.text)
        else:
            self._progress.reasoning += len(delta.text)
        return self._piece(delta.kind, delta.index, delta.text, seal=delta.id)

    def finish(self, response: ModelResponse) -> bytes:
        """Return what no delta brought, then the stop reason, the usage and the end."""
        return self._missing(response) + self._end(response)

    def fail(self, error: MosaicError) -> bytes:
        """Return the event that ends the stream in an error; a refusal is an answer and ends as one."""
        if isinstance(error, ModelRefused):
            return self.finish(declined(error))
        return named_event({"type": "error", "error": anthropic_fault(error)})

    def _call(self, delta: Delta) -> bytes:
        written = b""
        if self._progress.begins(delta):
            written = self._begin_call(delta.index, delta.id or "", delta.name or "")
        if self._progress.goes_on(delta):
            written += self._arguments(delta.index, delta.text)
        return written

    def _piece(self, kind: str, index: int, text: str, *, seal: str | None = None) -> bytes:
        written = b""
        if self._open != (kind, index):
            empty: dict[str, Any] = {"type": "text", "text": "", "citations": None}
            if kind == "reasoning":
                empty = {"type": "thinking", "thinking": "", "signature": ""}
            written = self._begin(kind, index, empty)
        if text:
            name, member = _FIELDS[kind]
            written += self._head + b'{"type":"%b","%b":' % (name.encode(), member.encode())
            written += as_json(text) + b"}}\n\n"
        if seal and kind == "reasoning":
            self._sealed = True
            written += self._head + as_json({"type": "signature_delta", "signature": seal}) + b"}\n\n"
        return written

    def _begin_call(self, index: int, identifier: str, name: str) -> bytes:
        block = {"type": "tool_use", "id": identifier, "name": name, "input": {}}
        written = self._begin("tool_call", index, block)
        self._calls[index] = self._blocks - 1
        return written

    def _arguments(self, index: int, text: str) -> bytes:
        head = _DELTA % self._calls[index]
        return head + b'{"type":"input_json_delta","partial_json":' + as_json(text) + b"}}\n\n"

    def _begin(self, kind: str, index: int, block: dict[str, Any]) -> bytes:
        written = self._stop()
        self._open, self._sealed = (kind, index), False
        self._head = _DELTA % self._blocks
        written += named_event({"type": "content_block_start", "index": self._blocks, "content_block": block})
        self._blocks += 1
        return written

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return named_event({"type": "content_block_stop", "index": self._blocks - 1})

    def _missing(self, response: ModelResponse) -> bytes:
        """Return the blocks that no delta brought. Thoughts can come first only: nothing may stand before them."""
        written = b""
        thoughts = (
            [part for part in response.message.parts if isinstance(part, ReasoningPart)]
            if self._thinks
            else []
        )
        if not self._blocks:
            for index, part in enumerate(thoughts):
                written += self._thought(part, -1 - index)
        elif self._open is not None and self._open[0] == "reasoning" and thoughts and not self._sealed:
            left = self._progress.reasoning_left(response)
            written += self._piece("reasoning", self._open[1], left, seal=thoughts[-1].signature)
        text = self._progress.text_left(response)
        if text:
            index = self._open[1] if self._open is not None and self._open[0] == "text" else -1
            written += self._piece("text", index, text)
        for index, call in self._progress.bare_calls(response):
            if not call.arguments:  # no piece at all means none
                continue
            written += self._arguments(index, as_json(call.arguments).decode())
        for index, call in enumerate(self._progress.calls_left(response)):
            written += self._begin_call(-1 - index, call.id, call.name)
            written += self._arguments(-1 - index, as_json(call.arguments).decode())
        return written

    def _thought(self, part: ReasoningPart, index: int) -> bytes:
        if part.redacted is not None:
            return self._begin("redacted", index, {"type": "redacted_thinking", "data": part.redacted})
        return self._piece("reasoning", index, part.content, seal=part.signature)

    def _end(self, response: ModelResponse) -> bytes:
        delta = {"stop_reason": _STOP[response.finish_reason], "stop_sequence": None}
        return (
            self._stop()
            + named_event({"type": "message_delta", "delta": delta, "usage": messages_usage(response.usage)})
            + named_event({"type": "message_stop"})
        )
