"""The vendors' own descriptions of their APIs, kept outside this repository; tests that need them skip where they are not."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[3] / "shared" / "contracts"

# What our requests and our scripted answers are, in each vendor's file.
SCHEMAS = {
    ("openai", "request"): "CreateChatCompletionRequest",
    ("openai", "response"): "CreateChatCompletionResponse",
    ("openai", "event"): "CreateChatCompletionStreamResponse",
    ("openai", "models"): "ListModelsResponse",
    ("openai", "error"): "ErrorResponse",
    ("anthropic", "request"): "__CreateMessageRequest",
    ("anthropic", "response"): "__Message",
    ("anthropic", "event"): "__StreamEvent",
    ("anthropic", "model"): "__ModelInfo",
    ("anthropic", "count"): "__CountTokens",
    ("openai", "embed request"): "CreateEmbeddingRequest",
    ("openai", "embed response"): "CreateEmbeddingResponse",
    ("openai", "speech request"): "CreateSpeechRequest",
    ("openai", "transcription"): "CreateTranscriptionResponseJson",
    ("openai", "transcription with times"): "CreateTranscriptionResponseVerboseJson",
    ("openai", "moderation request"): "CreateModerationRequest",
    ("openai", "moderation response"): "CreateModerationResponse",
    ("openai", "file"): "OpenAIFile",
    ("openai", "files"): "ListFilesResponse",
    ("responses", "request"): "CreateResponse",
    ("responses", "response"): "Response",
    ("responses", "event"): "ResponseStreamEvent",
    ("responses", "count request"): "TokenCountsBody",
    ("responses", "count"): "TokenCountsResource",
    ("gemini", "request"): "GenerateContentRequest",
    ("gemini", "count request"): "CountTokensRequest",
    ("gemini", "count"): "CountTokensResponse",
    ("gemini", "embed request"): "BatchEmbedContentsRequest",
    ("gemini", "models"): "ListModelsResponse",
    ("gemini-answers", "response"): "__GenerateContentResponse",
    ("gemini-answers", "event"): "__GenerateContentResponse",
    ("gemini-answers", "content"): "__Content",
    ("gemini-answers", "embed response"): "__EmbedContentResponse",
    ("cohere", "request"): "/v2/chat",
    ("cohere", "response"): "ChatResponseV2",
    ("cohere", "event"): "StreamedChatResponseV2",
    ("cohere", "embed request"): "/v2/embed",
    ("cohere", "embed response"): "EmbedByTypeResponse",
    ("cohere", "models"): "ListModelsResponse",
    ("ollama", "embed request"): "EmbedRequest",
    ("ollama", "embed response"): "EmbedResponse",
    ("ollama", "pull request"): "PullRequest",
    ("ollama", "create request"): "CreateRequest",
    ("ollama", "delete request"): "DeleteRequest",
    ("ollama", "show request"): "ShowRequest",
    ("ollama", "show response"): "ShowResponse",
    ("ollama", "status"): "StatusEvent",
    ("ollama", "request"): "ChatRequest",
    ("ollama", "response"): "ChatResponse",
    ("ollama", "event"): "ChatStreamEvent",
    ("ollama", "models"): "ListResponse",
    ("ollama", "error"): "ErrorResponse",
}
FILES = {
    "openai": "openai.trimmed.openapi.json",
    "anthropic": "anthropic-sdk-2.11.0.jsonschema.json",
    "ollama": "ollama.openapi.json",
    "responses": "openai.trimmed.openapi.json",
    # Google's last complete description is of 2024-10; what is newer is described by its own library's types.
    "gemini": "gemini-2024-10.openapi.json",
    "gemini-answers": "gemini-genai-sdk-3.4.0.jsonschema.json",
    "cohere": "cohere.trimmed.openapi.json",
}
_ROOTS = {"$defs", "components", "paths"}
_BODY = "requestBody/content/application~1json/schema"


def check(vendor: str, kind: str, body: Any) -> None:
    """Fail unless `body` is what the vendor describes."""
    if (vendor, kind) == ("anthropic", "request"):
        # The file holds the parameters of a request that does not stream; only this one differs.
        body = {**body, "stream": False}
    if vendor == "gemini" and kind == "request":
        for content in body["contents"]:
            check("gemini-answers", "content", content)
    if vendor == "gemini" and kind in ("response", "event", "embed response"):
        vendor = "gemini-answers"
    validator = _validator(vendor, SCHEMAS[vendor, kind])
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]
    assert not errors, f"not {vendor}'s {kind}: {errors}"
    if kind.endswith("request"):
        unknown = set(body) - _fields(vendor, SCHEMAS[vendor, kind])
        assert not unknown, f"{vendor} knows no request field {unknown}"


def need(vendor: str) -> None:
    """Skip, visibly, where the vendor's description is not at hand."""
    if not (FOLDER / FILES[vendor]).is_file():
        pytest.skip(f"{FILES[vendor]} is not at hand (it is kept beside the repository, in shared/contracts)")


def schema(vendor: str, name: str) -> dict[str, Any]:
    """One schema of the vendor's file, as it is."""
    found: dict[str, Any] = _schemas(vendor)[1][name]
    return found


@cache
def _document(vendor: str) -> dict[str, Any]:
    need(vendor)
    return _plain(json.loads((FOLDER / FILES[vendor]).read_text()))


def _schemas(vendor: str) -> tuple[str, dict[str, Any]]:
    document = _document(vendor)
    return (
        ("$defs", document["$defs"])
        if "$defs" in document
        else ("components/schemas", document["components"]["schemas"])
    )


@cache
def _validator(vendor: str, name: str) -> Draft202012Validator:
    where, _ = _schemas(vendor)
    document = _document(vendor)
    pointer = f"{where}/{name}"
    if name.startswith("/"):  # the body of the path's POST
        pointer = f"paths/{name.replace('/', '~1')}/post/{_BODY}"
    return Draft202012Validator(
        {"$ref": f"#/{pointer}", **{key: document[key] for key in _ROOTS & set(document)}}
    )


def _fields(vendor: str, name: str) -> set[str]:
    _, schemas = _schemas(vendor)
    fields: set[str] = set()
    if name.startswith("/"):
        body = _document(vendor)["paths"][name]["post"]["requestBody"]
        waiting = [body["content"]["application/json"]["schema"]]
    else:
        waiting = [schemas[name]]
    while waiting:
        schema = waiting.pop()
        fields |= set(schema.get("properties", {}))
        waiting += schema.get("allOf", [])
        if "$ref" in schema:
            waiting.append(schemas[schema["$ref"].rpartition("/")[2]])
    return fields


def _plain(schema: Any) -> Any:
    """Return OpenAPI's `nullable` and `discriminator` as JSON Schema says them.

    The vendors' alternatives overlap, so one of them need not be the only one that fits.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    if isinstance(plain.get("oneOf"), list):
        choices = plain.pop("oneOf")
        told = plain.get("discriminator", {})
        names: dict[str, list[str]] = {}
        for value, target in told.get("mapping", {}).items():
            names.setdefault(target, []).append(value)
        if names:
            field = told["propertyName"]
            choices = [
                {
                    "allOf": [
                        choice,
                        {"properties": {field: {"enum": names[choice["$ref"]]}}, "required": [field]},
                    ]
                }
                for choice in choices
                if choice["$ref"] in names
            ]
        plain["allOf"] = [*plain.get("allOf", []), {"anyOf": choices}]
    if plain.pop("nullable", None) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
