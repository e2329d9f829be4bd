"""A canonical request as the body of POST /models/{model}:generateContent."""

import base64
import mimetypes

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
from mosaic.providers.seals import own_seal
from mosaic.providers.structured import schema_instruction

__all__ = ["SEAL", "write_request"]

SEAL = "gemini"
# What the vendor takes in place of a seal on calls that its model did not make.
_NO_SEAL = base64.b64encode(b"skip_thought_signature_validator").decode()
# How many tokens of thought an effort buys from models that are told a number; 128 is the least of the largest model.
_BUDGETS = {"none": 0, "minimal": 512, "low": 2_048, "medium": 8_192, "high": 24_576}


def write_request(request: ModelRequest, *, names: ToolNames, facts: ModelFacts) -> JsonObject:
    """Return the body; whether the answer streams is in the address, not here.

    Raises:
        Unsupported: if the request holds content that the API has no form for.
    """
    system = "\n\n".join(
        message.text for message in request.messages if message.role == "system" and message.text
    )
    body: JsonObject = {"contents": _conversation(request, names, facts)}
    config: JsonObject = {}
    if request.tools:
        declared = [
            {
                "name": names.wire(tool.name),
                "description": tool.description,
                "parametersJsonSchema": {"type": "object", **tool.parameters},
            }
            for tool in request.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
        body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice, names)}
    if request.output_schema is not None:
        if facts.json_schema and (facts.schema_with_tools or not request.tools):
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = request.output_schema
        else:
            system = f"{system}\n\n{schema_instruction(request.output_schema)}".strip()
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    config |= _tuning(request, facts)
    if config:
        body["generationConfig"] = config
    return body


def _tuning(request: ModelRequest, facts: ModelFacts) -> JsonObject:
    tuning: JsonObject = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature if facts.sampling else None,
        "topP": request.top_p if facts.sampling else None,
        "seed": request.seed,
        "stopSequences": list(request.stop) or None,
        "thinkingConfig": _thinking(request, facts),
    }
    return {name: value for name, value in tuning.items() if value is not None}


def _thinking(request: ModelRequest, facts: ModelFacts) -> JsonObject | None:
    effort = fitting_effort(request.reasoning_effort, facts.efforts)
    if effort is None:
        return None
    if facts.thinking == "budget":
        return {"includeThoughts": effort != "none", "thinkingBudget": _BUDGETS[effort]}
    return {"includeThoughts": True, "thinkingLevel": effort.upper()}


def _calling(choice: str, names: ToolNames) -> JsonObject:
    if choice in ("auto", "none"):
        return {"mode": choice.upper()}
    only = {} if choice == "required" else {"allowedFunctionNames": [names.wire(choice)]}
    return {"mode": "ANY", **only}


def _conversation(request: ModelRequest, names: ToolNames, facts: ModelFacts) -> list[JsonObject]:
    """Return the contents, neighbours of one role joined: all results of one turn's calls must come together."""
    joined: list[JsonObject] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = _own(message, names, facts) if role == "model" else _user(message, names)
        if not parts:
            continue
        if joined and joined[-1]["role"] == role:
            joined[-1]["parts"] += parts
        else:
            joined.append({"role": role, "parts": parts})
    return joined


def _own(message: Message, names: ToolNames, facts: ModelFacts) -> list[JsonObject]:
    """Return the model's own parts; a seal goes back on the part that it came with."""
    parts: list[JsonObject] = []
    seal: str | None = None
    calls = 0
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            seal = own_seal(part, SEAL) or seal
            continue
        if isinstance(part, ToolCallPart):
            shown: JsonObject = {"functionCall": {"name": names.wire(part.name), "args": part.arguments}}
            # Models that are told a level demand a seal on the first call of a turn, whoever made it.
            if calls == 0 and seal is None and facts.thinking == "level":
                seal = _NO_SEAL
            calls += 1
        elif isinstance(part, TextPart) and part.content:
            shown = {"text": part.content}
        else:
            continue
        if seal is not None:
            shown["thoughtSignature"], seal = seal, None
        parts.append(shown)
    return parts


def _user(message: Message, names: ToolNames) -> list[JsonObject]:
    results = [_result(part, names) for part in message.parts if isinstance(part, ToolCallResponsePart)]
    rest = [part for part in message.parts if not isinstance(part, ToolCallResponsePart | ReasoningPart)]
    return results + [_content(part) for part in rest if not isinstance(part, TextPart) or part.content]


def _result(part: ToolCallResponsePart, names: ToolNames) -> JsonObject:
    if part.is_error:
        response: JsonObject = {"error": part.text}
    else:
        response = part.response if isinstance(part.response, dict) else {"result": part.response}
    return {"functionResponse": {"name": names.wire(part.name), "response": response}}


def _content(part: Part) -> JsonObject:
    if isinstance(part, TextPart):
        return {"text": part.content}
    if isinstance(part, BlobPart):
        return {"inlineData": {"mimeType": part.mime_type, "data": part.content}}
    if isinstance(part, UriPart):
        kind = part.mime_type or mimetypes.guess_type(part.uri)[0]
        return {"fileData": {"fileUri": part.uri, **({"mimeType": kind} if kind else {})}}
    raise Unsupported("Only a message of the assistant can hold tool calls.")
