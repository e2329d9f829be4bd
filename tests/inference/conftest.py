from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from mosaic.core.context import Context
from mosaic.core.money import Money
from mosaic.core.redaction import Redactor
from mosaic.cost import Cost, CostSettings, TokenPrice
from mosaic.engine import Effects, RetryPolicy
from mosaic.events import Journal
from mosaic.inference import Inference, InferenceSettings
from mosaic.providers import Message, ModelRequest, ProviderRegistry
from mosaic.storage import Database
from tests.plugins.vendors import KEY
from tests.providers.endpoint import Endpoint, running_endpoint

RUN = "run_1"
AT_ONCE = RetryPolicy(attempts=3, base_s=0.0)
SETTINGS = InferenceSettings(
    retry=AT_ONCE, retry_with_fallback=RetryPolicy(attempts=2, base_s=0.0, on=frozenset({"unavailable"}))
)
ASKED = ModelRequest("", (Message.of("user", "a very private prompt"),), timeout_s=10)


@pytest.fixture
async def endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    async with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def second_endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    async with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def registry(
    endpoint: Endpoint, second_endpoint: Endpoint, redactor: Redactor
) -> AsyncIterator[ProviderRegistry]:
    """OpenAI at the first endpoint, Anthropic at the second."""
    registry = ProviderRegistry(
        redactor=redactor,
        environment={"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "OLLAMA_HOST": endpoint.url},
        settings={
            "openai": {"base_url": f"{endpoint.url}/v1"},
            "anthropic": {"base_url": second_endpoint.url},
        },
    )
    yield registry
    await registry.close()


@pytest.fixture
def cost(database: Database) -> Cost:
    # $1,000 for a million tokens makes a token a thousandth of a dollar.
    price = TokenPrice(1_000, 1_000)
    return Cost(database, CostSettings(prices={"openai:dear": price, "anthropic:dear": price}))


@pytest.fixture
def inference(registry: ProviderRegistry, cost: Cost) -> Inference:
    return Inference(registry, cost, SETTINGS)


@pytest.fixture
def effects(journal: Journal, ctx: Context) -> Callable[..., Effects]:
    """A fresh view of the run's effects, as after a restart of the process."""

    def make(path: str = "build", **options: Any) -> Effects:
        return Effects.open(journal, ctx, RUN, path=path, **options)

    return make


@pytest.fixture
def budget(database: Database, cost: Cost, ctx: Context) -> Callable[..., Any]:
    async def make(usd: str | None = None, *, tokens: int | None = None) -> None:
        async with database.transaction() as tx:
            await cost.open_budget(tx, ctx, RUN, usd=Money.usd(usd) if usd else None, tokens=tokens)

    return make


@pytest.fixture
def events(journal: Journal, ctx: Context) -> Callable[..., Any]:
    """The data of the run's events of a type."""

    async def read(kind: str) -> list[dict[str, Any]]:
        return [event.data for event in await journal.read(ctx, run_id=RUN, types=[kind])]

    return read
