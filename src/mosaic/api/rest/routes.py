"""Routes: which there are, and why a request goes where it goes."""

from fastapi import APIRouter

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged_in_place
from mosaic.api.provider_schemas import ExplainRoute, ExplanationDocument, RoutePage
from mosaic.api.routing import Route
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["routes"])


@router.get("/routes", summary="List routes", response_model=None, responses={200: {"model": RoutePage}})
async def listed(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return the routes and rules in force."""
    shown = await app.provider_operations.routes(ctx)
    return paged_in_place(shown, lambda row: str(row["name"]), limit=limit, cursor=cursor)


@router.post(
    "/routes/explain",
    summary="Explain a route",
    response_model=None,
    responses={200: {"model": ExplanationDocument}},
)
async def explain(body: ExplainRoute, app: App, ctx: Caller) -> JsonObject:
    """Return where a request would go now and why, by live figures; nothing is sent."""
    return await app.provider_operations.explain_route(ctx, body.model_dump(mode="json"))
