"""Models that a provider keeps on its own machine: downloading them, making new ones, removing them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["LocalModel", "ModelFormat", "ModelRecipe", "StoreProgress"]

ModelFormat = Literal["gguf", "safetensors", "ggml", "pytorch"]


@dataclass(frozen=True, slots=True)
class StoreProgress:
    """How far a download or the making of a model has come.

    Attributes:
        status: the provider's words.
        digest: which part is being fetched; None between parts.
        completed_bytes, total_bytes: of that part; None when the provider does not say.
    """

    status: str
    digest: str | None = None
    completed_bytes: int | None = None
    total_bytes: int | None = None

    @property
    def share(self) -> float | None:
        """How much of the part has come, from 0 to 1; None when nobody knows."""
        if not self.total_bytes:
            return None
        return min((self.completed_bytes or 0) / self.total_bytes, 1.0)

    def to_json(self) -> JsonObject:
        """Return the progress as a JSON object."""
        return {
            "status": self.status,
            "digest": self.digest,
            "completed_bytes": self.completed_bytes,
            "total_bytes": self.total_bytes,
        }


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """What a new model is made of. Give `base`, or `files`.

    Attributes:
        name: the new model's.
        base: the model it is made from.
        files: file name -> digest (``sha256:...``) of weights that the provider holds already.
        format: what kind of weights the files are; only formats that the provider imports are accepted.
        system: the system prompt it comes with.
        template: how a conversation becomes its prompt.
        parameters: how it samples by default, such as ``{"temperature": 0.7, "top_k": 40, "top_p": 0.9}``.
        quantize: the size of its numbers, such as ``q4_K_M``; None leaves them as they are.
    """

    name: str
    base: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    format: ModelFormat = "gguf"
    system: str | None = None
    template: str | None = None
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    license: str | None = None
    quantize: str | None = None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on the provider's machine.

    Attributes:
        format, quantization, parameters: as the provider names them, such as ``gguf``, ``Q4_K_M``, ``8.2B``.
        context_tokens: the most it was trained to read; None when the provider does not say.
        capabilities: the provider's words, such as ``completion``, ``tools``, ``vision``, ``embedding``.
    """

    name: str
    format: str | None = None
    family: str | None = None
    parameters: str | None = None
    quantization: str | None = None
    context_tokens: int | None = None
    capabilities: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the model as a JSON object."""
        return {
            "name": self.name,
            "format": self.format,
            "family": self.family,
            "parameters": self.parameters,
            "quantization": self.quantization,
            "context_tokens": self.context_tokens,
            "capabilities": list(self.capabilities),
        }
