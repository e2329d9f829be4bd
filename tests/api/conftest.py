"""A server on a free port, and raw HTTP to it."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from mosaic.app.owner import owner_token
from tests.app.site import WAIT_S, Site, database, open_site, settings_of


@pytest.fixture(scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One served installation for the tests of a module."""
    folder = tmp_path_factory.mktemp("served")
    with database(request, "sqlite", folder) as url:
        settings = settings_of(
            folder / "home", url, server={"max_body_bytes": 100_000, "allowed_hosts": ["mosaic.test"]}
        )
        async with open_site(settings, folder, http=True) as site:
            yield site


@pytest.fixture
def token(site: Site) -> str:
    return owner_token(site.application.settings.home)


@pytest.fixture
async def http(site: Site, token: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The owner's client."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        base_url=f"{site.address}/api/v1", headers=headers, timeout=WAIT_S, trust_env=False
    ) as http:
        yield http
