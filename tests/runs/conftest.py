"""One open installation per database for the tests of a module; each test has runs of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.app.site import Site, database, open_site, settings_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, request.param, folder) as url:
        async with open_site(settings_of(folder / "home", url, limits={"usd": 3}), folder) as site:
            yield site
