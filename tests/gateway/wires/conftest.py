from collections.abc import AsyncIterator

import pytest

from tests.providers.endpoint import Endpoint, running_endpoint


@pytest.fixture
async def endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    async with running_endpoint() as endpoint:
        yield endpoint
