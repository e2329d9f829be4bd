"""A canonical request as the body of POST /v2/chat."""

import json

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
from mosaic.providers.structured import is_object_schema, schema_instruction

__all__ = ["write_request"]

_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 16_384}
_LEAST_P, _MOST_P = 0.01, 0.99
_MOST_STOPS = 5


def write_request(request: ModelRequest, *, names: ToolNames, facts: ModelFacts, stream: bool) -> JsonObject:
    """Return the body.

    Raises:
        Unsupported: if the request holds content that the API has no form for.
    """
    messages = [wire for message in request.messages for wire in _messages(message, names)]
    body: JsonObject = {"model": request.model, "messages": messages, "stream": stream}
    tools = [tool for tool in request.tools if request.tool_choice in ("auto", "required", "none", tool.name)]
    if tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": names.wire(tool.name),
                    "description": tool.description,
                    "parameters": {"type": "object", **tool.parameters},
                },
            }
            for tool in tools
        ]
        # There is no way to name the one tool but to offer no other.
        if request.tool_choice != "auto":
            body["tool_choice"] = "NONE" if request.tool_choice == "none" else "REQUIRED"
    if request.output_schema is not None:
        if facts.json_schema and not tools and is_object_schema(request.output_schema):
            body["response_format"] = {"type": "json_object", "json_schema": request.output_schema}
        else:
            messages.insert(0, {"role": "system", "content": schema_instruction(request.output_schema)})
    return body | _tuning(request, facts)


def _tuning(request: ModelRequest, facts: ModelFacts) -> JsonObject:
    tuning: JsonObject = {
        "max_tokens": request.max_output_tokens,
        "temperature": None if request.temperature is None else min(request.temperature, 1.0),
        "p": None if request.top_p is None else min(max(request.top_p, _LEAST_P), _MOST_P),
        "seed": None if request.seed is None else abs(request.seed),
        "stop_sequences": list(request.stop[:_MOST_STOPS]) or None,
    }
    effort = fitting_effort(request.reasoning_effort, facts.efforts)
    if effort == "none":
        tuning["thinking"] = {"type": "disabled"}
    elif effort is not None:
        tuning["thinking"] = {"type": "enabled", "token_budget": _BUDGETS[effort]}
    return {name: value for name, value in tuning.items() if value is not None}


def _messages(message: Message, names: ToolNames) -> list[JsonObject]:
    if message.role == "system":
        return [{"role": "system", "content": message.text}] if message.text else []
    if message.role == "assistant":
        return _assistant(message, names)
    results = [
        {
            "role": "tool",
            "tool_call_id": part.id,
            "content": f"[error] {part.text}" if part.is_error else part.text,
        }
        for part in message.parts
        if isinstance(part, ToolCallResponsePart)
    ]
    rest = [part for part in message.parts if not isinstance(part, ToolCallResponsePart | ReasoningPart)]
    if not rest:
        return results
    if all(isinstance(part, TextPart) for part in rest):
        return [*results, {"role": "user", "content": message.text}]
    return [*results, {"role": "user", "content": [_content(part) for part in rest]}]


def _assistant(message: Message, names: ToolNames) -> list[JsonObject]:
    if not message.tool_calls:
        return [{"role": "assistant", "content": message.text}] if message.text else []
    calls = [
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
    # What the model says before its calls is its plan, in the vendor's words.
    plan = {"tool_plan": message.text} if message.text else {}
    return [{"role": "assistant", **plan, "tool_calls": calls}]


def _content(part: Part) -> JsonObject:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if isinstance(part, UriPart) and part.modality == "image":
        return {"type": "image_url", "image_url": {"url": part.uri}}
    if isinstance(part, BlobPart) and part.modality == "image":
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime_type};base64,{part.content}"}}
    if isinstance(part, ToolCallPart):
        raise Unsupported("Only a message of the assistant can hold tool calls.")
    kind = part.modality if isinstance(part, BlobPart | UriPart) else part.type
    raise Unsupported(f"Cohere's chat has no form for this {kind} content.")
