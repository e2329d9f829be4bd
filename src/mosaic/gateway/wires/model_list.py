"""GET /v1/models, as OpenAI and as Anthropic show it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import as_json

__all__ = ["anthropic_model", "anthropic_models", "openai_model", "openai_models"]


def openai_model(identifier: str, *, owner: str, created: int) -> JsonObject:
    """Return one model as OpenAI shows it; `created` in seconds since 1970."""
    return {"id": identifier, "object": "model", "created": created, "owned_by": owner}


def openai_models(models: Sequence[JsonObject]) -> bytes:
    """Return the whole list."""
    return as_json({"object": "list", "data": list(models)})


def anthropic_model(identifier: str, *, name: str | None = None, created: int) -> JsonObject:
    """Return one model as Anthropic shows it; `created` in seconds since 1970."""
    return {
        "type": "model",
        "id": identifier,
        "display_name": name or identifier,
        "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }


def anthropic_models(models: Sequence[JsonObject]) -> bytes:
    """Return the one page that holds the whole list."""
    return as_json(
        {
            "data": list(models),
            "has_more": False,
            "first_id": models[0]["id"] if models else None,
            "last_id": models[-1]["id"] if models else None,
        }
    )
