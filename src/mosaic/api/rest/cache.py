"""Kept answers: how often they were known, and to forget them."""

from fastapi import APIRouter

from mosaic.api.access import App, Caller
from mosaic.api.cache_schemas import CacheDocument, PurgeCache, PurgedDocument, WarmCache, WarmedDocument
from mosaic.api.routing import Route
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["cache"])


@router.get(
    "/cache", summary="Show the cache", response_model=None, responses={200: {"model": CacheDocument}}
)
async def show(app: App, ctx: Caller) -> JsonObject:
    """Return hit rates by route since this node started, and what each tier holds."""
    return await app.cache_operations.cache(ctx)


@router.post(
    "/cache/purge", summary="Forget answers", response_model=None, responses={200: {"model": PurgedDocument}}
)
async def purge(body: PurgeCache, app: App, ctx: Caller) -> JsonObject:
    """Forget answers of a route, with a tag, or all of them, on every node."""
    return await app.cache_operations.purge_cache(ctx, route=body.route, tag=body.tag)


@router.post(
    "/cache/warm", summary="Warm the cache", response_model=None, responses={200: {"model": WarmedDocument}}
)
async def warm(body: WarmCache, app: App, ctx: Caller) -> JsonObject:
    """Bring what is expected in an hour, by the weeks before, into this node's memory."""
    return await app.cache_operations.warm_cache(ctx, hours_ahead=body.hours_ahead)
