"""Projects: the units of work of a tenant that anything belongs to, with their plans and what they cost."""

from fastapi import APIRouter
from pydantic import Field

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.routing import Route
from mosaic.api.schemas import Document, Id
from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject

__all__ = ["projects", "router"]

router = APIRouter(route_class=Route, prefix="/projects", tags=["projects"])


class ProjectDocument(Document):
    """A project."""

    name: str
    plans: int
    calls: int = Field(description="model calls, ever")
    usd: float = Field(description="what they cost")


class ProjectPage(Document):
    """Projects, by name."""

    items: list[ProjectDocument]
    next_cursor: str | None


@router.get("", summary="List projects", response_model=None, responses={200: {"model": ProjectPage}})
async def page(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return a page of the projects that have plans or have cost something, and the one that is worked in."""
    return paged({"items": await projects(app, ctx)}, "name", limit=limit, cursor=cursor, identity=())


@router.get(
    "/{name}", summary="Show a project", response_model=None, responses={200: {"model": ProjectDocument}}
)
async def show(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one project."""
    for project in await projects(app, ctx):
        if project["name"] == name:
            return project
    raise NotFound(f"There is no project {name[:80]!r}.", hint="GET /api/v1/projects lists them.")


async def projects(app: Application, ctx: Context) -> list[JsonObject]:
    """Return the projects that have plans or have cost something, and the one that is worked in, by name."""
    usage = await app.door_operations.usage(ctx, by=("project",))
    spent = {str(row["project"]): row for row in usage["items"] if row.get("project")}
    plans = await app.plans.plan_counts(ctx)
    return [
        {
            "name": name,
            "plans": plans.get(name, 0),
            "calls": spent[name]["calls"] if name in spent else 0,
            "usd": spent[name]["usd"] if name in spent else 0.0,
        }
        for name in sorted({ctx.project, *plans, *spent})
    ]
