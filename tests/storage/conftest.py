"""A small table of the tests' own."""

import pytest
import sqlalchemy

from mosaic.storage import StorageSettings
from mosaic.storage.engines import make_sync_engine

_tables = sqlalchemy.MetaData()
note = sqlalchemy.Table(
    "note",
    _tables,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("text", sqlalchemy.Text, nullable=False),
)


@pytest.fixture
def notes(storage_settings: StorageSettings) -> sqlalchemy.Table:
    engine = make_sync_engine(storage_settings)
    _tables.create_all(engine)
    engine.dispose()
    return note
