"""Where WebSockets come in: whose page asks, who it is, and which conversation it wants."""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mosaic.api.feed import Feeds
from mosaic.api.live_socket.channel import Channel, CloseCode, Gone, deny, error_json
from mosaic.api.live_socket.messages import Authenticate, read_message
from mosaic.api.live_socket.run_view import show_run
from mosaic.api.live_socket.session import LiveSocket
from mosaic.api.live_socket.tickets import Tickets
from mosaic.api.problems import plain_problem, problem_response
from mosaic.app.build import Application
from mosaic.app.comment_operations import CommentOperations
from mosaic.app.owner import check_token
from mosaic.app.sessions import Sessions
from mosaic.core.context import Actor, Context
from mosaic.core.errors import LimitExceeded, MosaicError, PermissionDenied, Unauthenticated

__all__ = ["GRAPHQL", "SUBPROTOCOL", "Sockets"]

SUBPROTOCOL = "mosaic.v1"
GRAPHQL = "/api/v1/graphql"
_LIVE = "/api/v1/ws"
_TOKEN = "mosaic.bearer."  # noqa: S105  # where a token stands, not a token
_FIRST_MESSAGE_S = 10.0
_MOST_SOCKETS = 5_000
_NEVER_IN_ADDRESSES = frozenset({"token", "access_token", "jwt", "key", "api_key", "authorization"})
_HINT = (
    "Send `Authorization: Bearer <token>`, or the subprotocols `mosaic.v1, mosaic.bearer.<base64url of the token>`, or "
    "an `auth` message first, or a ticket of POST /api/v1/ws/tickets as `?ticket=`."
)


class Conversation(Protocol):
    """Somebody else's protocol over the sockets that come in here."""

    async def talk(
        self,
        scope: Scope,
        channel: Channel,
        caller: Context | None,
        identify: Callable[[str], Context | None],
    ) -> None:
        """Accept a socket and talk until it ends; a caller of None has to say who it is, which `identify` knows."""


