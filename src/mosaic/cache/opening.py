"""Builds the cache that the settings describe."""

import time
from collections.abc import Callable

from mosaic.cache.guard import GuardedTier
from mosaic.cache.interfaces import PurgeChannel
from mosaic.cache.memory import MemoryTier
from mosaic.cache.object_tier import ObjectTier, open_objects
from mosaic.cache.redis_tier import RedisPurges, RedisTier, connect_redis
from mosaic.cache.service import Cache
from mosaic.cache.settings import CacheSettings

__all__ = ["open_cache"]


def open_cache(
    settings: CacheSettings,
    *,
    channel: PurgeChannel | None = None,
    clock: Callable[[], float] = time.time,
) -> Cache:
    """Return a cache with the tiers of `settings`. Nothing is connected before it is used.

    With Redis, purges travel between nodes through it; without, `channel` carries them, if there is one. Run
    `Cache.listen` in a task so that this node hears them.

    Raises:
        Unsupported: if a tier's library is not installed.
        InvalidInput: if a URL names nothing we can use.
    """
    memory = MemoryTier(settings.memory_bytes, clock=clock)
    below: list[GuardedTier] = []
    if settings.redis_url:
        client = connect_redis(settings.redis_url, password=settings.redis_password)
        prefix = f"{settings.prefix}:cache:"
        below.append(GuardedTier(RedisTier(client, prefix=prefix, clock=clock), settings.redis))
        channel = channel or RedisPurges(client, prefix=prefix)
    if settings.objects_url:
        tier = ObjectTier(
            open_objects(settings.objects_url),
            prefix=f"{settings.prefix}/cache",
            max_ttl_s=settings.objects_max_ttl_s,
            clock=clock,
        )
        below.append(GuardedTier(tier, settings.objects))
    return Cache(memory, below, channel=channel, clock=clock)
