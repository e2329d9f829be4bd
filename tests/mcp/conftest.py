"""An installation with its MCP server on loopback, and real clients of it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from mosaic.app.build import Application
from mosaic.app.owner import owner_token
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.security import NewKey
from mosaic.tools import Tool
from tests.app.site import Site, open_site, serving, settings_of

MODERN = "2026-07-28"


@dataclass
class McpSite:
    """A served installation.

    Attributes:
        url: of the MCP server.
        token: the owner's.
    """

    site: Site
    address: str
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def application(self) -> Application:
        return self.site.application

    @property
    def url(self) -> str:
        return f"{self.address}/mcp"

    @property
    def ctx(self) -> Context:
        settings = self.application.settings
        return Context(settings.tenant, settings.project, Actor("user", "owner"))

    def offer(self, *tools: Tool) -> None:
        """Have more tools."""
        for tool in tools:
            self.application.tools.boxes.register(tool)

    async def key(self, *scopes: str) -> str:
        """Return the secret of a new key."""
        _, secret = await self.application.model.keys.create(self.ctx, NewKey("test", scopes=scopes))
        return secret

    @asynccontextmanager
    async def client(
        self, *, mode: str = "auto", token: str | None = None, view: str | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """Connect as a client does: `mode` is the SDK's, `legacy` speaks the 2025 wire."""
        url = self.url if view is None else f"{self.url}/{view}"
        async with (
            httpx2.AsyncClient(
                headers={"authorization": f"Bearer {token or self.token}", **self.headers}, timeout=60
            ) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode, cache=None, **options) as client,
        ):
            yield client

    async def post(
        self,
        body: Any,
        *,
        token: str | None = None,
        path: str = "/mcp",
        address: str | None = None,
        **headers: str,
    ) -> httpx2.Response:
        """Send one message as it is, with `headers` (``_`` stands for ``-``)."""
        shown = {
            "authorization": f"Bearer {token or self.token}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with httpx2.AsyncClient(timeout=60) as http:
            return await http.post((address or self.address) + path, json=body, headers=shown)

    async def ask(
        self, method: str, params: JsonObject, *, token: str | None = None, **capabilities: Any
    ) -> JsonObject:
        """Send a request of the 2026 wire, from a client that can do `capabilities`; return the answer's message."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
        name = params.get("name") or params.get("taskId") or params.get("uri")
        headers = {
            "mcp_protocol_version": MODERN,
            "mcp_method": method,
            **({"mcp_name": name} if name else {}),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        answer = await self.post(body, token=token, **headers)
        if answer.headers["content-type"].startswith("text/event-stream"):
            data = [
                line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")
            ]
            return dict(json.loads(data[-1]))
        return dict(answer.json())


@asynccontextmanager
async def open_mcp_site(home: Path, url: str, **settings: Any) -> AsyncIterator[McpSite]:
    """Open and serve an installation."""
    async with (
        open_site(settings_of(home, url, **settings), home.parent) as site,
        serving(site.application) as address,
    ):
        yield McpSite(site, address, owner_token(home))


@pytest.fixture(params=["legacy", "auto"], ids=["wire2025", "wire2026"])
def mode(request: pytest.FixtureRequest) -> str:
    """Which wire a client speaks."""
    return str(request.param)


@pytest.fixture
async def mcp_site(tmp_path: Path, database_url: str) -> AsyncIterator[McpSite]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_mcp_site(tmp_path / "home" / ".mosaic", database_url))
