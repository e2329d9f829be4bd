"""A bulkhead: so many at once, so many waiting, the rest is told at once."""

import asyncio
from collections import deque

from mosaic.core.errors import InvalidInput, LimitExceeded

__all__ = ["Bulkhead"]


class Bulkhead:
    """Places for calls. Entering costs nothing while there is one free; those who wait are served in order.

    Attributes:
        name: shown in errors.
        limit: places.
        queue: calls that may wait for a place.
        active: places that are taken.
    """

    __slots__ = ("_waiting", "active", "limit", "name", "queue")

    def __init__(self, limit: int, *, queue: int = 0, name: str = "calls") -> None:
        """Make an empty one.

        Raises:
            InvalidInput: if there is no place in it.
        """
        if limit < 1 or queue < 0:
            raise InvalidInput(f"A limit of {limit} {name} with a queue of {queue} lets nothing through.")
        self.name = name
        self.limit = limit
        self.queue = queue
        self.active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a place if one is free and nobody waits for it; `leave` must follow."""
        if self.active < self.limit and not self._waiting:
            self.active += 1
            return True
        return False

    async def wait(self, timeout_s: float) -> None:
        """Take a place, in order of arrival; `leave` must follow.

        Raises:
            LimitExceeded: if too many wait already, or no place became free in time.
        """
        if self.enter():
            return
        if len(self._waiting) >= self.queue:
            raise self._refusal("and too many wait already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # the place came in the same moment
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refusal("and none became free in time") from error
            raise

    def leave(self) -> None:
        """Give a place back; the one who waits longest gets it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1

    def _refusal(self, why: str) -> LimitExceeded:
        return LimitExceeded(
            f"All {self.limit} places for {self.name} are taken, {why}.",
            hint="Send less at once, or raise the limit.",
            resource=self.name,
            limit=self.limit,
            current=self.active,
        )
