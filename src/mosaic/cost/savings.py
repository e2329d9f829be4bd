"""What could be saved in a month, by category, and what usage says about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.cost.token_cost import TokenCost
from mosaic.cost.usage import UsageRow
from mosaic.providers import Usage

__all__ = ["CATEGORIES", "CiUsage", "Saving", "SavingCategory", "SavingsReport", "of_model_calls"]

SavingCategory = Literal["compute", "storage", "bandwidth", "api_calls"]
CATEGORIES: tuple[SavingCategory, ...] = get_args(SavingCategory)

_WORTH_SAYING_NANOS = 1_000_000  # a tenth of a cent
_CACHEABLE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Saving:
    """One way to pay less.

    Attributes:
        monthly: by how much, in a month.
        advice: what to do.
    """

    category: SavingCategory
    advice: str
    monthly: Money

    def to_json(self) -> JsonObject:
        """Return the saving as a JSON object."""
        return {"category": self.category, "advice": self.advice, "monthly_usd": float(self.monthly.as_usd)}


@dataclass(frozen=True, slots=True)
class SavingsReport:
    """Savings with their sums."""

    savings: tuple[Saving, ...]

    def by_category(self) -> dict[SavingCategory, Money]:
        """Return the sum of each category."""
        return {
            category: Money(sum(one.monthly.nanos for one in self.savings if one.category == category))
            for category in CATEGORIES
        }

    @property
    def total(self) -> Money:
        """The sum of all."""
        return Money(sum(one.monthly.nanos for one in self.savings))

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object."""
        return {
            "savings": [one.to_json() for one in self.savings],
            "by_category": {name: float(money.as_usd) for name, money in self.by_category().items()},
            "monthly_usd": float(self.total.as_usd),
        }


@dataclass(frozen=True, slots=True)
class CiUsage:
    """What builds cost in a month where they are run by a vendor.

    Attributes:
        minutes: build minutes.
        minute_usd: the price of one.
        large_builds: builds on large machines.
        large_build_usd: the price of one.
        bandwidth_gb: gigabytes that builds load.
        gb_usd: the price of one.
    """

    minutes: float = 0.0
    minute_usd: float = 0.008
    large_builds: float = 0.0
    large_build_usd: float = 20.0
    bandwidth_gb: float = 0.0
    gb_usd: float = 0.09

    def savings(self) -> tuple[Saving, ...]:
        """Return what running them on one's own machines saves, each part in its category.

        Raises:
            InvalidInput: if a figure is negative.
        """
        figures = {name: getattr(self, name) for name in self.__slots__}
        if wrong := [name for name, value in figures.items() if not value >= 0]:
            raise InvalidInput(
                "The build figures are wrong.",
                problems=[Problem("must be 0 or more", path=name) for name in wrong],
            )
        parts: tuple[tuple[SavingCategory, str, float], ...] = (
            ("compute", "Run builds on your own machines: minutes", self.minutes * self.minute_usd),
            ("compute", "Run large builds on your own machines", self.large_builds * self.large_build_usd),
            ("bandwidth", "Keep what builds load on a local mirror", self.bandwidth_gb * self.gb_usd),
        )
        return tuple(
            Saving(category, advice, Money.usd(amount)) for category, advice, amount in parts if amount
        )


def of_model_calls(
    rows: Sequence[UsageRow], price_of: Callable[[str, str], TokenCost | None], *, days: float
) -> tuple[Saving, ...]:
    """Return what the ledger says could be saved on calls of models, in a month of 30 days.

    Two things are looked at. A dearer model whose tokens would cost less with another one that this tenant uses
    already; whether that one is good enough, the route's learning and an evaluation say. And input that is read again
    and again without the provider's cache, where half of it is taken to be the same.

    Args:
        rows: usage by provider and model.
        price_of: a provider's and model's price.
        days: how long a time the rows are about.
    """
    if days <= 0:
        raise InvalidInput("The time to judge by must be longer than nothing.")
    used = [(row, price) for row in rows if row.nanos and (price := price_of(*_name(row))) is not None]
    found: list[Saving] = []
    for row, price in used:
        usage = Usage(row.input_tokens, row.output_tokens, row.cached_input_tokens, row.cache_write_tokens)
        others = [(other.of(usage), _name(theirs)) for theirs, other in used if theirs is not row]
        cheaper = min(others, default=None)
        if cheaper is not None and row.nanos - cheaper[0] > _WORTH_SAYING_NANOS:
            saved = Money(round((row.nanos - cheaper[0]) * 30 / days))
            advice = f"Ask {':'.join(cheaper[1])} instead of {':'.join(_name(row))} where it is good enough"
            found.append(Saving("api_calls", advice, saved))
        plain = row.input_tokens - row.cached_input_tokens
        rates = price.rates
        cacheable = int(plain * _CACHEABLE_SHARE) * (rates.input - rates.cached_input) // 1_000_000
        if row.cached_input_tokens < plain and cacheable > _WORTH_SAYING_NANOS:
            advice = f"Let {':'.join(_name(row))} cache prompts that begin alike"
            found.append(Saving("api_calls", advice, Money(round(cacheable * 30 / days))))
    return tuple(sorted(found, key=lambda one: -one.monthly.nanos))


def _name(row: UsageRow) -> tuple[str, str]:
    return str(row.of["provider"]), str(row.of["model"])
