"""A token bucket: so many per second, with a burst."""

from math import inf

from mosaic.core.errors import InvalidInput
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["TokenBucket"]


class TokenBucket:
    """Lets `burst` through at once and `rate_per_s` after that.

    A take larger than the burst is let through when the bucket is full, and leaves it in debt: large requests are
    slowed down, never locked out.

    Attributes:
        rate_per_s: how fast it fills.
        burst: how much it holds.
    """

    __slots__ = ("_at", "_clock", "_level", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, clock: MonotonicClock = monotonic) -> None:
        """Make a full bucket.

        Raises:
            InvalidInput: if the rate is negative or the burst is not positive.
        """
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._check()
        self._clock = clock
        self._level = float(burst)
        self._at = clock()

    def take(self, n: float = 1) -> float:
        """Take `n` and return 0.0, or take nothing and return how many seconds to wait for it."""
        now = self._clock()
        level = self._level + (now - self._at) * self.rate_per_s
        if level > self.burst:
            level = self.burst
        self._at = now
        self._level = level
        need = min(self.burst, n)
        # What is due at this very moment may be missing a rounding error.
        if level >= need - 1e-9:
            self._level = level - n
            return 0.0
        return (need - level) / self.rate_per_s if self.rate_per_s else inf

    def give(self, n: float) -> None:
        """Return `n` that was taken and not used; a negative `n` takes what was used beyond it, into debt."""
        self._refill()
        self._level = min(self.burst, self._level + n)

    def level(self) -> float:
        """Return how much can be taken now; negative in debt."""
        self._refill()
        return self._level

    def resize(self, rate_per_s: float, burst: float) -> None:
        """Change rate and burst; what has been used stays used.

        Raises:
            InvalidInput: if the rate is negative or the burst is not positive.
        """
        self._refill()
        used = self.burst - self._level
        self.rate_per_s, self.burst = rate_per_s, burst
        self._check()
        self._level = burst - used

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(self.burst, self._level + (now - self._at) * self.rate_per_s)
        self._at = now

    def _check(self) -> None:
        if not (self.rate_per_s >= 0 and self.burst > 0):
            raise InvalidInput(
                f"A limit of {self.rate_per_s:g} a second with a burst of {self.burst:g} lets nothing through.",
                hint="Give a rate of at least 0 and a burst above 0.",
            )
