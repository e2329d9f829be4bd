"""The journal: pages of events, and streams that follow it."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from mosaic.api.access import App, Caller
from mosaic.api.live import event_stream, resume_point
from mosaic.api.schemas import After, EventPage, Id, Limit
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(tags=["events"])
_PAGE: dict[int | str, dict[str, Any]] = {200: {"model": EventPage}}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "events as they happen, each with its journal sequence as `id`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_Sequence = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="wins over Last-Event-ID")]
_LastSeen = Annotated[str | None, Header(description="the id of the last event that was seen")]


@router.get("/runs/{run_id}/events", summary="Read a run's journal", response_model=None, responses=_PAGE)
async def of_run(run_id: Id, app: App, ctx: Caller, after: After = 0, limit: Limit = 100) -> JsonObject:
    """Return events after a journal sequence, in order."""
    return await app.operations.event_page(ctx, run_id=run_id, after=after, limit=limit)


@router.get("/events", summary="Read the journal", response_model=None, responses=_PAGE)
async def page(app: App, ctx: Caller, after: After = 0, limit: Limit = 100) -> JsonObject:
    """Return events of every run after a journal sequence, in order."""
    return await app.operations.event_page(ctx, run_id=None, after=after, limit=limit)


@router.get(
    "/runs/{run_id}/events/stream",
    summary="Follow a run",
    response_class=StreamingResponse,
    responses=_STREAM,
)
async def stream_of_run(
    run_id: Id, app: App, ctx: Caller, after: _Sequence = None, last_event_id: _LastSeen = None
) -> StreamingResponse:
    """Server-sent events of a run; resume with Last-Event-ID."""
    await app.operations.run(ctx, run_id)
    return event_stream(app, ctx, run_id=run_id, after=resume_point(last_event_id, after))


@router.get(
    "/events/stream", summary="Follow everything", response_class=StreamingResponse, responses=_STREAM
)
async def stream(
    app: App, ctx: Caller, after: _Sequence = None, last_event_id: _LastSeen = None
) -> StreamingResponse:
    """Server-sent events of every run; resume with Last-Event-ID."""
    return event_stream(app, ctx, run_id=None, after=resume_point(last_event_id, after))
