"""The conversation of a chat completion."""

from typing import Any, cast

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import arguments, choice, media, object_at, optional_text, sequence, text_at
from mosaic.gateway.wires.tools import FREE_INPUT
from mosaic.providers import (
    BlobPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

__all__ = ["audio_part", "file_part", "read_messages"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_messages(value: Any) -> tuple[Message, ...]:
    """Return the messages; results that follow each other are one message.

    Raises:
        InvalidInput: with the path of what is wrong.
        Unsupported: for content that only OpenAI stores.
    """
    shown = sequence(value, "messages")
    if not shown:
        raise invalid("messages", "Expected at least one message.")
    calls: dict[str, str] = {}
    messages: list[Message] = []
    for index, item in enumerate(shown):
        path = f"messages[{index}]"
        message = object_at(item, path)
        role = choice(message.get("role"), f"{path}.role", _ROLES)
        if role == "tool":
            _add_result(messages, _result(message, path, calls))
            continue
        parts = _assistant(message, path, calls) if role == "assistant" else _content(message, path)
        if parts:
            kind: Any = "system" if role == "developer" else role
            messages.append(Message(kind, tuple(parts)))
    return tuple(messages)


def _add_result(messages: list[Message], parts: list[Part]) -> None:
    if messages and messages[-1].role == "tool":
        messages[-1] = Message("tool", (*messages[-1].parts, *parts))
    else:
        messages.append(Message("tool", tuple(parts)))


def _result(message: JsonObject, path: str, calls: dict[str, str]) -> list[Part]:
    identifier = text_at(message.get("tool_call_id"), f"{path}.tool_call_id")
    parts = _content(message, path)
    text = "".join(part.content for part in parts if isinstance(part, TextPart))
    rest = [part for part in parts if not isinstance(part, TextPart)]
    return [ToolCallResponsePart(identifier, calls.get(identifier, ""), text), *rest]


def _assistant(message: JsonObject, path: str, calls: dict[str, str]) -> list[Part]:
    if message.get("audio") is not None:
        raise Unsupported(f"{path}.audio: Only the provider that spoke this answer can hear it again.")
    parts: list[Part] = []
    thought = message.get("reasoning_content")
    thought = message.get("reasoning") if thought is None else thought
    if isinstance(thought, str) and thought:
        parts.append(ReasoningPart(thought))
    parts += _content(message, path)
    refusal = optional_text(message.get("refusal"), f"{path}.refusal")
    if refusal:
        parts.append(TextPart(refusal))
    for index, item in enumerate(sequence(message.get("tool_calls"), f"{path}.tool_calls")):
        call = _call(item, f"{path}.tool_calls[{index}]")
        calls[call.id] = call.name
        parts.append(call)
    return parts


def _call(item: Any, path: str) -> ToolCallPart:
    call = object_at(item, path)
    kind = choice(call.get("type", "function"), f"{path}.type", ("function", "custom"))
    identifier = text_at(call.get("id"), f"{path}.id")
    inner = object_at(call.get(kind), f"{path}.{kind}")
    name = text_at(inner.get("name"), f"{path}.{kind}.name")
    if kind == "custom":
        given = text_at(inner.get("input"), f"{path}.custom.input")
        return ToolCallPart(identifier, name, {FREE_INPUT: given})
    return ToolCallPart(identifier, name, arguments(inner.get("arguments"), f"{path}.function.arguments"))


def _content(message: JsonObject, path: str) -> list[Part]:
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    shown = sequence(content, f"{path}.content")
    return [_part(item, f"{path}.content[{index}]") for index, item in enumerate(shown)]


def _part(item: Any, path: str) -> Part:
    part = object_at(item, path)
    known = ("text", "refusal", "image_url", "input_audio", "file")
    kind = choice(part.get("type"), f"{path}.type", known)
    if kind in ("text", "refusal"):
        return TextPart(text_at(part.get(kind), f"{path}.{kind}"))
    inner = object_at(part.get(kind), f"{path}.{kind}")
    if kind == "image_url":
        return media("image", text_at(inner.get("url"), f"{path}.image_url.url"), f"{path}.image_url.url")
    if kind == "input_audio":
        return audio_part(inner, f"{path}.input_audio")
    return file_part(inner, f"{path}.file")


def audio_part(shown: JsonObject, path: str) -> BlobPart:
    """Return the sound that an `input_audio` part holds."""
    form = choice(shown.get("format"), f"{path}.format", tuple(_SOUNDS))
    return BlobPart("audio", _SOUNDS[form], text_at(shown.get("data"), f"{path}.data"))


def file_part(shown: JsonObject, path: str) -> BlobPart | UriPart:
    """Return the document that a file part holds or points to.

    Raises:
        Unsupported: if it names a file that only OpenAI stores.
    """
    address = shown.get("file_url")
    if address is not None:
        return media("document", text_at(address, f"{path}.file_url"), f"{path}.file_url")
    data = shown.get("file_data")
    if data is None:
        if shown.get("file_id") is not None:
            raise Unsupported(
                f"{path}.file_id: Only the provider that stores a file can read it.",
                hint="Send the file itself in `file_data`.",
            )
        raise invalid(f"{path}.file_data", "This member is missing.")
    data = text_at(data, f"{path}.file_data")
    if not data.startswith("data:"):
        return BlobPart("document", "application/pdf", data)
    return cast("BlobPart", media("document", data, f"{path}.file_data"))
