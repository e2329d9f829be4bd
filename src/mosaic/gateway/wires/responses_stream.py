"""The events of a streamed response: one item after the other, every event with its number."""

from mosaic.core.errors import ModelRefused, MosaicError
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.faults import declined
from mosaic.gateway.wires.progress import Progress
from mosaic.gateway.wires.reading import seconds
from mosaic.gateway.wires.responses_items import CallItem, Events, OpenItem, ReasoningItem, TextItem
from mosaic.gateway.wires.responses_output import Items, ending, failure, response_head
from mosaic.gateway.wires.schemas import Asked
from mosaic.gateway.wires.tools import call_text
from mosaic.providers import Delta, ModelResponse, ReasoningPart, ToolCallPart

__all__ = ["ResponsesWriter"]


class ResponsesWriter:
    """Writes the events of one streamed response."""

    def __init__(self, asked: Asked) -> None:
        self._items = Items(asked)
        self._head = response_head(asked)
        self._progress = Progress()
        self._events = Events()
        self._open: OpenItem | None = None
        self._output: list[JsonObject] = []

    def start(self) -> bytes:
        """Return the events that say that the response was made and is being written."""
        begun = {"status": "in_progress", "completed_at": None, "error": None, "incomplete_details": None}
        response = {**self._head, **begun, "output": []}
        one = self._events.one
        return one("response.created", response=response) + one("response.in_progress", response=response)

    def feed(self, delta: Delta) -> bytes:
        """Return the events for one piece; nothing for a call that has not said its name."""
        if delta.kind == "text":
            self._progress.text += len(delta.text)
            return self._text(delta.index, delta.text) if delta.text else b""
        if delta.kind == "reasoning":
            self._progress.reasoning += len(delta.text)
            return (
                self._thought(delta.index, delta.text, signature=delta.id) if delta.text or delta.id else b""
            )
        written = b""
        if self._progress.begins(delta):
            written = self._begin_call(delta.index, ToolCallPart(delta.id or "", delta.name or "", {}))
        if self._progress.goes_on(delta) and self._is_open("tool_call", delta.index):
            written += self._add(delta.text)
        return written

    def finish(self, response: ModelResponse) -> bytes:
        """Return what no delta brought, then the whole response."""
        written = self._missing(response) + self._close()
        end = ending(response.finish_reason, self._output, response.usage, at=seconds())
        return written + self._events.one(f"response.{end['status']}", response={**self._head, **end})

    def fail(self, error: MosaicError) -> bytes:
        """Return the event that ends the stream in an error; a refusal is an answer and ends as one."""
        written = b"" if self._events.number else self.start()
        if isinstance(error, ModelRefused):
            return written + self.finish(declined(error))
        end = failure(error, self._output)
        return written + self._events.one("response.failed", response={**self._head, **end})

    def _is_open(self, kind: str, index: int) -> bool:
        return self._open is not None and self._open.kind == kind and self._open.index == index

    def _add(self, text: str) -> bytes:
        return self._open.add(text) if self._open is not None else b""

    def _text(self, index: int, text: str) -> bytes:
        written = b""
        if not self._is_open("text", index):
            written = self._close()
            item = TextItem(self._events, self._items, index=index, place=len(self._output))
            self._open = item
            written += item.begin()
        return written + self._add(text)

    def _thought(
        self, index: int, text: str, *, signature: str | None = None, redacted: str | None = None
    ) -> bytes:
        written = b""
        if not self._is_open("reasoning", index):
            written = self._close()
            item = ReasoningItem(self._events, self._items, index=index, place=len(self._output))
            self._open = item
            written += item.begin()
        if isinstance(self._open, ReasoningItem):
            self._open.seal(signature, redacted)
        return written + self._add(text)

    def _begin_call(self, index: int, call: ToolCallPart) -> bytes:
        written = self._close()
        item = CallItem(self._events, self._items, call, index=index, place=len(self._output))
        self._open = item
        return written + item.begin()

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        written, item = self._open.end()
        self._open = None
        self._output.append(item)
        return written

    def _missing(self, response: ModelResponse) -> bytes:
        """Return the items that no delta brought. Thoughts can come first only: nothing may stand before them."""
        written = b""
        thoughts = [part for part in response.message.parts if isinstance(part, ReasoningPart)]
        if self._open is None and not self._output:
            for index, part in enumerate(thoughts):
                written += self._thought(
                    -1 - index, part.content, signature=part.signature, redacted=part.redacted
                )
        elif isinstance(self._open, ReasoningItem) and thoughts:
            left, last = self._progress.reasoning_left(response), thoughts[-1]
            signature = None if self._open.part else last.signature
            written += self._thought(self._open.index, left, signature=signature, redacted=last.redacted)
        text = self._progress.text_left(response)
        if text:
            index = self._open.index if isinstance(self._open, TextItem) else -1
            written += self._text(index, text)
        for index, call in self._progress.bare_calls(response):
            written += self._add(call_text(call)) if self._is_open("tool_call", index) else b""
        for index, call in enumerate(self._progress.calls_left(response)):
            written += self._begin_call(-1 - index, call) + self._add(call_text(call))
        return written
