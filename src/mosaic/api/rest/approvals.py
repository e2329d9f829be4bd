"""Approvals: what waits for a person, and the answers."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mosaic.api.access import App, Caller
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(prefix="/approvals", tags=["approvals"])


class Approve(BaseModel):
    """A yes, perhaps with changed arguments or a form's answer."""

    model_config = ConfigDict(extra="forbid")
    note: str | None = Field(None, max_length=4000)
    arguments: dict[str, Any] | None = Field(None, description="run the tool with these arguments instead")
    answer: Any = Field(None, description="the answer, where the ask has a form")


class Reject(BaseModel):
    """A no; the agent reads the note."""

    model_config = ConfigDict(extra="forbid")
    note: str | None = Field(None, max_length=4000)


@router.get("", summary="List approvals, oldest first")
async def approvals(
    app: App, ctx: Caller, status: str | None = None, run_id: str | None = None
) -> JsonObject:
    """Return approvals; `status=pending` is the inbox."""
    return await app.operations.approvals(ctx, status=status, run_id=run_id)


@router.get("/{approval_id}", summary="Show an approval")
async def show(approval_id: str, app: App, ctx: Caller) -> JsonObject:
    """Return who asks for what, why, and what follows from either answer."""
    return await app.operations.approval(ctx, approval_id)


@router.post("/{approval_id}/approve", summary="Say yes")
async def approve(approval_id: str, body: Approve, app: App, ctx: Caller) -> JsonObject:
    """Approve; 409 when it was answered already."""
    return await app.operations.decide(
        ctx, approval_id, {"approve": True, **body.model_dump(exclude_none=True)}
    )


@router.post("/{approval_id}/reject", summary="Say no")
async def reject(approval_id: str, body: Reject, app: App, ctx: Caller) -> JsonObject:
    """Reject; 409 when it was answered already."""
    return await app.operations.decide(
        ctx, approval_id, {"approve": False, **body.model_dump(exclude_none=True)}
    )
