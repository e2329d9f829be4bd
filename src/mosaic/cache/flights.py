"""Single flight: of all who ask for one key at once, one fetches and the others wait for its answer.

Whoever leads may fail the others only for a reason that is not its own: when its client goes away, or its budget is
used up, the next one in line leads. One event loop owns it.
"""

import asyncio
from collections import deque

from mosaic.cache.schemas import CachedAnswer
from mosaic.core.errors import (
    BudgetExceeded,
    Cancelled,
    LimitExceeded,
    MosaicError,
    PermissionDenied,
    Unauthenticated,
)

__all__ = ["Flights"]

# They say something about who asked, so they are no answer for anyone else.
_PERSONAL = (BudgetExceeded, Cancelled, LimitExceeded, PermissionDenied, Unauthenticated)

_Waiter = asyncio.Future[CachedAnswer | None]


class Flights:
    """Who fetches what right now, and who waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, key: str) -> bool:
        """Lead the flight of `key` unless somebody does already; whoever leads must end it."""
        if key in self._waiting:
            return False
        self._waiting[key] = deque()
        return True

    async def wait(self, key: str) -> CachedAnswer | None:
        """Wait for the leader's answer; None means that the caller leads now, and must end the flight.

        Raises:
            MosaicError: what the leader's fetch raised, if that was not about the leader itself.
        """
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiting[key].append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                if waiter.result() is None:  # the lead had just come to us
                    self.hand_over(key)
            else:
                waiter.cancel()
            raise

    def land(self, key: str, answer: CachedAnswer) -> None:
        """End the flight with an answer for all."""
        for waiter in self._waiting.pop(key):
            if not waiter.done():
                waiter.set_result(answer)

    def fail(self, key: str, error: BaseException) -> None:
        """End the flight with an error, or hand it over if the error is the leader's own affair."""
        if isinstance(error, _PERSONAL) or not isinstance(error, MosaicError):
            self.hand_over(key)
            return
        for waiter in self._waiting.pop(key):
            if not waiter.done():
                waiter.set_exception(error)

    def hand_over(self, key: str) -> None:
        """Let the next one who waits lead; with nobody left the flight is over."""
        waiters = self._waiting[key]
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        del self._waiting[key]
