"""What requests about kept answers hold, and what answers look like."""

from pydantic import Field

from mosaic.api.schemas import Body, Document

__all__ = ["CacheDocument", "PurgeCache", "PurgedDocument", "WarmCache", "WarmedDocument"]


class CachedRoute(Document):
    """How often a route's answers were known."""

    route: str
    lookups: int
    hits: int
    hit_rate: float = Field(description="from 0 to 1")
    memory: int
    redis: int
    objects: int
    joined: int = Field(description="waited for another request that asked the same")
    similar: int = Field(description="got the answer to a similar question")
    stale: int
    fetched: int = Field(description="asked a model")
    saved_bytes: int


class CacheTierDocument(Document):
    """What one tier knows of itself; null is what it does not know."""

    name: str
    entries: int | None
    size_bytes: int | None
    evicted: int | None
    open: bool
    failures: int
    dropped: int


class CacheDocument(Document):
    """Hit rates and tiers of one node."""

    routes: list[CachedRoute]
    tiers: list[CacheTierDocument]


class PurgeCache(Body):
    """What to forget; everything of the tenant when neither is named."""

    route: str | None = Field(None, max_length=200)
    tag: str | None = Field(None, max_length=200, examples=["model:gpt-5"])


class PurgedDocument(Document):
    """How many entries are gone, as far as the tiers know."""

    forgotten: int


class WarmCache(Body):
    """Which hour to get ready for."""

    hours_ahead: int = Field(0, ge=0, le=168)


class WarmedDocument(Document):
    """What is in memory now, and what no tier has any more."""

    warm: int
    missing: int
