from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Desk, Installation
from tests.agents.script import ScriptedModel
from tests.providers.endpoint import Endpoint, running_endpoint


@pytest.fixture
async def endpoint(anyio_backend: str) -> AsyncIterator[Endpoint]:
    """A web server on this machine that answers as the test says."""
    async with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def model(endpoint: Endpoint) -> ScriptedModel:
    """A model behind OpenAI's protocol, ``openai:test-model``; it answers as the test says."""
    return ScriptedModel(endpoint)


@pytest.fixture
def installation(database_url: str, endpoint: Endpoint, tmp_path: Path) -> Installation:
    """A fresh installation on each database."""
    return Installation(
        tmp_path / "installation" / ".mosaic", database_url, {"openai": {"base_url": f"{endpoint.url}/v1"}}
    )


@pytest.fixture
async def desk(installation: Installation) -> AsyncIterator[Desk]:
    """The product, started on the fresh installation."""
    async with installation.open() as desk:
        yield desk
