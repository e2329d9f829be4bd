"""A budget of retries: a share of the requests, so that retries cannot become the load that keeps a target down."""

import random
from collections.abc import Callable

from mosaic.core.errors import InvalidInput
from mosaic.resilience.buckets import TokenBucket
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["RetryBudget", "backoff_s"]


class RetryBudget:
    """Allows retries up to a share of the requests of the last while, and a few when there are hardly any.

    Attributes:
        refused: how many retries there was no budget for.
    """

    __slots__ = ("_bucket", "_requests", "_share", "refused")

    def __init__(
        self,
        share: float = 0.2,
        *,
        least_per_s: float = 1.0,
        saved: float = 100.0,
        clock: MonotonicClock = monotonic,
    ) -> None:
        """Make a budget that is full.

        Args:
            share: retries per request.
            least_per_s: retries a second that need no requests.
            saved: retries that may be saved up.
            clock: seconds.

        Raises:
            InvalidInput: if the share is negative.
        """
        if share < 0:
            raise InvalidInput(f"A share of {share:g} retries per request is none.", hint="Give 0 or more.")
        self._share = share
        self._bucket = TokenBucket(least_per_s, saved, clock)
        self._requests = 0
        self.refused = 0

    def request(self) -> None:
        """A first attempt is made: its share is saved."""
        self._requests += 1  # every request comes here and hardly any is retried: `_save` works it out

    def take(self) -> bool:
        """Say whether one retry may be made, and count it."""
        self._save()
        if self._bucket.take() == 0.0:
            return True
        self.refused += 1
        return False

    def left(self) -> float:
        """Return how many retries are saved up."""
        self._save()
        return self._bucket.level()

    def _save(self) -> None:
        requests, self._requests = self._requests, 0
        self._bucket.give(requests * self._share)


def backoff_s(
    attempt: int,
    *,
    base_s: float = 0.5,
    at_most_s: float = 30.0,
    chance: Callable[[], float] = random.random,
) -> float:
    """Return how long to wait before retry number `attempt` (1 is the first): any time up to a bound that doubles.

    The whole range, so that callers that failed together do not come back together.
    """
    return chance() * min(at_most_s, base_s * 2.0 ** min(attempt - 1, 60))
