"""`/api/v1/graphql`: answers, or says what has to be installed for it."""

import asyncio
import contextlib
import importlib.util
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mosaic.api.feed import Feeds
from mosaic.api.live_socket.channel import Channel, CloseCode, Gone
from mosaic.api.problems import problem_response
from mosaic.app.build import Application
from mosaic.app.comment_operations import CommentOperations
from mosaic.core.context import Context
from mosaic.core.errors import Unsupported

__all__ = ["GraphQLDoor"]

_SUBPROTOCOL = "graphql-transport-ws"


class GraphQLDoor:
    """The ASGI application of the graph, for callers that `Gate` and `Sockets` let in.

    Args:
        application: what is served.
        comments: comments and presence.
        feeds: the journals' newest events.
    """

    def __init__(self, application: Application, *, comments: CommentOperations, feeds: Feeds) -> None:
        self._app = application
        self._comments = comments
        self._feeds = feeds
        self._loading = asyncio.Lock()
        self._loaded = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        if not _is_installed():
            missing = Unsupported(
                "GraphQL is not installed here.",
                hint="Install the extra: pip install 'mosaicstack[graphql]'.",
            )
            await problem_response(request.url.path, missing)(scope, receive, send)
            return
        await self._load()
        from mosaic.api.graphql.context import Asked  # noqa: PLC0415  # an optional dependency
        from mosaic.api.graphql.http import answer  # noqa: PLC0415

        asked = Asked(self._app, scope["state"]["caller"], comments=self._comments, feeds=self._feeds)
        response = await answer(request, asked)
        await response(scope, receive, send)

    async def talk(
        self,
        scope: Scope,
        channel: Channel,
        caller: Context | None,
        identify: Callable[[str], Context | None],
    ) -> None:
        """Talk with one client over a WebSocket.

        Args:
            scope: of the connection.
            channel: to the client, not yet accepted.
            caller: who it is; None where its first message has to say so.
            identify: returns whose a token is.
        """
        offered = scope.get("subprotocols", ())
        with contextlib.suppress(Gone):
            await channel.accept(subprotocol=_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
            if not _is_installed():
                await channel.close(
                    CloseCode.TRY_AGAIN, "GraphQL is not installed here: mosaicstack[graphql]"
                )
                return
            if _SUBPROTOCOL not in offered:
                await channel.close(CloseCode.SUBPROTOCOL, f"only the subprotocol {_SUBPROTOCOL}")
                return
            await self._load()
            from mosaic.api.graphql.context import Asked  # noqa: PLC0415
            from mosaic.api.graphql.socket import talk  # noqa: PLC0415

            def begin(ctx: Context) -> Asked:
                return Asked(self._app, ctx, comments=self._comments, feeds=self._feeds, remembers=False)

            await talk(channel, caller, begin=begin, identify=identify, stopping=self._app.stopping)

    async def _load(self) -> None:
        """Make the schema before it is needed in the event loop: that takes a second."""
        async with self._loading:
            if not self._loaded:
                await asyncio.to_thread(_make)
                self._loaded = True


def _is_installed() -> bool:
    return importlib.util.find_spec("strawberry") is not None


def _make() -> None:
    from mosaic.api.graphql import http, socket  # noqa: F401, PLC0415
    from mosaic.api.graphql.schema import the_schema  # noqa: PLC0415

    the_schema()
