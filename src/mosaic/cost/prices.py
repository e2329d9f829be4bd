"""What a model's tokens cost. A price that nobody knows is None; it is never guessed."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any

from mosaic.core.money import Money
from mosaic.cost.compiling import compile_price
from mosaic.cost.schemas import TokenPrice
from mosaic.cost.token_cost import TokenCost
from mosaic.providers import ModelCapabilities, Usage

__all__ = ["PriceList"]

# Dollars for a million tokens, so nanos for one token are a thousand times that number.
_NANOS_PER_TOKEN = Decimal(1_000)


class PriceList:
    """Prices, in this order: the user's own, the provider's declaration, the public price list.

    The public list is the data of the `genai-prices` package: it is read on first use, never from the network.
    """

    def __init__(self, overrides: Mapping[str, TokenPrice] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._lock = threading.Lock()
        self._public: Any = None

    def price(
        self, provider: str, model: str, usage: Usage, *, capabilities: ModelCapabilities | None = None
    ) -> Money | None:
        """Return what `usage` costs, rounded up to a billionth of a dollar; None when nobody knows.

        Args:
            provider: the adapter's id.
            model: the vendor's name of the model.
            usage: the tokens.
            capabilities: what the provider says of the model: where its price stands, or that it is free.
        """
        own = self._own(f"{provider}:{model}")
        if own is not None:
            return _by_the_token(own, usage)
        if capabilities is not None and capabilities.price is not None:
            declared = capabilities.price
            return _by_the_token(TokenPrice(declared.input_usd_per_mtok, declared.output_usd_per_mtok), usage)
        if capabilities is not None and capabilities.local:
            return Money(0)
        source = capabilities.price_source if capabilities is not None else provider
        return self._from_list(source, model, usage) if source else None

    def estimate(
        self,
        provider: str,
        model: str,
        *,
        input_tokens: int,
        max_output_tokens: int,
        capabilities: ModelCapabilities | None = None,
    ) -> Money | None:
        """Return the most that a call can cost: all output used, and all input at its dearest; None if unknown."""
        plain = Usage(input_tokens, max_output_tokens)
        cached = Usage(input_tokens, max_output_tokens, cache_write_tokens=input_tokens)
        prices = [self.price(provider, model, usage, capabilities=capabilities) for usage in (plain, cached)]
        known = [price for price in prices if price is not None]
        return max(known) if known else None

    def origin(self) -> str:
        """Return where public prices come from and how recent they are, for people."""
        newest = max(
            (day for day in _change_dates(self.load()) if day <= datetime.now(UTC).date()), default=None
        )
        known = f", newest price change {newest.isoformat()}" if newest else ""
        return f"genai-prices {version('genai-prices')}{known}"

    def load(self) -> Any:
        """Read the public list, once; it takes a few tenths of a second. From any thread."""
        with self._lock:
            if self._public is None:
                from genai_prices import data_snapshot  # noqa: PLC0415  # a large module that scripted and local runs never need

                self._public = data_snapshot.get_snapshot()
            return self._public

    def configured(self, reference: str) -> TokenPrice | None:
        """Return the user's own price of ``provider:model``, if there is one."""
        return self._own(reference)

    def compiled(self, source: str, model: str, moment: datetime) -> TokenCost | None:
        """Return what the public list asks for a model at `moment`; None when it does not know it.

        Args:
            source: the list's provider, or the address of an API.
            model: the vendor's name of the model.
            moment: some prices hold from a date, or at some hours.
        """
        by_address = "://" in source
        try:
            _, found = self.load().find_provider_model(
                model, None, None if by_address else source, source if by_address else None
            )
        except (LookupError, ValueError):
            return None
        return compile_price(found, moment, origin=f"genai-prices {version('genai-prices')}")

    def _own(self, reference: str) -> TokenPrice | None:
        exact = self._overrides.get(reference)
        if exact is not None:
            return exact
        fitting = [pattern for pattern in self._overrides if fnmatchcase(reference, pattern)]
        return self._overrides[max(fitting, key=len)] if fitting else None

    def _from_list(self, source: str, model: str, usage: Usage) -> Money | None:
        from genai_prices import Usage as ListUsage  # noqa: PLC0415  # as in `load`

        by_address = "://" in source
        shown = ListUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=min(usage.cached_input_tokens, usage.input_tokens),
            cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - usage.cached_input_tokens),
        )
        try:
            found = self.load().calc(
                shown, model, None if by_address else source, source if by_address else None, None
            )
        except (LookupError, ValueError):
            return None
        return _rounded_up(found.total_price * 1_000_000_000)


def _by_the_token(price: TokenPrice, usage: Usage) -> Money:
    def rate(usd_per_mtok: float | None) -> Decimal:
        chosen = price.input_usd_per_mtok if usd_per_mtok is None else usd_per_mtok
        return Decimal(str(chosen)) * _NANOS_PER_TOKEN

    plain = max(usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, 0)
    total = (
        plain * rate(price.input_usd_per_mtok)
        + usage.cached_input_tokens * rate(price.cached_input_usd_per_mtok)
        + usage.cache_write_tokens * rate(price.cache_write_usd_per_mtok)
        + usage.output_tokens * rate(price.output_usd_per_mtok)
    )
    return _rounded_up(total)


def _rounded_up(nanos: Decimal) -> Money:
    return Money(int(nanos.to_integral_value(rounding=ROUND_CEILING)))


def _change_dates(snapshot: Any) -> list[Any]:
    dates = []
    for provider in snapshot.providers:
        for model in provider.models:
            prices = model.prices if isinstance(model.prices, list) else []
            for conditional in (*prices, *(model.price_variants or ())):
                start = getattr(conditional.constraint, "start_date", None)
                if start is not None:
                    dates.append(start)
    return dates
