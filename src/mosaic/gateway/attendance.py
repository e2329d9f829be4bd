"""Notices clients that left or stopped reading, for all open requests together: cheaper than a task for each."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

__all__ = ["Attendance", "Visit"]

Receive = Callable[[], Awaitable[dict[str, Any]]]

# Most requests are over before anyone could leave; only those that last longer are watched.
_LOOK_S = 0.25


class Visit:
    """One open request.

    Attributes:
        left: the client went away, or was sent away because it neither sent nor read for too long.
        late: it was sent away.
        deadline: when the client must have done its part; 0.0 while we do not wait for it.
        body_read: from now on `receive` says only that the client left.
    """

    __slots__ = ("body_read", "deadline", "late", "left", "receive", "since", "task", "watch")

    def __init__(self, task: "asyncio.Task[Any]", receive: Receive) -> None:
        self.task = task
        self.receive = receive
        self.since = monotonic()
        self.left = False
        self.late = False
        self.deadline = 0.0
        self.body_read = False
        self.watch: asyncio.Task[None] | None = None


class Attendance:
    """The open requests of one event loop."""

    def __init__(self) -> None:
        self._visits: set[Visit] = set()
        self._ticker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._visits)

    def enter(self, receive: Receive, task: "asyncio.Task[Any] | None") -> Visit:
        """Begin to watch a request; its task is cancelled when the client leaves or is late."""
        if task is None:
            raise RuntimeError("a request runs in a task")
        visit = Visit(task, receive)
        self._visits.add(visit)
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return visit

    def leave(self, visit: Visit) -> None:
        """End the watch."""
        self._visits.discard(visit)
        if visit.watch is not None:
            visit.watch.cancel()

    async def close(self) -> None:
        """Stop watching."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now = monotonic()
            for visit in tuple(self._visits):
                self._look(visit, now)

    def _look(self, visit: Visit, now: float) -> None:
        if visit.body_read and visit.watch is None and now - visit.since >= _LOOK_S:
            visit.watch = asyncio.get_running_loop().create_task(_until_gone(visit))
        if visit.deadline and now > visit.deadline:
            visit.late = True
            _send_away(visit)


async def _until_gone(visit: Visit) -> None:
    while (await visit.receive())["type"] != "http.disconnect":
        pass
    _send_away(visit)


def _send_away(visit: Visit) -> None:
    if not visit.left:
        visit.left = True
        visit.task.cancel()
