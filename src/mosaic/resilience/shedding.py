"""Load shedding by time in the queue: when the queue does not empty any more, late ones are refused early."""

import asyncio

from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["LoadShed", "LoopDelay"]


class LoadShed:
    """Says who may still be served, by how long they waited.

    A queue that empties now and then is only a burst: everyone is served who waited at most `patience_s`. When even the
    shortest wait of a whole interval was above `target_s` the queue is standing; then only those are served who waited
    less than `target_s`, or a multiple of it for more important ones, until it moves again.

    Attributes:
        shed: how many were refused.
        overloaded: whether the queue is standing.
    """

    __slots__ = (
        "_clock",
        "_interval_s",
        "_least",
        "_patience_s",
        "_target_s",
        "_until",
        "overloaded",
        "shed",
    )

    def __init__(
        self,
        *,
        target_s: float = 0.1,
        interval_s: float = 1.0,
        patience_s: float = 2.0,
        clock: MonotonicClock = monotonic,
    ) -> None:
        self._target_s = target_s
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._clock = clock
        self._until = clock() + interval_s
        self._least = float("inf")
        self.overloaded = False
        self.shed = 0

    def admit(self, waited_s: float, *, importance: int = 0) -> bool:
        """Say whether one who waited so long is still served.

        Args:
            waited_s: in the queue; 0.0 for one that did not wait.
            importance: each step waits twice as long before it is refused.
        """
        now = self._clock()
        if now >= self._until:
            # Without a single arrival in the interval before, nobody can say that the queue stands.
            recent = now < self._until + self._interval_s
            self.overloaded = recent and self._target_s < self._least < float("inf")
            self._until = now + self._interval_s
            self._least = waited_s
        else:
            self._least = min(self._least, waited_s)
            if waited_s <= self._target_s:
                self.overloaded = False  # the queue moves
        bound = self._target_s if self.overloaded else self._patience_s
        if waited_s <= bound * 2.0**importance:
            return True
        self.shed += 1
        return False


class LoopDelay:
    """How late an event loop is: the wait that every request meets when the process has too much to do.

    Attributes:
        delay_s: the latest figure; it goes up at once and comes down by half at each look.
    """

    __slots__ = ("_due", "_every_s", "_handle", "_loop", "delay_s")

    def __init__(self, every_s: float = 0.1) -> None:
        self._every_s = every_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.delay_s = 0.0

    def start(self) -> None:
        """Begin to look at the running event loop."""
        self.stop()
        self._loop = asyncio.get_running_loop()
        self._again()

    def stop(self) -> None:
        """Look no more. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _again(self) -> None:
        if self._loop is not None:
            # The process's clock, not the loop's: uvloop's stands still while a callback runs.
            self._due = monotonic() + self._every_s
            self._handle = self._loop.call_later(self._every_s, self._look)

    def _look(self) -> None:
        late = max(0.0, monotonic() - self._due)
        # A timer is a millisecond late on an idle machine too.
        self.delay_s = max(late if late > 0.002 else 0.0, self.delay_s / 2 if self.delay_s > 0.001 else 0.0)
        self._again()
