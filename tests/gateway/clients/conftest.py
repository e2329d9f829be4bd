"""The real gateway over scripted vendors; and the vendors without it, so that the tests are known to be right."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mosaic.app.lifespan import open_application
from mosaic.core.context import Actor, Context
from mosaic.doors import create_doors
from mosaic.gateway.connection import ConnectionBounds, bounded_connections
from mosaic.security import NewKey
from tests.app.site import WAIT_S, QuietServer, database, settings_of
from tests.gateway.clients.upstreams import Upstream, Vendor
from tests.plugins.vendors import KEY
from tests.providers.endpoint import running_endpoint


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """The vendors' keys for the gateway, nothing for the clients, and no proxy between them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
async def upstreams(anyio_backend: str) -> AsyncIterator[dict[Vendor, Upstream]]:
    """Both vendors."""
    async with running_endpoint() as openai, running_endpoint() as anthropic:
        yield {"openai": Upstream("openai", openai), "anthropic": Upstream("anthropic", anthropic)}


@dataclass(frozen=True)
class ServedGateway:
    """The gateway as a client sees it.

    Attributes:
        url: without a path.
        key: a virtual key.
    """

    url: str
    key: str

    def route(self, vendor: Vendor, model: str) -> str:
        """The name to ask for, so that this vendor's model answers."""
        return f"{vendor}:{model}"


@asynccontextmanager
async def serving_gateway(
    home: Path, database_url: str, upstreams: dict[Vendor, Upstream], **sections: Any
) -> AsyncIterator[ServedGateway]:
    """An installation whose providers are the scripted vendors, served as `mosaic up` serves it."""
    providers: dict[str, Any] = {name: {"base_url": one.base} for name, one in upstreams.items()}
    settings = settings_of(home, database_url, providers=providers, **sections)
    async with open_application(settings, execute=True) as application:
        ctx = Context(settings.tenant, settings.project, Actor("user", "owner"))
        _, secret = await application.model.keys.create(ctx, NewKey("clients"))
        doors = create_doors(application, owner_token="no-one-knows-it")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(
                doors,
                interface="asgi3",
                http=bounded_connections(ConnectionBounds(), doors.direct),
                log_config=None,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=2,
            )
            server = QuietServer(config)
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield ServedGateway(f"http://127.0.0.1:{listener.getsockname()[1]}", secret)
            finally:
                server.should_exit = True
                async with asyncio.timeout(WAIT_S):
                    await task
        await doors.close()


@pytest.fixture(scope="module")
async def gateway(
    request: pytest.FixtureRequest,
    sqlite_template: Path,
    upstreams: dict[Vendor, Upstream],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ServedGateway]:
    """One gateway for the tests of a module."""
    folder = tmp_path_factory.mktemp("gateway")
    with database(request, "sqlite", folder) as url:
        async with serving_gateway(folder / "home", url, upstreams) as gateway:
            yield gateway


@dataclass(frozen=True)
class Place:
    """Where a client is pointed, and who answers there in the end.

    Attributes:
        url: without a path.
        vendor: whose protocol the upstream speaks; the client's may be another.
        straight: without the gateway: what a test expects of the gateway is what the vendor itself does.
    """

    url: str
    key: str
    model: str
    upstream: Upstream
    straight: bool

    @property
    def vendor(self) -> Vendor:
        return self.upstream.vendor


def _place(request: pytest.FixtureRequest, upstreams: dict[Vendor, Upstream], client: Vendor) -> Place:
    vendor: Vendor = client if request.param == "straight" else request.param
    upstream = upstreams[vendor]
    upstream.says("nothing was scripted")
    if request.param == "straight":
        return Place(upstream.endpoint.url, KEY, upstream.model, upstream, straight=True)
    gateway: ServedGateway = request.getfixturevalue("gateway")
    return Place(gateway.url, gateway.key, gateway.route(vendor, upstream.model), upstream, straight=False)


@pytest.fixture(params=["straight", "openai", "anthropic"])
def openai_place(request: pytest.FixtureRequest, upstreams: dict[Vendor, Upstream]) -> Place:
    """Where a client of OpenAI's protocol is pointed: at OpenAI, at the gateway over OpenAI, over Anthropic."""
    return _place(request, upstreams, "openai")


@pytest.fixture(params=["straight", "anthropic", "openai"])
def anthropic_place(request: pytest.FixtureRequest, upstreams: dict[Vendor, Upstream]) -> Place:
    """Where a client of Anthropic's protocol is pointed."""
    return _place(request, upstreams, "anthropic")
