"""Prices come from the user, the provider or the public list, and are never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.money import Money
from mosaic.cost import PriceList, TokenPrice
from mosaic.providers import DeclaredPrice, ModelCapabilities, Usage

MILLION = Usage(1_000_000, 1_000_000)


def test_a_public_price_is_exact():
    # $2 and $10 for a million tokens, as the vendor publishes them
    assert PriceList().price("anthropic", "claude-sonnet-5-5", Usage(1_000, 100)) == Money.usd("0.003")


def test_a_dated_name_of_a_model_has_its_price():
    assert PriceList().price("openai", "gpt-4o-2024-08-06", Usage(1_000, 0)) == Money.usd("0.0025")


def test_the_cache_is_priced_apart():
    usage = Usage(1_000, 0, cached_input_tokens=400, cache_write_tokens=100)
    price = PriceList().price("anthropic", "claude-sonnet-4-5", usage)
    assert price == Money.usd("0.0015") + Money.usd("0.00012") + Money.usd("0.000375")


@pytest.mark.parametrize(("provider", "model"), [("openai", "nobody-knows-me"), ("nobody", "gpt-4o")])
def test_an_unknown_price_is_none(provider, model):
    assert PriceList().price(provider, model, MILLION) is None
    assert PriceList().estimate(provider, model, input_tokens=1, max_output_tokens=1) is None


def test_a_model_is_priced_where_its_calls_go():
    groq = ModelCapabilities(price_source="https://api.groq.com/openai/v1")
    assert PriceList().price("openai", "llama-3.3-70b-versatile", MILLION, capabilities=groq) is not None
    unknown = ModelCapabilities(price_source="http://127.0.0.1:8000/v1")
    assert PriceList().price("openai", "gpt-4o", MILLION, capabilities=unknown) is None


def test_a_local_model_costs_nothing():
    assert PriceList().price("ollama", "qwen3", MILLION, capabilities=ModelCapabilities(local=True)) == Money(
        0
    )


def test_a_declared_price_counts():
    able = ModelCapabilities(price=DeclaredPrice(3, 15), local=True)
    assert PriceList().price("scripted", "play", MILLION, capabilities=able) == Money.usd(18)


def test_the_users_own_price_wins_and_the_longest_pattern_among_them():
    prices = PriceList(
        {"openai:*": TokenPrice(1, 1), "openai:gpt-4o*": TokenPrice(5, 5), "openai:gpt-4o": TokenPrice(7, 7)}
    )
    assert prices.price("openai", "gpt-4o", Usage(1_000_000, 0)) == Money.usd(7)
    assert prices.price("openai", "gpt-4o-mini", Usage(1_000_000, 0)) == Money.usd(5)
    assert prices.price("openai", "mine", Usage(1_000_000, 0)) == Money.usd(1)
    able = ModelCapabilities(price=DeclaredPrice(3, 15))
    assert prices.price("openai", "mine", Usage(1_000_000, 0), capabilities=able) == Money.usd(1)


def test_an_own_price_for_the_cache_counts():
    prices = PriceList({"a:b": TokenPrice(10, 20, cached_input_usd_per_mtok=1, cache_write_usd_per_mtok=12)})
    usage = Usage(1_000_000, 0, cached_input_tokens=500_000, cache_write_tokens=100_000)
    assert prices.price("a", "b", usage) == Money.usd("4.0") + Money.usd("0.5") + Money.usd("1.2")


def test_fractions_of_a_billionth_are_rounded_up():
    prices = PriceList({"a:b": TokenPrice(0.0001, 0)})
    assert prices.price("a", "b", Usage(1, 0)) == Money(1)


@given(
    total=st.integers(0, 300_000),
    cached=st.integers(0, 300_000),
    written=st.integers(0, 300_000),
    output=st.integers(0, 20_000),
)
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-sonnet-5-5", "claude-haiku-5-5"])
def test_no_call_costs_more_than_its_estimate(model, total, cached, written, output):
    cached = min(cached, total)
    usage = Usage(total, output, cached, min(written, total - cached))
    prices = PriceList()
    actual = prices.price("anthropic", model, usage)
    assert actual <= prices.estimate("anthropic", model, input_tokens=total, max_output_tokens=20_000)


def test_the_origin_of_the_prices_is_shown_with_its_date():
    assert PriceList().origin().startswith("genai-prices ")
    assert "20" in PriceList().origin().partition("newest price change")[2]
