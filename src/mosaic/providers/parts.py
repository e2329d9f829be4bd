"""The parts of a canonical message. `mosaic.providers.ai` describes and re-exports them."""

import json
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject, JsonValue

__all__ = [
    "MALFORMED",
    "BlobPart",
    "Part",
    "ReasoningPart",
    "TextPart",
    "ToolCallPart",
    "ToolCallResponsePart",
    "UriPart",
    "part_from_json",
    "tool_arguments",
]

MALFORMED = "$malformed"
_MALFORMED_LIMIT = 2000

Modality = Literal["image", "audio", "video", "document"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text."""

    content: str
    type: Literal["text"] = field(default="text", init=False)

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        return {"type": "text", "content": self.content}


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What the model thought before it answered.

    Attributes:
        content: the thought as the provider shows it; may be empty.
        signature: the provider's seal; a sealed part must be sent back unchanged.
        redacted: the provider's encrypted form of a thought that it does not show.
    """

    content: str
    signature: str | None = None
    redacted: str | None = None
    type: Literal["reasoning"] = field(default="reasoning", init=False)

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        shown: JsonObject = {"type": "reasoning", "content": self.content}
        if self.signature is not None:
            shown["signature"] = self.signature
        if self.redacted is not None:
            shown["redacted"] = self.redacted
        return shown


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A call the model asks for. `arguments` holds the `$malformed` marker when they were not a JSON object."""

    id: str
    name: str
    arguments: JsonObject
    type: Literal["tool_call"] = field(default="tool_call", init=False)

    @property
    def malformed(self) -> str | None:
        """The arguments as the model wrote them when they could not be read, else None."""
        raw = self.arguments.get(MALFORMED)
        return raw if isinstance(raw, str) else None

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        return {"type": "tool_call", "id": self.id, "name": self.name, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class ToolCallResponsePart:
    """What the tool `name` answered to the call `id`."""

    id: str
    name: str
    response: JsonValue
    is_error: bool = False
    type: Literal["tool_call_response"] = field(default="tool_call_response", init=False)

    @property
    def text(self) -> str:
        """The response as a model reads it: text as it is, anything else as JSON."""
        if isinstance(self.response, str):
            return self.response
        return json.dumps(self.response, ensure_ascii=False)

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        shown: JsonObject = {
            "type": "tool_call_response",
            "id": self.id,
            "name": self.name,
            "response": self.response,
        }
        if self.is_error:
            shown["is_error"] = True
        return shown


@dataclass(frozen=True, slots=True)
class BlobPart:
    """Binary content in the message itself; `content` is base64."""

    modality: Modality
    mime_type: str
    content: str
    type: Literal["blob"] = field(default="blob", init=False)

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        return {
            "type": "blob",
            "modality": self.modality,
            "mime_type": self.mime_type,
            "content": self.content,
        }


@dataclass(frozen=True, slots=True)
class UriPart:
    """Content that the provider fetches from `uri`."""

    modality: Modality
    mime_type: str | None
    uri: str
    type: Literal["uri"] = field(default="uri", init=False)

    def to_json(self) -> JsonObject:
        """Return the part as a JSON object."""
        return {"type": "uri", "modality": self.modality, "mime_type": self.mime_type, "uri": self.uri}


Part: TypeAlias = TextPart | ReasoningPart | ToolCallPart | ToolCallResponsePart | BlobPart | UriPart

_PARTS: dict[str, type[Part]] = {
    "text": TextPart,
    "reasoning": ReasoningPart,
    "tool_call": ToolCallPart,
    "tool_call_response": ToolCallResponsePart,
    "blob": BlobPart,
    "uri": UriPart,
}


def part_from_json(shown: JsonObject) -> Part:
    """Return the part that `to_json` wrote.

    Raises:
        InvalidInput: if `type` names no part or its fields do not fit.
    """
    kind = _PARTS.get(str(shown.get("type")))
    if kind is None:
        raise InvalidInput(f"A message part has the unknown type {shown.get('type')!r}.")
    try:
        return kind(**{key: value for key, value in shown.items() if key != "type"})
    except TypeError as error:
        raise InvalidInput(f"A {shown['type']} part does not have the right fields: {error}.") from error


def tool_arguments(raw: str | JsonObject | None) -> JsonObject:
    """Return a tool call's arguments from what the model wrote; an unreadable text gets the `$malformed` marker.

    An empty text means a call without arguments: several models write it so.
    """
    if isinstance(raw, dict):
        return raw
    text = raw or ""
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return {MALFORMED: text[:_MALFORMED_LIMIT], "$error": f"not JSON: {error}"}
    except RecursionError:
        return {MALFORMED: text[:_MALFORMED_LIMIT], "$error": "not JSON: nested too deeply"}
    if not isinstance(value, dict):
        return {MALFORMED: text[:_MALFORMED_LIMIT], "$error": "JSON, but not an object"}
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
