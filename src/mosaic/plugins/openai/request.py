"""A canonical request as the body of POST /chat/completions."""

import hashlib
import json
from typing import Any

from mosaic.core.errors import Unsupported
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
from mosaic.providers.stored_files import file_id_of
from mosaic.providers.structured import is_object_schema, is_strict, schema_instruction

__all__ = ["cache_key", "content_part", "write_request"]

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def write_request(
    request: ModelRequest, *, names: ToolNames, facts: ModelFacts, official: bool, stream: bool
) -> JsonObject:
    """Return the body.

    Args:
        request: what to ask.
        names: the tool names on the wire.
        facts: what the model allows.
        official: the vendor's own server; others know fewer fields, and some by older names.
        stream: whether the answer comes in pieces.

    Raises:
        Unsupported: if the request holds content that chat completions have no form for.
    """
    messages = [wire for message in request.messages for wire in _messages(message, names)]
    body: JsonObject = {"model": request.model, "messages": messages}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": names.wire(tool.name),
                    "description": tool.description,
                    "parameters": {"type": "object", **tool.parameters},
                },
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice, names, facts)
        if request.parallel_tool_calls is not None and facts.parallel_calls:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.output_schema is not None:
        _ask_for(request.output_schema, body, facts)
    if request.max_output_tokens is not None:
        body["max_completion_tokens" if official else "max_tokens"] = request.max_output_tokens
    _tune(request, body, facts)
    if request.prompt_cache and official:
        body["prompt_cache_key"] = cache_key(request)
        if facts.cache_marks:
            _mark_stable(body["messages"])
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _tune(request: ModelRequest, body: JsonObject, facts: ModelFacts) -> None:
    """Add how to sample and how much to think, as far as the model takes it."""
    if request.temperature is not None and facts.sampling:
        body["temperature"] = request.temperature
    if request.top_p is not None and facts.sampling:
        body["top_p"] = request.top_p
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and facts.stop:
        body["stop"] = list(request.stop)
    # Chat completions refuse the effort `max`, also for models that take it elsewhere.
    effort = fitting_effort(request.reasoning_effort, [effort for effort in facts.efforts if effort != "max"])
    if effort is not None:
        body["reasoning_effort"] = effort


def _mark_stable(messages: list[JsonObject]) -> None:
    """Mark where the system text ends: other conversations share that beginning."""
    last = next((message for message in reversed(messages) if message["role"] == "system"), None)
    if last is not None:
        part = {"type": "text", "text": last["content"], "prompt_cache_breakpoint": {"mode": "explicit"}}
        last["content"] = [part]


def cache_key(request: ModelRequest) -> str:
    """Return a name for the prompt's stable beginning: requests that share one are sent to the same cache."""
    stable = [message.to_json() for message in request.messages if message.role == "system"]
    text = json.dumps([stable, [tool.to_json() for tool in request.tools]], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _tool_choice(choice: str, names: ToolNames, facts: ModelFacts) -> Any:
    if choice in ("auto", "none"):
        return choice
    if not facts.forced_tools:
        return "auto"
    return (
        "required" if choice == "required" else {"type": "function", "function": {"name": names.wire(choice)}}
    )


def _ask_for(schema: JsonObject, body: JsonObject, facts: ModelFacts) -> None:
    if facts.json_schema and is_object_schema(schema):
        form = {"name": "output", "schema": schema, "strict": is_strict(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
        return
    body["messages"] = [{"role": "system", "content": schema_instruction(schema)}, *body["messages"]]


def _messages(message: Message, names: ToolNames) -> list[JsonObject]:
    if message.role == "system":
        return [{"role": "system", "content": message.text}] if message.text else []
    if message.role == "assistant":
        return _assistant(message, names)
    results = [_tool_result(part) for part in message.parts if isinstance(part, ToolCallResponsePart)]
    rest = [part for part in message.parts if not isinstance(part, ToolCallResponsePart | ReasoningPart)]
    if not rest:
        return results
    if all(isinstance(part, TextPart) for part in rest):
        return [*results, {"role": "user", "content": message.text}]
    return [*results, {"role": "user", "content": [content_part(part) for part in rest]}]


def _assistant(message: Message, names: ToolNames) -> list[JsonObject]:
    shown: JsonObject = {"role": "assistant", "content": message.text or None}
    if message.tool_calls:
        shown["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": names.wire(call.name),
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    elif not message.text:
        return []
    return [shown]


def _tool_result(part: ToolCallResponsePart) -> JsonObject:
    # The wire has no mark for a failed call, so the text says it.
    text = f"[error] {part.text}" if part.is_error else part.text
    return {"role": "tool", "tool_call_id": part.id, "content": text}


def content_part(part: Part) -> JsonObject:
    """Return the content part of a user's message for `part`.

    Raises:
        Unsupported: if chat completions have no form for it.
    """
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if isinstance(part, UriPart) and part.modality == "image":
        return {"type": "image_url", "image_url": {"url": part.uri}}
    if isinstance(part, BlobPart) and part.modality == "image":
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime_type};base64,{part.content}"}}
    if isinstance(part, BlobPart) and part.mime_type in _AUDIO:
        return {
            "type": "input_audio",
            "input_audio": {"data": part.content, "format": _AUDIO[part.mime_type]},
        }
    if isinstance(part, UriPart) and part.modality == "document" and (file_id := file_id_of(part.uri)):
        return {"type": "file", "file": {"file_id": file_id}}
    if isinstance(part, BlobPart) and part.modality == "document":
        data = f"data:{part.mime_type};base64,{part.content}"
        return {"type": "file", "file": {"filename": "document", "file_data": data}}
    if isinstance(part, ToolCallPart):
        raise Unsupported("Only a message of the assistant can hold tool calls.")
    kind = part.modality if isinstance(part, BlobPart | UriPart) else part.type
    raise Unsupported(f"OpenAI's chat completions have no form for this {kind} content.")
