"""Approvals: what waits for a person, and the answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
from mosaic.api.schemas import ApprovalDocument, ApprovalPage, ApprovalStatusName, Approve, Id, Reject
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(prefix="/approvals", tags=["approvals"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": ApprovalDocument}}


@router.get(
    "", summary="List approvals, oldest first", response_model=None, responses={200: {"model": ApprovalPage}}
)
async def page(
    app: App,
    ctx: Caller,
    status: ApprovalStatusName | None = None,
    run_id: Annotated[str | None, Query(max_length=500)] = None,
) -> JsonObject:
    """Return approvals; `status=pending` is the inbox."""
    return await app.operations.approvals(ctx, status=status, run_id=run_id)


@router.get("/{approval_id}", summary="Show an approval", response_model=None, responses=_SHOWN)
async def show(approval_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return who asks for what, why, and what follows from either answer."""
    return await app.operations.approval(ctx, approval_id)


@router.post("/{approval_id}/approve", summary="Say yes", response_model=None, responses=_SHOWN)
async def approve(approval_id: Id, body: Approve, app: App, ctx: Caller) -> JsonObject:
    """Approve; 409 when it was answered already."""
    decision = {"approve": True, **body.model_dump(exclude_none=True)}
    return await app.operations.decide(ctx, approval_id, decision)


@router.post("/{approval_id}/reject", summary="Say no", response_model=None, responses=_SHOWN)
async def reject(approval_id: Id, body: Reject, app: App, ctx: Caller) -> JsonObject:
    """Reject; 409 when it was answered already."""
    decision = {"approve": False, **body.model_dump(exclude_none=True)}
    return await app.operations.decide(ctx, approval_id, decision)
