"""A fair turn-taking of the writers of one process on one SQLite file.

SQLite lets one writer in and makes the others sleep and retry, up to 100 ms at a time, in no order. Inside one
process we know who waits, so we hand the turn over at once, first come, first served. Writers of other
processes still meet at SQLite's own lock.
"""

import asyncio
import threading
from collections import deque
from typing import Protocol

__all__ = ["NoGate", "WriteGate", "WriteTurns"]


class WriteTurns(Protocol):
    """Who may write now."""

    async def acquire(self, timeout_s: float) -> bool:
        """Wait for the turn in an event loop; False when one holder kept it for `timeout_s`."""

    def acquire_blocking(self, timeout_s: float) -> bool:
        """Wait for the turn in a thread; False when one holder kept it for `timeout_s`."""

    def release(self) -> None:
        """Pass the turn on."""


class _Waiter:
    __slots__ = ("_event", "_future", "_loop", "granted")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.granted = False
        self._loop = loop
        self._future: asyncio.Future[None] | None = loop.create_future() if loop else None
        self._event = None if loop else threading.Event()

    def wake(self) -> bool:
        if self._event is not None:
            self._event.set()
            return True
        assert self._loop is not None  # noqa: S101  # one of the two, by construction
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:  # its loop is closed: nobody waits any more
            return False
        return True

    def _settle(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        assert self._future is not None  # noqa: S101  # made for a loop
        await asyncio.wait((self._future,), timeout=timeout_s)

    def wait_blocking(self, timeout_s: float) -> None:
        assert self._event is not None  # noqa: S101  # made for a thread
        self._event.wait(timeout_s)


class WriteGate:
    """First come, first served, across event loops and threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._turns = 0
        self._waiting: deque[_Waiter] = deque()

    def _enter(self, loop: asyncio.AbstractEventLoop | None) -> _Waiter | None:
        with self._lock:
            if not self._held:
                self._held = True
                return None
            waiter = _Waiter(loop)
            self._waiting.append(waiter)
            return waiter

    def _leave(self, waiter: _Waiter) -> bool:
        """Stop waiting; True when the turn had come."""
        with self._lock:
            if not waiter.granted:
                self._waiting.remove(waiter)
            return waiter.granted

    async def acquire(self, timeout_s: float) -> bool:
        """Wait for the turn in an event loop."""
        waiter = self._enter(asyncio.get_running_loop())
        if waiter is None:
            return True
        try:
            while True:
                turns = self._turns
                await waiter.wait(timeout_s)
                # A long line that moves is no reason to give up; a holder that does not let go is.
                if waiter.granted or turns == self._turns:
                    return self._leave(waiter)
        except BaseException:
            # Cancelled while waiting: a turn that came in the same moment goes to the next one.
            if self._leave(waiter):
                self.release()
            raise

    def acquire_blocking(self, timeout_s: float) -> bool:
        """Wait for the turn in a thread."""
        waiter = self._enter(None)
        if waiter is None:
            return True
        while True:
            turns = self._turns
            waiter.wait_blocking(timeout_s)
            if waiter.granted or turns == self._turns:
                return self._leave(waiter)

    def release(self) -> None:
        """Pass the turn on."""
        with self._lock:
            self._turns += 1
            while self._waiting:
                waiter = self._waiting.popleft()
                waiter.granted = True
                if waiter.wake():
                    return
            self._held = False


class NoGate:
    """For a database that orders its writers itself."""

    async def acquire(self, timeout_s: float) -> bool:  # noqa: ARG002  # the protocol's signature
        """Go on at once."""
        return True

    def acquire_blocking(self, timeout_s: float) -> bool:  # noqa: ARG002  # the protocol's signature
        """Go on at once."""
        return True

    def release(self) -> None:
        """Nothing to pass on."""
