"""Where data lives: the storage section of the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy
from sqlalchemy.engine import URL

from mosaic.core.errors import InvalidInput

__all__ = ["StorageSettings"]

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Which database, and where files go.

    Attributes:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://user@host/name``.
        data_dir: blobs, workspaces and the lock live here.
        synchronous: SQLite only; FULL survives a power cut, NORMAL may lose the last commits in one.
        busy_timeout_ms: how long a writer waits for another writer before it gives up.
        pool_size: connections kept for asynchronous transactions.
    """

    url: str
    data_dir: Path
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    busy_timeout_ms: int = 5000
    pool_size: int = 10

    def parsed_url(self) -> URL:
        """Return the URL with the driver we use.

        Raises:
            InvalidInput: if it is not a SQLite file or PostgreSQL URL.
        """
        hint = "Use sqlite:////path/mosaic.db or postgresql://user:password@host/database."
        try:
            url = sqlalchemy.make_url(self.url)
        except sqlalchemy.exc.ArgumentError:
            # `from None`: the original message holds the URL, and a URL may hold a password.
            raise InvalidInput("The database URL cannot be read.", hint=hint) from None
        name = url.get_backend_name()
        if name not in _DRIVERS:
            raise InvalidInput(f"MosAIc does not store data in {name!r}.", hint=hint)
        if name == "sqlite" and (not url.database or ":memory:" in url.database):
            raise InvalidInput("An in-memory SQLite database cannot be shared; name a file.", hint=hint)
        return url.set(drivername=_DRIVERS[name])
