"""The one ASGI application: the gateway for `/v1/...`, `/mcp` for MCP clients, metrics, and the API for all else."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mosaic.a2a import A2aDoor, open_a2a
from mosaic.api.asgi import create_asgi
from mosaic.app.build import Application
from mosaic.app.sessions import Sessions
from mosaic.app.web_build import Board
from mosaic.cost import Payer
from mosaic.gateway.asgi import Gateway
from mosaic.gateway.callers import Callers
from mosaic.gateway.listing import ROUTE, ListedModel, ModelListing
from mosaic.gateway.settings import GatewaySettings
from mosaic.mcp import McpDoor
from mosaic.mcp.opening import open_callers, open_mcp
from mosaic.mcp_gateway import McpGateway
from mosaic.mcp_gateway.opening import open_mcp_gateway

__all__ = ["Doors", "create_doors", "only_inside"]

_GATEWAY = "/v1/"
_METRICS = "/metrics"
_TOOLS = "/mcp"

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Doors:
    """Sends each request to its door."""

    def __init__(
        self,
        api: Any,
        gateway: Gateway | None,
        application: Application,
        mcp: McpDoor | None = None,
        a2a: A2aDoor | None = None,
        servers: McpGateway | None = None,
    ) -> None:
        self._api = api
        self._gateway = gateway
        self._mcp = mcp
        self._a2a = a2a
        self._servers = servers
        self._application = application

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if self._gateway is not None and path.startswith(_GATEWAY):
                return self._gateway(scope, receive, send)
            if self._servers is not None and self._servers.answers(path):
                return self._servers(scope, receive, send)
            if self._mcp is not None and self._mcp.answers(path):
                return self._mcp(scope, receive, send)
            if self._a2a is not None and self._a2a.answers(path):
                return self._a2a(scope, receive, send)
            if path == _METRICS:
                return self._metrics(send)
        answered: Awaitable[None] = self._api(scope, receive, send)
        return answered

    @property
    def direct(self) -> Mapping[str, Callable[..., Awaitable[None]]]:
        """What answers a POST to these paths on a connection that needs no ASGI."""
        return self._gateway.direct if self._gateway is not None else {}

    async def close(self) -> None:
        """Stop what the doors started."""
        if self._gateway is not None:
            await self._gateway.close()
        if self._servers is not None:
            await self._servers.close()
        if self._mcp is not None:
            await self._mcp.close()

    async def _metrics(self, send: Send) -> None:
        model = self._application.model
        model.metrics.open.set(self._gateway.open_requests if self._gateway is not None else 0)
        body = generate_latest(model.registry)
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def only_inside(doors: Doors) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Return the doors as commands in a sandbox see them: models and tools, both for who shows a key; nothing else."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path.startswith((_GATEWAY, f"{_TOOLS}/")) or path == _TOOLS):
            headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await doors(scope, receive, send)

    return answer


def create_doors(
    application: Application,
    *,
    owner_token: str,
    sessions: Sessions | None = None,
    board: Board | None = None,
) -> Doors:
    """Return the ASGI application of an installation. `close` it after the server has stopped."""
    api = create_asgi(application, owner_token=owner_token, sessions=sessions, board=board)
    settings = application.settings
    mcp = open_mcp(application, owner_token=owner_token) if settings.mcp.enabled else None
    servers = _servers(application, owner_token) if settings.mcp.enabled else None
    a2a = open_a2a(application, owner_token=owner_token)
    section = settings.gateway
    if not section.enabled:
        return Doors(api, None, application, mcp, a2a, servers)
    gateway = Gateway(
        application.model.model_door,
        Callers(
            application.model.keys, owner=Payer(settings.tenant, settings.project), owner_token=owner_token
        ),
        ModelListing(lambda: _offered(application)),
        GatewaySettings(
            max_body_bytes=section.max_body_bytes,
            body_timeout_s=section.body_timeout_s,
            stalled_client_s=section.stalled_client_s,
        ),
    )
    return Doors(api, gateway, application, mcp, a2a, servers)


def _servers(application: Application, owner_token: str) -> McpGateway:
    callers = open_callers(application, owner_token=owner_token)
    return open_mcp_gateway(application, identify=callers, owner_token=owner_token)


def _offered(application: Application) -> Iterator[ListedModel]:
    router = application.model.router
    for name, route in router.settings.routes.items():
        if route.kind == "ai":
            yield ListedModel(name, ROUTE)
    for target in router.targets:
        if target.kind == "ai":
            yield ListedModel(target.id, target.provider)
