"""The ASGI application of the API."""

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from mosaic import __version__
from mosaic.api import problems
from mosaic.api.access import HostCheck
from mosaic.api.rest import approvals, runs, system
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


def create_asgi(application: Application, *, owner_token: str) -> HostCheck:
    """Return the ASGI application that serves `application` to holders of the owner's token."""
    app = FastAPI(
        title="MosAIc",
        version=__version__,
        description="Runs, approvals, agents and events of one installation.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere; an installation may have no way out
        redoc_url=None,
        responses=problems.PROBLEM_RESPONSES,
    )
    app.state.application = application
    app.state.owner_token = owner_token
    problems.install(app)
    v1 = APIRouter(prefix="/api/v1")
    v1.include_router(runs.router)
    v1.include_router(approvals.router)
    v1.include_router(system.router)
    app.include_router(v1)
    app.include_router(system.public)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def home() -> str:
        return _PAGE.format(version=__version__)

    return HostCheck(app, allowed=application.settings.server.allowed_hosts)
