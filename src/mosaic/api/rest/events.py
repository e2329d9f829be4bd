"""The journal: pages of events, and streams that follow it."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor
from mosaic.api.live import Streams, resume_point
from mosaic.api.routing import Route
from mosaic.api.schemas import After, EventPage, Id, Limit
from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["events"])
_PAGE: dict[int | str, dict[str, Any]] = {200: {"model": EventPage}}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "events as they happen, each with its journal sequence as `id`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_Sequence = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="wins over Last-Event-ID")]
Types = Annotated[list[str], Query(max_length=50, description="event types, such as run.created; none: all")]
_LastSeen = Annotated[str | None, Header(description="the id of the last event that was seen")]


@router.get("/runs/{run_id}/events", summary="Read a run's journal", response_model=None, responses=_PAGE)
async def of_run(
    run_id: Id,
    app: App,
    ctx: Caller,
    after: After = 0,
    types: Types = [],  # noqa: B006  # FastAPI copies it
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JsonObject:
    """Return events after a journal sequence, in order."""
    await app.runs.get(ctx, run_id)
    return await _page(app, ctx, run_id=run_id, after=_place(after, cursor), types=types, limit=limit)


@router.get("/events", summary="Read the journal", response_model=None, responses=_PAGE)
async def page(
    app: App,
    ctx: Caller,
    after: After = 0,
    types: Types = [],  # noqa: B006
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JsonObject:
    """Return events of every run after a journal sequence, in order."""
    return await _page(app, ctx, run_id=None, after=_place(after, cursor), types=types, limit=limit)


@router.get(
    "/runs/{run_id}/events/stream",
    summary="Follow a run",
    response_class=StreamingResponse,
    responses=_STREAM,
)
async def stream_of_run(
    request: Request,
    run_id: Id,
    app: App,
    ctx: Caller,
    after: _Sequence = None,
    last_event_id: _LastSeen = None,
) -> Response:
    """Server-sent events of a run; resume with Last-Event-ID."""
    await app.runs.get(ctx, run_id)
    return _streams(request).open(ctx, run_id=run_id, after=resume_point(last_event_id, after))


@router.get(
    "/events/stream", summary="Follow everything", response_class=StreamingResponse, responses=_STREAM
)
async def stream(
    request: Request, ctx: Caller, after: _Sequence = None, last_event_id: _LastSeen = None
) -> Response:
    """Server-sent events of every run; resume with Last-Event-ID."""
    return _streams(request).open(ctx, run_id=None, after=resume_point(last_event_id, after))


def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


def _place(after: int, cursor: str | None) -> int:
    """Return where to go on: a cursor of ours is a sequence number."""
    return int(cursor) if cursor is not None else after


async def _page(
    app: Application, ctx: Context, *, run_id: str | None, after: int, types: list[str], limit: int
) -> JsonObject:
    found = await app.journal.read(ctx, after=after, run_id=run_id, types=types or None, limit=limit)
    last = found[-1].seq if found else after
    return {
        "items": [event.to_json() for event in found],
        "after": last,
        "next_cursor": str(last) if len(found) == limit else None,
    }
