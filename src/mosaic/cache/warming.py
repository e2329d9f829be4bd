"""Fills memory before it is asked: from a list, and with what was popular at the same hour before.

Popularity is counted by hour of the week (UTC), so that Monday's nine o'clock peak is expected on the next Monday at
nine. What is expected comes from the tiers below; what no tier has any more is fetched anew where the caller can.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mosaic.cache.schemas import CachePolicy, Fetch
from mosaic.cache.service import Cache
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject

__all__ = ["Preload", "Warming", "WarmingReport"]

_WEEK_HOURS = 168
_FADE = 0.5  # what a week ago is worth against today
_OTHER_DAY = 0.25  # what the same hour of another day is worth against the same hour of the week


@dataclass(frozen=True, slots=True)
class Preload:
    """An answer to have before it is asked for."""

    key: str
    policy: CachePolicy
    fetch: Fetch


@dataclass(frozen=True, slots=True)
class WarmingReport:
    """What warming did, in numbers of keys: in memory now, fetched anew for that, not to be had."""

    warm: int
    fetched: int
    missing: int


class Warming:
    """Watches what is popular and prepares for it.

    Args:
        cache: what to fill.
        fetch_for: returns how to get the answer of a key anew, or None where nobody knows.
        per_hour: keys remembered for each hour of the week.
        at_once: fetches at the same time.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        fetch_for: Callable[[str], Preload | None] | None = None,
        per_hour: int = 500,
        at_once: int = 4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._fetch_for = fetch_for
        self._per_hour = per_hour
        self._at_once = at_once
        self._clock = clock
        self._popular: dict[int, dict[str, float]] = {}
        self._seen_week: dict[int, int] = {}

    async def preload(self, answers: Iterable[Preload]) -> WarmingReport:
        """Fetch what is not in any tier yet. One that fails leaves the others alone."""
        waiting = iter(list(answers))
        counted = [0, 0, 0]

        async def work() -> None:
            for one in waiting:
                try:
                    found = await self._cache.get_or_fetch(one.key, one.fetch, one.policy)
                except MosaicError:
                    counted[2] += 1
                else:
                    counted[0] += 1
                    counted[1] += found.source == "fetched"

        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(work())
        return WarmingReport(*counted)

    def observe(self) -> None:
        """Note what was asked for since the last time, for this hour of the week. Call it every few minutes."""
        hour, week = _hour_of_week(self._clock())
        slot = self._popular.setdefault(hour, {})
        if self._seen_week.setdefault(hour, week) != week:
            for key in slot:
                slot[key] *= _FADE
            self._seen_week[hour] = week
        for key, hits in self._cache.memory.popularity():
            slot[key] = slot.get(key, 0.0) + hits
        if len(slot) > self._per_hour:
            best = sorted(slot.items(), key=lambda item: -item[1])[: self._per_hour]
            self._popular[hour] = dict(best)

    def expected(self, at: datetime) -> list[str]:
        """Return the keys to expect in the hour of `at`, the most popular first."""
        hour, _ = _hour_of_week(at.timestamp())
        scores: dict[str, float] = {}
        for other, slot in self._popular.items():
            if other % 24 == hour % 24:
                weight = 1.0 if other == hour else _OTHER_DAY
                for key, hits in slot.items():
                    scores[key] = scores.get(key, 0.0) + weight * hits
        return sorted(scores, key=lambda key: (-scores[key], key))[: self._per_hour]

    async def warm_for(self, at: datetime) -> WarmingReport:
        """Bring what is expected in the hour of `at` into memory."""
        keys = self.expected(at)
        missing = await self._cache.warm(keys, at_once=self._at_once)
        known = self._fetch_for
        again = [found for key in missing if known is not None and (found := known(key)) is not None]
        fetched = await self.preload(again)
        unknown = len(missing) - len(again)
        return WarmingReport(
            len(keys) - len(missing) + fetched.warm, fetched.fetched, unknown + fetched.missing
        )

    async def run(self, *, every_s: float = 300.0, ahead_s: float = 600.0) -> None:
        """Observe every `every_s`, and warm for each hour `ahead_s` before it begins, until cancelled."""
        warmed: datetime | None = None
        while True:
            self.observe()
            soon = datetime.fromtimestamp(self._clock(), UTC) + timedelta(seconds=ahead_s)
            hour = soon.replace(minute=0, second=0, microsecond=0)
            if hour != warmed:
                await self.warm_for(hour)
                warmed = hour
            await asyncio.sleep(every_s)

    def export(self) -> JsonObject:
        """Return what is known of popularity, to be loaded after a restart."""
        return {
            "hours": {
                str(hour): {"week": self._seen_week[hour], "keys": slot}
                for hour, slot in self._popular.items()
            }
        }

    def load(self, exported: JsonObject) -> None:
        """Take what `export` returned in place of what is known."""
        hours = exported.get("hours", {})
        self._popular = {int(hour): dict(kept["keys"]) for hour, kept in hours.items()}
        self._seen_week = {int(hour): int(kept["week"]) for hour, kept in hours.items()}


def _hour_of_week(at_s: float) -> tuple[int, int]:
    hours = int(at_s // 3600)
    return hours % _WEEK_HOURS, hours // _WEEK_HOURS
