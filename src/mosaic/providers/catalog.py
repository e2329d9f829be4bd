"""What is known of the vendors' models: what to use when nobody names one, and what each family of models allows.

The facts are data, `models.json` beside this module, with the date and the source of each vendor's. A model that is
not listed gets the facts of its provider's newest models, so a new name works on the day it appears.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

from mosaic.core.values import JsonObject
from mosaic.providers.ai import ReasoningEffort
from mosaic.providers.interfaces import DeclaredPrice, ModelCapabilities

__all__ = [
    "DEFAULT_MODELS",
    "DEFAULT_PROVIDERS",
    "EMBEDDING_MODELS",
    "CatalogSource",
    "ModelFacts",
    "Serves",
    "capabilities_of",
    "catalog_sources",
    "declared_facts",
    "facts_schema",
    "fitting_effort",
    "known_families",
    "model_facts",
]

DEFAULT_PROVIDERS = ("anthropic", "openai", "ollama")
"""Where to look for a model, in this order, when an agent names none."""

DEFAULT_MODELS: dict[str, tuple[str, ...]] = {
    "anthropic": ("claude-sonnet-5-5",),
    "openai": ("gpt-6.1-sol",),
    "gemini": ("gemini-4-argon",),
    "cohere": ("command-a-03-2025",),
    # Local models that call tools reliably, best first; the first one that is installed is used.
    "ollama": ("qwen3-coder", "gpt-oss", "qwen3", "devstral", "mistral-small", "llama3.3", "llama3.1"),
}

EMBEDDING_MODELS: dict[str, str] = {
    "openai": "text-embedding-3-small",
    "gemini": "gemini-embedding-2",
    "cohere": "embed-v4.0",
    "ollama": "nomic-embed-text",
}
"""The model for embeddings when nobody names one."""

Serves = Literal["chat", "embeddings", "transcription", "speech", "moderation"]

_EFFORTS: tuple[ReasoningEffort, ...] = get_args(ReasoningEffort)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a family of models allows.

    Attributes:
        max_output_tokens: the most one answer may hold, reasoning included.
        context_tokens: the most that input and answer may hold together; None when unknown.
        serves: what the models are for.
        sampling: accepts `temperature` and `top_p`; where False the adapter leaves them out, because the vendor
            refuses them.
        stop: accepts stop texts; left out where False.
        forced_tools: accepts a tool choice that forces a call; where False the adapter asks for `auto`.
        parallel_calls: accepts the switch for parallel tool calls; left out where False.
        json_schema: accepts an output schema natively.
        schema_with_tools: accepts an output schema natively together with tools.
        images, audio, documents: reads them.
        thinking: how the vendor is told how much to think, in its adapter's words; None when it cannot be told.
        efforts: the reasoning efforts that mean something to it; empty for one that does not reason.
        cache_marks: accepts marks of where the prompt's stable part ends.
        dimensions: how long its embeddings are when nobody asks for a length.
        retired: the vendor no longer serves it.
    """

    max_output_tokens: int
    context_tokens: int | None = None
    serves: Serves = "chat"
    tools: bool = True
    sampling: bool = True
    stop: bool = True
    forced_tools: bool = True
    parallel_calls: bool = True
    json_schema: bool = True
    schema_with_tools: bool = True
    images: bool = True
    audio: bool = False
    documents: bool = False
    thinking: str | None = None
    efforts: tuple[ReasoningEffort, ...] = ()
    cache_marks: bool = False
    dimensions: int | None = None
    retired: bool = False

    @property
    def reasoning(self) -> bool:
        """Whether the models think before they answer."""
        return any(effort != "none" for effort in self.efforts)


@dataclass(frozen=True, slots=True)
class CatalogSource:
    """Where one vendor's facts come from, and as of which month (``YYYY-MM``)."""

    provider: str
    source: str
    date: str


_UNKNOWN = ModelFacts(8_192)


