"""How much traffic is coming: a level, a trend and a daily shape (Holt and Winters), and what that asks for."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mosaic.core.values import JsonObject

__all__ = ["LoadForecast", "Scaling"]

_LEVEL = 0.25
_TREND = 0.02
_SEASON = 0.3
_SPREAD = 0.03
_OUTLIER = 6.0
"""Deviations, in usual ones, beyond which a value is an anomaly: counted, and only in part believed."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a forecast asks for.

    Attributes:
        needed: the most requests at once that are expected.
        capacity: how many can be taken now.
        scale_up: whether that is too few.
        in_slots: how many slots from now the capacity is first passed; None when it is not.
        targets: whom to make ready, in this order, so that the need is met.
    """

    needed: float
    capacity: float
    scale_up: bool
    in_slots: int | None
    targets: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the advice as a JSON object."""
        return {
            "needed": round(self.needed, 3),
            "capacity": self.capacity,
            "scale_up": self.scale_up,
            "in_slots": self.in_slots,
            "targets": list(self.targets),
        }


class LoadForecast:
    """Learns from one value for each slot of time, such as requests a minute; a season is a number of slots."""

    def __init__(self, season: int = 24) -> None:
        """Start knowing nothing.

        Args:
            season: slots after which the shape repeats: 24 for hours of a day, 168 for hours of a week.
        """
        self._season = season
        self._shape = [0.0] * season
        self._level = 0.0
        self._trend = 0.0
        self._spread = 0.0
        self._first: list[float] = []
        self.seen = 0
        self.anomalies: deque[tuple[int, float, float]] = deque(maxlen=100)

    def observe(self, value: float) -> bool:
        """Take the next slot's value; say whether it was an anomaly, which is then believed only in part."""
        place = self.seen % self._season
        self.seen += 1
        if len(self._first) < self._season:
            self._first.append(value)
            if len(self._first) == self._season:
                self._level = math.fsum(self._first) / self._season
                self._shape = [each - self._level for each in self._first]
                self._spread = max(_mean_step(self._first), 1e-9)
            return False
        expected = self._level + self._trend + self._shape[place]
        off = value - expected
        usual = _OUTLIER * self._spread
        strange = abs(off) > usual and self.seen > 2 * self._season
        if strange:
            self.anomalies.append((self.seen - 1, value, expected))
            value = expected + math.copysign(usual, off)
        self._spread += _SPREAD * (min(abs(off), usual * 1.5) - self._spread)
        before = self._level
        self._level = _LEVEL * (value - self._shape[place]) + (1 - _LEVEL) * (before + self._trend)
        self._trend = _TREND * (self._level - before) + (1 - _TREND) * self._trend
        self._shape[place] = _SEASON * (value - self._level) + (1 - _SEASON) * self._shape[place]
        return strange

    def predict(self, slots: int) -> list[float]:
        """Return the values of the next slots; the last value known, or 0, before a whole season was seen."""
        if len(self._first) < self._season:
            return [self._first[-1] if self._first else 0.0] * slots
        return [
            max(self._level + self._trend * step + self._shape[(self.seen + step - 1) % self._season], 0.0)
            for step in range(1, slots + 1)
        ]

    def advice(
        self, capacity: float, *, spare: Sequence[tuple[str, float]] = (), slots: int = 6, margin: float = 0.2
    ) -> Scaling:
        """Return whether the next slots fit the capacity, and whom to make ready when they do not.

        Args:
            capacity: what can be taken now, in the unit of the values.
            spare: targets that can be added and what each takes, best first.
            slots: how far to look.
            margin: how much room must be left.
        """
        expected = [value * (1 + margin) for value in self.predict(slots)]
        needed = max(expected, default=0.0)
        late = next((at for at, value in enumerate(expected, 1) if value > capacity), None)
        return Scaling(needed, capacity, late is not None, late, tuple(_enough(needed - capacity, spare)))


def _mean_step(values: Sequence[float]) -> float:
    steps = [abs(after - before) for before, after in pairwise(values)]
    return math.fsum(steps) / len(steps) if steps else 0.0


def _enough(missing: float, spare: Sequence[tuple[str, float]]) -> Iterable[str]:
    for name, takes in spare:
        if missing <= 0:
            return
        yield name
        missing -= takes
