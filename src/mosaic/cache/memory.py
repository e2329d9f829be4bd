"""The memory tier: the hottest answers of this process, within a bound in bytes.

Eviction is S3-FIFO. New entries wait in a small queue; those asked for again move to the main one, the others leave
and only their keys are remembered for a while, so that a key that returns soon goes straight to the main queue. A
burst of requests nobody repeats thus cannot push out what everybody asks for, and a hit moves nothing: it adds one
to a counter. One event loop owns a tier; nothing here is locked.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from mosaic.cache.schemas import Entry, Purge, TierFigures

__all__ = ["MemoryTier"]

_SMALL_SHARE = 0.1  # of the bytes, for entries that were asked for once; the value of the S3-FIFO paper
_MOST_USES = 3  # more says nothing about the near future, and an old favourite would stay too long


class _Kept:
    """An entry in a queue."""

    __slots__ = ("entry", "hits", "size_bytes", "uses")

    def __init__(self, entry: Entry, size_bytes: int) -> None:
        self.entry = entry
        self.size_bytes = size_bytes
        self.uses = 0
        self.hits = 0


class MemoryTier:
    """Entries in this process, at most `max_bytes` of them.

    Args:
        max_bytes: the bound, of bodies, keys and what Python keeps around them.
        max_entry_bytes: a larger answer is not kept; by default an eighth of the bound.
        clock: seconds since 1970.
    """

    name = "memory"

    def __init__(
        self,
        max_bytes: int = 64_000_000,
        *,
        max_entry_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_entry_bytes = max_bytes // 8 if max_entry_bytes is None else max_entry_bytes
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._small: OrderedDict[str, _Kept] = OrderedDict()
        self._main: OrderedDict[str, _Kept] = OrderedDict()
        self._ghosts: OrderedDict[str, None] = OrderedDict()
        self._tags: dict[str, set[str]] = {}
        self._small_bytes = 0
        self._main_bytes = 0
        self._evicted = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: str) -> bool:
        kept = self._kept.get(key)
        return kept is not None and kept.entry.usable_until > self._clock()

    @property
    def size_bytes(self) -> int:
        """The bytes in use."""
        return self._small_bytes + self._main_bytes

    def peek(self, key: str) -> Entry | None:
        """Return a usable entry, fresh or not, and remember that it was asked for."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        entry = kept.entry
        if entry.usable_until <= self._clock():
            self._remove(key)
            return None
        kept.hits += 1
        if kept.uses < _MOST_USES:
            kept.uses += 1
        return entry

    def store(self, entry: Entry) -> bool:
        """Keep an entry in place of any other with its key; say whether there was room for it."""
        key = entry.key
        before = self._remove(key)
        size = entry.answer.size_bytes + 2 * len(key) + sum(len(tag) + 60 for tag in entry.tags)
        if size > self.max_entry_bytes or size > self.max_bytes or entry.usable_until <= self._clock():
            return False
        kept = _Kept(entry, size)
        if before is not None:
            kept.uses, kept.hits = before.uses, before.hits
        self._make_room(size)
        self._kept[key] = kept
        if key in self._ghosts or before is not None:
            self._ghosts.pop(key, None)
            self._main[key] = kept
            self._main_bytes += size
        else:
            self._small[key] = kept
            self._small_bytes += size
        for tag in entry.tags:
            self._tags.setdefault(tag, set()).add(key)
        return True

    def forget(self, purge: Purge) -> int:
        """Forget what `purge` covers; return how many entries that were."""
        if purge.kind == "key":
            keys = [purge.value]
        elif purge.kind == "tag":
            keys = list(self._tags.get(purge.value, ()))
        else:
            keys = [key for key in self._kept if key.startswith(purge.value)]
        return sum(self._remove(key) is not None for key in keys)

    def clear(self) -> None:
        """Forget everything."""
        for keeper in (self._kept, self._small, self._main, self._ghosts, self._tags):
            keeper.clear()
        self._small_bytes = self._main_bytes = 0

    def popularity(self) -> Iterator[tuple[str, int]]:
        """Yield each key with how often it was asked for since the last call, and start counting anew."""
        for key, kept in list(self._kept.items()):
            if kept.hits:
                yield key, kept.hits
                kept.hits = 0

    async def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None."""
        return self.peek(key)

    async def put(self, *entries: Entry) -> None:
        """Keep `entries`."""
        for entry in entries:
            self.store(entry)

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers."""
        return self.forget(purge)

    def figures(self) -> TierFigures:
        """Return entries, bytes and evictions."""
        return TierFigures(
            self.name, entries=len(self._kept), size_bytes=self.size_bytes, evicted=self._evicted
        )

    async def close(self) -> None:
        """Forget everything."""
        self.clear()

    def _make_room(self, size_bytes: int) -> None:
        while self._kept and self.size_bytes + size_bytes > self.max_bytes:
            if self._small and (self._small_bytes > self.max_bytes * _SMALL_SHARE or not self._main):
                self._shrink_small()
            else:
                self._shrink_main()

    def _shrink_small(self) -> None:
        """Take the oldest entry of the small queue: to the main one if it was used again, else out."""
        key, kept = self._small.popitem(last=False)
        self._small_bytes -= kept.size_bytes
        if kept.uses:
            kept.uses = 0
            self._main[key] = kept
            self._main_bytes += kept.size_bytes
            return
        self._drop(key, kept.entry)
        self._evicted += 1
        self._ghosts[key] = None
        while len(self._ghosts) > len(self._kept) + 1:
            self._ghosts.popitem(last=False)

    def _shrink_main(self) -> None:
        """Take the oldest entry of the main queue: to its end if it was used, else out."""
        key, kept = self._main.popitem(last=False)
        if kept.uses:
            kept.uses -= 1
            self._main[key] = kept
            return
        self._main_bytes -= kept.size_bytes
        self._drop(key, kept.entry)
        self._evicted += 1

    def _remove(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._small.pop(key, None) is not None:
            self._small_bytes -= kept.size_bytes
        else:
            del self._main[key]
            self._main_bytes -= kept.size_bytes
        self._drop(key, kept.entry)
        return kept

    def _drop(self, key: str, entry: Entry) -> None:
        del self._kept[key]
        for tag in entry.tags:
            keys = self._tags[tag]
            keys.discard(key)
            if not keys:
                del self._tags[tag]
