"""Time that only moves forward, in seconds. Everything of this room takes it, so that tests can hold it."""

from collections.abc import Callable
from time import monotonic

__all__ = ["MonotonicClock", "monotonic"]

MonotonicClock = Callable[[], float]
"""Returns seconds from some fixed point; never goes back."""
