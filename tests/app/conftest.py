"""An installation for each test, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.site import Site, open_site, settings_of


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(settings_of(tmp_path / "home", database_url), tmp_path) as site:
        yield site
