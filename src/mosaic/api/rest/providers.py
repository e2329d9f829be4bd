"""Providers and their models: how they are, checks, reload."""

from typing import Annotated

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.provider_schemas import (
    HealthDocument,
    Kind,
    ModelPage,
    ProviderDocument,
    ProviderPage,
    ReloadDocument,
)
from mosaic.api.routing import Route
from mosaic.api.schemas import Id
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["providers"])


@router.get(
    "/providers", summary="List providers", response_model=None, responses={200: {"model": ProviderPage}}
)
async def listed(
    app: App, ctx: Caller, kind: Kind | None = None, limit: WholeLimit = 1_000, cursor: Cursor = None
) -> JsonObject:
    """Return a page of the instances with their health, breakers and the figures of their models."""
    shown = await app.provider_operations.providers(ctx, kind=kind)
    return paged(shown, "name", limit=limit, cursor=cursor, identity=())


@router.post(
    "/providers/reload",
    summary="Reload providers and routes",
    response_model=None,
    responses={200: {"model": ReloadDocument}},
)
async def reload(app: App, ctx: Caller) -> JsonObject:
    """Take what settings, plugin folders and routes say now. 422, and nothing changed, when they are wrong."""
    return await app.provider_operations.reload_providers(ctx)


@router.get(
    "/providers/{name}",
    summary="Show a provider",
    response_model=None,
    responses={200: {"model": ProviderDocument}},
)
async def show(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one instance with its plugin's manifest and what it can do."""
    return await app.provider_operations.provider(ctx, name)


@router.post(
    "/providers/{name}/check",
    summary="Check a provider",
    response_model=None,
    responses={200: {"model": HealthDocument}},
)
async def check(
    name: Id, app: App, ctx: Caller, model: Annotated[str | None, Query(max_length=300)] = None
) -> JsonObject:
    """Send one small request; a provider that cannot be used is an answer, too."""
    return await app.provider_operations.check_provider(ctx, name, model=model)


@router.get(
    "/models",
    summary="List models",
    tags=["models"],
    response_model=None,
    responses={200: {"model": ModelPage}},
)
async def models(
    app: App,
    ctx: Caller,
    provider: Annotated[str | None, Query(max_length=200)] = None,
    ask: Annotated[
        bool, Query(description="ask the providers for models that the catalogue does not know")
    ] = False,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the models that requests can name, with what they can do and cost."""
    shown = await app.provider_operations.models(ctx, provider=provider, ask=ask)
    return paged(shown, "id", limit=limit, cursor=cursor, identity=())
