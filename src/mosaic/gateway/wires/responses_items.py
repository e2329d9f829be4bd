"""One item of a streamed response: how it begins, grows and ends, as events."""

from typing import Any, Protocol

from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import as_json, named_event
from mosaic.gateway.wires.responses_output import Items
from mosaic.gateway.wires.tools import call_input
from mosaic.providers import ReasoningPart, ToolCallPart, tool_arguments

__all__ = ["CallItem", "Events", "OpenItem", "ReasoningItem", "TextItem"]


class Events:
    """Numbers the events of one stream."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def one(self, kind: str, **fields: Any) -> bytes:
        """Return one event."""
        number, self.number = self.number, self.number + 1
        return named_event({"type": kind, "sequence_number": number, **fields})

    def delta(self, frame: tuple[bytes, bytes, bytes], text: str) -> bytes:
        """Return one event of which only the number and the text are new."""
        number, self.number = self.number, self.number + 1
        return b"%b%d%b%b%b" % (frame[0], number, frame[1], as_json(text), frame[2])


def _frame(kind: str, where: JsonObject, after: bytes = b"") -> tuple[bytes, bytes, bytes]:
    """Return what stands before the number, between number and text, and after the text of a delta."""
    before = f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":'.encode()
    return before, b"," + as_json(where)[1:-1] + b',"delta":', after + b"}\n\n"


class OpenItem(Protocol):
    """An item that has begun."""

    kind: str
    index: int

    def add(self, text: str) -> bytes:
        """Return the events for a piece of it."""
        ...

    def end(self) -> tuple[bytes, JsonObject]:
        """Return the events that end it, and the whole item."""
        ...


class TextItem:
    """A message with one text."""

    kind = "text"

    def __init__(self, events: Events, items: Items, *, index: int, place: int) -> None:
        self.index = index
        self._events = events
        self._items = items
        self._place = place
        self._pieces: list[str] = []
        self._where = {"item_id": items.name("msg", place), "output_index": place, "content_index": 0}
        self._frame = _frame("response.output_text.delta", self._where, b',"logprobs":[]')

    def begin(self) -> bytes:
        """Return the events that begin it."""
        item = self._items.message(self._place, None, status="in_progress")
        return self._events.one(
            "response.output_item.added", output_index=self._place, item=item
        ) + self._events.one("response.content_part.added", **self._where, part=self._items.text(""))

    def add(self, text: str) -> bytes:
        """Return the event for a piece of the text."""
        self._pieces.append(text)
        return self._events.delta(self._frame, text) if text else b""

    def end(self) -> tuple[bytes, JsonObject]:
        """Return the events that end it, and the whole item."""
        text = "".join(self._pieces)
        item = self._items.message(self._place, text)
        one = self._events.one
        written = one("response.output_text.done", **self._where, text=text, logprobs=[])
        written += one("response.content_part.done", **self._where, part=self._items.text(text))
        return written + one("response.output_item.done", output_index=self._place, item=item), item


class ReasoningItem:
    """Thoughts, with a summary when there is text to show."""

    kind = "reasoning"

    def __init__(self, events: Events, items: Items, *, index: int, place: int) -> None:
        self.index = index
        self.part: ReasoningPart | None = None
        self._events = events
        self._items = items
        self._place = place
        self._pieces: list[str] = []
        self._where = {"item_id": items.name("rs", place), "output_index": place, "summary_index": 0}
        self._frame = _frame("response.reasoning_summary_text.delta", self._where)

    def begin(self) -> bytes:
        """Return the event that begins it."""
        item = self._items.reasoning(self._place, ReasoningPart(""))
        return self._events.one("response.output_item.added", output_index=self._place, item=item)

    def add(self, text: str) -> bytes:
        """Return the events for a piece of the thoughts."""
        if not text:
            return b""
        written = b""
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            written = self._events.one("response.reasoning_summary_part.added", **self._where, part=part)
        self._pieces.append(text)
        return written + self._events.delta(self._frame, text)

    def seal(self, signature: str | None, redacted: str | None = None) -> None:
        """Note what seals these thoughts."""
        if signature or redacted:
            self.part = ReasoningPart("", signature=signature, redacted=redacted)

    def end(self) -> tuple[bytes, JsonObject]:
        """Return the events that end it, and the whole item."""
        text = "".join(self._pieces)
        seal = self.part or ReasoningPart("")
        part = ReasoningPart(text, signature=seal.signature, redacted=seal.redacted)
        item = self._items.reasoning(self._place, part)
        one, written = self._events.one, b""
        if text:
            summary = {"type": "summary_text", "text": text}
            written = one("response.reasoning_summary_text.done", **self._where, text=text)
            written += one("response.reasoning_summary_part.done", **self._where, part=summary)
        return written + one("response.output_item.done", output_index=self._place, item=item), item


class CallItem:
    """A tool call. The input of a custom tool stands inside JSON, so it is shown only when the call is whole."""

    kind = "tool_call"

    def __init__(self, events: Events, items: Items, call: ToolCallPart, *, index: int, place: int) -> None:
        self.index = index
        self._events = events
        self._items = items
        self._call = call
        self._place = place
        self._pieces: list[str] = []
        self._custom = items.is_custom(call.name)
        prefix = "ctc" if self._custom else "fc"
        self._where = {"item_id": items.name(prefix, place), "output_index": place}
        self._frame = _frame("response.function_call_arguments.delta", self._where)

    def begin(self) -> bytes:
        """Return the event that begins it."""
        item = self._items.call(self._place, self._call, status="in_progress")
        return self._events.one("response.output_item.added", output_index=self._place, item=item)

    def add(self, text: str) -> bytes:
        """Return the event for a piece of the arguments."""
        self._pieces.append(text)
        return b"" if self._custom or not text else self._events.delta(self._frame, text)

    def end(self) -> tuple[bytes, JsonObject]:
        """Return the events that end it, and the whole item."""
        text = "".join(self._pieces)
        call = ToolCallPart(self._call.id, self._call.name, tool_arguments(text))
        item = self._items.call(self._place, call)
        one = self._events.one
        if self._custom:
            given = call_input(call)
            written = one("response.custom_tool_call_input.delta", **self._where, delta=given)
            written += one("response.custom_tool_call_input.done", **self._where, input=given)
        else:
            written = b"" if text else self._events.delta(self._frame, "{}")
            item["arguments"] = text or "{}"
            said = {"name": item["name"], "arguments": item["arguments"]}
            written += one("response.function_call_arguments.done", **self._where, **said)
        return written + one("response.output_item.done", output_index=self._place, item=item), item
