"""A canonical request as the body of POST /responses."""

import json
from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.plugins.openai.request import cache_key
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
from mosaic.providers.seals import own_seal
from mosaic.providers.stored_files import file_id_of
from mosaic.providers.structured import is_object_schema, is_strict, schema_instruction

__all__ = ["SEAL", "write_count", "write_responses"]

SEAL = "openai"
_LEAST_OUTPUT_TOKENS = 16
_COUNTED = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "parallel_tool_calls",
)


def write_responses(
    request: ModelRequest, *, names: ToolNames, facts: ModelFacts, official: bool, stream: bool
) -> JsonObject:
    """Return the body. Nothing is stored at the vendor; thoughts travel with the conversation, encrypted.

    The API has no stop texts and no seed; they are left out.

    Raises:
        Unsupported: if the request holds content that responses have no form for.
    """
    instructions = "\n\n".join(
        message.text for message in request.messages if message.role == "system" and message.text
    )
    items = [item for message in request.messages for item in _items(message, names)]
    body: JsonObject = {"model": request.model, "input": items, "store": False}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": names.wire(tool.name),
                "description": tool.description,
                "parameters": {"type": "object", **tool.parameters},
                "strict": False,
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice, names, facts)
        if request.parallel_tool_calls is not None and facts.parallel_calls:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.output_schema is not None:
        instructions = _ask_for(request.output_schema, body, instructions, facts)
    if instructions:
        body["instructions"] = instructions
    _tune(request, body, facts)
    if request.prompt_cache and official:
        body["prompt_cache_key"] = cache_key(request)
    if stream:
        body["stream"] = True
    return body


def write_count(request: ModelRequest, *, names: ToolNames, facts: ModelFacts) -> JsonObject:
    """Return the body of POST /responses/input_tokens."""
    body = write_responses(request, names=names, facts=facts, official=True, stream=False)
    return {name: body[name] for name in _COUNTED if name in body}


def _tune(request: ModelRequest, body: JsonObject, facts: ModelFacts) -> None:
    if request.max_output_tokens is not None:
        body["max_output_tokens"] = max(request.max_output_tokens, _LEAST_OUTPUT_TOKENS)
    if facts.sampling:
        body |= {
            name: value
            for name, value in (("temperature", request.temperature), ("top_p", request.top_p))
            if value is not None
        }
    if facts.reasoning:
        body["include"] = ["reasoning.encrypted_content"]
    effort = fitting_effort(request.reasoning_effort, facts.efforts)
    if effort is not None:
        body["reasoning"] = {"effort": effort}


def _tool_choice(choice: str, names: ToolNames, facts: ModelFacts) -> Any:
    if choice in ("auto", "none"):
        return choice
    if not facts.forced_tools:
        return "auto"
    return "required" if choice == "required" else {"type": "function", "name": names.wire(choice)}


def _ask_for(schema: JsonObject, body: JsonObject, instructions: str, facts: ModelFacts) -> str:
    """Ask for a structured answer; return the instructions."""
    if facts.json_schema and is_object_schema(schema):
        form = {"type": "json_schema", "name": "output", "schema": schema, "strict": is_strict(schema)}
        body["text"] = {"format": form}
        return instructions
    return f"{instructions}\n\n{schema_instruction(schema)}".strip()


def _items(message: Message, names: ToolNames) -> list[JsonObject]:
    if message.role == "system":
        return []
    if message.role == "assistant":
        return [item for part in message.parts if (item := _own(part, names)) is not None]
    results = [_tool_result(part) for part in message.parts if isinstance(part, ToolCallResponsePart)]
    rest = [part for part in message.parts if not isinstance(part, ToolCallResponsePart | ReasoningPart)]
    if not rest:
        return results
    content: Any = [_content(part) for part in rest]
    if all(isinstance(part, TextPart) for part in rest):
        content = message.text
    return [*results, {"role": "user", "content": content}]


def _own(part: Part, names: ToolNames) -> JsonObject | None:
    """Return the item for a part of the model's own; None for one that says nothing to it."""
    if isinstance(part, TextPart):
        return {"role": "assistant", "content": part.content} if part.content else None
    if isinstance(part, ToolCallPart):
        arguments = json.dumps(part.arguments, ensure_ascii=False)
        name = names.wire(part.name)
        return {"type": "function_call", "call_id": part.id, "name": name, "arguments": arguments}
    if isinstance(part, ReasoningPart) and (seal := own_seal(part, SEAL)):
        id_, _, encrypted = seal.partition(":")
        summary = [{"type": "summary_text", "text": part.content}] if part.content else []
        return {"type": "reasoning", "id": id_, "summary": summary, "encrypted_content": encrypted}
    return None


def _tool_result(part: ToolCallResponsePart) -> JsonObject:
    text = f"[error] {part.text}" if part.is_error else part.text
    return {"type": "function_call_output", "call_id": part.id, "output": text}


def _content(part: Part) -> JsonObject:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.content}
    file_id = file_id_of(part.uri) if isinstance(part, UriPart) else None
    if file_id and isinstance(part, UriPart) and part.modality in ("image", "document"):
        kind: JsonObject = {"type": "input_file"}
        if part.modality == "image":
            kind = {"type": "input_image", "detail": "auto"}
        return {**kind, "file_id": file_id}
    return _inline(part)


def _inline(part: Part) -> JsonObject:
    if isinstance(part, UriPart | BlobPart) and part.modality == "image":
        url = part.uri if isinstance(part, UriPart) else f"data:{part.mime_type};base64,{part.content}"
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    if isinstance(part, UriPart) and part.modality == "document":
        return {"type": "input_file", "file_url": part.uri}
    if isinstance(part, BlobPart) and part.modality == "document":
        data = f"data:{part.mime_type};base64,{part.content}"
        return {"type": "input_file", "filename": "document", "file_data": data}
    kind = part.modality if isinstance(part, BlobPart | UriPart) else part.type
    raise Unsupported(f"OpenAI's responses have no form for this {kind} content.")
