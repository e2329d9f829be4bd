"""Prices as the path of a call needs them: whole numbers, remembered, a tenant's own first."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from mosaic.cost.prices import PriceList
from mosaic.cost.schemas import TokenPrice
from mosaic.cost.token_cost import FREE, Rates, TokenCost
from mosaic.providers import ModelCapabilities

__all__ = ["PriceBook", "TenantPrices"]

_FRESH_S = 60.0
_MOST_KNOWN = 20_000

TenantPrices = Mapping[str, Mapping[str, TokenCost]]
"""By tenant and pattern."""


class PriceBook:
    """What models cost, in this order: the tenant's own price, the settings', the provider's declaration, the list.

    A price is looked up again after a minute, since some change with the date or the time of day.
    """

    def __init__(self, prices: PriceList, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.list = prices
        self._own: TenantPrices = {}
        self._monotonic = monotonic
        self._known: dict[tuple[str, str, str | None], tuple[TokenCost | None, float]] = {}

    def price_of(
        self,
        provider: str,
        model: str,
        capabilities: ModelCapabilities | None = None,
        *,
        tenant: str | None = None,
    ) -> TokenCost | None:
        """Return what a model's tokens cost now; None when nobody knows.

        The first look into the public list reads it, which takes some tenths of a second: `PriceList.load` before.

        Args:
            provider: the adapter's id.
            model: the vendor's name of the model.
            capabilities: what the provider says of the model.
            tenant: whose own prices come first.
        """
        place = (provider, model, tenant)
        known = self._known.get(place)
        moment = self._monotonic()
        if known is not None and moment < known[1]:
            return known[0]
        if len(self._known) >= _MOST_KNOWN:
            self._known = {}
        found = self._find(provider, model, capabilities, tenant)
        self._known[place] = (found, moment + _FRESH_S)
        return found

    def own(self, provider: str, model: str, *, tenant: str) -> TokenCost | None:
        """Return the price that a tenant has set itself; None when it has set none."""
        return best_match(self._own.get(tenant, {}), f"{provider}:{model}")

    def set_own(self, own: TenantPrices) -> None:
        """Take over the tenants' own prices."""
        self._own, self._known = own, {}

    def _find(
        self, provider: str, model: str, capabilities: ModelCapabilities | None, tenant: str | None
    ) -> TokenCost | None:
        reference = f"{provider}:{model}"
        own = self.own(provider, model, tenant=tenant) if tenant else None
        if own is not None:
            return own
        configured = self.list.configured(reference)
        if configured is not None:
            return _of(configured, "the settings, `cost.prices`")
        if capabilities is not None and capabilities.price is not None:
            declared = capabilities.price
            price = TokenPrice(declared.input_usd_per_mtok, declared.output_usd_per_mtok)
            return _of(price, f"the provider {provider}")
        if capabilities is not None and capabilities.local:
            return FREE
        source = capabilities.price_source if capabilities is not None else provider
        return self.list.compiled(source, model, datetime.now(UTC)) if source else None


def _of(price: TokenPrice, source: str) -> TokenCost:
    return TokenCost(Rates.of(price), source)


def best_match(prices: Mapping[str, TokenCost], reference: str) -> TokenCost | None:
    """Return the price of the exact name, else of the longest pattern that fits."""
    exact = prices.get(reference)
    if exact is not None or not prices:
        return exact
    fitting = [pattern for pattern in prices if fnmatchcase(reference, pattern)]
    return prices[max(fitting, key=len)] if fitting else None
