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
from mosaic.providers.catalog import ModelFacts, fitting_effort
from mosaic.providers.naming import ToolNames
from mosaic.providers.seals import is_foreign
from mosaic.providers.stored_files import file_id_of
from mosaic.providers.structured import closed_schema, is_object_schema, schema_instruction

__all__ = ["OUTPUT_TOOL", "write_count", "write_request"]

_EPHEMERAL: JsonObject = {"type": "ephemeral"}
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
# How many tokens of thought an effort buys from models that are told a number; the vendor's least is 1,024.
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 10_000, "high": 16_384}

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
        cache: let the vendor cache the conversation so far when tools are offered, because an agent sends it again,
            or when the request asks for it.
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
        body["tool_choice"] = _tool_choice(request, names, facts)
    if request.output_schema is not None:
        system = _ask_for(request.output_schema, body, system, facts)
    if system:
        body["system"] = system
    if cache and (request.tools or request.prompt_cache):
        body["cache_control"] = _EPHEMERAL
    if cache and request.prompt_cache:
        _mark_stable(body)
    _tune(request, body, facts)
    if stream:
        body["stream"] = True
    return body


def write_count(request: ModelRequest, *, names: ToolNames, facts: ModelFacts) -> JsonObject:
    """Return the body of POST /v1/messages/count_tokens."""
    body = write_request(request, names=names, facts=facts, cache=False, stream=False)
    return {name: body[name] for name in _COUNTED if name in body}


def _mark_stable(body: JsonObject) -> None:
    """Mark where the tools and the system text end: other conversations share that beginning."""
    if body.get("system"):
        body["system"] = [{"type": "text", "text": body["system"], "cache_control": _EPHEMERAL}]
    elif body.get("tools"):
        body["tools"][-1]["cache_control"] = _EPHEMERAL


def _tune(request: ModelRequest, body: JsonObject, facts: ModelFacts) -> None:
    """Add how much to think and how to sample, as far as the model takes it."""
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    effort = fitting_effort(request.reasoning_effort, facts.efforts)
    if effort is not None and facts.thinking == "budget":
        _think_up_to(_BUDGETS.get(effort), body, request)
    elif effort == "none":
        kind = "between_tools" if facts.thinking == "between_tools" else "disabled"
        body["thinking"] = {"type": kind}
    elif effort is not None:
        body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {**body.get("output_config", {}), "effort": effort}
    if not facts.sampling or body.get("thinking", {}).get("type") == "enabled":
        return
    if request.temperature is not None:
        body["temperature"] = min(request.temperature, 1.0)
    elif request.top_p is not None:  # the vendor takes one of the two
        body["top_p"] = request.top_p


def _think_up_to(budget: int | None, body: JsonObject, request: ModelRequest) -> None:
    """Ask for thought of `budget` tokens, unless the request is one that the vendor refuses with it."""
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    room = body["max_tokens"] - 1
    if budget is None or forced or room < _BUDGETS["minimal"] or _answers_unsealed_calls(request):
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, room)}


def _answers_unsealed_calls(request: ModelRequest) -> bool:
    """Whether the model would go on from tool calls of a turn without its own thoughts, which it refuses to."""
    last = next((message for message in reversed(request.messages) if message.role == "assistant"), None)
    if last is None or not last.tool_calls:
        return False
    first = last.parts[0]
    return not (isinstance(first, ReasoningPart) and _reasoning(first))


def _tool_choice(request: ModelRequest, names: ToolNames, facts: ModelFacts) -> JsonObject:
    wanted = request.tool_choice
    if wanted == "none":
        return {"type": "none"}
    if wanted == "auto" or not facts.forced_tools:
        choice: JsonObject = {"type": "auto"}
    elif wanted == "required":
        choice = {"type": "any"}
    else:
        choice = {"type": "tool", "name": names.wire(wanted)}
    if request.parallel_tool_calls is not None:
        choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
    return choice


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
    if part.signature is None or is_foreign(part):
        return None
    return {"type": "thinking", "thinking": part.content, "signature": part.signature}


def _media(part: BlobPart | UriPart) -> JsonObject:
    kind = {"image": "image", "document": "document"}.get(part.modality)
    if kind is None:
        raise Unsupported(f"Anthropic's messages have no form for {part.modality} content.")
    source: dict[str, Any]
    if isinstance(part, UriPart):
        file_id = file_id_of(part.uri)
        source = {"type": "file", "file_id": file_id} if file_id else {"type": "url", "url": part.uri}
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
