"""A model's price as whole numbers, for a path that has no time for decimals."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from mosaic.core.values import JsonObject
from mosaic.cost.schemas import TokenPrice
from mosaic.providers import Usage

__all__ = ["FREE", "Rates", "Tier", "TokenCost"]

_MTOK = 1_000_000
_NANOS_PER_USD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Nanos (billionths of a dollar) for a million tokens.

    Attributes:
        dearest_input: the most that input can cost, whatever the cache does with it.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    dearest_input: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out what is asked for with every call."""
        object.__setattr__(self, "dearest_input", max(self.input, self.cache_write, self.cached_input))

    @classmethod
    def of(cls, price: TokenPrice) -> "Rates":
        """Return the rates of a price in dollars; what is not given for the cache costs the same as other input."""
        plain = _nanos(price.input_usd_per_mtok)

        def rate(given: float | None) -> int:
            return plain if given is None else _nanos(given)

        return cls(
            plain,
            _nanos(price.output_usd_per_mtok),
            rate(price.cached_input_usd_per_mtok),
            rate(price.cache_write_usd_per_mtok),
        )

    def to_json(self) -> JsonObject:
        """Return the rates in dollars for a million tokens."""
        return {
            "input_usd_per_mtok": self.input / _NANOS_PER_USD,
            "output_usd_per_mtok": self.output / _NANOS_PER_USD,
            "cached_input_usd_per_mtok": self.cached_input / _NANOS_PER_USD,
            "cache_write_usd_per_mtok": self.cache_write / _NANOS_PER_USD,
        }


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates for requests with more than `above` input tokens: for all their tokens, as vendors bill."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class TokenCost:
    """What a model's tokens cost now.

    Attributes:
        tiers: for long requests, longest first.
        request_nanos: for each request, whatever it holds.
        source: where the price stands.
        as_of: since when it holds, or when its source was last changed; None when unknown.
    """

    rates: Rates
    source: str
    as_of: datetime | None = None
    tiers: tuple[Tier, ...] = ()
    request_nanos: int = 0

    def of(self, usage: Usage) -> int:
        """Return what `usage` costs in nanos, rounded up."""
        rates = self._rates(usage.input_tokens) if self.tiers else self.rates
        cached, written = usage.cached_input_tokens, usage.cache_write_tokens
        plain = usage.input_tokens - cached - written
        total = (
            (max(0, plain)) * rates.input
            + cached * rates.cached_input
            + written * rates.cache_write
            + usage.output_tokens * rates.output
        )
        return -(-total // _MTOK) + self.request_nanos

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """Return the most in nanos that a request can cost: all output used, and all input at its dearest."""
        rates = self.rates
        dearest = input_tokens * rates.dearest_input + output_tokens * rates.output
        for tier in self.tiers:
            rates = tier.rates
            dearest = max(dearest, input_tokens * rates.dearest_input + output_tokens * rates.output)
        return -(-dearest // _MTOK) + self.request_nanos

    def _rates(self, input_tokens: int) -> Rates:
        for tier in self.tiers:
            if input_tokens > tier.above:
                return tier.rates
        return self.rates

    def to_json(self) -> JsonObject:
        """Return the price as a JSON object."""
        return {
            **self.rates.to_json(),
            "request_usd": self.request_nanos / _NANOS_PER_USD,
            "tiers": [{"above_input_tokens": tier.above, **tier.rates.to_json()} for tier in self.tiers],
            "source": self.source,
            "as_of": self.as_of.isoformat().replace("+00:00", "Z") if self.as_of is not None else None,
        }


def _nanos(usd_per_mtok: float) -> int:
    return int((Decimal(str(usd_per_mtok)) * _NANOS_PER_USD).to_integral_value())


FREE = TokenCost(Rates(0, 0, 0, 0), source="the provider runs here and bills nothing")
"""A model that costs nothing."""
