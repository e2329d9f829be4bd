"""Canonical requests and responses on Ollama's /api/chat."""

import json
from collections.abc import Mapping
from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import CallIds, call_ids, estimated_usage, reading
from mosaic.providers.ai import (
    BlobPart,
    Delta,
    FinishReason,
    Message,
    ModelRequest,
    ModelResponse,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    Usage,
    tool_arguments,
)
from mosaic.providers.catalog import ModelFacts, fitting_effort
from mosaic.providers.naming import ToolNames
from mosaic.providers.structured import schema_instruction
from mosaic.providers.tokens import estimate_tokens

__all__ = ["Pieces", "read_response", "write_request"]

_LARGEST_CONTEXT = 131_072
_ROOM_FOR_ANSWER = 4_096


def write_request(
    request: ModelRequest,
    *,
    names: ToolNames,
    facts: ModelFacts,
    context_tokens: int,
    options: Mapping[str, Any],
    keep_alive: str | int | None = None,
    stream: bool,
) -> JsonObject:
    """Return the body of POST /api/chat.

    Args:
        request: what to ask.
        names: the tool names on the wire.
        facts: what the model allows.
        context_tokens: the context to ask for; doubled until the conversation fits, because Ollama cuts off what
            does not fit without a word.
        options: how to run the model, such as `num_gpu`; what the request says itself wins.
        keep_alive: how long the model stays in memory; None leaves it to the server.
        stream: whether the answer comes in pieces.

    Raises:
        Unsupported: if the request holds content that Ollama has no form for.
    """
    messages = [wire for message in request.messages for wire in _messages(message, names)]
    body: JsonObject = {
        "model": request.model,
        "messages": messages,
        "stream": stream,
        "options": {**options, **_options(request), "num_ctx": _context(request, context_tokens)},
    }
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    effort = fitting_effort(request.reasoning_effort, facts.efforts)
    if effort is not None:
        body["think"] = effort if facts.thinking == "level" else effort != "none"
    # Ollama has no tool choice; offering no tools is the only one that it can be made to keep.
    if request.tools and request.tool_choice != "none":
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
            if request.tool_choice in ("auto", "required", tool.name)
        ]
    if request.output_schema is not None:
        # `format` binds every answer, so with it a model could not call a tool any more.
        if "tools" in body:
            messages.insert(0, {"role": "system", "content": schema_instruction(request.output_schema)})
        else:
            body["format"] = request.output_schema
    return body


def _options(request: ModelRequest) -> JsonObject:
    options: JsonObject = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "num_predict": request.max_output_tokens,
        "stop": list(request.stop) or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _context(request: ModelRequest, context_tokens: int) -> int:
    needed = estimate_tokens(request) + min(request.max_output_tokens or _ROOM_FOR_ANSWER, _ROOM_FOR_ANSWER)
    while context_tokens < needed and context_tokens < _LARGEST_CONTEXT:
        context_tokens *= 2
    return context_tokens


def _messages(message: Message, names: ToolNames) -> list[JsonObject]:
    wires: list[JsonObject] = [
        {
            "role": "tool",
            "content": f"[error] {part.text}" if part.is_error else part.text,
            "tool_name": names.wire(part.name),
        }
        for part in message.parts
        if isinstance(part, ToolCallResponsePart)
    ]
    rest: JsonObject = {"role": "user" if message.role == "tool" else message.role, "content": message.text}
    images = [_image(part) for part in message.parts if not _is_written_elsewhere(part)]
    if images:
        rest["images"] = images
    if message.tool_calls:
        rest["tool_calls"] = [
            {"function": {"name": names.wire(call.name), "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return [*wires, rest] if rest["content"] or len(rest) > 2 else wires


def _is_written_elsewhere(part: Part) -> bool:
    return isinstance(part, TextPart | ReasoningPart | ToolCallPart | ToolCallResponsePart)


def _image(part: Part) -> str:
    if isinstance(part, BlobPart) and part.modality == "image":
        return part.content
    raise Unsupported(
        "Ollama takes images in the message itself, and no other kind of content than text and images."
    )


def read_response(
    body: JsonObject, request: ModelRequest, *, provider: str, names: ToolNames, seed: str
) -> ModelResponse:
    """Return the response that a whole body holds.

    Raises:
        ContractViolation: if the body is not a chat response.
    """
    with reading(provider):
        message = body["message"]
        parts: list[Part] = []
        if message.get("thinking"):
            parts.append(ReasoningPart(message["thinking"]))
        if message.get("content"):
            parts.append(TextPart(message["content"]))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            arguments = tool_arguments(function.get("arguments"))
            parts.append(ToolCallPart(str(call.get("id") or ""), names.ours(function["name"]), arguments))
        fixed = call_ids(parts, seed=seed)
        known = "eval_count" in body
        usage = Usage(int(body.get("prompt_eval_count") or 0), int(body.get("eval_count") or 0))
        return ModelResponse(
            message=Message("assistant", fixed),
            finish_reason=_finish(body, fixed),
            usage=usage if known else estimated_usage(request, fixed),
            model=body.get("model") or request.model,
            provider=provider,
            usage_estimated=not known,
        )


def _finish(body: JsonObject, parts: tuple[Part, ...]) -> FinishReason:
    if body.get("done_reason") == "length":
        return "length"
    return "tool_call" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"


class Pieces:
    """Puts a streamed answer together; `body` is then what the whole answer would have been.

    Attributes:
        finished: whether Ollama said that it was done.
    """

    def __init__(self, names: ToolNames, *, seed: str) -> None:
        self.finished = False
        self._names = names
        self._ids = CallIds(seed)
        self._last: JsonObject = {}
        self._texts: dict[str, list[str]] = {"thinking": [], "content": []}
        self._calls: list[JsonObject] = []
        self._order: dict[str, int] = {}

    def add(self, chunk: JsonObject) -> list[Delta]:
        """Take one line's object; return the deltas it holds."""
        message = chunk.get("message") or {}
        deltas: list[Delta] = []
        for name, kind in (("thinking", "reasoning"), ("content", "text")):
            text = message.get(name)
            if text:
                self._texts[name].append(text)
                index = self._order.setdefault(name, len(self._order))
                deltas.append(Delta("reasoning" if kind == "reasoning" else "text", text, index))
        deltas += [self._add_call(call) for call in message.get("tool_calls") or ()]
        self._last = chunk
        self.finished = self.finished or chunk.get("done") is True
        return deltas

    def body(self) -> JsonObject:
        """Return the whole answer's body."""
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        return {**self._last, "message": {"role": "assistant", **texts, "tool_calls": self._calls}}

    def _add_call(self, call: JsonObject) -> Delta:
        function = call["function"]
        id_, index = (
            self._ids.next(call.get("id")),
            self._order.setdefault(f"call {len(self._calls)}", len(self._order)),
        )
        self._calls.append({**call, "id": id_})
        arguments = function.get("arguments") or {}
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return Delta("tool_call", text, index, id=id_, name=self._names.ours(function["name"]))