@cache
def _data() -> dict[str, Any]:
    text = (files("mosaic.providers") / "models.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _families(provider: str) -> tuple[dict[str, ModelFacts], ModelFacts]:
    shown = _data()["providers"].get(provider)
    if shown is None:
        return {}, _UNKNOWN
    return {prefix: _facts(entry) for prefix, entry in shown["families"].items()}, _facts(shown["newest"])


def _facts(entry: JsonObject) -> ModelFacts:
    known = {field.name for field in fields(ModelFacts)}
    if unknown := entry.keys() - known:
        raise ValueError(f"models.json has unknown facts: {sorted(unknown)}")
    return ModelFacts(**{**entry, "efforts": tuple(entry.get("efforts", ()))})


def facts_schema() -> JsonObject:
    """Return the JSON Schema of a configuration that declares models: the beginning of a name -> facts, a price."""
    switch = {"type": "boolean"}
    count = {"type": "integer", "minimum": 1}
    dollars = {"type": "number", "minimum": 0}
    facts: JsonObject = {
        "max_output_tokens": count,
        "context_tokens": count,
        "dimensions": count,
        "serves": {"enum": list(get_args(Serves))},
        "efforts": {"type": "array", "items": {"enum": list(_EFFORTS)}},
        "thinking": {"type": "string"},
        "input_usd_per_mtok": dollars,
        "output_usd_per_mtok": dollars,
        **{field.name: switch for field in fields(ModelFacts) if field.type in ("bool", bool)},
    }
    entry = {"type": "object", "properties": facts, "additionalProperties": False}
    return {"type": "object", "additionalProperties": entry, "description": "what its own models can do"}


def declared_facts(
    declared: Mapping[str, JsonObject], model: str, facts: ModelFacts
) -> tuple[ModelFacts, DeclaredPrice | None]:
    """Return `facts` with what a configuration of `facts_schema` declares for `model`, and its price if it has one."""
    prefix = max((prefix for prefix in declared if model.startswith(prefix)), key=len, default=None)
    if prefix is None:
        return facts, None
    entry = dict(declared[prefix])
    prices = [entry.pop(name, None) for name in ("input_usd_per_mtok", "output_usd_per_mtok")]
    price = DeclaredPrice(prices[0] or 0.0, prices[1] or 0.0) if any(p is not None for p in prices) else None
    if "efforts" in entry:
        entry["efforts"] = tuple(entry["efforts"])
    return replace(facts, **entry), price


@lru_cache(maxsize=4096)
def capabilities_of(
    facts: ModelFacts,
    *,
    price: DeclaredPrice | None = None,
    price_source: str | None = None,
    local: bool = False,
) -> ModelCapabilities:
    """Return what models of these facts can do; the rest is as in `ModelCapabilities`."""
    chats = facts.serves == "chat"
    return ModelCapabilities(
        tools=chats and facts.tools,
        structured_output=chats and facts.json_schema,
        streaming=chats,
        images=facts.images and facts.serves in ("chat", "moderation"),
        audio=facts.audio or facts.serves == "transcription",
        documents=facts.documents,
        reasoning=facts.reasoning,
        embeddings=facts.serves == "embeddings",
        context_tokens=facts.context_tokens,
        max_output_tokens=facts.max_output_tokens or None,
        price=price,
        price_source=price_source,
        local=local,
    )


@lru_cache(maxsize=4096)
def model_facts(provider: str, model: str) -> ModelFacts:
    """Return what `model` of `provider` allows. The longest family name that `model` begins with counts."""
    families, newest = _families(provider)
    prefix = max((prefix for prefix in families if model.startswith(prefix)), key=len, default=None)
    return families[prefix] if prefix is not None else newest


def known_families(provider: str) -> dict[str, ModelFacts]:
    """Return the families of one provider's models, by the beginning of their names."""
    return dict(_families(provider)[0])


def catalog_sources() -> list[CatalogSource]:
    """Return where the facts come from."""
    data = _data()
    return [CatalogSource(name, shown["source"], data["date"]) for name, shown in data["providers"].items()]


def fitting_effort(
    wanted: ReasoningEffort | None, accepted: Sequence[ReasoningEffort]
) -> ReasoningEffort | None:
    """Return the accepted effort nearest to `wanted`: the lowest one at or above it, else the highest.

    None when nothing is wanted or the model cannot be told.
    """
    if wanted is None or not accepted:
        return None
    ranked = sorted(accepted, key=_EFFORTS.index)
    return next((level for level in ranked if _EFFORTS.index(level) >= _EFFORTS.index(wanted)), ranked[-1])
