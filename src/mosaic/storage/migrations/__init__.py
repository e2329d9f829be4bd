"""The schema's history, and how to bring a database up to date."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from mosaic.core.errors import Conflict, Damaged
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


def upgrade(make_engine: Callable[[], Engine], *, versions: Path = VERSIONS) -> None:
    """Run every migration that is missing, in one transaction.

    Raises:
        Conflict: if the database has a revision that this version does not know.
        Damaged: if rows would refer to rows that are not there.
    """
    engine = make_engine()
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite:
        sqlalchemy.event.listen(engine, "connect", _leave_references_alone)
    try:
        with engine.begin() as connection:
            if not is_sqlite:
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            command.upgrade(configuration(connection, versions=versions), "head")
            if is_sqlite:
                _check_references(connection)
    except (CommandError, ResolutionError) as error:
        if "locate revision" not in str(error):
            raise
        raise Conflict(
            "A newer version of MosAIc has changed this database.",
            hint="Upgrade MosAIc, or restore a backup.",
        ) from error
    finally:
        engine.dispose()


def _leave_references_alone(connection: Any, _record: object) -> None:
    # SQLite changes a table by making it anew and dropping the old one, which would empty what refers to it.
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise Damaged(
            "A migration would break references; nothing was changed.", tables=sorted({r[0] for r in broken})
        )
