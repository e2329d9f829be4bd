"""Plugins are found, configured from settings and environment, and never drag each other down."""

import sys
from importlib.metadata import EntryPoint

import pytest

from mosaic.core.errors import InvalidInput, NotFound, Unavailable
from mosaic.core.redaction import MASK, Redactor
from mosaic.providers import ProviderRegistry

pytestmark = pytest.mark.anyio

KEY = "key-that-nobody-may-see"


def registry(environment=None, *, redactor=None, **options):
    return ProviderRegistry(redactor=redactor or Redactor(), environment=environment or {}, **options)


def plugin(name, target):
    return EntryPoint(name, target, "mosaic.providers")


@pytest.mark.requirement("ORC-91", "ORC-100")
def test_the_built_in_providers_are_found_without_importing_them():
    for module in [name for name in sys.modules if name.startswith("mosaic.plugins.ollama")]:
        del sys.modules[module]
    assert {"anthropic", "ollama", "openai", "scripted"} <= set(registry().names())
    assert "mosaic.plugins.ollama" not in sys.modules


@pytest.mark.requirement("ORC-92")
def test_every_manifest_is_whole():
    for name in ("anthropic", "ollama", "openai", "scripted"):
        manifest = registry().manifest(name)
        fields = manifest.configuration["properties"]
        assert manifest.id == name
        assert set(manifest.environment) <= set(fields)
        assert set(manifest.secrets) <= set(fields)


def test_an_unknown_provider_is_named_with_the_nearest_known_one():
    with pytest.raises(NotFound) as caught:
        registry().ai("antropic")
    assert "anthropic" in str(caught.value.hint)


@pytest.mark.requirement("ORC-91", "ORC-93")
async def test_a_plugin_that_cannot_be_imported_is_reported_and_harms_no_other():
    found = registry(
        plugins=[
            plugin("gone", "no_such_module_at_all:provider"),
            plugin("odd", "json:dumps"),
            plugin("scripted", "mosaic.plugins.scripted:provider"),
        ]
    )
    assert found.names() == ["gone", "odd", "scripted"]
    with pytest.raises(Unavailable, match="gone"):
        found.ai("gone")
    assert (await found.health("gone")).status == "broken"
    assert (await found.health("odd")).status == "broken"
    assert (await found.health("scripted")).usable
    assert set(found.broken()) == {"gone", "odd"}


def test_a_key_from_the_environment_is_masked_from_then_on():
    redactor = Redactor()
    registry({"OPENAI_API_KEY": f" {KEY}\n"}, redactor=redactor).ai("openai")
    assert redactor.text(f"my {KEY}") == f"my {MASK}"


async def test_settings_win_over_the_environment():
    found = registry(
        {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
        settings={"openai": {"base_url": "http://127.0.0.1:2/v1"}},
    )
    assert "127.0.0.1:2" in (await found.health("openai")).detail


async def test_an_empty_variable_is_no_key():
    assert (await registry({"OPENAI_API_KEY": ""}).health("openai")).status == "unconfigured"


async def test_without_a_key_the_health_names_the_variable_to_set():
    for name, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        health = await registry().health(name)
        assert health.status == "unconfigured"
        assert variable in str(health.hint)


@pytest.mark.requirement("ORC-93")
@pytest.mark.parametrize(
    "config", [{"api-key": KEY}, {"base_url": [KEY]}, {"base_url": KEY}, {"api_key": f"{KEY} {KEY}"}]
)
async def test_a_secret_in_the_wrong_place_is_refused_and_never_echoed(config):
    found = registry(settings={"openai": config})
    with pytest.raises(InvalidInput) as caught:
        found.ai("openai")
    assert KEY not in str(caught.value.to_json())
    assert caught.value.problems == () or caught.value.problems[0].path.startswith("openai")
    health = await found.health("openai")
    assert health.status == "unconfigured"
    assert KEY not in str(health)


def test_a_disabled_provider_does_not_exist():
    found = registry(disabled=["ollama"])
    assert "ollama" not in found.names()
    with pytest.raises(NotFound):
        found.ai("ollama")


def test_a_provider_is_made_once():
    found = registry()
    assert found.ai("scripted") is found.ai("scripted")


def test_a_registered_plugin_is_used():
    found = registry(plugins=[])
    found.register(registry().plugin("scripted"))
    assert found.names() == ["scripted"]
    assert found.ai("scripted").name == "scripted"
