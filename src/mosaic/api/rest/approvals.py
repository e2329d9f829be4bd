"""Approvals: what waits for a person, and the answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor
from mosaic.api.routing import Route
from mosaic.api.schemas import (
    ApprovalDocument,
    ApprovalPage,
    ApprovalPreview,
    ApprovalStatusName,
    Approve,
    Id,
    Preview,
    Reject,
    WebhookPage,
)
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, prefix="/approvals", tags=["approvals"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": ApprovalDocument}}


@router.get(
    "", summary="List approvals, oldest first", response_model=None, responses={200: {"model": ApprovalPage}}
)
async def page(
    app: App,
    ctx: Caller,
    status: ApprovalStatusName | None = None,
    run_id: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return approvals; `status=pending` is the inbox."""
    return await app.operations.approvals(ctx, status=status, run_id=run_id, limit=limit, cursor=cursor)


@router.get(
    "/webhooks",
    summary="Show who is told of approvals",
    response_model=None,
    responses={200: {"model": WebhookPage}},
)
async def webhooks(app: App, ctx: Caller) -> JsonObject:
    """Return the webhooks of the settings and what each has not heard yet."""
    return await app.operations.approval_webhooks(ctx)


@router.get("/{approval_id}", summary="Show an approval", response_model=None, responses=_SHOWN)
async def show(approval_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return who asks for what, why, and what follows from either answer."""
    return await app.operations.approval(ctx, approval_id)


@router.post(
    "/{approval_id}/preview",
    summary="Look at a yes before giving it",
    response_model=None,
    responses={200: {"model": ApprovalPreview}},
)
async def preview(approval_id: Id, body: Preview, app: App, ctx: Caller) -> JsonObject:
    """Return what edited arguments would do and which calls a lasting yes would hold for; changes nothing."""
    return await app.operations.preview_approval(ctx, approval_id, body.model_dump(exclude_none=True))


@router.post("/{approval_id}/approve", summary="Say yes", response_model=None, responses=_SHOWN)
async def approve(approval_id: Id, body: Approve, app: App, ctx: Caller) -> JsonObject:
    """Approve; it stays pending while more people must answer. 409 when somebody else has decided it."""
    decision = {"approve": True, **body.model_dump(exclude_none=True)}
    return await app.operations.decide(ctx, approval_id, decision)


@router.post("/{approval_id}/reject", summary="Say no", response_model=None, responses=_SHOWN)
async def reject(approval_id: Id, body: Reject, app: App, ctx: Caller) -> JsonObject:
    """Reject; 409 when somebody else has decided it."""
    decision = {"approve": False, **body.model_dump(exclude_none=True)}
    return await app.operations.decide(ctx, approval_id, decision)
