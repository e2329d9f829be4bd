"""Virtual keys of outside clients: make, list, show, rotate, revoke."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
from mosaic.api.door_schemas import CreateKey, KeyDocument, KeyPage, KeyWithBudgets, NewKeyDocument, Rotate
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.routing import Route
from mosaic.api.schemas import Id
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["keys"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": KeyDocument}}


@router.post(
    "/keys",
    status_code=201,
    summary="Make a key",
    response_model=None,
    responses={201: {"model": NewKeyDocument}},
    openapi_extra={"x-shown-once": True},
)
async def create(body: CreateKey, app: App, ctx: Caller) -> JsonObject:
    """Make a key. Its `secret` is in this answer and nowhere else."""
    return await app.door_operations.create_key(ctx, body.model_dump(mode="json", exclude_none=True))


@router.get("/keys", summary="List keys", response_model=None, responses={200: {"model": KeyPage}})
async def listed(
    app: App,
    ctx: Caller,
    project: Annotated[str | None, Query(max_length=64)] = None,
    status: Literal["active", "expired", "revoked"] | None = None,
    sort: Literal["-created_at", "created_at", "name", "-name", "expires_at"] = "-created_at",
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the keys, revoked and expired ones too."""
    shown = await app.door_operations.keys(ctx, project=project)
    if status is not None:
        shown["items"] = [key for key in shown["items"] if key["status"] == status]
    return paged(shown, sort, limit=limit, cursor=cursor)


@router.get(
    "/keys/{key_id}", summary="Show a key", response_model=None, responses={200: {"model": KeyWithBudgets}}
)
async def show(key_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one key with the budgets it has of its own."""
    return await app.door_operations.key(ctx, key_id)


@router.post(
    "/keys/{key_id}/rotate",
    summary="Give a key another secret",
    response_model=None,
    responses={200: {"model": NewKeyDocument}},
    openapi_extra={"x-shown-once": True},
)
async def rotate(key_id: Id, body: Rotate, app: App, ctx: Caller) -> JsonObject:
    """Give a key another secret; the old one stays good for `grace_s` seconds. 409 when it is revoked or expired."""
    return await app.door_operations.rotate_key(ctx, key_id, grace_s=body.grace_s)


@router.post("/keys/{key_id}/revoke", summary="Revoke a key", response_model=None, responses=_SHOWN)
async def revoke(key_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Make a key useless, on every node, at once."""
    return await app.door_operations.revoke_key(ctx, key_id)
