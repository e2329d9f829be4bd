"""The one ASGI application: the gateway for `/v1/...`, metrics, and the API for everything else."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mosaic.api.asgi import create_asgi
from mosaic.app.build import Application
from mosaic.cost import Payer
from mosaic.gateway.asgi import Gateway
from mosaic.gateway.callers import Callers
from mosaic.gateway.listing import ROUTE, ListedModel, ModelListing
from mosaic.gateway.settings import GatewaySettings

__all__ = ["Doors", "create_doors"]

_GATEWAY = "/v1/"
_METRICS = "/metrics"

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Doors:
    """Sends each request to its door."""

    def __init__(self, api: Any, gateway: Gateway | None, application: Application) -> None:
        self._api = api
        self._gateway = gateway
        self._application = application

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if self._gateway is not None and path.startswith(_GATEWAY):
                return self._gateway(scope, receive, send)
            if path == _METRICS:
                return self._metrics(send)
        answered: Awaitable[None] = self._api(scope, receive, send)
        return answered

    async def close(self) -> None:
        """Stop what the doors started."""
        if self._gateway is not None:
            await self._gateway.close()

    async def _metrics(self, send: Send) -> None:
        model = self._application.model
        model.metrics.open.set(self._gateway.open_requests if self._gateway is not None else 0)
        body = generate_latest(model.registry)
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def create_doors(application: Application, *, owner_token: str) -> Doors:
    """Return the ASGI application of an installation. `close` it after the server has stopped."""
    api = create_asgi(application, owner_token=owner_token)
    section = application.settings.gateway
    if not section.enabled:
        return Doors(api, None, application)
    settings = application.settings
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
    return Doors(api, gateway, application)


def _offered(application: Application) -> Iterator[ListedModel]:
    router = application.model.router
    for name, route in router.settings.routes.items():
        if route.kind == "ai":
            yield ListedModel(name, ROUTE)
    for target in router.targets:
        if target.kind == "ai":
            yield ListedModel(target.id, target.provider)
