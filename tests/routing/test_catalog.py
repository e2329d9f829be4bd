"""Targets of the installation's providers: what they can do, what they cost, and what the operator says of them."""

from mosaic.core.redaction import Redactor
from mosaic.cost import PriceList, TokenPrice
from mosaic.providers import ModelCapabilities, ProviderRegistry
from mosaic.routing import ProviderTargets, target_of


def test_a_target_says_what_its_provider_says() -> None:
    able = ModelCapabilities(
        images=True, tools=True, structured_output=False, context_tokens=1_000_000, local=False
    )
    prices = PriceList({"openai-eu:gpt": TokenPrice(1.25, 10.0)})
    made = target_of(
        "openai-eu", "gpt", capabilities=able, prices=prices,
        attributes={"region": "eu-west", "residency": ["eu"], "compliance": ["gdpr"], "owner": "us", "quality": 0.9},
    )  # fmt: skip
    assert (made.id, made.kind, made.region, made.quality) == ("openai-eu:gpt", "ai", "eu-west", 0.9)
    assert made.capabilities == {"vision", "tools", "streaming"}
    assert (made.context_tokens, made.residency, made.attributes) == (1_000_000, {"eu"}, {"owner": "us"})
    assert (made.input_nanos_per_token, made.output_nanos_per_token) == (1250, 10_000)
    assert made.cost_nanos(1000, 100) == 2_250_000


def test_a_model_on_the_own_machine_costs_nothing_and_an_unknown_price_is_none() -> None:
    assert (
        target_of(
            "ollama", "qwen", capabilities=ModelCapabilities(local=True), prices=PriceList()
        ).cost_nanos(9, 9)
        == 0
    )
    assert target_of("x", "y", capabilities=ModelCapabilities(), prices=PriceList()).cost_nanos(9, 9) is None
    assert target_of("gitea", None, kind="git", attributes={"local": True}).id == "gitea"


def test_any_model_of_a_configured_provider_is_a_target() -> None:
    registry = ProviderRegistry(redactor=Redactor(), environment={})
    resolve = ProviderTargets(registry, attributes={"ollama": {"region": "house"}})
    found = resolve("ollama", "whatever")
    assert found is not None
    assert (found.local, found.region) == (True, "house")
    assert resolve("openai", "gpt-5") is not None  # without a key too: routes can be explained anywhere
    assert resolve("nobody", "m") is None
    assert resolve("ollama", None) is None
