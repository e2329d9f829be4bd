"""What is declared of the vendors' models is whole, dated, and about models that the vendors name."""

import re
from typing import get_args

import pytest

from mosaic.providers import AiProvider, ReasoningEffort
from mosaic.providers.catalog import (
    DEFAULT_MODELS,
    EMBEDDING_MODELS,
    catalog_sources,
    fitting_effort,
    known_families,
    model_facts,
)
from tests.plugins import contracts
from tests.plugins.vendors import VENDORS, make_provider

PROVIDERS = ("anthropic", "openai", "gemini", "cohere", "ollama")


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_adapter_is_an_ai_provider(vendor):
    assert isinstance(make_provider(vendor, "http://127.0.0.1:1"), AiProvider)


def test_every_vendors_facts_have_a_source_and_a_month():
    sources = {source.provider: source for source in catalog_sources()}
    assert set(sources) == set(PROVIDERS)
    assert all(re.fullmatch(r"20\d\d-\d\d", source.date) and source.source for source in sources.values())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_facts_make_sense(provider):
    for prefix, facts in known_families(provider).items():
        where = f"{provider}:{prefix}"
        if facts.serves == "chat":
            assert facts.max_output_tokens > 0, where
            assert facts.context_tokens is None or facts.context_tokens >= facts.max_output_tokens, where
        else:
            assert not facts.efforts, where
        assert set(facts.efforts) <= set(get_args(ReasoningEffort)), where
        if provider != "openai":
            assert bool(facts.efforts) == (facts.thinking is not None), where
        assert (facts.dimensions is not None) == (facts.serves == "embeddings"), where


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_default_models_are_in_use_and_call_tools(provider):
    for model in DEFAULT_MODELS[provider]:
        facts = model_facts(provider, model)
        assert not facts.retired
        assert facts.tools
    if provider in EMBEDDING_MODELS:
        assert model_facts(provider, EMBEDDING_MODELS[provider]).serves == "embeddings"


@pytest.mark.requirement("ORC-198", "ORC-197")
@pytest.mark.parametrize(
    ("model", "features", "context_tokens"),
    [
        ("gpt-3.5-turbo", {"tools", "streaming"}, 16_385),
        ("gpt-4", {"tools", "streaming"}, 8_192),
        ("gpt-4-turbo", {"tools", "streaming", "vision"}, 128_000),
        ("gpt-4o", {"tools", "streaming", "vision", "structured_output", "documents"}, 128_000),
        ("gpt-4o-audio-preview", {"tools", "streaming", "audio"}, 128_000),
        (
            "gpt-6.1-sol",
            {"tools", "streaming", "vision", "structured_output", "documents", "reasoning"},
            1_050_000,
        ),
        ("text-embedding-3-small", {"embeddings"}, 8_192),
        ("text-embedding-3-large", {"embeddings"}, 8_192),
        ("whisper-1", {"audio"}, None),
        ("tts-1", set(), None),
        ("tts-1-hd", set(), None),
        ("omni-moderation-latest", {"vision"}, None),
    ],
)
def test_openais_models_are_declared(model, features, context_tokens):
    able = make_provider("openai", "http://127.0.0.1:1").capabilities(model)
    assert able.features == features
    assert able.context_tokens == context_tokens


@pytest.mark.requirement("ORC-203", "ORC-202")
@pytest.mark.parametrize(
    ("model", "context_tokens", "images"),
    [
        ("claude-3-opus-20240229", 200_000, True),
        ("claude-3-sonnet-20240229", 200_000, True),
        ("claude-3-haiku-20240307", 200_000, True),
        ("claude-2.1", 200_000, False),
        ("claude-instant-1.2", 100_000, False),
        ("claude-haiku-4-5", 200_000, True),
        ("claude-sonnet-5-5", 1_000_000, True),
    ],
)
def test_anthropics_models_are_declared(model, context_tokens, images):
    able = make_provider("anthropic", "http://127.0.0.1:1").capabilities(model)
    assert (able.context_tokens, able.images) == (context_tokens, images)
    assert model_facts("anthropic", model).retired == model.startswith(
        ("claude-2", "claude-3", "claude-inst")
    )


@pytest.mark.requirement("ORC-213")
def test_coheres_models_are_declared():
    cohere = make_provider("cohere", "http://127.0.0.1:1")
    assert cohere.capabilities("command-r-plus").context_tokens == 128_000
    assert cohere.capabilities("command-a-03-2025").tools
    assert cohere.capabilities("embed-v4.0").features == {"embeddings"}


@pytest.mark.requirement("ORC-207")
def test_ollamas_models_are_declared():
    ollama = make_provider("ollama", "http://127.0.0.1:1")
    assert ollama.capabilities("llama3.2-vision:11b").images
    assert ollama.capabilities("nomic-embed-text").features == {"embeddings"}
    assert ollama.capabilities("qwen3:8b").reasoning
    assert ollama.capabilities("hf.co/somebody/qwen3-coder:30b").context_tokens == 262_144


def test_a_model_that_appeared_today_gets_the_newest_facts():
    assert model_facts("openai", "gpt-7") == model_facts("openai", "gpt-6.1-sol")
    assert model_facts("anthropic", "claude-sonnet-6").context_tokens == 1_000_000


@pytest.mark.parametrize(
    ("wanted", "accepted", "fitting"),
    [
        (None, ("low",), None),
        ("low", (), None),
        ("low", ("none", "low"), "low"),
        ("minimal", ("low", "high"), "low"),
        ("medium", ("low", "high"), "high"),
        ("max", ("low", "high"), "high"),
        ("none", ("none", "low"), "none"),
    ],
)
def test_an_effort_becomes_the_lowest_accepted_one_that_is_no_less(wanted, accepted, fitting):
    assert fitting_effort(wanted, accepted) == fitting


def _names(schema):
    found = set()
    for choice in schema["anyOf"]:
        found |= set(choice.get("enum", ()))
    return found


@pytest.mark.requirement("ORC-198")
@pytest.mark.parametrize(
    ("schema", "field", "serves"),
    [
        ("ModelIdsShared", None, "chat"),
        ("CreateEmbeddingRequest", "model", "embeddings"),
        ("CreateTranscriptionRequest", "model", "transcription"),
        ("CreateSpeechRequest", "model", "speech"),
        ("CreateModerationRequest", "model", "moderation"),
    ],
)
def test_every_model_in_openais_description_is_declared_for_what_it_serves(schema, field, serves):
    contracts.need("openai")
    described = contracts.schema("openai", schema)
    names = _names(described["properties"][field] if field else described)
    families = known_families("openai")
    assert names
    for name in names - {"codex-mini-latest"}:
        assert any(name.startswith(prefix) for prefix in families), name
        assert model_facts("openai", name).serves == serves, name


def test_every_model_in_anthropics_description_takes_what_the_catalogue_says():
    contracts.need("anthropic")
    names = _names(contracts.schema("anthropic", "__CreateMessageRequest")["properties"]["model"])
    assert set(DEFAULT_MODELS["anthropic"]) <= names
    for name in names:
        facts = model_facts("anthropic", name)
        assert not facts.retired, name
        assert facts.documents, name
        assert facts.context_tokens in (200_000, 1_000_000), name
