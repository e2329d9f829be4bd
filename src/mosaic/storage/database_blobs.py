"""Blobs in PostgreSQL: every node of an installation finds them, whatever machine it runs on."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mosaic.core.clock import Clock, now
from mosaic.core.errors import Damaged, NotFound
from mosaic.core.values import content_hash
from mosaic.storage.blobs import BlobStore, FileBlobs, checked_digest
from mosaic.storage.database import Database
from mosaic.storage.models import blob

__all__ = ["DatabaseBlobs", "open_blobs"]

T = TypeVar("T")
_CONNECTIONS = 4


class DatabaseBlobs:
    """Blobs as rows, written in transactions of their own: before the row that names one, never with it."""

    def __init__(self, database: Database, *, older: BlobStore | None = None, clock: Clock = now) -> None:
        """Keep blobs in `database`; `older` is where one is looked for that is not there."""
        self._database = database
        self._older = older
        self._clock = clock
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    async def put(self, data: bytes) -> str:
        """Keep `data`."""
        digest = content_hash(data)
        if not await self._in_thread(lambda: self._exists(digest)):
            await self._in_thread(lambda: self._put(digest, data))
        return digest

    async def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`."""
        checked_digest(digest)
        data = await self._in_thread(lambda: self._get(digest))
        if data is None:
            if self._older is None:
                raise NotFound(f"There is no blob {digest}.")
            return await self._older.get(digest)
        if content_hash(data) != digest:
            raise Damaged(
                f"The blob {digest} is damaged.", hint="Restore the table blob from a backup.", digest=digest
            )
        return data

    async def exists(self, digest: str) -> bool:
        """Say whether the blob is kept."""
        checked_digest(digest)
        if await self._in_thread(lambda: self._exists(digest)):
            return True
        return self._older is not None and await self._older.exists(digest)

    async def close(self) -> None:
        """Close the connections."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.dispose)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Not through `Database.transaction`: a caller may be in one, and a blob is put before what names it commits.
        def explained() -> T:
            try:
                return work()
            except (DBAPIError, PoolTimeout) as error:
                raise self._database.explained(error) from error

        return await asyncio.to_thread(explained)

    def _connections(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._database.sync_engine(
                    pool_size=_CONNECTIONS, max_overflow=0, pool_pre_ping=True
                )
            return self._engine

    def _put(self, digest: str, data: bytes) -> None:
        row = {"digest": digest, "data": data, "created_at": self._clock()}
        with self._connections().begin() as connection:
            connection.execute(postgresql.insert(blob).values(row).on_conflict_do_nothing())

    def _get(self, digest: str) -> bytes | None:
        with self._connections().begin() as connection:
            found = connection.execute(select(blob.c.data).where(blob.c.digest == digest)).scalar()
        return None if found is None else bytes(found)

    def _exists(self, digest: str) -> bool:
        with self._connections().begin() as connection:
            found = connection.execute(select(blob.c.digest).where(blob.c.digest == digest)).scalar()
        return found is not None


def open_blobs(database: Database, directory: Path) -> BlobStore:
    """Return where the blobs of an installation are: PostgreSQL, which every node reaches, else files.

    On PostgreSQL `directory` is still read: earlier versions kept blobs there.
    """
    files = FileBlobs(directory)
    return files if database.dialect == "sqlite" else DatabaseBlobs(database, older=files)
