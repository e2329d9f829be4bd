"""A request in our own words as a client of each vendor would write it."""

import json

from mosaic.providers import BlobPart, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart, UriPart

_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


def _url(part):
    return part.uri if isinstance(part, UriPart) else f"data:{part.mime_type};base64,{part.content}"


def _given(fields):
    return {name: value for name, value in fields.items() if value is not None}


def chat_body(request):
    body = {"model": request.model, "messages": [m for message in request.messages for m in _chat(message)]}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in request.tools
        ]
        named = {"type": "function", "function": {"name": request.tool_choice}}
        body["tool_choice"] = (
            request.tool_choice if request.tool_choice in ("auto", "none", "required") else named
        )
    if request.output_schema is not None:
        form = {"name": "out", "schema": request.output_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body | _given(
        {
            "max_completion_tokens": request.max_output_tokens,
            "temperature": request.temperature,
            "stop": list(request.stop) or None,
            "top_p": request.top_p,
            "seed": request.seed,
            "reasoning_effort": request.reasoning_effort,
            "parallel_tool_calls": request.parallel_tool_calls,
            "metadata": request.metadata or None,
        }
    )


def _chat(message):
    if message.role == "tool":
        return [{"role": "tool", "tool_call_id": part.id, "content": part.text} for part in message.parts]
    if message.role == "system":
        return [{"role": "system", "content": message.text}]
    if message.role == "user":
        return [{"role": "user", "content": [_chat_part(part) for part in message.parts]}]
    shown = {"role": "assistant", "content": message.text or None}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for call in message.tool_calls
    ]
    return [{**shown, "tool_calls": calls} if calls else shown]


def _chat_part(part):
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if part.modality == "image":
        return {"type": "image_url", "image_url": {"url": _url(part)}}
    if part.modality == "audio":
        return {
            "type": "input_audio",
            "input_audio": {"data": part.content, "format": _SOUNDS[part.mime_type]},
        }
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": _url(part)}}


def messages_body(request):
    system = [{"type": "text", "text": m.text} for m in request.messages if m.role == "system"]
    body = {
        "model": request.model,
        "max_tokens": request.max_output_tokens,
        "messages": [
            {
                "role": "assistant" if message.role == "assistant" else "user",
                "content": [_block(part) for part in message.parts],
            }
            for message in request.messages
            if message.role != "system"
        ],
    }
    if system:
        body["system"] = system
    if request.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in request.tools
        ]
        kinds = {"auto": "auto", "none": "none", "required": "any"}
        choice = {"type": kinds.get(request.tool_choice, "tool")}
        if choice["type"] == "tool":
            choice["name"] = request.tool_choice
        if request.parallel_tool_calls is not None and choice["type"] != "none":
            choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
        body["tool_choice"] = choice
    config = _given({"effort": request.reasoning_effort})
    if request.output_schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.output_schema}
    return body | _given(
        {
            "output_config": config or None,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop_sequences": list(request.stop) or None,
            "metadata": request.metadata or None,
        }
    )


def _block(part):
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if isinstance(part, ReasoningPart):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.content, "signature": part.signature}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    if isinstance(part, ToolCallResponsePart):
        return {
            "type": "tool_result",
            "tool_use_id": part.id,
            "content": part.text,
            "is_error": part.is_error,
        }
    source = {"type": "url", "url": part.uri} if isinstance(part, UriPart) else _base64(part)
    return {"type": part.modality, "source": source}


def _base64(part: BlobPart):
    return {"type": "base64", "media_type": part.mime_type, "data": part.content}


def responses_body(request):
    systems = [message for message in request.messages if message.role == "system"]
    items = [item for message in request.messages[len(systems[:1]) :] for item in _items(message)]
    body = {"model": request.model, "input": items}
    if systems:
        body["instructions"] = systems[0].text
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": False,
            }
            for tool in request.tools
        ]
        named = {"type": "function", "name": request.tool_choice}
        body["tool_choice"] = (
            request.tool_choice if request.tool_choice in ("auto", "none", "required") else named
        )
    if request.output_schema is not None:
        form = {"type": "json_schema", "name": "out", "schema": request.output_schema, "strict": False}
        body["text"] = {"format": form}
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    return body | _given(
        {
            "max_output_tokens": request.max_output_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "parallel_tool_calls": request.parallel_tool_calls,
            "metadata": request.metadata or None,
        }
    )


def _items(message):
    if message.role == "tool":
        return [
            {"type": "function_call_output", "call_id": part.id, "output": part.text}
            for part in message.parts
        ]
    if message.role == "assistant":
        return [_own(part) for part in message.parts]
    role = "developer" if message.role == "system" else "user"
    return [{"type": "message", "role": role, "content": [_input(part) for part in message.parts]}]


def _own(part):
    if isinstance(part, TextPart):
        content = [{"type": "output_text", "text": part.content, "annotations": [], "logprobs": []}]
        return {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": content,
        }
    if isinstance(part, ReasoningPart):
        _, identifier, sealed = part.signature.split(":")
        summary = [{"type": "summary_text", "text": part.content}]
        return {"type": "reasoning", "id": identifier, "summary": summary, "encrypted_content": sealed}
    arguments = json.dumps(part.arguments)
    return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}


def _input(part):
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.content}
    if part.modality == "image":
        return {"type": "input_image", "image_url": _url(part), "detail": "auto"}
    return {"type": "input_file", "filename": "a.pdf", "file_data": _url(part)}
