"""The database: transactions, group commit, migrations."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import Engine, Row
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mosaic.core.errors import MosaicError, Unavailable
from mosaic.storage.columns import metadata
from mosaic.storage.engines import (
    READ_ONLY,
    make_async_engine,
    make_committer_engine,
    make_sync_engine,
    sync_url,
)
from mosaic.storage.errors import is_lock_conflict, translate, translate_os_error
from mosaic.storage.group_commit import GroupCommitter
from mosaic.storage.lock import read_owner, sqlite_writer_pid
from mosaic.storage.readers import ReaderThreads
from mosaic.storage.settings import StorageSettings
from mosaic.storage.transaction import Transaction
from mosaic.storage.write_gate import NoGate, WriteGate, WriteTurns

__all__ = ["Database", "metadata"]

_OLDEST_TRANSACTION = sqlalchemy.text(
    "SELECT pid, application_name, state FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 1"
)


class Database:
    """One SQLite file or PostgreSQL database. Making one opens nothing; the first use does.

    Attributes:
        settings: what it was made from.
        dialect: which of the two it is.
        committer: the writer for changes that share their commit with others.
    """

    def __init__(self, settings: StorageSettings) -> None:
        """Prepare a database.

        Raises:
            InvalidInput: if the URL is not one we can use.
        """
        self.settings = settings
        self._url = settings.parsed_url()
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if self._url.get_backend_name() == "sqlite" else "postgresql"
        )
        self._make_directories()
        self._engine = make_async_engine(settings)
        self._readers: ReaderThreads | None = None
        if self.dialect == "sqlite":
            size = settings.pool_size
            readers = make_sync_engine(settings, pool_size=size, max_overflow=-1)
            self._readers = ReaderThreads(
                readers.execution_options(**{READ_ONLY: True}), size=size, where=self.where
            )
        else:
            self._reader = self._engine.execution_options(postgresql_readonly=True)
        self._gate: WriteTurns = WriteGate() if self.dialect == "sqlite" else NoGate()
        self._writing: set[asyncio.Task[Any]] = set()
        self.committer = GroupCommitter(
            lambda: make_committer_engine(settings),
            gate=self._gate,
            translate=self._translate_blocking,
            refuse_nested=self._refuse_nested,
            turn_timeout_s=settings.busy_timeout_ms / 1000,
        )

    @property
    def where(self) -> str:
        """The database as a user knows it: a file, or host and name; never a password."""
        if self.dialect == "sqlite":
            return str(self._url.database)
        host = self._url.host or self._url.query.get("host") or "localhost"
        return f"{host}/{self._url.database}"

    @property
    def sync_url(self) -> URL:
        """The URL for a synchronous engine."""
        return sync_url(self.settings)

    @property
    def write_engine(self) -> Engine:
        """The engine under write transactions (on PostgreSQL under all), for listeners to its events."""
        return self._engine.sync_engine

    @property
    def read_engine(self) -> Engine:
        """The engine under read-only transactions, for listeners to its events."""
        return self._readers.engine if self._readers is not None else self._engine.sync_engine

    def sync_engine(self, **options: Any) -> Engine:
        """Return a new synchronous engine with the same pragmas and timeouts; the caller disposes of it."""
        return make_sync_engine(self.settings, **options)

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction that commits when its block ends and rolls back when it raises.

        On SQLite a writer waits for its turn and then has the database for itself, so keep it short and wait
        for nothing but the database inside. A read-only transaction sees one moment and blocks nobody.

        Raises:
            Unavailable: if the database is locked (the message names who holds it) or out of reach.
            StorageFull: if the disk is full; nothing was written.
            Refused: if a constraint refused a row, `Duplicate` if its key is taken; nothing was written.
        """
        return self._read() if read_only else self._write()

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[Transaction]:
        try:
            if self._readers is not None:
                async with self._readers.transaction() as reading:
                    yield reading
                return
            connection = await _opened(self._reader)
            try:
                await connection.begin()
                yield Transaction(connection, read_only=True)
            finally:
                await _to_the_end(connection.close())
        except (DBAPIError, PoolTimeout) as error:
            raise await self._translated(error) from error

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[Transaction]:
        self._refuse_nested()
        if not await self._gate.acquire(self.settings.busy_timeout_ms / 1000):
            raise Unavailable(f"The database {self.where} is locked by another transaction of this process.")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # we are awaited
        self._writing.add(task)
        try:
            async with self._engine.connect() as connection:
                await connection.begin()
                transaction = Transaction(connection, read_only=False)
                yield transaction
                await _to_the_end(self._commit(connection, transaction))
        except (DBAPIError, PoolTimeout) as error:
            raise await self._translated(error) from error
        finally:
            self._writing.discard(task)
            self._gate.release()

    async def _commit(self, connection: AsyncConnection, transaction: Transaction) -> None:
        for announcer, topics in transaction.outbox():
            await announcer.announce(transaction, topics)
        await connection.commit()
        transaction.committed()

    def _refuse_nested(self) -> None:
        if asyncio.current_task() in self._writing:
            raise RuntimeError(
                "this task already writes in an open transaction; a second one would wait for it"
            )

    async def migrate(self) -> None:
        """Bring the schema up to date. Safe to call from several processes at once.

        Raises:
            Conflict: if a newer version of MosAIc has changed the schema already.
        """
        from mosaic.storage.migrations import upgrade  # noqa: PLC0415  # Alembic is slow to import

        try:
            await asyncio.to_thread(upgrade, self.sync_engine)
        except DBAPIError as error:
            raise await self._translated(error) from error

    async def schema_version(self) -> str | None:
        """Return the revision of the schema; None before the first migration."""
        try:
            async with self.transaction(read_only=True) as tx:
                return str(await tx.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version")))
        except DBAPIError:
            return None

    async def close(self) -> None:
        """Write what waits and close every connection."""
        await self.committer.close()
        await self._engine.dispose()
        if self._readers is not None:
            await asyncio.to_thread(self._readers.close)

    def _make_directories(self) -> None:
        directories = [self.settings.data_dir]
        if self.dialect == "sqlite":
            directories.append(Path(str(self._url.database)).absolute().parent)
        for directory in directories:
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise translate_os_error(error, where=str(directory)) from error

    def explained(self, error: Exception) -> Exception:
        """Return what a driver's error means, for work on an engine of `sync_engine`; the error itself when unknown.

        May ask the database who is in the way, so call it where it may take a moment.
        """
        return self._translate_blocking(error) or error

    def _translate(self, error: BaseException) -> MosaicError | None:
        holder = self._sqlite_holder() if self.dialect == "sqlite" and is_lock_conflict(error) else None
        return translate(error, where=self.where, holder=holder)

    def _sqlite_holder(self) -> str | None:
        pid = sqlite_writer_pid(Path(str(self._url.database)))
        owner = read_owner(self.settings.data_dir)
        if owner is not None and pid in (None, owner.pid):
            return str(owner)
        return f"process {pid}" if pid is not None else None

    async def _translated(self, error: Exception) -> Exception:
        if self.dialect == "postgresql" and is_lock_conflict(error):
            return translate(error, where=self.where, holder=await self._postgres_holder()) or error
        return self._translate(error) or error

    async def _postgres_holder(self) -> str | None:
        with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
            async with self._engine.connect() as connection:
                return _named((await connection.execute(_OLDEST_TRANSACTION)).first())
        return None

    def _translate_blocking(self, error: BaseException) -> MosaicError | None:
        if self.dialect == "sqlite" or not is_lock_conflict(error):
            return self._translate(error)
        engine, holder = self.sync_engine(poolclass=sqlalchemy.pool.NullPool), None
        with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError), engine.connect() as connection:
            holder = _named(connection.execute(_OLDEST_TRANSACTION).first())
        engine.dispose()
        return translate(error, where=self.where, holder=holder)


def _named(session: Row[Any] | None) -> str | None:
    if session is None:
        return None
    return f"{session.application_name or 'a client'} (backend {session.pid}, {session.state})"


async def _opened(engine: AsyncEngine) -> AsyncConnection:
    """Open a connection; when cancelled, give it back first: half open, nobody would ever close it."""
    opening = asyncio.ensure_future(engine.connect().start())
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await _to_the_end(_given_back(opening))
        raise


async def _given_back(opening: "asyncio.Future[AsyncConnection]") -> None:
    with contextlib.suppress(Exception):  # that it cannot be opened is nothing to its caller any more
        await (await opening).close()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even when cancelled, so that we always know whether a commit happened."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
