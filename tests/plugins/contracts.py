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
}


def check(vendor: str, kind: str, body: Any) -> None:
    """Fail unless `body` is what the vendor describes."""
    if (vendor, kind) == ("anthropic", "request"):
        # The file holds the parameters of a request that does not stream; only this one differs.
        body = {**body, "stream": False}
    validator = _validator(vendor, SCHEMAS[vendor, kind])
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]
    assert not errors, f"not {vendor}'s {kind}: {errors}"
    if kind == "request":
        unknown = set(body) - _fields(vendor, SCHEMAS[vendor, kind])
        assert not unknown, f"{vendor} knows no request field {unknown}"


def need(vendor: str) -> None:
    """Skip, visibly, where the vendor's description is not at hand."""
    if not (FOLDER / FILES[vendor]).is_file():
        pytest.skip(f"{FILES[vendor]} is not at hand (it is kept beside the repository, in shared/contracts)")


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
    root = where.partition("/")[0]
    return Draft202012Validator({"$ref": f"#/{where}/{name}", root: _document(vendor)[root]})


def _fields(vendor: str, name: str) -> set[str]:
    _, schemas = _schemas(vendor)
    fields: set[str] = set()
    waiting = [schemas[name]]
    while waiting:
        schema = waiting.pop()
        fields |= set(schema.get("properties", {}))
        waiting += schema.get("allOf", [])
        if "$ref" in schema:
            waiting.append(schemas[schema["$ref"].rpartition("/")[2]])
    return fields


def _plain(schema: Any) -> Any:
    """Return OpenAPI's `nullable` as JSON Schema says it."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    if plain.pop("nullable", None) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
