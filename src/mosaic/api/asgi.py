"""The ASGI application of the API."""

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import Route

from mosaic import __version__
from mosaic.api import openapi, problems
from mosaic.api.access import LOOPBACK_NAMES, Gate, bearer
from mosaic.api.board import BoardFiles
from mosaic.api.feed import Feeds
from mosaic.api.graphql.door import GraphQLDoor
from mosaic.api.live import Streams
from mosaic.api.live_socket.entrance import GRAPHQL, Sockets
from mosaic.api.live_socket.tickets import Tickets
from mosaic.api.rest import (
    approvals,
    audit,
    budgets,
    bulk,
    cache,
    comments,
    cost,
    event_webhooks,
    events,
    examples,
    hooks,
    keys,
    mission,
    plans,
    policy,
    projects,
    providers,
    routes,
    runs,
    screens,
    session,
    system,
    tools,
    webhooks,
    workflows,
)
from mosaic.app.build import Application
from mosaic.app.comment_operations import CommentOperations
from mosaic.app.sessions import Sessions
from mosaic.app.web_build import Board
from mosaic.storage import IdempotencyKeys

__all__ = ["create_asgi"]

# In the order in which they are asked: bulk first, since its addresses look like those of single things.
_ROOMS = (
    bulk,
    events,
    runs,
    approvals,
    system,
    keys,
    budgets,
    cost,
    providers,
    routes,
    cache,
    tools,
    policy,
    session,
    audit,
    examples,
    plans,
    projects,
    workflows,
    comments,
    screens,
    event_webhooks,
    mission,
)


def create_asgi(
    application: Application,
    *,
    owner_token: str,
    sessions: Sessions | None = None,
    board: Board | None = None,
) -> Gate:
    """Return the ASGI application that serves `application` to holders of the owner's token.

    Args:
        application: what is served.
        owner_token: what programs show.
        sessions: of browsers, where somebody else gives out codes for them.
        board: the screens, where this process shows them.
    """
    sessions = sessions or Sessions(owner_token)
    app = FastAPI(
        title="MosAIc",
        version=__version__,
        description="Runs, approvals, agents and events of one installation.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere; an installation may have no way out
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.application = application
    app.state.sessions = sessions
    app.state.comments = CommentOperations(application)
    app.state.tickets = Tickets()
    feeds = Feeds(application.journal)
    app.state.streams = Streams(feeds, application.stopping)
    app.state.idempotency = IdempotencyKeys(application.database)
    problems.install(app)
    openapi.install(app)
    _include(app)
    graphql = GraphQLDoor(application, comments=app.state.comments, feeds=feeds)
    app.router.routes.append(Route(GRAPHQL, graphql, include_in_schema=False))
    server = application.settings.server
    sockets = Sockets(
        application,
        owner_token=owner_token,
        sessions=sessions,
        feeds=feeds,
        comments=app.state.comments,
        tickets=app.state.tickets,
        allowed=(*LOOPBACK_NAMES, *server.allowed_hosts, server.host),
        graphql=graphql,
    )
    return Gate(
        BoardFiles(app, board),
        application,
        owner_token=owner_token,
        sessions=sessions,
        allowed=(*server.allowed_hosts, server.host),
        max_body_bytes=server.max_body_bytes,
        sockets=sockets,
    )


def _include(app: FastAPI) -> None:
    """Add every route of REST."""
    v1 = APIRouter(prefix="/api/v1", dependencies=[Depends(bearer)])
    for room in _ROOMS:
        v1.include_router(room.router)
    app.include_router(v1)
    app.include_router(system.public)
    app.include_router(webhooks.router)  # signed messages: no token
    app.include_router(hooks.router)
