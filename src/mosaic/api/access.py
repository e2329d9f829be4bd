"""Who calls, and with how much: what every request passes before a route sees it."""

import re
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mosaic.api.problems import plain_problem, problem_response
from mosaic.app.build import Application
from mosaic.app.control_plane import ControlPlane
from mosaic.app.owner import TOKEN_VARIABLE, check_token
from mosaic.app.sessions import Sessions
from mosaic.core.context import Actor, Context
from mosaic.core.errors import PermissionDenied, Unauthenticated

__all__ = ["LOOPBACK_NAMES", "App", "Caller", "Gate", "bearer"]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names by which only this machine is reached."""

_OPEN = frozenset({"/api/v1/openapi.json"})
# A signed message needs no token: its signature says who sent it, and the route looks at nothing before that.
_SIGNED = re.compile(r"/api/v1/(approvals/[^/]+/webhook|hooks/[^/]+)")
# What a token of the control plane is good for.
_PLANE = re.compile(r"/api/v1/(workflow/.+|feedback)")
_PROTECTED = "/api/"
_SESSION = "/api/v1/session"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

bearer = HTTPBearer(
    auto_error=False,  # the gate has looked already; this tells the OpenAPI document
    description="The owner's token, from `.mosaic/owner-token` on the server.",
)


class Gate:
    """Refuses what no route should see: a foreign host name, no token, too much.

    A foreign page that re-binds its name to us gets nothing, since its Host is not ours. The token is asked for before
    a body is read, and a body that is too large is refused while it arrives.

    Args:
        app: what is behind it.
        application: whose owner may pass.
        owner_token: what the owner shows.
        sessions: of browsers.
        allowed: host names besides those of loopback.
        max_body_bytes: the largest body.
        sockets: what answers WebSockets, and looks for itself who may come in.
    """

    def __init__(
        self,
        app: ASGIApp,
        application: Application,
        *,
        owner_token: str,
        sessions: Sessions,
        allowed: tuple[str, ...],
        max_body_bytes: int,
        sockets: ASGIApp | None = None,
    ) -> None:
        settings = application.settings
        self._app = app
        self._caller = Context(settings.tenant, settings.project, Actor("user", "owner"))
        self._token = owner_token
        self._sessions = sessions
        self._allowed = LOOPBACK_NAMES | {name.lower() for name in allowed}
        self._max_body_bytes = max_body_bytes
        self._sockets = sockets
        self._plane = ControlPlane(settings, application.event_webhooks.environ)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await (self._sockets or self._app)(scope, receive, send)
            return
        try:
            caller = self._plane_caller(scope)
            refused = self._refusal(scope, known=caller is not None)
        except Unauthenticated as error:
            refused = problem_response(str(scope["path"]), error)
        if refused is not None:
            await refused(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["caller"] = caller or self._caller
        state["signed_in"] = self._is_owner(Headers(scope=scope)) or self._has_session(Headers(scope=scope))
        await self._app(scope, self._bounded(receive), send)

    def _plane_caller(self, scope: Scope) -> Context | None:
        """Return whom a token of the control plane stands for; None where there is none, or none is wanted.

        Raises:
            Unauthenticated: if it is not good.
        """
        if not self._plane.trusted or _PLANE.fullmatch(str(scope["path"])) is None:
            return None
        headers = Headers(scope=scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # A token of ours has no dots: whatever has two is meant as the other kind.
        if scheme.lower() != "bearer" or token.count(".") != 2 or self._is_owner(headers):
            return None
        return self._plane.caller(token.strip())

    def _refusal(self, scope: Scope, *, known: bool) -> Response | None:
        path, headers = str(scope["path"]), Headers(scope=scope)
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self._allowed:
            return plain_problem(
                path,
                421,
                "This server does not answer to that host name.",
                hint="Add it to `server.allowed_hosts` in the settings.",
            )
        if "\0" in path or b"\0" in unquote_to_bytes(scope.get("query_string", b"")):
            return plain_problem(path, 400, "The address holds a zero byte.")
        is_open = path in _OPEN or (scope["method"] == "POST" and _SIGNED.fullmatch(path) is not None)
        if path.startswith(_PROTECTED) and not (is_open or known or self._is_owner(headers)):
            refused = self._without_token(str(scope["method"]), path, headers)
            if refused is not None:
                return refused
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self._max_body_bytes:
            return plain_problem(path, 413, self._too_large(), headers={"Connection": "close"})
        return None

    def _without_token(self, method: str, path: str, headers: Headers) -> Response | None:
        """Return why a caller without a token is refused, if it is: it needs a session, and to be a page of ours.

        Signing in and looking who is signed in need no session; a foreign page may not even do that, since it would
        sign somebody in as somebody else.
        """
        open_to_all = path == _SESSION and method in ("GET", "POST")
        if not open_to_all and not self._has_session(headers):
            return problem_response(
                path,
                Unauthenticated(
                    "This needs the owner's token.",
                    hint="Send `Authorization: Bearer <token>`: the content of `.mosaic/owner-token` on the server, or "
                    f"{TOKEN_VARIABLE} where the server was started with it.",
                ),
            )
        if _is_foreign(method, headers):
            return problem_response(
                path,
                PermissionDenied(
                    "This came from another page than the board.",
                    hint="Programs send the owner's token instead of a cookie.",
                ),
            )
        return None

    def _has_session(self, headers: Headers) -> bool:
        prefix = f"{self._sessions.cookie}="
        for part in headers.get("cookie", "").split(";"):
            if part.strip().startswith(prefix):
                return self._sessions.expires_at(part.strip().removeprefix(prefix)) is not None
        return False

    def _is_owner(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and check_token(self._token, token.strip())

    def _bounded(self, receive: Receive) -> Receive:
        """Return `receive`, which stops once a body that did not say its length is too long."""
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, self._too_large(), headers={"Connection": "close"})
            return message

        return bounded

    def _too_large(self) -> str:
        return f"The body is larger than {self._max_body_bytes} bytes."


def _is_foreign(method: str, headers: Headers) -> bool:
    """Say whether a browser sent this for a page that we did not serve.

    SameSite does not tell ports apart, so that the cookie comes along from any other server on this machine. Browsers
    send Origin with everything that writes, and a program has no business with a cookie.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    if method in _READS:
        return False
    _, _, origin = headers.get("origin", "").partition("://")
    return not origin or origin.lower() != headers.get("host", "").lower()


def _application(request: Request) -> Application:
    application: Application = request.app.state.application
    return application


def _caller(request: Request) -> Context:
    caller: Context = request.state.caller
    return caller


App = Annotated[Application, Depends(_application)]
Caller = Annotated[Context, Depends(_caller)]