class Sockets:
    """The ASGI application of every WebSocket.

    Args:
        application: what is served.
        owner_token: what the owner shows.
        sessions: of browsers.
        feeds: the journals' newest events.
        comments: comments and presence.
        tickets: that were given out.
        allowed: host names that are ours.
        graphql: talks with clients of `GRAPHQL`.
    """

    def __init__(
        self,
        application: Application,
        *,
        owner_token: str,
        sessions: Sessions,
        feeds: Feeds,
        comments: CommentOperations,
        tickets: Tickets,
        allowed: Iterable[str],
        graphql: Conversation,
    ) -> None:
        settings = application.settings
        self._app = application
        self._owner = Context(settings.tenant, settings.project, Actor("user", "owner"))
        self._token = owner_token
        self._sessions = sessions
        self._feeds = feeds
        self._comments = comments
        self._tickets = tickets
        self._allowed = frozenset(name.lower() for name in allowed)
        self._graphql = graphql
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Talk with one client."""
        refused = self._refusal(scope)
        caller = None if refused is not None else self._caller(scope)
        if isinstance(caller, Response):
            refused = caller
        if refused is not None or isinstance(caller, Response):
            await deny(scope, receive, send, refused or Response(status_code=403))
            return
        self._open += 1
        try:
            if scope["path"] == GRAPHQL:
                await self._graphql.talk(scope, Channel(receive, send), caller, self.identify)
            else:
                await self._talk(scope, receive, send, caller)
        finally:
            self._open -= 1

    def identify(self, token: str) -> Context | None:
        """Return who shows a token."""
        return self._owner if check_token(self._token, token.strip()) else None

    # Who may come in

    def _refusal(self, scope: Scope) -> Response | None:
        path, headers = str(scope["path"]), Headers(scope=scope)
        host = headers.get("host", "").lower()
        if _name(host) not in self._allowed:
            return plain_problem(
                path,
                421,
                "This server does not answer to that host name.",
                hint="Add it to `server.allowed_hosts` in the settings.",
            )
        is_ours = path in (_LIVE, GRAPHQL) or _run_of(path) is not None
        if not is_ours or "\0" in path:
            return plain_problem(path, 404, "There is no WebSocket here.", hint=f"There is one at {_LIVE}.")
        origin = headers.get("origin")
        # Browsers always say whose page it is, and no other protection holds for WebSockets.
        if origin is not None and origin.lower().partition("://")[2] != host:
            return problem_response(
                path,
                PermissionDenied(
                    "This came from another page than the board.", hint="Programs send no Origin at all."
                ),
            )
        if _NEVER_IN_ADDRESSES & _query(scope).keys():
            return plain_problem(
                path, 400, "A token never stands in an address: logs keep those.", hint=_HINT
            )
        if self._open >= _MOST_SOCKETS or self._app.stopping.is_set():
            return problem_response(
                path, LimitExceeded("This server takes no more sockets now.", retry_after_s=5)
            )
        return None

    def _caller(self, scope: Scope) -> Context | Response | None:
        """Return who asks, None where the first message has to say so, or why it is nobody."""
        headers, query = Headers(scope=scope), _query(scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = token if scheme.lower() == "bearer" else _token_of(scope.get("subprotocols", ()))
        if shown is not None:
            found = self.identify(shown)
            problem = "That is not the owner's token."
        elif "ticket" in query:
            found = self._tickets.redeem(query["ticket"])
            problem = "That ticket is not good (any more)."
        else:
            # A cookie counts only for a page of ours, which `_refusal` has seen.
            return self._owner if "origin" in headers and self._has_session(headers) else None
        if found is None:
            return problem_response(str(scope["path"]), Unauthenticated(problem, hint=_HINT))
        return found

    def _has_session(self, headers: Headers) -> bool:
        prefix = f"{self._sessions.cookie}="
        return any(
            self._sessions.expires_at(part.strip().removeprefix(prefix)) is not None
            for part in headers.get("cookie", "").split(";")
            if part.strip().startswith(prefix)
        )

    # What is said

    async def _talk(self, scope: Scope, receive: Receive, send: Send, caller: Context | None) -> None:
        channel = Channel(receive, send)
        with contextlib.suppress(Gone):
            chosen = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
            await channel.accept(subprotocol=chosen)
            ctx = caller or await self._introduced(channel)
            feed, run_id = self._feeds.of(ctx), _run_of(str(scope["path"]))
            if run_id is None:
                await LiveSocket(channel, self._app, ctx, feed=feed, comments=self._comments).run()
            else:
                after = _query(scope).get("after")
                await show_run(channel, self._app, ctx, feed=feed, run_id=run_id, after=after)

    async def _introduced(self, channel: Channel) -> Context:
        """Return who the first message says it is.

        Raises:
            Gone: when it says nothing in time, or is nobody; it was told so.
        """
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_S):
                said = read_message(await channel.receive())
            found = self.identify(said.token) if isinstance(said, Authenticate) else None
            if found is not None:
                return found
            error: MosaicError = Unauthenticated("The first message must say who you are.", hint=_HINT)
        except TimeoutError:
            error = Unauthenticated("Nobody said who this is.", hint=_HINT)
        except MosaicError as problem:
            error = problem
        await channel.send({"type": "error", "id": None, "error": error_json(error)})
        await channel.close(CloseCode.UNAUTHENTICATED, error.message)
        raise Gone


def _name(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _run_of(path: str) -> str | None:
    run_id = path.removeprefix(f"{_LIVE}/")
    return run_id if run_id != path and run_id and "/" not in run_id and len(run_id) <= 64 else None


def _query(scope: Scope) -> dict[str, str]:
    text = scope.get("query_string", b"").decode("ascii", "replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:  # more than anybody needs
        return {}


def _token_of(subprotocols: Iterable[str]) -> str | None:
    """Return the token among the subprotocols; an unreadable one is empty, which is nobody's."""
    for offered in subprotocols:
        if offered.startswith(_TOKEN):
            text = offered.removeprefix(_TOKEN)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return None
