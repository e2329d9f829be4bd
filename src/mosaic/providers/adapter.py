"""What every adapter does alike once its vendor's body is translated."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mosaic.core.errors import ContractViolation, ModelRefused, MosaicError, PermissionDenied, Unauthenticated
from mosaic.providers.ai import ModelRequest, ModelResponse, Part, ToolCallPart, Usage
from mosaic.providers.interfaces import ProviderHealth
from mosaic.providers.tokens import estimate_text, estimate_tokens

__all__ = ["call_ids", "estimated_usage", "health_of", "reading", "refused"]


@contextmanager
def reading(provider: str) -> Iterator[None]:
    """Turn a surprise in a vendor's body into a ContractViolation that names the vendor."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ContractViolation(
            f"{provider} answered outside its own protocol ({type(error).__name__}: {error}).",
            provider=provider,
        ) from error


def call_ids(parts: list[Part], *, seed: str) -> tuple[Part, ...]:
    """Return `parts` with an id for every tool call, each its own: some servers give none, or one twice."""
    seen: set[str] = set()
    fixed: list[Part] = []
    short = hashlib.sha256(seed.encode()).hexdigest()[:12]
    for index, part in enumerate(parts):
        if isinstance(part, ToolCallPart) and (not part.id or part.id in seen):
            part = ToolCallPart(f"call_{short}_{index}", part.name, part.arguments)
        if isinstance(part, ToolCallPart):
            seen.add(part.id)
        fixed.append(part)
    return tuple(fixed)


def estimated_usage(request: ModelRequest, parts: tuple[Part, ...]) -> Usage:
    """Return what an answer probably used, for a server that does not say."""
    written = sum(estimate_text(str(part.to_json())) for part in parts)
    return Usage(input_tokens=estimate_tokens(request), output_tokens=written)


def refused(response: ModelResponse, words: str) -> ModelRefused:
    """Return the error for a declined answer; it carries the usage, because a refusal is billed too."""
    said = words.strip() or "it gave no reason"
    return ModelRefused(
        f"{response.provider}:{response.model} declined to answer: {said[:500]}",
        hint="Rephrase the task, or name another model.",
        provider=response.provider,
        model=response.model,
        reason=response.finish_reason,
        response_id=response.response_id,
        usage=response.usage.to_json(),
    )


def health_of(error: MosaicError, provider: str) -> ProviderHealth:
    """Return what a failed check says about a provider."""
    status: Any = "refused" if isinstance(error, Unauthenticated | PermissionDenied) else "unreachable"
    return ProviderHealth(provider, status, error.message, error.hint)
