"""The ASGI application of the API."""

from fastapi import APIRouter, Depends, FastAPI

from mosaic import __version__
from mosaic.api import openapi, problems
from mosaic.api.access import Gate, bearer
from mosaic.api.board import BoardFiles
from mosaic.api.rest import (
    approvals,
    audit,
    budgets,
    cache,
    cost,
    events,
    examples,
    keys,
    plans,
    policy,
    providers,
    routes,
    runs,
    session,
    system,
    tools,
    webhooks,
)
from mosaic.app.build import Application
from mosaic.app.sessions import Sessions
from mosaic.app.web_build import Board

__all__ = ["create_asgi"]


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
    problems.install(app)
    openapi.install(app)
    v1 = APIRouter(prefix="/api/v1", dependencies=[Depends(bearer)])
    v1.include_router(events.router)
    v1.include_router(runs.router)
    v1.include_router(approvals.router)
    v1.include_router(system.router)
    v1.include_router(keys.router)
    v1.include_router(budgets.router)
    v1.include_router(cost.router)
    v1.include_router(providers.router)
    v1.include_router(routes.router)
    v1.include_router(cache.router)
    v1.include_router(tools.router)
    v1.include_router(policy.router)
    v1.include_router(session.router)
    v1.include_router(audit.router)
    v1.include_router(examples.router)
    v1.include_router(plans.router)
    app.include_router(v1)
    app.include_router(system.public)
    app.include_router(webhooks.router)  # signed messages: no token

    server = application.settings.server
    return Gate(
        BoardFiles(app, board),
        application,
        owner_token=owner_token,
        sessions=sessions,
        allowed=(*server.allowed_hosts, server.host),
        max_body_bytes=server.max_body_bytes,
    )
