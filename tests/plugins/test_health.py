"""A provider says whether it can be used, what it offers and which model it would choose."""

import pytest

from mosaic.core.errors import InvalidInput
from mosaic.plugins.ollama.provider import address_of
from mosaic.providers import ModelInfo
from tests.plugins import contracts
from tests.plugins.vendors import KEY, error_body, make_provider
from tests.providers.endpoint import json_reply, unused_url

pytestmark = pytest.mark.anyio

OPENAI_MODELS = {"object": "list", "data": [{"id": "m1", "object": "model", "created": 1, "owned_by": "x"}]}
ANTHROPIC_MODELS = {
    "data": [{"id": "claude-sonnet-5-5-20260901", "type": "model", "display_name": "Sonnet", "max_tokens": 9}]
}


def tags(*names):
    body = {"models": [{"name": name, "model": name, "size": 1} for name in names]}
    if (contracts.FOLDER / contracts.FILES["ollama"]).is_file():
        contracts.check("ollama", "models", body)
    return json_reply(body)


async def test_a_remote_provider_with_a_key_is_ready_without_being_asked(endpoint):
    for vendor in ("openai", "anthropic"):
        provider = make_provider(vendor, endpoint.url)
        assert (await provider.check()).usable
    assert not endpoint.requests


@pytest.mark.requirement("ORC-56", "ORC-243")
@pytest.mark.parametrize(("vendor", "body"), [("openai", OPENAI_MODELS), ("anthropic", ANTHROPIC_MODELS)])
async def test_a_thorough_check_proves_the_key(endpoint, vendor, body):
    provider = make_provider(vendor, endpoint.url)
    endpoint.will(json_reply(body))
    assert (await provider.check(thorough=True)).usable
    endpoint.will(json_reply(error_body(vendor, f"bad key {KEY}", "authentication_error"), status=401))
    health = await provider.check(thorough=True)
    assert health.status == "refused"
    assert KEY not in str(health)
    await provider.close()


async def test_a_thorough_check_finds_a_model_that_is_not_offered(endpoint):
    endpoint.answer = lambda _: json_reply(OPENAI_MODELS)
    provider = make_provider("openai", endpoint.url)
    assert (await provider.check("m1", thorough=True)).usable
    assert not (await provider.check("m2", thorough=True)).usable
    await provider.close()


async def test_an_unreachable_server_is_unreachable_not_an_exception():
    url = await unused_url()
    for vendor in ("openai", "anthropic", "ollama"):
        provider = make_provider(vendor, url)
        health = await provider.check(thorough=True)
        assert health.status == "unreachable"
        assert health.hint
        await provider.close()


@pytest.mark.requirement("ORC-196")
async def test_the_offered_models_are_listed(endpoint):
    endpoint.will(json_reply(ANTHROPIC_MODELS))
    provider = make_provider("anthropic", endpoint.url)
    assert await provider.models() == [
        ModelInfo("anthropic", "claude-sonnet-5-5-20260901", name="Sonnet", max_output_tokens=9)
    ]
    await provider.close()


async def test_ollama_is_ready_with_the_model_asked_for(endpoint):
    endpoint.answer = lambda _: tags("qwen3:8b", "llama3.1:latest")
    provider = make_provider("ollama", endpoint.url)
    assert (await provider.check("qwen3:8b")).usable
    assert (await provider.check("llama3.1")).usable
    missing = await provider.check("qwen3:70b")
    assert (missing.status, missing.hint) == ("unconfigured", "Run `ollama pull qwen3:70b`.")
    await provider.close()


async def test_ollama_without_any_model_says_how_to_get_one(endpoint):
    endpoint.answer = lambda _: tags()
    provider = make_provider("ollama", endpoint.url)
    health = await provider.check()
    assert not health.usable
    assert "ollama pull" in str(health.hint)
    assert await provider.default_model() is None
    await provider.close()


@pytest.mark.requirement("ORC-207")
async def test_ollama_chooses_the_best_installed_model_that_is_known(endpoint):
    endpoint.answer = lambda _: tags("tiny:1b", "llama3.1:8b", "qwen3-coder:30b")
    provider = make_provider("ollama", endpoint.url)
    assert await provider.default_model() == "qwen3-coder:30b"
    endpoint.answer = lambda _: tags("tiny:1b")
    assert await provider.default_model() == "tiny:1b"
    await provider.close()


async def test_a_compatible_server_chooses_its_first_model(endpoint):
    endpoint.answer = lambda _: json_reply(OPENAI_MODELS)
    provider = make_provider("openai", endpoint.url)
    assert await provider.default_model() == "m1"
    await provider.close()


async def test_a_configured_model_is_chosen(endpoint):
    for vendor in ("openai", "anthropic", "ollama"):
        assert await make_provider(vendor, endpoint.url, model="mine").default_model() == "mine"


def test_prices_are_looked_up_where_the_calls_go():
    assert make_provider("openai", "https://api.openai.com").capabilities("gpt-4o").price_source == "openai"
    assert (
        make_provider("openai", "http://127.0.0.1:8000").capabilities("gpt-4o").price_source
        == "http://127.0.0.1:8000/v1"
    )
    assert make_provider("ollama", "http://127.0.0.1:1").capabilities("qwen3").local
    assert not make_provider("ollama", "http://127.0.0.1:1").capabilities("gpt-oss:120b-cloud").local


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("box:1234", "http://box:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:99", "http://127.0.0.1:99"),
        ("[::]:99", "http://127.0.0.1:99"),
        ("[::1]", "http://[::1]:11434"),
        ("http://box", "http://box:11434"),
        ("https://box.test/ollama/", "https://box.test:443/ollama"),
    ],
)
def test_ollamas_host_may_be_written_as_ollama_allows(host, address):
    assert address_of(host) == address


@pytest.mark.parametrize("host", ["", "http://", "box:port", "user:pass@box"])
def test_what_is_not_a_host_is_refused(host):
    with pytest.raises(InvalidInput):
        address_of(host)
