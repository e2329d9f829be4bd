"""Money: an exact amount of US dollars, kept in billionths so that one token's price is a whole number."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

__all__ = ["ZERO", "Money"]

_NANOS_PER_USD = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in US dollars; `nanos` is billionths of a dollar and may be negative in a correction."""

    nanos: int

    @classmethod
    def usd(cls, amount: Decimal | str | float) -> "Money":
        """Return `amount` dollars, rounded half-even to a billionth."""
        exact = Decimal(str(amount)) * _NANOS_PER_USD
        return cls(int(exact.to_integral_value(rounding=ROUND_HALF_EVEN)))

    @property
    def as_usd(self) -> Decimal:
        """The amount in dollars."""
        return Decimal(self.nanos) / _NANOS_PER_USD

    def __add__(self, other: "Money") -> "Money":
        return Money(self.nanos + other.nanos)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.nanos - other.nanos)

    def __str__(self) -> str:
        """Return dollars with at least two and at most six decimals, for people."""
        text = f"{self.as_usd:.6f}"
        whole, _, fraction = text.partition(".")
        return f"${whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"


ZERO = Money(0)
