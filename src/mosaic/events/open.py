"""Choose the bus that fits a database."""

from mosaic.events.bus import Bus
from mosaic.events.postgres_bus import PostgresBus
from mosaic.events.sqlite_bus import SqliteBus
from mosaic.storage import Database

__all__ = ["open_bus"]


def open_bus(database: Database) -> Bus:
    """Return the bus that reaches every process on `database`."""
    return SqliteBus(database) if database.dialect == "sqlite" else PostgresBus(database)
