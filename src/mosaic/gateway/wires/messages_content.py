"""The conversation of an Anthropic message."""

import base64
from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import choice, flag, media, object_at, optional_text, sequence, text_at
from mosaic.providers import (
    BlobPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)

__all__ = ["read_conversation", "read_system"]

_ROLES = ("user", "assistant", "system")
# A line that Claude Code sends for Anthropic's accounts; it says nothing to a model and changes with every request.
_BILLING = "x-anthropic-billing-header:"


def read_system(value: Any) -> tuple[Message, ...]:
    """Return the system prompt: one message for each of its blocks.

    Raises:
        InvalidInput: with the path of what is wrong.
    """
    if isinstance(value, str):
        return (Message.of("system", value),) if value else ()
    written = []
    for index, item in enumerate(sequence(value, "system")):
        block = object_at(item, f"system[{index}]")
        choice(block.get("type"), f"system[{index}].type", ("text",))
        written.append(text_at(block.get("text"), f"system[{index}].text"))
    return tuple(Message.of("system", text) for text in written if text and not text.startswith(_BILLING))


def read_conversation(value: Any, dropped: list[str]) -> tuple[Message, ...]:
    """Return the messages; a user's tool results are a message of their own, before what else the user says.

    Args:
        value: the list of messages.
        dropped: gets the types of blocks that only Anthropic can read.

    Raises:
        InvalidInput: with the path of what is wrong.
        Unsupported: for files that only Anthropic stores.
    """
    shown = sequence(value, "messages")
    if not shown:
        raise invalid("messages", "Expected at least one message.")
    conversation = _Conversation(dropped)
    for index, item in enumerate(shown):
        conversation.add(object_at(item, f"messages[{index}]"), f"messages[{index}]")
    return tuple(conversation.messages)


class _Conversation:
    """Reads message after message; knows the calls that results answer."""

    def __init__(self, dropped: list[str]) -> None:
        self.messages: list[Message] = []
        self._calls: dict[str, str] = {}
        self._dropped = dropped

    def add(self, message: JsonObject, path: str) -> None:
        role: Any = choice(message.get("role"), f"{path}.role", _ROLES)
        content = message.get("content")
        if isinstance(content, str):
            if content:
                self.messages.append(Message.of(role, content))
            return
        if content is None:
            raise invalid(f"{path}.content", "This member is missing.")
        results: list[Part] = []
        parts: list[Part] = []
        for index, item in enumerate(sequence(content, f"{path}.content")):
            where = f"{path}.content[{index}]"
            block = object_at(item, where)
            if block.get("type") == "tool_result":
                results += self._result(block, where)
            else:
                parts += self._block(block, where)
        if results:
            self.messages.append(Message("tool", tuple(results)))
        if parts:
            self.messages.append(Message(role, tuple(parts)))

    def _result(self, block: JsonObject, path: str) -> list[Part]:
        identifier = text_at(block.get("tool_use_id"), f"{path}.tool_use_id")
        failed = flag(block.get("is_error"), f"{path}.is_error") or False
        content = block.get("content")
        texts: list[str] = []
        rest: list[Part] = []
        if isinstance(content, str):
            texts.append(content)
        else:
            for index, item in enumerate(sequence(content, f"{path}.content")):
                where = f"{path}.content[{index}]"
                inner = object_at(item, where)
                reader = _READERS.get(text_at(inner.get("type"), f"{where}.type"))
                found = [_as_text(inner)] if reader is None else reader(inner, where)
                texts += [part.content for part in found if isinstance(part, TextPart)]
                rest += [part for part in found if not isinstance(part, TextPart)]
        name = self._calls.get(identifier, "")
        return [ToolCallResponsePart(identifier, name, "\n".join(texts), is_error=failed), *rest]

    def _block(self, block: JsonObject, path: str) -> list[Part]:
        kind = text_at(block.get("type"), f"{path}.type")
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(block, path)
        if kind == "tool_use":
            call = ToolCallPart(
                text_at(block.get("id"), f"{path}.id"),
                text_at(block.get("name"), f"{path}.name"),
                object_at(block.get("input", {}), f"{path}.input"),
            )
            self._calls[call.id] = call.name
            return [call]
        # What Anthropic's own tools leave behind; another provider could not read it.
        self._dropped.append(kind[:80])
        return []


def _as_text(block: JsonObject) -> TextPart:
    return TextPart(as_json({key: value for key, value in block.items() if key != "cache_control"}).decode())


def _text(block: JsonObject, path: str) -> list[Part]:
    text = text_at(block.get("text"), f"{path}.text")
    return [TextPart(text)] if text else []


def _thinking(block: JsonObject, path: str) -> list[Part]:
    thought = text_at(block.get("thinking"), f"{path}.thinking")
    signature = optional_text(block.get("signature"), f"{path}.signature")
    return [ReasoningPart(thought, signature=signature or None)]


def _redacted(block: JsonObject, path: str) -> list[Part]:
    return [ReasoningPart("", redacted=text_at(block.get("data"), f"{path}.data"))]


def _image(block: JsonObject, path: str) -> list[Part]:
    where = f"{path}.source"
    source = object_at(block.get("source"), where)
    kind = choice(source.get("type"), f"{where}.type", ("base64", "url", "file"))
    if kind == "file":
        raise _stored(where)
    if kind == "url":
        return [media("image", text_at(source.get("url"), f"{where}.url"), f"{where}.url")]
    return [_blob("image", source, where)]


def _document(block: JsonObject, path: str) -> list[Part]:
    where = f"{path}.source"
    source = object_at(block.get("source"), where)
    kind = choice(source.get("type"), f"{where}.type", ("base64", "text", "content", "url", "file"))
    if kind == "file":
        raise _stored(where)
    if kind == "url":
        address = text_at(source.get("url"), f"{where}.url")
        return [media("document", address, f"{where}.url", mime_type="application/pdf")]
    if kind == "base64":
        return [_blob("document", source, where)]
    if kind == "text":
        data = text_at(source.get("data"), f"{where}.data").encode()
        return [BlobPart("document", "text/plain", base64.b64encode(data).decode())]
    content = source.get("content")
    return [TextPart(content)] if isinstance(content, str) else _inner(content, f"{where}.content")


def _search_result(block: JsonObject, path: str) -> list[Part]:
    title = text_at(block.get("title"), f"{path}.title")
    source = text_at(block.get("source"), f"{path}.source")
    return [TextPart(f"{title}\n{source}"), *_inner(block.get("content"), f"{path}.content")]


def _inner(value: Any, path: str) -> list[Part]:
    parts: list[Part] = []
    for index, item in enumerate(sequence(value, path)):
        where = f"{path}[{index}]"
        block = object_at(item, where)
        kind = choice(block.get("type"), f"{where}.type", ("text", "image"))
        parts += (_text if kind == "text" else _image)(block, where)
    return parts


def _blob(modality: Any, source: JsonObject, path: str) -> BlobPart:
    mime_type = text_at(source.get("media_type"), f"{path}.media_type")
    return BlobPart(modality, mime_type, text_at(source.get("data"), f"{path}.data"))


def _stored(path: str) -> Unsupported:
    return Unsupported(
        f"{path}: Only the provider that stores a file can read it.", hint="Send the file itself as base64."
    )


_READERS = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
}
