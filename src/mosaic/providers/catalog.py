"""The one place that knows model names: what to use when nobody names one, and what each family of models allows.

Facts of the vendors' documentation as of 2026-11. A model that is not listed gets the facts of its provider's
newest models, so a new name works on the day it appears.
"""

from dataclasses import dataclass

__all__ = ["DEFAULT_MODELS", "DEFAULT_PROVIDERS", "ModelFacts", "model_facts"]

DEFAULT_PROVIDERS = ("anthropic", "openai", "ollama")
"""Where to look for a model, in this order, when an agent names none."""

DEFAULT_MODELS: dict[str, tuple[str, ...]] = {
    "anthropic": ("claude-sonnet-5-5",),
    "openai": ("gpt-6.1-sol",),
    # Local models that call tools reliably, best first; the first one that is installed is used.
    "ollama": ("qwen3-coder", "gpt-oss", "qwen3", "devstral", "mistral-small", "llama3.3", "llama3.1"),
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a family of models allows.

    Attributes:
        max_output_tokens: the most one answer may hold, reasoning included.
        sampling: accepts `temperature`; where False the adapter leaves it out, because the vendor refuses it.
        forced_tools: accepts a tool choice that forces a call; where False the adapter asks for `auto`.
        json_schema: accepts an output schema natively.
    """

    max_output_tokens: int
    sampling: bool = True
    forced_tools: bool = True
    json_schema: bool = True
    images: bool = True


_NEWEST: dict[str, ModelFacts] = {
    "anthropic": ModelFacts(128_000, sampling=False, forced_tools=False),
    "openai": ModelFacts(128_000, sampling=False),
    "ollama": ModelFacts(32_768, images=False),
}

# The longest prefix that fits counts.
_FAMILIES: dict[str, dict[str, ModelFacts]] = {
    "anthropic": {
        "claude-3": ModelFacts(4_096, json_schema=False),
        "claude-3-5": ModelFacts(8_192, json_schema=False),
        "claude-3-7": ModelFacts(64_000, json_schema=False),
        "claude-opus-4": ModelFacts(32_000, json_schema=False),
        "claude-sonnet-4": ModelFacts(64_000, json_schema=False),
        "claude-opus-4-1": ModelFacts(32_000),
        "claude-opus-4-5": ModelFacts(64_000),
        "claude-sonnet-4-5": ModelFacts(64_000),
        "claude-haiku-4-5": ModelFacts(64_000),
        "claude-opus-4-6": ModelFacts(128_000),
        "claude-sonnet-4-6": ModelFacts(128_000),
        "claude-opus-4-7": ModelFacts(128_000, sampling=False),
        "claude-opus-4-8": ModelFacts(128_000, sampling=False),
        "claude-opus-5": ModelFacts(128_000, sampling=False),
        "claude-sonnet-5": ModelFacts(128_000, sampling=False),
        "claude-haiku-5": ModelFacts(128_000, sampling=False),
        "claude-opus-5-5": ModelFacts(128_000, sampling=False, forced_tools=False),
        "claude-sonnet-5-5": ModelFacts(128_000, sampling=False, forced_tools=False),
    },
    "openai": {
        "gpt-3.5": ModelFacts(4_096, json_schema=False, images=False),
        "gpt-4": ModelFacts(8_192, json_schema=False, images=False),
        "gpt-4-turbo": ModelFacts(4_096, json_schema=False),
        "gpt-4o": ModelFacts(16_384),
        "gpt-4.1": ModelFacts(32_768),
        "gpt-oss": ModelFacts(32_768, images=False),
        "o1": ModelFacts(100_000, sampling=False),
        "o3": ModelFacts(100_000, sampling=False),
        "o4": ModelFacts(100_000, sampling=False),
        "gpt-5": ModelFacts(128_000, sampling=False),
        "gpt-6": ModelFacts(128_000, sampling=False),
    },
    "ollama": {},
}

_UNKNOWN = ModelFacts(8_192)


def model_facts(provider: str, model: str) -> ModelFacts:
    """Return what `model` of `provider` allows."""
    families = _FAMILIES.get(provider, {})
    prefix = max((prefix for prefix in families if model.startswith(prefix)), key=len, default=None)
    return families[prefix] if prefix is not None else _NEWEST.get(provider, _UNKNOWN)
