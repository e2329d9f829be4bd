from collections.abc import AsyncIterator
from typing import Any

import pytest

from mosaic.providers.upstream import UpstreamPool


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both event loops: the server runs on uvloop, a local command may not."""
    return request.param


@pytest.fixture
async def pool(anyio_backend: Any) -> AsyncIterator[UpstreamPool]:
    pool = UpstreamPool()
    yield pool
    await pool.close()
