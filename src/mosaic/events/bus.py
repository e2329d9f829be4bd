"""Wakes whoever waits for something to change. A wake carries no data: the waiter looks in the database.

So a wake may come too often, never too seldom: a lost one would be a bug only if nobody looked again, and
every waiter in this system looks again after a bounded time anyway.
"""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from mosaic.storage import Announcer, SyncTransaction, Transaction

__all__ = ["Bus", "LocalBus", "Subscription"]


class Subscription:
    """Someone's wish to be woken for some topics. Use it as a context manager, in one event loop."""

    def __init__(self, bus: "LocalBus", topics: frozenset[str]) -> None:
        self._bus = bus
        self.topics = topics
        self._lock = threading.Lock()
        self._woken = False
        self._closed = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until one of the topics was published since the last wait; at most `timeout_s`.

        Returns:
            True when it was published, however often; False when the time passed or the subscription closed.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._woken or self._closed:
                return self._take()
            future = loop.create_future()
            self._waiter = (loop, future)
        try:
            await asyncio.wait((future,), timeout=timeout_s)
        finally:
            with self._lock:
                self._waiter = None
        with self._lock:
            return self._take()

    def wake(self) -> None:
        """Wake the waiter, or the next one to wait. From any thread."""
        with self._lock:
            if self._woken:
                return
            self._woken = True
            self._rouse()

    def close(self) -> None:
        """End the subscription; a waiter gets False."""
        self._bus.forget(self)
        with self._lock:
            self._closed = True
            self._rouse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _take(self) -> bool:
        woken, self._woken = self._woken and not self._closed, False
        return woken

    def _rouse(self) -> None:
        if self._waiter is None:
            return
        (loop, future), self._waiter = self._waiter, None
        try:
            loop.call_soon_threadsafe(_finish, future)
        except RuntimeError:
            # The waiter's loop has ended, and the waiter with it.
            self._closed = True


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Bus(Announcer, Protocol):
    """Wakes subscribers in this process at once and in other processes soon."""

    def publish(self, topic: str) -> None:
        """Wake the subscribers of `topic`. From any thread; does not wait; many at once may wake only once."""

    def publish_in(self, tx: Transaction | SyncTransaction, *topics: str) -> None:
        """Wake the subscribers of `topics` if and when `tx` commits, in this process and in others."""

    def subscribe(self, *topics: str) -> Subscription:
        """Subscribe from now on. Subscribe first, then look, then wait: so nothing falls between."""

    async def close(self) -> None:
        """Stop listening to other processes."""


class LocalBus:
    """A bus inside one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: dict[str, set[Subscription]] = {}

    def publish(self, topic: str) -> None:
        """Wake the subscribers of `topic`."""
        self.deliver((topic,))

    def publish_in(self, tx: Transaction | SyncTransaction, *topics: str) -> None:
        """Wake the subscribers of `topics` when `tx` commits."""
        tx.announce(self, *topics)

    def subscribe(self, *topics: str) -> Subscription:
        """Subscribe from now on."""
        subscription = Subscription(self, frozenset(topics))
        with self._lock:
            for topic in subscription.topics:
                self._subscriptions.setdefault(topic, set()).add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Remove a subscription; it does no harm to remove it twice."""
        with self._lock:
            for topic in subscription.topics:
                subscribers = self._subscriptions.get(topic)
                if subscribers is not None:
                    subscribers.discard(subscription)
                    if not subscribers:
                        del self._subscriptions[topic]

    def deliver(self, topics: Iterable[str]) -> None:
        """Wake the subscribers of `topics` in this process."""
        with self._lock:
            woken = {subscriber for topic in topics for subscriber in self._subscriptions.get(topic, ())}
        for subscriber in woken:
            subscriber.wake()

    def deliver_all(self) -> None:
        """Wake every subscriber of this process: something changed and we cannot know what."""
        with self._lock:
            topics = list(self._subscriptions)
        self.deliver(topics)

    async def announce(self, tx: Transaction, topics: Sequence[str]) -> None:
        """Nothing to tell other processes."""

    def announce_sync(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Nothing to tell other processes."""

    def announced(self, topics: Sequence[str]) -> None:
        """Wake this process."""
        self.deliver(topics)

    async def close(self) -> None:
        """Nothing to stop."""
