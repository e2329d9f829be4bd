"""The audit trail: who did, allowed or was refused what, newest first; and the whole of it as a file."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor
from mosaic.api.routing import Route
from mosaic.api.schemas import Document, EventDocument
from mosaic.app.board_operations import audit_lines, audit_page, journal_head
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["audit"])
Types = Annotated[
    list[str],
    Query(max_length=20, description="beginnings of event types, such as approval; none: all audited"),
]
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one event a line, oldest first",
        "content": {"application/jsonl": {"schema": {"type": "string"}}},
    }
}


class AuditPage(Document):
    """Audited events, newest first."""

    items: list[EventDocument]
    next_before: int | None = Field(description="the same as a sequence number, for `before`")
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class JournalDocument(Document):
    """Where the journal ends."""

    head: int = Field(description="sequence number of the newest event; 0 when there is none")


@router.get(
    "/journal",
    summary="Show where the journal ends",
    tags=["events"],
    response_model=None,
    responses={200: {"model": JournalDocument}},
)
async def head(app: App, ctx: Caller) -> JsonObject:
    """Return the newest event's sequence number: a stream after it holds only what is new."""
    return await journal_head(app, ctx)


@router.get(
    "/audit", summary="Read the audit trail", response_model=None, responses={200: {"model": AuditPage}}
)
async def page(
    app: App,
    ctx: Caller,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    types: Types = [],  # noqa: B006  # FastAPI copies it
    actor: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Cursor = None,
) -> JsonObject:
    """Return audited events, newest first."""
    end = int(cursor) if cursor is not None else before
    shown = await audit_page(app, ctx, before=end, limit=limit, types=types, actor=actor)
    place = shown["next_before"]
    return {**shown, "next_cursor": str(place) if place is not None else None}


@router.get(
    "/audit/export", summary="Export the audit trail", responses=_EXPORT, response_class=StreamingResponse
)
async def export(app: App, ctx: Caller, types: Types = []) -> StreamingResponse:  # noqa: B006
    """Return every audited event as JSON lines, as a file to keep."""
    return StreamingResponse(
        audit_lines(app, ctx, types=types),
        media_type="application/jsonl",
        headers={
            "Content-Disposition": 'attachment; filename="mosaic-audit.jsonl"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )
