"""How often and how many at once: per tool and tenant, in this process."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic.core.errors import LimitExceeded
from mosaic.core.values import JsonObject
from mosaic.resilience import TokenBucket
from mosaic.tools.policies.patterns import fits

__all__ = ["LimitKeeper", "ToolLimit"]

_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class ToolLimit:
    """A limit on each tool that fits a pattern, for each tenant.

    Attributes:
        tool: the pattern.
        requests_per_minute: calls a minute, as many at once at first; None for no limit.
        concurrency: calls at once; None for no limit.
        tenants: patterns of the tenants it holds for; empty for all.
    """

    tool: str
    requests_per_minute: int | None = None
    concurrency: int | None = None
    tenants: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return what listings show."""
        return {
            "tool": self.tool,
            "requests_per_minute": self.requests_per_minute,
            "concurrency": self.concurrency,
            "tenants": list(self.tenants),
        }


class LimitKeeper:
    """Counts the calls of this process; other limits keep what is counted where they say the same."""

    def __init__(self, limits: Sequence[ToolLimit] = ()) -> None:
        self._limits = tuple(limits)
        self._buckets: dict[tuple[ToolLimit, str, str], TokenBucket] = {}
        self._active: dict[tuple[ToolLimit, str, str], int] = {}

    def replace(self, limits: Sequence[ToolLimit]) -> None:
        """Go on with other limits."""
        self._limits = tuple(limits)
        kept = set(limits)
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] in kept}

    @contextlib.contextmanager
    def entered(self, tool: str, tenant: str) -> Iterator[None]:
        """Count one call while it lasts.

        Raises:
            LimitExceeded: if there are too many at once or in a minute; nothing is counted then.
        """
        if not self._limits:
            yield
            return
        keys = [
            (limit, tenant, tool)
            for limit in self._limits
            if fits(tool, (limit.tool,)) and fits(tenant, limit.tenants)
        ]
        for key in keys:
            self._check_concurrency(key)
        self._take(keys)
        for key in keys:
            self._active[key] = self._active.get(key, 0) + 1
        try:
            yield
        finally:
            for key in keys:
                left = self._active[key] - 1
                if left:
                    self._active[key] = left
                else:
                    del self._active[key]

    def _check_concurrency(self, key: tuple[ToolLimit, str, str]) -> None:
        limit, tenant, tool = key
        if limit.concurrency is not None and self._active.get(key, 0) >= limit.concurrency:
            raise LimitExceeded(
                f"{tool} is called {limit.concurrency} times at once already, as many as the limit for {limit.tool} allows.",
                hint="Try again when one of them has ended, or raise `limits` in policy.yaml.",
                resource=f"tool:{limit.tool}",
                limit=limit.concurrency,
                tenant=tenant,
            )

    def _take(self, keys: Sequence[tuple[ToolLimit, str, str]]) -> None:
        taken: list[TokenBucket] = []
        for key in keys:
            limit, tenant, tool = key
            if limit.requests_per_minute is None:
                continue
            bucket = self._bucket(key, limit.requests_per_minute)
            wait_s = bucket.take()
            if wait_s:
                for other in taken:
                    other.give(1)
                raise LimitExceeded(
                    f"{tool} was called {limit.requests_per_minute} times in a minute, as often as the limit for {limit.tool} allows.",
                    hint=f"Try again in {math.ceil(wait_s)} s, or raise `limits` in policy.yaml.",
                    resource=f"tool:{limit.tool}",
                    limit=limit.requests_per_minute,
                    tenant=tenant,
                    retry_after_s=round(wait_s, 3),
                )
            taken.append(bucket)

    def _bucket(self, key: tuple[ToolLimit, str, str], per_minute: int) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MOST_KEPT:
                # One that is full again says nothing.
                self._buckets = {
                    known: kept for known, kept in self._buckets.items() if kept.level() < kept.burst
                }
            bucket = self._buckets[key] = TokenBucket(per_minute / 60, per_minute)
        return bucket
