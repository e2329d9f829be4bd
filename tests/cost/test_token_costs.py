"""Prices as whole numbers: the same to the nano as the public list works them out, and a tenant's own first."""

import random
import warnings
from datetime import UTC, datetime

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.cost import OwnPrices, PriceBook, PriceList, TokenCost, TokenPrice
from mosaic.cost.token_cost import Rates
from mosaic.events import Bus, Journal
from mosaic.providers import ModelCapabilities, Usage
from mosaic.storage import Database
from tests.cost.conftest import until

pytestmark = pytest.mark.anyio

LIST = PriceList()


def test_every_price_of_the_public_list_is_the_same_in_whole_numbers() -> None:
    chance = random.Random(7)
    compared = 0
    moment = datetime.now(UTC)
    for provider in LIST.load().providers:
        for model in provider.models:
            name = model.id
            compiled = LIST.compiled(provider.id, name, moment)
            whole = chance.choice((10, 10_000, 150_000, 250_000, 600_000))
            usage = Usage(whole, chance.randrange(50_000), whole // 3, whole // 5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                listed = LIST._from_list(provider.id, name, usage)
            if compiled is None or listed is None:
                continue
            extra = {key for key, value in model.get_prices(moment).__dict__.items() if value is not None} - {
                "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "requests_kcount",
            }  # fmt: skip
            if extra:
                continue  # prices of what we do not count, such as searches
            assert abs(compiled.of(usage) - listed.nanos) <= 1, (provider.id, name)
            assert compiled.most(usage.input_tokens, usage.output_tokens) >= compiled.of(usage)
            compared += 1
    assert compared > 500


def test_the_most_a_call_can_cost_is_never_less_than_what_it_costs() -> None:
    chance = random.Random(1)
    for _ in range(2_000):
        rates = Rates(*(chance.randrange(10**10) for _ in range(4)))
        cost = TokenCost(rates, "test")
        read = chance.randrange(100_000)
        cached = chance.randint(0, read)
        usage = Usage(read, chance.randrange(10_000), cached, chance.randint(0, read - cached))
        assert cost.of(usage) <= cost.most(usage.input_tokens, usage.output_tokens)


def test_fractions_of_a_nano_are_kept_until_the_end_and_rounded_up() -> None:
    cost = TokenCost(Rates.of(TokenPrice(0.0375, 0.15)), "test")
    assert cost.of(Usage(1, 0)) == 38
    assert cost.of(Usage(1_000, 0)) == 37_500
    assert cost.of(Usage(0, 0)) == 0


def test_prices_come_in_an_order_and_say_where_they_stand() -> None:
    book = PriceBook(PriceList({"openai:gpt-4o": TokenPrice(1, 2), "*:mini": TokenPrice(3, 4)}))
    book.set_own({"t1": {"openai:*": TokenCost(Rates.of(TokenPrice(5, 6)), "contract 7")}})
    of = book.price_of
    assert of("openai", "gpt-4o", tenant="t1").source == "contract 7"  # type: ignore[union-attr]  # it is known
    assert of("openai", "gpt-4o", tenant="t2").rates.input == 10**9  # type: ignore[union-attr]
    assert of("any", "mini").rates.output == 4 * 10**9  # type: ignore[union-attr]
    assert "genai-prices" in of("openai", "gpt-4o-mini").source  # type: ignore[union-attr]
    assert of("ollama", "x", ModelCapabilities(local=True)).of(Usage(10**6, 10**6)) == 0  # type: ignore[union-attr]
    assert of("nobody", "knows") is None


@pytest.mark.requirement("ORC-73")
async def test_a_tenants_own_price_is_set_shown_and_heard_by_others(
    database: Database, journal: Journal, bus: Bus, ctx: Context, other: Context
) -> None:
    here, there = PriceBook(LIST), PriceBook(LIST)
    own = OwnPrices(database, journal, bus, here, refresh_s=0.05)
    elsewhere = OwnPrices(database, journal, bus, there, refresh_s=0.05)
    await elsewhere.start()
    before = here.price_of("openai", "gpt-4o", tenant="t1")
    await own.set(ctx, "openai:gpt-4o", TokenPrice(1, 2, 0.5), source="contract 7")
    price = here.price_of("openai", "gpt-4o", tenant="t1")
    assert price is not None
    assert (price.rates, price.source) == (Rates(10**9, 2 * 10**9, 5 * 10**8, 10**9), "contract 7")
    assert price.as_of is not None
    assert here.price_of("openai", "gpt-4o", tenant="t2") == before

    async def heard() -> bool:
        return there.price_of("openai", "gpt-4o", tenant="t1") == price

    await until(heard)
    assert [one.pattern for one in await own.all(ctx)] == ["openai:gpt-4o"]
    assert await own.all(other) == []
    with pytest.raises(NotFound):
        await own.remove(other, "openai:gpt-4o")
    await own.set(ctx, "openai:gpt-4o", TokenPrice(3, 4), source="contract 8")
    assert [one.source for one in await own.all(ctx)] == ["contract 8"]
    await own.remove(ctx, "openai:gpt-4o")
    assert here.price_of("openai", "gpt-4o", tenant="t1") == before
    await elsewhere.close()


@pytest.mark.parametrize(
    ("pattern", "price", "source", "where"),
    [
        ("gpt", TokenPrice(1, 2), "x", "model"),
        ("openai:gpt", TokenPrice(-1, 2), "x", "input_usd_per_mtok"),
        ("openai:gpt", TokenPrice(1, float("nan")), "x", "output_usd_per_mtok"),
        ("openai:gpt", TokenPrice(1, 2), " ", "source"),
    ],
)
async def test_a_price_that_makes_no_sense_is_refused_with_the_place(
    database: Database,
    journal: Journal,
    bus: Bus,
    ctx: Context,
    pattern: str,
    price: TokenPrice,
    source: str,
    where: str,
) -> None:
    own = OwnPrices(database, journal, bus, PriceBook(LIST))
    with pytest.raises(InvalidInput) as caught:
        await own.set(ctx, pattern, price, source=source)
    assert [problem.path for problem in caught.value.problems] == [where]
