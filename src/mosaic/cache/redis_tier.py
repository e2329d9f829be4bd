"""The Redis tier: what all nodes share, and a restart survives. And the word between nodes of what was purged.

Every key in Redis has a time to live, so `maxmemory-policy volatile-lru` (or `allkeys-lru`) bounds it. Tags are
sorted sets of keys, by the time each is over.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from mosaic.cache.encoding import read_entry, read_purge, write_entry, write_purge
from mosaic.cache.schemas import Entry, Purge, TierFigures
from mosaic.core.errors import Unavailable, Unsupported

if TYPE_CHECKING:  # an extra: only who uses Redis installs it
    from redis.asyncio import Redis

__all__ = ["RedisPurges", "RedisTier", "connect_redis"]

_log = logging.getLogger(__name__)
_AT_ONCE = 500
_GLOB = str.maketrans({character: f"\\{character}" for character in "*?[]\\^-"})
_QUIET_S = 5.0  # of silence, and we ask whether the other side is still there
_AGAIN_S = 1.0  # after a connection was lost


def connect_redis(
    url: str, *, password: str | None = None, connect_timeout_s: float = 1.0, connections: int = 32
) -> "Redis":
    """Return a client for ``redis://``, ``rediss://`` or ``unix://``; it connects when it is first used.

    Who finds all `connections` in use waits for one: a burst that opened one each would be refused by the server.

    Raises:
        Unsupported: if the extra `redis` is not installed.
    """
    try:
        # Here and not above: the library is an extra, and takes a tenth of a second to import.
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise Unsupported(
            "The Redis tier of the cache needs a library that is not installed.",
            hint="Install mosaicstack[redis], or take redis out of the cache's settings.",
        ) from None
    # One attempt more, at once, heals a connection that the server closed; waiting is the guard's affair.
    secret = {} if password is None else {"password": password}
    pool: Any = BlockingConnectionPool.from_url(
        url,
        **secret,
        max_connections=connections,
        timeout=5,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=5.0,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


class RedisTier:
    """Entries in Redis.

    Args:
        client: from `connect_redis`; the tier closes it.
        prefix: what our keys in Redis begin with.
        max_ttl_s: no entry stays longer.
    """

    name = "redis"

    def __init__(
        self,
        client: "Redis",
        *,
        prefix: str = "mosaic:cache:",
        max_ttl_s: float = 7 * 86_400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._entry = f"{prefix}e:"
        self._tag = f"{prefix}t:"
        self._max_ttl_s = max_ttl_s
        self._clock = clock

    async def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None."""
        with _translated():
            data = await self._client.get(self._entry + key)
        if not isinstance(data, bytes):
            return None
        entry = read_entry(data, key)
        return entry if entry is not None and entry.usable_until > self._clock() else None

    async def put(self, *entries: Entry) -> None:
        """Keep `entries` in one round trip until their time is over, at most `max_ttl_s`."""
        now = self._clock()
        timed = [(entry, min(entry.usable_until - now, self._max_ttl_s)) for entry in entries]
        timed = [(entry, ttl_s) for entry, ttl_s in timed if ttl_s > 0]
        tagged: dict[str, dict[str, float]] = {}
        for entry, ttl_s in timed:
            for tag in entry.tags:
                tagged.setdefault(tag, {})[entry.key] = now + ttl_s
        if not timed:
            return
        with _translated():
            async with self._client.pipeline(transaction=False) as pipe:
                # Tags first: an entry without its tag could not be purged.
                for tag, keys in tagged.items():
                    pipe.zremrangebyscore(self._tag + tag, "-inf", now)
                    pipe.zadd(self._tag + tag, keys)
                    pipe.expire(self._tag + tag, int(self._max_ttl_s) + 1)
                for entry, ttl_s in timed:
                    pipe.set(self._entry + entry.key, write_entry(entry), px=max(1, int(ttl_s * 1000)))
                await pipe.execute()

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers."""
        with _translated():
            if purge.kind == "key":
                return int(await self._client.unlink(self._entry + purge.value))
            if purge.kind == "prefix":
                pattern = (self._entry + purge.value).translate(_GLOB) + "*"
                return await self._unlink(self._client.scan_iter(match=pattern, count=_AT_ONCE))
            tagged = self._tag + purge.value
            members = self._client.zscan_iter(tagged, count=_AT_ONCE)
            gone = await self._unlink(_entries(members, self._entry.encode()))
            await self._client.unlink(tagged)
            return gone

    async def _unlink(self, names: AsyncIterator[bytes]) -> int:
        gone = 0
        batch: list[bytes] = []
        async for name in names:
            batch.append(name)
            if len(batch) >= _AT_ONCE:
                gone += int(await self._client.unlink(*batch))
                batch = []
        if batch:
            gone += int(await self._client.unlink(*batch))
        return gone

    def figures(self) -> TierFigures:
        """Return the name; Redis has its own figures."""
        return TierFigures(self.name)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class RedisPurges:
    """Purges told over Redis' publish and subscribe.

    Args:
        client: from `connect_redis`; shared with the tier, which closes it.
        prefix: as that of the tier.
    """

    def __init__(self, client: "Redis", *, prefix: str = "mosaic:cache:") -> None:
        self._client = client
        self._channel = f"{prefix}purges"
        self._node = secrets.token_hex(8)
        self.listening = asyncio.Event()
        """Set while word from other nodes arrives here."""

    async def publish(self, purge: Purge) -> None:
        """Tell the others."""
        with _translated():
            await self._client.publish(self._channel, write_purge(self._node, purge))

    async def listen(self, heard: Callable[[Purge | None], object]) -> None:
        """Call `heard` with each purge of another node, until cancelled; with None after a gap."""
        first = True
        while True:
            try:
                async with self._subscribed() as pubsub:
                    if not first:
                        heard(None)
                    first = False
                    await self._follow(pubsub, heard)
            except Unavailable as error:
                _log.warning("purges of other nodes do not arrive", extra={"reason": error.message})
            await asyncio.sleep(_AGAIN_S)

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Any]:
        pubsub: Any = self._client.pubsub()
        try:
            with _translated():
                await pubsub.subscribe(self._channel)
                yield pubsub
        finally:
            self.listening.clear()
            await pubsub.aclose()

    async def _follow(self, pubsub: Any, heard: Callable[[Purge | None], object]) -> None:
        subscribed = asked = False
        while True:
            message = await pubsub.get_message(timeout=_QUIET_S)
            if message is None:
                if asked:
                    return  # silence after a question: the connection is dead
                await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                if subscribed:
                    heard(None)  # the library connected anew by itself; what was said meanwhile is lost
                subscribed = True
                self.listening.set()
            elif message["type"] == "message":
                told = read_purge(message["data"])
                if told is None:
                    heard(None)
                elif told[0] != self._node:
                    heard(told[1])


async def _entries(members: AsyncIterator[Any], prefix: bytes) -> AsyncIterator[bytes]:
    async for key, _ in members:
        yield prefix + key


@contextmanager
def _translated() -> Iterator[None]:
    from redis.exceptions import RedisError  # noqa: PLC0415  # an extra, loaded by now

    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable(
            "Redis does not answer.",
            hint="Look at the server named in the cache's settings; the cache goes on without it.",
            reason=f"{type(error).__name__}: {str(error)[:200]}",
        ) from error
