"""Hedging: when an answer is later than nearly all others, ask a second target too, within a budget."""

from math import log

from mosaic.resilience.clock import MonotonicClock, monotonic
from mosaic.resilience.retries import RetryBudget

__all__ = ["HedgePolicy"]

# Latencies are counted in steps of a tenth, from a tenth of a millisecond up to about an hour.
_STEP = log(1.1)
_SMALLEST_S = 0.0001
_STEPS = 184
_FORGET_AT = 2000


class HedgePolicy:
    """Says after how long, and whether, a second request is worth sending.

    Only for calls that may be made twice.
    """

    __slots__ = ("_budget", "_counts", "_least", "_quantile", "_total")

    def __init__(
        self,
        *,
        quantile: float = 0.95,
        share: float = 0.05,
        least_answers: int = 20,
        clock: MonotonicClock = monotonic,
    ) -> None:
        """Make a policy that knows nothing yet.

        Args:
            quantile: hedge what is slower than this share of the answers.
            share: hedges per request, at most.
            least_answers: to have seen before anything is hedged.
            clock: seconds.
        """
        self._quantile = quantile
        self._least = least_answers
        self._budget = RetryBudget(share, least_per_s=0.1, saved=10, clock=clock)
        self._counts = [0.0] * _STEPS
        self._total = 0.0

    def record(self, latency_s: float) -> None:
        """Count how long an answer took to begin."""
        step = int(log(max(latency_s, _SMALLEST_S) / _SMALLEST_S) / _STEP)
        self._counts[min(step, _STEPS - 1)] += 1
        self._total += 1
        if self._total >= _FORGET_AT:
            self._counts = [count / 2 for count in self._counts]
            self._total = sum(self._counts)

    def request(self) -> None:
        """A first request is sent: its share of hedges is saved."""
        self._budget.request()

    def delay_s(self) -> float | None:
        """Return how long to wait for the first answer before a second request; None while too little is known."""
        if self._total < self._least:
            return None
        rank, seen = self._quantile * self._total, 0.0
        for step, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return float(_SMALLEST_S * 1.1 ** (step + 1))
        return float(_SMALLEST_S * 1.1**_STEPS)

    def take(self) -> bool:
        """Say whether a second request may be sent, and count it."""
        return self._budget.take()
