"""SQLAlchemy engines with the same behaviour for every caller: one place for pragmas and timeouts."""

import json
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mosaic.storage.settings import StorageSettings

__all__ = ["READ_ONLY", "make_async_engine", "make_committer_engine", "make_sync_engine", "sync_url"]

# The execution option that makes a SQLite transaction a reader.
READ_ONLY = "mosaic_read_only"


# A network that swallows packets is noticed in seconds, by us and (with the options) by the server, which then
# gives up the locks of whoever is gone.
_POSTGRES = {
    "application_name": "mosaic",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_LOST_CLIENTS = ("-c tcp_keepalives_idle=10", "-c tcp_keepalives_interval=5", "-c tcp_keepalives_count=3")


def _encode(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def sync_url(settings: StorageSettings) -> URL:
    """Return the URL for a synchronous engine on the same database."""
    url = settings.parsed_url()
    return url.set(drivername="sqlite") if url.get_backend_name() == "sqlite" else url


def _prepare_sqlite(engine: Engine, settings: StorageSettings, *, begin: bool = True) -> None:
    pragmas = (
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {settings.synchronous}",
        f"PRAGMA busy_timeout = {settings.busy_timeout_ms}",
        "PRAGMA foreign_keys = ON",
    )

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def begun(connection: Connection) -> None:
        # A writer that starts as a reader cannot wait for its turn later: SQLite fails it at once.
        reader = connection.get_execution_options().get(READ_ONLY)
        connection.exec_driver_sql("BEGIN" if reader else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    if begin:
        event.listen(engine, "begin", begun)


def _arguments(settings: StorageSettings, url: URL) -> dict[str, Any]:
    shared: dict[str, Any] = {"json_serializer": _encode}
    if url.get_backend_name() == "sqlite":
        # isolation_level None: the driver leaves BEGIN to us.
        return shared | {
            "connect_args": {"isolation_level": None, "timeout": settings.busy_timeout_ms / 1000}
        }
    own = url.query.get("options", "")
    options = (own if isinstance(own, str) else " ".join(own), f"-c lock_timeout={settings.busy_timeout_ms}")
    return shared | {"connect_args": _POSTGRES | {"options": " ".join((*options, *_LOST_CLIENTS)).strip()}}


def make_async_engine(settings: StorageSettings) -> AsyncEngine:
    """Return the engine of asynchronous transactions; on SQLite of those that write, one at a time."""
    url = settings.parsed_url()
    arguments = _arguments(settings, url)
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, pool_size=1, max_overflow=0, **arguments)
        _prepare_sqlite(engine.sync_engine, settings)
        return engine
    # Pre-ping: a restarted server costs nobody an error. The hot path (group commit) has its own connection.
    return create_async_engine(url, pool_size=settings.pool_size, pool_pre_ping=True, **arguments)


def make_sync_engine(settings: StorageSettings, **options: Any) -> Engine:
    """Return a synchronous engine on the same database; `options` go to `sqlalchemy.create_engine`."""
    url = sync_url(settings)
    engine = sqlalchemy.create_engine(url, **(_arguments(settings, url) | options))
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, settings)
    return engine


def make_committer_engine(settings: StorageSettings) -> Engine:
    """Return an engine whose transactions the group committer begins and ends with statements of its own."""
    url = sync_url(settings)
    arguments = _arguments(settings, url)
    if url.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", **arguments)
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, **arguments)
    _prepare_sqlite(engine, settings, begin=False)
    return engine
