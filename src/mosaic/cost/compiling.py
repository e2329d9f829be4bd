"""Turns an entry of the public price list into whole numbers."""

from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, Decimal
from typing import Any

from mosaic.cost.token_cost import Rates, Tier, TokenCost

__all__ = ["compile_price"]

_NANOS_PER_USD = 1_000_000_000
_REQUESTS_PER_PRICE = 1_000


def compile_price(model: Any, moment: datetime, *, origin: str) -> TokenCost:
    """Return the price of a model of `genai-prices` at `moment`.

    Args:
        model: its `ModelInfo`.
        moment: some prices hold from a date, or at some hours.
        origin: the list's name and version.
    """
    price = model.get_prices(moment)
    steps = sorted({tier.start for name in _NAMES for tier in getattr(_price(price, name), "tiers", ())})
    requests = _price(price, "requests_kcount")
    return TokenCost(
        _rates(price, 0),
        source=origin,
        as_of=_since(model, moment),
        tiers=tuple(Tier(start, _rates(price, start + 1)) for start in reversed(steps)),
        request_nanos=_nanos(_at(requests, 0)) // _REQUESTS_PER_PRICE,
    )


_NAMES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


def _price(price: Any, name: str) -> Any:
    return getattr(price, name)


def _rates(price: Any, input_tokens: int) -> Rates:
    """Return the rates for a request of that length; what has no price of its own costs what other input costs."""
    plain, output, cached, written = (_price(price, name) for name in _NAMES)
    of_input = _nanos(_at(plain, input_tokens))
    return Rates(
        of_input,
        _nanos(_at(output, input_tokens)),
        of_input if cached is None else _nanos(_at(cached, input_tokens)),
        of_input if written is None else _nanos(_at(written, input_tokens)),
    )


def _at(price: Any, input_tokens: int) -> Decimal:
    """Return the price that holds for a request with that many input tokens."""
    if price is None:
        return Decimal(0)
    if isinstance(price, Decimal):
        return price
    chosen: Decimal = price.base
    for tier in price.tiers:
        if input_tokens > tier.start:
            chosen = tier.price
    return chosen


def _nanos(usd: Decimal) -> int:
    return int((usd * _NANOS_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def _since(model: Any, moment: datetime) -> datetime | None:
    """Return since when the price holds, where the list says it."""
    if not isinstance(model.prices, list):
        return None
    days = [
        start
        for conditional in model.prices
        if (start := getattr(conditional.constraint, "start_date", None)) is not None
        and start <= moment.date()
    ]
    return datetime.combine(max(days), time(), UTC) if days else None
