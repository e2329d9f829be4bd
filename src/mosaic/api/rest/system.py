"""Agents, workflow checks, health and the installation itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged_in_place
from mosaic.api.routing import Route
from mosaic.api.schemas import AgentPage, Availability, Health, SystemDocument, Validate, Validation
from mosaic.core.values import JsonObject

__all__ = ["public", "router"]

router = APIRouter(route_class=Route)
public = APIRouter(tags=["system"])
_HEALTH: dict[int | str, dict[str, Any]] = {200: {"model": Health}}


@router.get(
    "/agents",
    summary="List agents with their load",
    tags=["agents"],
    response_model=None,
    responses={200: {"model": AgentPage}},
)
async def agents(
    app: App,
    ctx: Caller,
    availability: Availability | None = None,
    pool: Annotated[str | None, Query(max_length=200)] = None,
    capability: Annotated[str | None, Query(max_length=200)] = None,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the agents, and the registry's figures over all."""
    shown = await app.operations.agents(ctx)
    shown["items"] = [
        agent
        for agent in shown["items"]
        if availability in (None, agent["availability"])
        and pool in (None, agent["pool"])
        and (capability is None or capability in agent["capabilities"])
    ]
    return paged_in_place(
        shown, lambda agent: f"{agent['name']} {agent['version']}", limit=limit, cursor=cursor
    )


@router.post(
    "/workflows/validate",
    summary="Check a workflow",
    tags=["workflows"],
    response_model=None,
    responses={200: {"model": Validation}},
)
async def validate(body: Validate, app: App, ctx: Caller) -> JsonObject:
    """Return every problem of a bundle; an empty list means that it can run."""
    return await app.operations.validate(ctx, body.bundle)


@router.get(
    "/system",
    summary="Show nodes, database and providers",
    tags=["system"],
    response_model=None,
    responses={200: {"model": SystemDocument}},
)
async def system(app: App, ctx: Caller) -> JsonObject:
    """Return what this installation consists of and how it does."""
    return await app.operations.system(ctx)


@public.get("/healthz", summary="Liveness", response_model=None, responses=_HEALTH)
async def healthz() -> JsonObject:
    """Answer as long as the process serves."""
    return {"status": "ok"}


@public.get("/readyz", summary="Readiness", response_model=None, responses=_HEALTH)
async def readyz(app: App) -> JsonObject:
    """Answer ok when this process takes work and the database answers; else 503."""
    await app.ready()
    return {"status": "ok"}
