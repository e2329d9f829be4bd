"""Where the gateway may send a client's own bytes, and under which name an adapter answers."""

import pytest

from mosaic.core.errors import MosaicError
from mosaic.providers import Message, ModelRequest, WireEndpoint, WireSpeaker
from tests.plugins.vendors import KEY, MODEL_OF, VENDORS, Said, error_body, make_provider, reply
from tests.providers.endpoint import json_reply

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("vendor", "wire", "path"),
    [
        ("openai", "openai.chat", "/v1/chat/completions"),
        ("openai", "openai.embeddings", "/v1/embeddings"),
        ("openai", "openai.responses", None),
        ("openai", "anthropic.messages", None),
        ("responses", "openai.responses", "/v1/responses"),
        ("anthropic", "anthropic.messages", "/v1/messages"),
        ("anthropic", "anthropic.count_tokens", "/v1/messages/count_tokens"),
        ("anthropic", "openai.chat", None),
        ("ollama", "openai.chat", "/v1/chat/completions"),
        ("ollama", "openai.embeddings", "/v1/embeddings"),
        ("gemini", "openai.chat", None),
        ("cohere", "openai.chat", None),
    ],
)
def test_a_wire_goes_to_the_vendors_own_path(vendor, wire, path):
    provider = make_provider(vendor, "http://127.0.0.1:8000")
    assert isinstance(provider, WireSpeaker)
    found = provider.endpoint(wire, MODEL_OF[vendor], stream=True)
    assert (found.path if found else None) == path
    if found:
        assert found.origin == "http://127.0.0.1:8000"
        assert found.provider == vendor


def test_openais_own_server_speaks_all_its_wires():
    provider = make_provider("openai", "http://127.0.0.1:1", base_url="https://api.openai.com/v1")
    for wire in ("openai.chat", "openai.responses", "openai.embeddings"):
        found = provider.endpoint(wire, "gpt-6.1-sol", stream=False)
        assert found.origin == "https://api.openai.com:443"


def test_an_endpoint_authenticates_and_never_shows_how():
    openai = make_provider("openai", "http://[::1]:8000", organization="org-1")
    found = openai.endpoint("openai.chat", "m", stream=False)
    assert found.origin == "http://[::1]:8000"
    assert dict(found.headers) == {
        b"authorization": f"Bearer {KEY}".encode(),
        b"openai-organization": b"org-1",
    }
    anthropic = make_provider("anthropic", "http://127.0.0.1:1").endpoint(
        "anthropic.messages", "m", stream=True
    )
    assert dict(anthropic.headers) == {b"anthropic-version": b"2023-06-01", b"x-api-key": KEY.encode()}
    for endpoint in (found, anthropic):
        assert KEY not in repr(endpoint)


def test_asking_for_an_endpoint_again_makes_no_new_one():
    provider = make_provider("openai", "http://127.0.0.1:1")
    assert provider.endpoint("openai.chat", "a", stream=True) is provider.endpoint(
        "openai.chat", "b", stream=False
    )


@pytest.mark.parametrize(
    "config", [{"options": {"num_gpu": 1}}, {"context_tokens": 32_768}, {"keep_alive": 0}], ids=str
)
def test_what_ollama_is_configured_to_do_is_not_passed_by(config):
    provider = make_provider("ollama", "http://127.0.0.1:1", **config)
    assert provider.endpoint("openai.chat", "qwen3:8b", stream=True) is None


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_adapter_answers_and_fails_under_the_name_it_is_configured_as(endpoint, vendor):
    provider = make_provider(vendor, endpoint.url)
    provider.name = "mine-eu"
    request = ModelRequest(MODEL_OF[vendor], (Message.of("user", "hi"),), timeout_s=10)
    endpoint.will(reply(vendor, Said("x")))
    assert (await provider.complete(request, idempotency_key="k")).provider == "mine-eu"
    endpoint.will(json_reply(error_body(vendor, "no"), status=500))
    with pytest.raises(MosaicError) as caught:
        await provider.complete(request, idempotency_key="k")
    assert caught.value.data["provider"] == "mine-eu"
    assert caught.value.message.startswith("mine-eu answered 500")
    assert (await provider.check()).provider == "mine-eu"
    wire = provider.endpoint("openai.chat", "m", stream=True)
    assert wire is None or isinstance(wire, WireEndpoint)
    assert wire is None or wire.provider == "mine-eu"
    await provider.close()
