"""Keeps a slow or absent tier from harming a request: a bound on time, and a while of peace after failures."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from mosaic.cache.interfaces import CacheTier
from mosaic.cache.schemas import CachePolicy, Entry, Purge, TierFigures
from mosaic.core.errors import MosaicError

__all__ = ["GuardedTier", "TierBounds"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TierBounds:
    """What a tier is for, and how patient we are with it.

    Attributes:
        min_bytes: smaller answers do not go there.
        max_bytes: larger ones neither.
        min_ttl_s: nor those that are over sooner.
        timeout_s: a read that takes longer is a miss.
        write_timeout_s: a write that takes longer is given up.
        failures: that many in a row, and the tier is left alone.
        rest_s: for how long at first; doubled with each failed attempt after it, up to `most_rest_s`.
    """

    min_bytes: int = 0
    max_bytes: int = 8_000_000
    min_ttl_s: float = 0.0
    timeout_s: float = 0.1
    write_timeout_s: float = 5.0
    failures: int = 3
    rest_s: float = 1.0
    most_rest_s: float = 30.0


class GuardedTier:
    """A tier whose faults are misses."""

    def __init__(
        self,
        tier: CacheTier,
        bounds: TierBounds | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tier = tier
        self.bounds = bounds or TierBounds()
        self._clock = clock
        self._failures = 0
        self._in_a_row = 0
        self._rest_s = self.bounds.rest_s
        self._open_at = 0.0
        self._probing = False

    @property
    def name(self) -> str:
        """The tier's name."""
        return self.tier.name

    @property
    def resting(self) -> bool:
        """Say whether the tier is left alone now."""
        return self._in_a_row >= self.bounds.failures and (self._probing or self._clock() < self._open_at)

    def takes(self, entry: Entry, policy: CachePolicy, size_bytes: int) -> bool:
        """Say whether this is a tier for that answer."""
        if policy.tiers is not None and self.name not in policy.tiers:
            return False
        ttl_s = entry.usable_until - entry.stored_at
        return self.bounds.min_bytes <= size_bytes <= self.bounds.max_bytes and ttl_s >= self.bounds.min_ttl_s

    async def get(self, key: str) -> Entry | None:
        """Return the entry of `key`; None also when the tier cannot say in time."""
        return await self._tried(lambda: self.tier.get(key), self.bounds.timeout_s)

    async def put(self, *entries: Entry) -> bool:
        """Keep entries; say whether the tier took them."""
        done = await self._tried(lambda: _done(self.tier.put(*entries)), self.bounds.write_timeout_s)
        return done is not None

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers, however often the tier failed before.

        Raises:
            Unavailable: if the tier cannot be reached: an answer that must go may still be there.
            TimedOut: likewise.
        """
        return await self.tier.purge(purge)

    def figures(self) -> TierFigures:
        """Return the tier's figures with what was seen of its faults."""
        return replace(self.tier.figures(), open=not self.resting, failures=self._failures)

    async def _tried(self, call: Callable[[], Awaitable[_T | None]], timeout_s: float) -> _T | None:
        if self.resting:
            return None
        probe = self._in_a_row >= self.bounds.failures
        self._probing = probe  # the others stay away until the probe says how it went
        try:
            async with asyncio.timeout(timeout_s):
                result = await call()
        except (MosaicError, TimeoutError) as error:
            self._failed(error, probe=probe)
            return None
        finally:
            if probe:
                self._probing = False
        if probe:
            _log.warning("cache tier answers again", extra={"tier": self.name})
            self._rest_s = self.bounds.rest_s
        if probe or self._in_a_row < self.bounds.failures:  # else a late answer to what was asked before
            self._in_a_row = 0
        return result

    def _failed(self, error: BaseException, *, probe: bool) -> None:
        self._failures += 1
        if self._in_a_row >= self.bounds.failures and not probe:
            return  # asked before we knew
        self._in_a_row += 1
        if self._in_a_row < self.bounds.failures:
            return
        if not probe:
            reason = error.data.get("reason") if isinstance(error, MosaicError) else "no answer in time"
            _log.warning(
                "cache tier cannot be reached; going on without it",
                extra={"tier": self.name, "reason": reason or str(error)},
            )
        self._open_at = self._clock() + self._rest_s
        self._rest_s = min(self._rest_s * 2, self.bounds.most_rest_s)


async def _done(call: Awaitable[None]) -> bool:
    await call
    return True
