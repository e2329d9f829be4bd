"""The database URL a user writes becomes the one we use, or an error that says what to write."""

from pathlib import Path

import pytest

from mosaic.core.errors import InvalidInput, Unavailable
from mosaic.storage import Database, StorageSettings


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:////data/mosaic.db", "sqlite+aiosqlite:////data/mosaic.db"),
        ("sqlite+aiosqlite:////data/mosaic.db", "sqlite+aiosqlite:////data/mosaic.db"),
        ("postgresql://me:pw@db/mosaic", "postgresql+psycopg://me:pw@db/mosaic"),
        ("postgres://me@db/mosaic", "postgresql+psycopg://me@db/mosaic"),
        ("postgresql+asyncpg://me@db/mosaic", "postgresql+psycopg://me@db/mosaic"),
    ],
)
def test_a_plain_url_gets_our_driver(written: str, used: str) -> None:
    settings = StorageSettings(written, Path("data"))
    assert settings.parsed_url().render_as_string(hide_password=False) == used


@pytest.mark.parametrize("written", ["mysql://db/mosaic", "sqlite://", "sqlite:///:memory:", "not a url"])
def test_a_database_we_cannot_use_is_refused_with_a_hint(written: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        StorageSettings(written, Path("data")).parsed_url()
    assert "sqlite:///" in str(refused.value.hint)


def test_a_url_that_cannot_be_read_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidInput) as refused:
        StorageSettings("postgresql//me:hunter2hunter2@db", Path("data")).parsed_url()
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_cannot_be_made_is_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file"):
        Database(StorageSettings(f"sqlite:///{tmp_path}/file/mosaic.db", tmp_path))
