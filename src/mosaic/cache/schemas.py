"""The values of the cache: an answer as it is kept, the policy it is kept under, and what a look-up found."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

__all__ = ["CachePolicy", "CachedAnswer", "Entry", "Fetch", "Found", "Purge", "Source", "TierFigures"]

Source = Literal["memory", "redis", "objects", "joined", "similar", "fetched"]
"""Where an answer came from; `joined` means another request was already fetching it, `similar` that it answered a similar question."""

_ENTRY_OVERHEAD_BYTES = (
    1000  # what Python keeps around an entry and its facts, measured; a bound counts it too
)


class CachedAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer in the bytes a client gets, with the facts the ledger wants.

    Attributes:
        status: the HTTP status.
        headers: name and value in bytes; only those that describe the body are kept, see `Cache.put`.
        body: the whole body; empty for a stream.
        events: a stream's events, each in the bytes of its wire; empty for a whole answer.
        meta: facts in JSON: ``usage``, ``model``, ``provider`` and whatever the caller wants back.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    events: tuple[bytes, ...] = ()
    meta: dict[str, Any] = {}

    @property
    def is_stream(self) -> bool:
        """Say whether this is a stream's events."""
        return bool(self.events)

    @property
    def size_bytes(self) -> int:
        """The memory this answer takes, about."""
        size = _ENTRY_OVERHEAD_BYTES + len(self.body)
        for event in self.events:
            size += len(event) + 40
        for name, value in self.headers:
            size += len(name) + len(value) + 120
        return size


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An answer under its key, as tiers keep it. Times are seconds since 1970.

    Attributes:
        fresh_until: until then it is served without a question.
        usable_until: until then it may be served while a new one is fetched; never before `fresh_until`.
        tags: names to purge by, each within the key's tenant.
    """

    key: str
    answer: CachedAnswer
    stored_at: float
    fresh_until: float
    usable_until: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How answers of one route are kept.

    Attributes:
        ttl_s: how long an answer is fresh; 0 keeps nothing.
        stale_s: how much longer it may be served while a new one is fetched.
        max_bytes: a larger answer is not kept.
        tiers: the names of the tiers that may keep it; None leaves it to each tier's own bounds.
        tags: names to purge by, beside those every answer gets (``provider:...`` and ``model:...``).
        similarity: how alike a question must be to get another one's answer, as the cosine of their vectors;
            None, the default, asks for the same question.
    """

    ttl_s: float = 300.0
    stale_s: float = 0.0
    max_bytes: int = 1_000_000
    tiers: frozenset[str] | None = None
    tags: tuple[str, ...] = ()
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An answer and where it came from.

    Attributes:
        age_s: seconds since it was fetched.
        stale: it is past its time; somebody should fetch a new one.
        similarity: 1.0 for the same request; less for one that was similar enough.
    """

    answer: CachedAnswer
    source: Source
    age_s: float = 0.0
    stale: bool = False
    similarity: float = 1.0


@dataclass(frozen=True, slots=True)
class Purge:
    """What to forget: one key, every key with a tag, or every key that begins with a prefix.

    Build it with `purge_key`, `purge_tag` and `purge_prefix` of `mosaic.cache`: they stay in one tenant.
    """

    kind: Literal["key", "tag", "prefix"]
    value: str

    def covers(self, key: str, tags: tuple[str, ...]) -> bool:
        """Say whether an entry is to be forgotten."""
        if self.kind == "key":
            return key == self.value
        if self.kind == "prefix":
            return key.startswith(self.value)
        return self.value in tags


Fetch = Callable[[], Awaitable[CachedAnswer]]
"""Gets the answer from where it is made; called at most once by each request that asks."""


@dataclass(frozen=True, slots=True)
class TierFigures:
    """What a tier knows of itself without asking anybody; None is what it does not know.

    Attributes:
        open: False while the tier is left alone because it could not be reached.
        failures: calls that failed since the start.
        dropped: entries that were not written because it failed, rested or was too slow.
    """

    name: str
    entries: int | None = None
    size_bytes: int | None = None
    evicted: int | None = None
    open: bool = True
    failures: int = 0
    dropped: int = 0
