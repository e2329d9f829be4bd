"""The first model that can be used now is chosen; when there is none, the error says what to set."""

import pytest

from mosaic.core.errors import InvalidInput, NotFound
from mosaic.cost import Cost
from mosaic.inference import Inference, InferenceSettings, split_reference
from mosaic.providers import ProviderRegistry
from tests.providers.endpoint import json_reply, unused_url

pytestmark = pytest.mark.anyio

INSTALLED = json_reply({"models": [{"name": "qwen3:8b", "model": "qwen3:8b"}]})


@pytest.fixture
def make(redactor):
    def make(environment=None, *, defaults=None, **options):
        registry = ProviderRegistry(redactor=redactor, environment=environment or {}, **options)
        settings = InferenceSettings(defaults=defaults) if defaults else InferenceSettings()
        return Inference(registry, Cost.__new__(Cost), settings)

    return make


@pytest.fixture
async def nowhere():
    return {"OLLAMA_HOST": await unused_url()}


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ({"ANTHROPIC_API_KEY": "k" * 20, "OPENAI_API_KEY": "k" * 20}, "anthropic:claude-sonnet-5-5"),
        ({"OPENAI_API_KEY": "k" * 20}, "openai:gpt-6.1-sol"),
        ({"ANTHROPIC_API_KEY": "k" * 20, "ANTHROPIC_MODEL": "claude-opus-5-5"}, "anthropic:claude-opus-5-5"),
    ],
)
async def test_without_a_wish_the_first_provider_with_a_key_is_used(make, nowhere, keys, model):
    assert await make({**nowhere, **keys}).resolve() == model
    assert await make({**nowhere, **keys}).resolve(["default"]) == model


async def test_without_any_key_a_reachable_ollama_is_used(make, endpoint):
    endpoint.will(INSTALLED)
    assert await make({"OLLAMA_HOST": endpoint.url}).resolve() == "ollama:qwen3:8b"


async def test_with_nothing_at_all_the_error_names_the_variables_and_the_script(make, nowhere):
    with pytest.raises(NotFound) as caught:
        await make(nowhere).resolve()
    shown = f"{caught.value.message} {caught.value.hint}"
    for word in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ollama serve", "scripted:"):
        assert word in shown
    assert caught.value.data["tried"] == ["anthropic", "openai", "ollama"]


async def test_the_first_usable_candidate_is_chosen(make, nowhere):
    inference = make({**nowhere, "OPENAI_API_KEY": "k" * 20})
    assert (
        await inference.resolve(["anthropic:claude-opus-5-5", "openai:gpt-4.1", "openai:gpt-4o"])
        == "openai:gpt-4.1"
    )


async def test_a_script_serves_when_nothing_else_does(make, nowhere, tmp_path):
    play = tmp_path / "scripted.yaml"
    play.write_text("{scripted: 1, agents: {}}")
    inference = make(nowhere)
    assert await inference.resolve(["default", f"scripted:{play}"]) == f"scripted:{play}"
    with pytest.raises(NotFound, match="cannot be read"):
        await inference.resolve(["scripted:/nowhere/play.yaml"])


async def test_an_ollama_without_the_model_is_passed_over(make, endpoint):
    endpoint.will(INSTALLED)
    inference = make({"OLLAMA_HOST": endpoint.url})
    assert await inference.resolve(["ollama:llama3.3", "ollama:qwen3:8b"]) == "ollama:qwen3:8b"


async def test_the_installation_may_name_its_own_order(make, nowhere):
    inference = make(
        {**nowhere, "OPENAI_API_KEY": "k" * 20, "ANTHROPIC_API_KEY": "k" * 20}, defaults=("openai:gpt-4.1",)
    )
    assert await inference.resolve() == "openai:gpt-4.1"


async def test_health_is_remembered_for_a_moment(make, endpoint):
    endpoint.will(INSTALLED)
    inference = make({"OLLAMA_HOST": endpoint.url})
    for _ in range(5):
        await inference.resolve(["ollama:qwen3:8b"])
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("candidate", ["", ":x", "openai:", "a/b:c"])
async def test_what_names_no_model_is_refused(make, candidate):
    with pytest.raises(InvalidInput):
        await make().resolve([candidate])


async def test_an_unknown_provider_is_named_with_the_nearest(make):
    with pytest.raises(NotFound) as caught:
        await make().resolve(["opnai:gpt-4o"])
    assert "openai" in str(caught.value.hint)


def test_a_models_name_may_hold_colons():
    assert split_reference("ollama:qwen3:8b") == ("ollama", "qwen3:8b")
    assert split_reference("openai") == ("openai", None)


@pytest.mark.requirement("ORC-06", "ORC-196")
async def test_health_and_models_are_told_for_every_provider(make, endpoint):
    endpoint.answer = lambda _: INSTALLED
    inference = make({"OLLAMA_HOST": endpoint.url})
    health = {item.provider: item.status for item in await inference.health()}
    assert health == {
        "anthropic": "unconfigured",
        "cohere": "unconfigured",
        "gemini": "unconfigured",
        "ollama": "ready",
        "openai": "unconfigured",
        "scripted": "ready",
    }
    assert [model.reference for model in await inference.models()] == ["ollama:qwen3:8b"]


async def test_what_a_model_can_do_is_told(make):
    assert make().capabilities("openai:gpt-4o").structured_output
    assert not make().capabilities("openai:gpt-3.5-turbo").structured_output
