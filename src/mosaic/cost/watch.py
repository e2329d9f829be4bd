"""Keeps what is in memory in step with the database: when another process says so, and now and then anyway."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mosaic.core.errors import Unavailable
from mosaic.events import Bus

__all__ = ["Watch"]

log = logging.getLogger(__name__)


class Watch:
    """Calls `work` when one of `topics` is published and every `every_s` seconds, until `stop`."""

    def __init__(
        self,
        bus: Bus,
        work: Callable[[], Awaitable[None]],
        *,
        topics: tuple[str, ...],
        every_s: float,
        name: str,
    ) -> None:
        self._bus = bus
        self._work = work
        self._topics = topics
        self._every_s = every_s
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; no harm if it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End; no harm if it has ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        with self._bus.subscribe(*self._topics) as subscription:
            while True:
                await subscription.wait(timeout_s=self._every_s)
                try:
                    await self._work()
                except Unavailable as error:  # what is in memory stays good through an outage
                    log.warning("%s could not look at the database: %s", self._name, error)
                except Exception:  # a worker: whatever it was, it looks again
                    log.exception("%s failed; it goes on", self._name)
