"""A canonical request as the body of POST /v1/messages."""

import base64
import binascii
from typing import Any

from mosaic.core.errors import InvalidInput, Unsupported
from mosaic.core.values import JsonObject
from mosaic.providers.ai import (
    BlobPart,
    Message,
    ModelRequest,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from mosaic.providers.catalog import ModelFacts
from mosaic.providers.naming import ToolNames
from mosaic.providers.structured import closed_schema, is_object_schema, schema_instruction

__all__ = ["OUTPUT_TOOL", "write_request"]

OUTPUT_TOOL = "output"
"""The tool whose arguments are the structured answer, where the model has no native form for one."""


def write_request(
    request: ModelRequest, *, names: ToolNames, facts: ModelFacts, cache: bool, stream: bool
) -> JsonObject:
    """Return the body.

    Args:
        request: what to ask.
        names: the tool names on the wire.
        facts: what the model allows.
        cache: let the vendor cache the conversation so far when tools are offered, because an agent sends it again.
        stream: whether the answer comes in pieces.

    Raises:
        Unsupported: if the request holds content that the messages API has no form for.
    """
    system = "\n\n".join(
        message.text for message in request.messages if message.role == "system" and message.text
    )
    body: JsonObject = {
        "model": request.model,
        "max_tokens": request.max_output_tokens or facts.max_output_tokens,
        "messages": _conversation(request, names),
    }
    if request.tools:
        body["tools"] = [
            {
                "name": names.wire(tool.name),
                "description": tool.description,
                "input_schema": {"type": "object", **tool.parameters},
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice, names, facts)
        if cache:
            body["cache_control"] = {"type": "ephemeral"}
    if request.output_schema is not None:
        system = _ask_for(request.output_schema, body, system, facts)
    if system:
        body["system"] = system
    if request.temperature is not None and facts.sampling:
        body["temperature"] = min(request.temperature, 1.0)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if stream:
        body["stream"] = True
    return body


def _tool_choice(choice: str, names: ToolNames, facts: ModelFacts) -> JsonObject:
    if choice in ("auto", "none"):
        return {"type": choice}
    if not facts.forced_tools:
        return {"type": "auto"}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": names.wire(choice)}


def _ask_for(schema: JsonObject, body: JsonObject, system: str, facts: ModelFacts) -> str:
    """Ask for a structured answer in the best form there is; return the system text."""
    closed = closed_schema(schema) if facts.json_schema else None
    if closed is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": closed}}
        return system
    if "tools" not in body and facts.forced_tools and is_object_schema(schema):
        description = "Give the final answer."
        body["tools"] = [{"name": OUTPUT_TOOL, "description": description, "input_schema": schema}]
        body["tool_choice"] = {"type": "tool", "name": OUTPUT_TOOL}
        return system
    return f"{system}\n\n{schema_instruction(schema)}".strip()


def _conversation(request: ModelRequest, names: ToolNames) -> list[JsonObject]:
    """Return the messages, neighbours of one role joined; a user's tool results come first, as the vendor demands."""
    joined: list[tuple[str, list[JsonObject]]] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in _ordered(message) if (block := _block(part, names)) is not None]
        if not blocks:
            continue
        if joined and joined[-1][0] == role:
            joined[-1][1].extend(blocks)
        else:
            joined.append((role, blocks))
    return [{"role": role, "content": blocks} for role, blocks in joined]


def _ordered(message: Message) -> list[Part]:
    if message.role == "assistant":
        return list(message.parts)
    return sorted(message.parts, key=lambda part: not isinstance(part, ToolCallResponsePart))


def _block(part: Part, names: ToolNames) -> JsonObject | None:
    """Return the content block for `part`; None for one that the vendor would refuse or that says nothing."""
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content} if part.content.strip() else None
    if isinstance(part, ReasoningPart):
        return _reasoning(part)
    if isinstance(part, ToolCallPart):
        return {"type": "tool_use", "id": part.id, "name": names.wire(part.name), "input": part.arguments}
    if isinstance(part, ToolCallResponsePart):
        block: JsonObject = {"type": "tool_result", "tool_use_id": part.id, "content": part.text}
        return {**block, "is_error": True} if part.is_error else block
    return _media(part)


def _reasoning(part: ReasoningPart) -> JsonObject | None:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    # Thoughts without a seal are another vendor's; this one takes back only its own.
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.content, "signature": part.signature}


def _media(part: BlobPart | UriPart) -> JsonObject:
    kind = {"image": "image", "document": "document"}.get(part.modality)
    if kind is None:
        raise Unsupported(f"Anthropic's messages have no form for {part.modality} content.")
    source: dict[str, Any]
    if isinstance(part, UriPart):
        source = {"type": "url", "url": part.uri}
    elif kind == "document" and part.mime_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(part)}
    else:
        source = {"type": "base64", "media_type": part.mime_type, "data": part.content}
    return {"type": kind, "source": source}


def _decoded(part: BlobPart) -> str:
    try:
        return base64.b64decode(part.content, validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise InvalidInput("A blob's content is not base64.") from error
