"""Where answers are kept: the cache section of the settings."""

from dataclasses import dataclass, field

from mosaic.cache.guard import TierBounds

__all__ = ["CacheSettings"]


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The tiers of a node.

    Attributes:
        memory_bytes: the bound of the memory tier; 0 keeps nothing in memory.
        redis_url: ``redis://host``, ``rediss://host`` or ``unix:///socket``; empty for no Redis.
        redis_password: when the URL holds none.
        redis: what goes there: by default everything up to a megabyte.
        objects_url: a folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://...`` or ``az://...``; empty for none.
        objects: what goes there: by default what lives an hour or longer.
        objects_max_ttl_s: no object stays longer.
        prefix: what our names in Redis and in the store begin with.
    """

    memory_bytes: int = 64_000_000
    redis_url: str = field(default="", repr=False)  # it may hold a password
    redis_password: str | None = field(default=None, repr=False)
    redis: TierBounds = field(
        default_factory=lambda: TierBounds(max_bytes=1_000_000, timeout_s=0.1, write_timeout_s=1.0)
    )
    objects_url: str = ""
    objects: TierBounds = field(
        default_factory=lambda: TierBounds(min_ttl_s=3600.0, timeout_s=0.5, write_timeout_s=10.0)
    )
    objects_max_ttl_s: float = 30 * 86_400
    prefix: str = "mosaic"
