"""Agents, workflow checks, health and the installation itself."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from mosaic.api.access import App, Caller
from mosaic.core.values import JsonObject

__all__ = ["public", "router"]

router = APIRouter()
public = APIRouter()


class Validate(BaseModel):
    """A workflow bundle to check."""

    model_config = ConfigDict(extra="forbid")
    bundle: dict[str, Any]


@router.get("/agents", summary="List agents with their load", tags=["agents"])
async def agents(app: App, ctx: Caller) -> JsonObject:
    """Return the agents and the registry's figures."""
    return await app.operations.agents(ctx)


@router.post("/workflows/validate", summary="Check a workflow", tags=["workflows"])
async def validate(body: Validate, app: App, ctx: Caller) -> JsonObject:
    """Return every problem of a bundle; an empty list means that it can run."""
    return await app.operations.validate(ctx, body.bundle)


@router.get("/system", summary="Show nodes, database and providers", tags=["system"])
async def system(app: App, ctx: Caller) -> JsonObject:
    """Return what this installation consists of and how it does."""
    return await app.operations.system(ctx)


@public.get("/healthz", summary="Liveness", tags=["system"])
async def healthz() -> JsonObject:
    """Answer as long as the process serves."""
    return {"status": "ok"}


@public.get("/readyz", summary="Readiness", tags=["system"])
async def readyz(app: App) -> JsonObject:
    """Answer ok when the database answers too."""
    await app.ready()
    return {"status": "ok"}
