"""A data folder of one's own for every test."""

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a command keeps its data; it does not exist yet."""
    return tmp_path / "home"
