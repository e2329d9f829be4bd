"""Averages that forget: what happened lately counts most."""

from mosaic.core.errors import InvalidInput
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["Ewma"]


class Ewma:
    """An average in which a value's weight halves every `half_life_s`, however many came in between.

    Attributes:
        weight: how much has been added, as forgotten until now; about the number of recent values.
    """

    __slots__ = ("_at", "_clock", "_half_life_s", "_sum", "weight")

    def __init__(self, half_life_s: float, clock: MonotonicClock = monotonic) -> None:
        """Make one that has seen nothing.

        Raises:
            InvalidInput: if the half-life is not positive.
        """
        if not half_life_s > 0:
            raise InvalidInput(
                f"A half-life of {half_life_s:g} seconds is none.", hint="Give a positive one."
            )
        self._half_life_s = half_life_s
        self._clock = clock
        self._at = clock()
        self._sum = 0.0
        self.weight = 0.0

    def add(self, value: float) -> None:
        """Count `value`."""
        now = self._clock()
        keep = 0.5 ** ((now - self._at) / self._half_life_s)
        self._at = now
        self._sum = self._sum * keep + value
        self.weight = self.weight * keep + 1.0

    def value(self, otherwise: float = 0.0) -> float:
        """Return the average; `otherwise` when nothing was added or all is forgotten."""
        return self._sum / self.weight if self.weight > 1e-9 else otherwise
