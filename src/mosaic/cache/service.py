"""The cache: looks in memory, then in each tier below, then lets one request fetch for all who ask.

What is found below is kept in the tiers above it. What is fetched is in memory at once, and goes to the tiers below
behind the caller's back: no request waits for a write, and none fails because a tier does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, cast

from mosaic.cache.counts import HitCounts
from mosaic.cache.flights import Flights
from mosaic.cache.guard import GuardedTier
from mosaic.cache.interfaces import PurgeChannel
from mosaic.cache.memory import MemoryTier
from mosaic.cache.schemas import CachedAnswer, CachePolicy, Entry, Fetch, Found, Purge, Source, TierFigures
from mosaic.cache.writing import TierWriter
from mosaic.core.errors import MosaicError

__all__ = ["Cache", "Lead"]

_KEPT_HEADERS = frozenset({b"content-type", b"content-language"})
# What else came with the answer (request ids, rate limits, cookies) was true of one call only.
_PURGES_REMEMBERED = 1024


class Lead:
    """The right and the duty to fetch one key; others may be waiting. Use it as a context manager.

    It ends once, by `finish`, `fail` or `hand_over`; whatever comes later does nothing. One that is forgotten is
    handed over, so that nobody waits for ever.
    """

    __slots__ = ("_cache", "_ended", "_key", "_loop", "_policy", "_seen")

    def __init__(self, cache: "Cache", key: str, policy: CachePolicy, *, seen: int) -> None:
        self._cache = cache
        self._key = key
        self._policy = policy
        self._seen = seen
        self._ended = False
        self._loop = asyncio.get_running_loop()

    def finish(self, answer: CachedAnswer) -> None:
        """Give the answer to all who wait, and keep it if it may be kept."""
        if self._end():
            self._cache.put(self._key, answer, self._policy, seen=self._seen)
            self._cache.flights.land(self._key, answer)

    def fail(self, error: BaseException) -> None:
        """Fail all who wait, or let the next one lead if the error is this caller's own affair."""
        if self._end():
            self._cache.flights.fail(self._key, error)

    def hand_over(self) -> None:
        """Let the next one who waits lead."""
        if self._end():
            self._cache.flights.hand_over(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        else:
            self.hand_over()

    def __del__(self) -> None:
        if self._end() and not self._loop.is_closed():
            # Not here and now: who drops the last reference may be another thread.
            self._loop.call_soon_threadsafe(self._cache.flights.hand_over, self._key)

    def _end(self) -> bool:
        ended, self._ended = self._ended, True
        return not ended


class Cache:
    """Answers by key, in tiers.

    Args:
        memory: the first tier.
        below: the others, in the order they are asked.
        channel: tells other nodes of purges; without one a purge reaches this node's memory and the shared tiers.
        clock: seconds since 1970, the same on all nodes within a second or so.
    """

    def __init__(
        self,
        memory: MemoryTier | None = None,
        below: Sequence[GuardedTier] = (),
        *,
        channel: PurgeChannel | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.memory = MemoryTier(clock=clock) if memory is None else memory  # an empty one is false
        self.below = tuple(below)
        self.flights = Flights()
        self.counts = HitCounts()
        self.channel = channel
        self._clock = clock
        self._renewals: set[asyncio.Task[None]] = set()
        self._writers = tuple(TierWriter(tier, self._still_wanted) for tier in self.below)
        self._purges: deque[Purge | None] = deque(maxlen=_PURGES_REMEMBERED)
        self._purge_count = 0

    # Looking up

    def peek(self, key: str) -> CachedAnswer | None:
        """Return a fresh answer from memory, or None; counts a hit, never a miss. Waits for nothing."""
        entry = self.memory.peek(key)
        if entry is None or entry.fresh_until <= self._clock():
            return None
        answer = entry.answer
        tally = self.counts.of(key)
        tally.memory += 1
        tally.saved_bytes += len(answer.body)
        return answer

    async def look(self, key: str) -> Found | None:
        """Return an answer from any tier, fresh or stale, or None; counts nothing and waits for no other request."""
        entry = self.memory.peek(key)
        if entry is not None:
            return self._shown(entry, "memory")
        below = await self._from_below(key)
        return None if below is None else self._shown(*below)

    async def enter(self, key: str, policy: CachePolicy) -> Found | Lead:
        """Return an answer, or the right to fetch it when there is none and nobody else fetches it.

        An answer may be stale (`Found.stale`) under a policy with `stale_s`: serve it and fetch a new one, as
        `get_or_fetch` does.

        Raises:
            MosaicError: what the fetch of another request raised, when this one waited for it.
        """
        entry = self.memory.peek(key)
        if entry is not None:
            return self._found(entry, "memory")
        return await self._enter_below(key, policy)

    async def get_or_fetch(self, key: str, fetch: Fetch, policy: CachePolicy) -> Found:
        """Return the answer of `key`, from a tier, from another request's fetch or from `fetch`.

        `fetch` runs in the caller's own task, so that cancelling the caller cancels it; the next request in line
        then runs its own. Only a stale answer is renewed behind the caller's back.

        Raises:
            MosaicError: what `fetch` raised, here or in the request that this one waited for.
        """
        met = await self.enter(key, policy)
        if isinstance(met, Lead):
            with met:
                answer = await fetch()
                met.finish(answer)
            return Found(answer, "fetched")
        if met.stale:
            self._renew(key, fetch, policy)
        return met

    # Keeping

    def put(self, key: str, answer: CachedAnswer, policy: CachePolicy, *, seen: int | None = None) -> bool:
        """Keep an answer in memory at once and in the tiers below soon; say whether it may be kept at all.

        Errors are never kept, nor what the policy or the bounds of every tier exclude. Of its headers only those
        that describe the body are kept.

        Args:
            key: from `request_key`.
            answer: what the client got.
            policy: the route's.
            seen: what `purges_seen` was when the fetch began: an answer purged meanwhile is not kept.
        """
        size = answer.size_bytes
        if not _keepable(answer) or policy.ttl_s <= 0 or size > policy.max_bytes:
            return False
        now = self._clock()
        tenant = key.partition("/")[0]
        tags = [f"{tenant}/{tag}" for tag in policy.tags]
        tags += [
            f"{tenant}/{name}:{answer.meta[name]}" for name in ("provider", "model") if name in answer.meta
        ]
        fresh_until = now + policy.ttl_s
        kept = CachedAnswer(
            answer.status,
            tuple(pair for pair in answer.headers if pair[0].lower() in _KEPT_HEADERS),
            answer.body,
            answer.events,
            answer.meta,
        )
        entry = Entry(key, kept, now, fresh_until, fresh_until + policy.stale_s, tuple(tags))
        if seen is not None and not self._still_wanted(seen, entry):
            return False
        if policy.tiers is None or self.memory.name in policy.tiers:
            self.memory.store(entry)
        self._write(entry, policy, size, self._writers)
        return True

    @property
    def purges_seen(self) -> int:
        """How many purges this node has seen; see `put`."""
        return self._purge_count

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers: here, in the shared tiers and on every other node.

        Returns:
            How many entries are gone, as far as the tiers know; one in three tiers counts three times.

        Raises:
            Unavailable: if a tier or the other nodes could not be reached; everything else has been purged.
        """
        gone = self.heard(purge)
        await self.flush()
        failed: MosaicError | None = None
        for tier in self.below:
            try:
                gone += await tier.purge(purge)
            except MosaicError as error:
                failed = error
        if self.channel is not None:
            await self.channel.publish(purge)
        if failed is not None:
            raise failed
        return gone

    def heard(self, purge: Purge | None) -> int:
        """Forget in this process what another node purged; None forgets everything, as some word may be lost."""
        self._purges.append(purge)
        self._purge_count += 1
        if purge is not None:
            return self.memory.forget(purge)
        gone = len(self.memory)
        self.memory.clear()
        return gone

    # Tending

    async def warm(self, keys: Iterable[str], *, at_once: int = 8) -> tuple[str, ...]:
        """Bring keys from the tiers below into memory; return those that no tier has."""
        missing: list[str] = []
        todo = iter(dict.fromkeys(keys))

        async def work() -> None:
            for key in todo:
                if key not in self.memory and await self._from_below(key) is None:
                    missing.append(key)  # noqa: PERF401  # shared by the workers, in the order they get there

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return tuple(missing)

    async def listen(self) -> None:
        """Forget what other nodes purge, until cancelled; returns at once without a channel."""
        if self.channel is not None:
            await self.channel.listen(self.heard)

    def figures(self) -> tuple[TierFigures, ...]:
        """Return what each tier knows of itself, without asking anybody."""
        below = (replace(writer.tier.figures(), dropped=writer.dropped) for writer in self._writers)
        return (self.memory.figures(), *below)

    async def flush(self) -> None:
        """Wait until what was put before is in the tiers below, or was given up; and for renewals under way."""
        while self._renewals:
            await asyncio.wait(self._renewals)
        for writer in self._writers:
            await writer.flush()

    async def close(self) -> None:
        """Finish the writes under way and let go of every tier."""
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self.flush()
        for task in self._renewals:
            task.cancel()
        await asyncio.gather(*self._renewals, return_exceptions=True)
        for writer in self._writers:
            await writer.close()
            await writer.tier.tier.close()
        await self.memory.close()

    # Inside

    async def _enter_below(self, key: str, policy: CachePolicy) -> Found | Lead:
        if not self.flights.begin(key):
            answer = await self.flights.wait(key)
            if answer is not None:
                self.counts.hit(key, "joined", size_bytes=len(answer.body))
                return Found(answer, "joined")
        try:
            found = await self._from_below(key)
        except BaseException:
            self.flights.hand_over(key)
            raise
        if found is not None:
            self.flights.land(key, found[0].answer)
            return self._found(found[0], found[1])
        self.counts.of(key).fetched += 1
        return Lead(self, key, policy, seen=self._purge_count)

    async def _from_below(self, key: str) -> tuple[Entry, Source] | None:
        for number, tier in enumerate(self.below):
            seen = self._purge_count
            entry = await tier.get(key)
            if entry is not None and self._still_wanted(seen, entry):
                self.memory.store(entry)
                self._write(entry, CachePolicy(), entry.answer.size_bytes, self._writers[:number])
                return entry, cast("Source", tier.name)
        return None

    def _found(self, entry: Entry, source: Source) -> Found:
        found = self._shown(entry, source)
        self.counts.hit(entry.key, source, size_bytes=len(entry.answer.body), stale=found.stale)
        return found

    def _shown(self, entry: Entry, source: Source) -> Found:
        now = self._clock()
        return Found(
            entry.answer, source, age_s=max(0.0, now - entry.stored_at), stale=entry.fresh_until <= now
        )

    def _renew(self, key: str, fetch: Fetch, policy: CachePolicy) -> None:
        if not self.flights.begin(key):
            return

        async def renew() -> None:
            with suppress(MosaicError), Lead(self, key, policy, seen=self._purge_count) as lead:
                lead.finish(await fetch())

        task = asyncio.ensure_future(renew())
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)

    def _write(self, entry: Entry, policy: CachePolicy, size: int, writers: Sequence[TierWriter]) -> None:
        for writer in writers:
            if writer.tier.takes(entry, policy, size):
                writer.add(entry, seen=self._purge_count, size_bytes=size)

    def _still_wanted(self, seen: int, entry: Entry) -> bool:
        """Say whether no purge since the `seen`-th covers the entry."""
        missed = self._purge_count - seen
        if missed == 0:
            return True
        if missed > len(self._purges):
            return False
        recent = (self._purges[-number] for number in range(1, missed + 1))
        return not any(purge is None or purge.covers(entry.key, entry.tags) for purge in recent)


def _keepable(answer: CachedAnswer) -> bool:
    """Errors are not kept, nor bodies in an encoding that the next client may not take."""
    if not 200 <= answer.status < 300:
        return False
    return not any(name.lower() in (b"content-encoding", b"set-cookie") for name, _ in answer.headers)
