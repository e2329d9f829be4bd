"""The schema's history, and how to bring a database up to date."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from mosaic.core.errors import Conflict
from mosaic.storage.migrations import operations as operations  # registers it with Alembic

__all__ = ["VERSIONS", "configuration", "upgrade"]

VERSIONS = Path(__file__).parent / "versions"

# Any number that no other user of the database picks; it makes two nodes migrate one after the other.
_ADVISORY_LOCK = 0x6D6F7361


def configuration(connection: Connection, *, versions: Path = VERSIONS) -> Config:
    """Return the Alembic configuration that works on an open connection, with the migrations in `versions`."""
    config = Config()
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(make_engine: Callable[[], Engine]) -> None:
    """Run every migration that is missing, in one transaction.

    Raises:
        Conflict: if the database has a revision that this version does not know.
    """
    engine = make_engine()
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            command.upgrade(configuration(connection), "head")
    except (CommandError, ResolutionError) as error:
        if "locate revision" not in str(error):
            raise
        raise Conflict(
            "A newer version of MosAIc has changed this database.",
            hint="Upgrade MosAIc, or restore a backup.",
        ) from error
    finally:
        engine.dispose()
