"""The ASGI application of the API."""

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import HTMLResponse

from mosaic import __version__
from mosaic.api import openapi, problems
from mosaic.api.access import Gate, bearer
from mosaic.api.rest import approvals, budgets, cost, events, keys, providers, routes, runs, system
from mosaic.app.build import Application

__all__ = ["create_asgi"]

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>MosAIc</title>
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:4rem auto;padding:0 1rem;color:#1d2233;background:#f4f2ee}}
code{{background:#e6e3dc;padding:.1em .35em;border-radius:4px}}a{{color:#2748b8}}
@media(prefers-color-scheme:dark){{body{{color:#e8e6e1;background:#1b1e27}}code{{background:#2a2f3c}}a{{color:#8fa8ff}}}}</style>
<h1>MosAIc is running</h1>
<p>Version {version}. The command line and the API do the work; this checkout has no board yet.</p>
<ul><li><code>mosaic runs list</code>, <code>mosaic runs watch RUN</code>, <code>mosaic approvals list</code></li>
<li><a href="/api/v1/openapi.json">OpenAPI</a>, <a href="/healthz">health</a></li>
<li>The owner's token for <code>Authorization: Bearer</code> is in <code>.mosaic/owner-token</code>.</li></ul></html>"""
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def create_asgi(application: Application, *, owner_token: str) -> Gate:
    """Return the ASGI application that serves `application` to holders of the owner's token."""
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
    app.include_router(v1)
    app.include_router(system.public)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def home() -> HTMLResponse:
        return HTMLResponse(_PAGE.format(version=__version__), headers=_PAGE_HEADERS)

    server = application.settings.server
    return Gate(
        app,
        application,
        owner_token=owner_token,
        allowed=(*server.allowed_hosts, server.host),
        max_body_bytes=server.max_body_bytes,
    )
