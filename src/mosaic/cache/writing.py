"""Writes to a tier behind the caller's back: in batches, one at a time, within a bound.

What comes faster than the tier takes it is dropped once the bound is reached. That costs a hit later, never memory.
"""

import asyncio
from collections.abc import Callable
from itertools import islice

from mosaic.cache.guard import GuardedTier
from mosaic.cache.schemas import Entry

__all__ = ["TierWriter"]

_BATCH = 64


class TierWriter:
    """The entries on their way to one tier; the last one under a key counts.

    Args:
        tier: where to.
        still_wanted: says of an entry, and of what its writer had seen, whether it was purged meanwhile.
        max_bytes: of entries that wait.
    """

    def __init__(
        self, tier: GuardedTier, still_wanted: Callable[[int, Entry], bool], *, max_bytes: int = 32_000_000
    ) -> None:
        self.tier = tier
        self.dropped = 0
        self._still_wanted = still_wanted
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: dict[str, tuple[int, Entry, int]] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, entry: Entry, *, seen: int, size_bytes: int) -> None:
        """Write `entry` soon; it is dropped while the tier rests or too much waits."""
        if self.tier.resting or self._bytes + size_bytes > self._max_bytes:
            self.dropped += 1
            return
        before = self._waiting.pop(entry.key, None)
        if before is not None:
            self._bytes -= before[2]
        self._waiting[entry.key] = (seen, entry, size_bytes)
        self._bytes += size_bytes
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def flush(self) -> None:
        """Wait until nothing waits any more."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def close(self) -> None:
        """Give up what waits."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            while self._waiting:
                keys = list(islice(self._waiting, _BATCH))
                batch = [self._waiting.pop(key) for key in keys]
                wanted = [entry for seen, entry, _ in batch if self._still_wanted(seen, entry)]
                try:
                    if wanted and not await self.tier.put(*wanted):
                        self.dropped += len(wanted)
                finally:
                    self._bytes -= sum(size_bytes for _, _, size_bytes in batch)
        finally:
            self._task = None
