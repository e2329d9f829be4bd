"""The object-store tier: large and long-lived answers, in a folder, S3, Google Cloud Storage or Azure.

An entry is one object under ``entries/``; each of its tags is an empty object under ``tags/<tag>/`` with the key as
its name. Stores expire nothing by themselves within our times, so `sweep` removes what is older than `max_ttl_s`;
a lifecycle rule of the bucket does the same.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaic.cache.encoding import read_entry, write_entry
from mosaic.cache.schemas import Entry, Purge, TierFigures
from mosaic.core.errors import InvalidInput, Unavailable, Unsupported

if TYPE_CHECKING:  # an extra: only who uses an object store installs it
    from obstore.store import ObjectStore

__all__ = ["ObjectTier", "open_objects"]

_AT_ONCE = 500
_WRITES_AT_ONCE = 8


def open_objects(url: str, **options: Any) -> "ObjectStore":
    """Return the store in a folder, or at ``file:///folder``, ``s3://bucket/prefix``, ``gs://...`` or ``az://...``.

    Credentials come from where the vendor's own tools take them; `options` are those of obstore.

    Raises:
        Unsupported: if the extra `objects` is not installed.
        InvalidInput: if there is no store for such a URL.
    """
    try:
        # Here and not above: the library is an extra.
        from obstore.exceptions import BaseError  # noqa: PLC0415
        from obstore.store import LocalStore, from_url  # noqa: PLC0415
    except ImportError:
        raise Unsupported(
            "The object-store tier of the cache needs a library that is not installed.",
            hint="Install mosaicstack[objects], or take objects out of the cache's settings.",
        ) from None
    try:
        if url.startswith("file://") or "://" not in url:
            return LocalStore(Path(url.removeprefix("file://")).expanduser().absolute(), mkdir=True)
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        raise InvalidInput(
            f"The cache cannot keep objects at {url!r}.",
            hint="Use a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
            reason=str(error),
        ) from None


class ObjectTier:
    """Entries as objects.

    Args:
        store: from `open_objects`.
        prefix: the folder in it.
        max_ttl_s: no entry stays longer.
    """

    name = "objects"

    def __init__(
        self,
        store: "ObjectStore",
        *,
        prefix: str = "cache",
        max_ttl_s: float = 30 * 86_400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._entries = f"{prefix}/entries/"
        self._tags = f"{prefix}/tags/"
        self._max_ttl_s = max_ttl_s
        self._clock = clock

    async def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None."""
        with _translated():
            try:
                answer = await self._store.get_async(self._entries + key)
                data = bytes(await answer.bytes_async())
            except FileNotFoundError:
                return None
        entry = read_entry(data, key)
        if entry is None:
            return None
        over_at = min(entry.usable_until, entry.stored_at + self._max_ttl_s)
        return entry if over_at > self._clock() else None

    async def put(self, *entries: Entry) -> None:
        """Keep `entries`; `get` minds their time."""
        now = self._clock()
        todo = iter([entry for entry in entries if entry.usable_until > now])

        async def work() -> None:
            for entry in todo:
                # Tags first: an entry without its tag could not be purged.
                for tag in entry.tags:
                    await self._store.put_async(self._tag(tag) + entry.key, b"")
                await self._store.put_async(self._entries + entry.key, write_entry(entry))

        with _translated():
            await asyncio.gather(*(work() for _ in range(min(len(entries), _WRITES_AT_ONCE))))

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers."""
        with _translated():
            if purge.kind == "key":
                return await self._delete(_one(self._entries + purge.value))
            if purge.kind == "prefix":
                return await self._delete(self._under(self._entries, purge.value))
            marks = self._tag(purge.value)
            gone = await self._delete(self._marked(marks))
            await self._delete(self._under(marks, ""))
            return gone

    async def sweep(self) -> int:
        """Remove what is older than `max_ttl_s`; return how many objects that were."""
        oldest = datetime.fromtimestamp(self._clock(), UTC) - timedelta(seconds=self._max_ttl_s)
        with _translated():
            gone = await self._delete(self._under(self._entries, "", before=oldest))
            await self._delete(self._under(self._tags, "", before=oldest))
        return gone

    def figures(self) -> TierFigures:
        """Return the name; counting objects would cost a listing."""
        return TierFigures(self.name)

    async def close(self) -> None:
        """Nothing stays open."""

    def _tag(self, tag: str) -> str:
        # Hashed: a tag may hold what a path may not.
        return f"{self._tags}{sha256(tag.encode('utf-8', 'surrogatepass')).hexdigest()}/"

    async def _under(self, folder: str, prefix: str, *, before: datetime | None = None) -> AsyncIterator[str]:
        # A store lists whole path segments, and a prefix may end within one.
        inside = prefix.rpartition("/")[0]
        async for batch in self._store.list(prefix=f"{folder}{inside}".rstrip("/"), chunk_size=_AT_ONCE):
            for found in batch:
                if found["path"].startswith(folder + prefix) and (
                    before is None or found["last_modified"] < before
                ):
                    yield found["path"]

    async def _marked(self, marks: str) -> AsyncIterator[str]:
        async for path in self._under(marks, ""):
            yield self._entries + path.removeprefix(marks)

    async def _delete(self, paths: AsyncIterator[str]) -> int:
        gone = 0
        async for path in paths:
            try:
                await self._store.delete_async(path)
                gone += 1
            except FileNotFoundError:
                continue
        return gone


async def _one(path: str) -> AsyncIterator[str]:
    yield path


@contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import BaseError  # noqa: PLC0415  # an extra, loaded by now

    try:
        yield
    except (BaseError, OSError) as error:
        raise Unavailable(
            "The object store does not answer.",
            hint="Look at the store named in the cache's settings; the cache goes on without it.",
            reason=str(error)[:500],
        ) from error
