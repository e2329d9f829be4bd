"""Where a storm happens: a folder, a database, settings, and an observer that reads and answers but runs nothing."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_overhead import fresh_postgres, postgres_server

from mosaic.app.build import Application
from mosaic.app.lifespan import open_application
from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context

__all__ = ["Site", "open_sites"]


@dataclass(frozen=True)
class Site:
    """One installation.

    Attributes:
        settings: what `Settings` is made of; plain, because nodes get it too.
        folder: for sockets and logs.
    """

    settings: dict[str, Any]
    folder: Path

    @property
    def ctx(self) -> Context:
        """The owner."""
        return Context("local", "default", Actor("user", "owner"))

    @contextlib.asynccontextmanager
    async def observe(self) -> AsyncIterator[Application]:
        """Open the application without running any work: what another process does."""
        async with open_application(Settings.model_validate(self.settings), execute=False) as application:
            yield application


class Sites:
    """Makes installations that share one temporary folder and one database server."""

    def __init__(self, folder: Path, server: str | None) -> None:
        self.folder = folder
        self._server = server

    def make(self, name: str, **engine: Any) -> Site:
        """Return a new installation."""
        folder = self.folder / name
        folder.mkdir()
        settings = {
            "home": str(folder / "home"),
            "storage": {"url": fresh_postgres(self._server, name) if self._server else None},
            "engine": engine,
            "tools": {"allow_private_hosts": ["127.0.0.1"]},
        }
        return Site(settings, folder)


@contextlib.contextmanager
def open_sites(database: str, *, keep: bool = False) -> Iterator[Sites]:
    """Open a folder, and a PostgreSQL server in it when `database` is ``postgres``.

    Args:
        database: ``sqlite`` or ``postgres``.
        keep: leave the folder behind.
    """
    for name in [name for name in os.environ if name.startswith("MOSAIC_")]:
        del os.environ[name]
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mosaic-storm-"))
        if not keep:
            stack.callback(_remove, folder)
        server = stack.enter_context(postgres_server(folder / "pg")) if database == "postgres" else None
        yield Sites(folder, server)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
