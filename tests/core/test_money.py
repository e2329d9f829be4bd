"""Money is exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.money import ZERO, Money


@pytest.mark.requirement("MAOS-46")
@given(st.lists(st.integers(-(10**18), 10**18)))
def test_sums_do_not_drift(amounts: list[int]) -> None:
    total = ZERO
    for nanos in amounts:
        total += Money(nanos)
    assert total.nanos == sum(amounts)
    assert total - total == ZERO


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [("0.1", 100_000_000), (0.1, 100_000_000), (Decimal("1e-9"), 1), ("0.0000000025", 2), ("-2", -2 * 10**9)],
)
def test_dollars_become_billionths_rounded_half_even(amount: Decimal | str | float, nanos: int) -> None:
    assert Money.usd(amount).nanos == nanos


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [
        (0, "$0.00"),
        (1_230_000_000, "$1.23"),
        (1_234_500_000, "$1.2345"),
        (1_000, "$0.000001"),
        (1, "$0.00"),
        (10**15, "$1000000.00"),
    ],
)
def test_people_see_two_to_six_decimals(nanos: int, shown: str) -> None:
    assert str(Money(nanos)) == shown


def test_amounts_compare() -> None:
    assert Money(1) < Money(2) <= Money(2)
    assert Money(5).as_usd == Decimal("5e-9")
