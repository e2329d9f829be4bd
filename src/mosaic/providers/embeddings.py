"""Texts as vectors: what is asked of a provider, and what it answers."""

from dataclasses import dataclass
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.providers.ai import Usage

__all__ = ["EmbeddingPurpose", "EmbeddingRequest", "EmbeddingResponse"]

EmbeddingPurpose = Literal["document", "query", "classification", "clustering", "similarity"]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request for one vector for each text.

    Attributes:
        model: the vendor's own name of the model.
        inputs: the texts; a provider splits more than its API takes at once.
        dimensions: the length of each vector; None means the model's own.
        purpose: what the vectors are for, where the model makes a difference; None leaves it to the model.
        timeout_s: for one attempt, all of its parts together.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    purpose: EmbeddingPurpose | None = None
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """The vectors, in the order of the inputs.

    Attributes:
        model: the name the provider answered with, or the one asked for.
        usage_estimated: the provider did not say what was read; `usage` is our estimate.
    """

    vectors: tuple[tuple[float, ...], ...]
    model: str
    provider: str
    usage: Usage
    usage_estimated: bool = False

    def to_json(self) -> JsonObject:
        """Return the response as a JSON object."""
        return {
            "vectors": [list(vector) for vector in self.vectors],
            "model": self.model,
            "provider": self.provider,
            "usage": self.usage.to_json(),
            "usage_estimated": self.usage_estimated,
        }
