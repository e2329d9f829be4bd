"""The input of a request for a response: items, one after the other, as a conversation."""

from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.chat_messages import audio_part, file_part
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import arguments, choice, media, object_at, optional_text, sequence, text_at
from mosaic.gateway.wires.responses_tools import Toolbox, flat_name
from mosaic.gateway.wires.seals import read_seal
from mosaic.gateway.wires.tools import FREE_INPUT
from mosaic.providers import Message, Part, Role, TextPart, ToolCallPart, ToolCallResponsePart

__all__ = ["read_input"]

_ROLES = ("user", "assistant", "system", "developer")
_STORED = ("item_reference", "compaction", "compaction_trigger")
_TEXTS = ("input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text")


def read_input(value: Any, tools: Toolbox, dropped: list[str]) -> tuple[Message, ...]:
    """Return the conversation.

    Args:
        value: a text, or a list of items.
        tools: gets the tools that an item brings.
        dropped: gets the types of items that only OpenAI can read.

    Raises:
        InvalidInput: with the path of what is wrong.
        Unsupported: for items that only OpenAI keeps.
    """
    if isinstance(value, str):
        return (Message.of("user", value),)
    shown = sequence(value, "input")
    if not shown:
        raise invalid("input", "Expected a text or at least one item.")
    conversation = _Conversation(tools, dropped)
    for index, item in enumerate(shown):
        conversation.add(object_at(item, f"input[{index}]"), f"input[{index}]")
    return tuple(Message(role, tuple(parts)) for role, parts in conversation.turns)


class _Conversation:
    """Reads item after item; what the model said between two turns is one message."""

    def __init__(self, tools: Toolbox, dropped: list[str]) -> None:
        self.turns: list[tuple[Role, list[Part]]] = []
        self._calls: dict[str, str] = {}
        self._tools = tools
        self._dropped = dropped
        self._readers = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._call,
            "custom_tool_call": self._call,
            "function_call_output": self._result,
            "custom_tool_call_output": self._result,
        }

    def add(self, item: JsonObject, path: str) -> None:
        kind = optional_text(item.get("type"), f"{path}.type")
        if kind is None:
            kind = "message" if "role" in item else "item_reference"
        reader = self._readers.get(kind)
        if reader is not None:
            reader(item, path)
        elif kind == "additional_tools":
            self._tools.read(item.get("tools"), f"{path}.tools")
        elif kind in _STORED:
            raise Unsupported(
                f"{path}: Only OpenAI can read an item of the type {kind!r}.",
                hint="Send the conversation itself, or use a route that leads to OpenAI.",
            )
        else:
            self._dropped.append(kind[:80])

    def _put(self, role: Role, parts: list[Part]) -> None:
        if not parts:
            return
        joined = role in ("assistant", "tool") and self.turns and self.turns[-1][0] == role
        if joined:
            self.turns[-1][1].extend(parts)
        else:
            self.turns.append((role, parts))

    def _message(self, item: JsonObject, path: str) -> None:
        role: Any = choice(item.get("role"), f"{path}.role", _ROLES)
        self._put("system" if role == "developer" else role, _content(item.get("content"), f"{path}.content"))

    def _reasoning(self, item: JsonObject, path: str) -> None:
        shown = [
            text_at(object_at(piece, f"{path}.{name}[{index}]").get("text"), f"{path}.{name}[{index}].text")
            for name in ("summary", "content")
            for index, piece in enumerate(sequence(item.get(name), f"{path}.{name}"))
        ]
        encrypted = optional_text(item.get("encrypted_content"), f"{path}.encrypted_content")
        identifier = optional_text(item.get("id"), f"{path}.id") or ""
        part = read_seal("\n\n".join(shown), identifier, encrypted)
        self._put("assistant", [] if part is None else [part])

    def _call(self, item: JsonObject, path: str) -> None:
        identifier = text_at(item.get("call_id"), f"{path}.call_id")
        namespace = optional_text(item.get("namespace"), f"{path}.namespace")
        name = flat_name(namespace, text_at(item.get("name"), f"{path}.name"))
        if item["type"] == "custom_tool_call":
            given: JsonObject = {FREE_INPUT: text_at(item.get("input"), f"{path}.input")}
        else:
            given = arguments(item.get("arguments"), f"{path}.arguments")
        self._calls[identifier] = name
        self._put("assistant", [ToolCallPart(identifier, name, given)])

    def _result(self, item: JsonObject, path: str) -> None:
        identifier = text_at(item.get("call_id"), f"{path}.call_id")
        parts = _content(item.get("output"), f"{path}.output")
        text = "".join(part.content for part in parts if isinstance(part, TextPart))
        rest = [part for part in parts if not isinstance(part, TextPart)]
        answer = ToolCallResponsePart(identifier, self._calls.get(identifier, ""), text)
        self._put("tool", [answer, *rest])


def _content(value: Any, path: str) -> list[Part]:
    if isinstance(value, str):
        return [TextPart(value)] if value else []
    parts = [_part(item, f"{path}[{index}]") for index, item in enumerate(sequence(value, path))]
    return [part for part in parts if not isinstance(part, TextPart) or part.content]


def _part(item: Any, path: str) -> Part:
    part = object_at(item, path)
    kind = choice(part.get("type"), f"{path}.type", (*_TEXTS, "input_image", "input_file", "input_audio"))
    if kind in _TEXTS:
        member = "refusal" if kind == "refusal" else "text"
        return TextPart(text_at(part.get(member), f"{path}.{member}"))
    if kind == "input_audio":
        return audio_part(object_at(part.get("input_audio"), f"{path}.input_audio"), f"{path}.input_audio")
    if kind == "input_file":
        return file_part(part, path)
    address = optional_text(part.get("image_url"), f"{path}.image_url")
    if address is None:
        raise Unsupported(
            f"{path}.file_id: Only the provider that stores a file can read it.",
            hint="Send the image itself in `image_url`, as a data: URL.",
        )
    return media("image", address, f"{path}.image_url")
