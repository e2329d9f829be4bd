"""Who calls: the owner's bearer token, and only under a host name this server answers to."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mosaic.app.build import Application
from mosaic.app.owner import check_token
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Unauthenticated

__all__ = ["App", "Caller", "HostCheck"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostCheck:
    """Refuses requests whose Host is not ours: a foreign page that re-binds its name to us gets nothing."""

    def __init__(self, app: ASGIApp, *, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = _LOOPBACK_NAMES | {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests under a known name."""
        if scope["type"] in ("http", "websocket"):
            host = Headers(scope=scope).get("host", "").lower()
            name = host if host.endswith("]") else host.rsplit(":", 1)[0]
            if name not in self._allowed:
                response = PlainTextResponse(
                    "This server does not answer to that host name.\n", status_code=421
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _application(request: Request) -> Application:
    application: Application = request.app.state.application
    return application


def _caller(request: Request) -> Context:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected: str = request.app.state.owner_token
    if scheme.lower() != "bearer" or not check_token(expected, token.strip()):
        raise Unauthenticated(
            "This needs the owner's token.",
            hint="Send `Authorization: Bearer <token>`; the token is in `.mosaic/owner-token` on the server.",
        )
    settings = _application(request).settings
    return Context(settings.tenant, settings.project, Actor("user", "owner"))


App = Annotated[Application, Depends(_application)]
Caller = Annotated[Context, Depends(_caller)]
