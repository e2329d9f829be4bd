"""Runs: start, list, show, cancel, fork, signal; their events, artifacts and dead letters."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from mosaic.api.access import App, Caller
from mosaic.api.live import event_stream, resume_point
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(tags=["runs"])
_Limit = Annotated[int, Query(ge=1, le=500)]


class Body(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Options(Body):
    """What the caller of a run may choose."""

    model: str | None = Field(None, description="provider:model for every agent", max_length=200)
    usd: float | None = Field(None, ge=0, description="hard budget in dollars")
    tokens: int | None = Field(None, ge=0, description="hard budget in tokens")
    workspace_source: str | None = Field(
        None, description="folder or git repository on the server", max_length=4096
    )
    priority: int = Field(10, ge=1, le=1000, description="lower starts earlier")
    run_id: str | None = Field(
        None, pattern=r"^run_[0-9a-z]{26}$", description="makes a repeated start one start"
    )


class StartRun(Body):
    """A workflow bundle, as `mosaic run` sends it, with inputs and options."""

    bundle: dict[str, Any] = Field(description="definition and every file it refers to")
    inputs: dict[str, Any] = Field(default_factory=dict)
    options: Options = Field(default_factory=Options)


class Fork(Body):
    """Where a new run parts from an old one."""

    from_step: str = Field(min_length=1, max_length=500, examples=["build"])
    inputs: dict[str, Any] | None = None


@router.post("/runs", status_code=201, summary="Start a run")
async def start(body: StartRun, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Start a workflow. With `options.run_id` a repeated request is one start."""
    options = body.options.model_dump(exclude_none=True)
    run = await app.operations.start_run(
        ctx, {"bundle": body.bundle, "inputs": body.inputs, "options": options}
    )
    response.headers["Location"] = f"/api/v1/runs/{run['id']}"
    return run


@router.get("/runs", summary="List runs, newest first")
async def page(
    app: App,
    ctx: Caller,
    status: str | None = None,
    workflow: str | None = None,
    limit: _Limit = 50,
    cursor: str | None = None,
) -> JsonObject:
    """Return a page of runs; `next_cursor` continues it."""
    return await app.operations.runs(ctx, status=status, workflow=workflow, limit=limit, cursor=cursor)


@router.get("/runs/{run_id}", summary="Show a run")
async def show(run_id: str, app: App, ctx: Caller) -> JsonObject:
    """Return one run with its cost and what it waits for."""
    return await app.operations.run(ctx, run_id)


@router.post("/runs/{run_id}/cancel", summary="Cancel a run")
async def cancel(run_id: str, app: App, ctx: Caller) -> JsonObject:
    """Stop a run and everything it does, on whichever node."""
    return await app.operations.cancel(ctx, run_id)


@router.post("/runs/{run_id}/fork", status_code=201, summary="Fork a run from a step")
async def fork(run_id: str, body: Fork, app: App, ctx: Caller) -> JsonObject:
    """Start a new run that keeps every result before a step."""
    return await app.operations.fork(ctx, run_id, from_step=body.from_step, inputs=body.inputs)


@router.post("/runs/{run_id}/signals/{name}", status_code=202, summary="Send a signal to a run")
async def signal(run_id: str, name: str, payload: dict[str, Any], app: App, ctx: Caller) -> JsonObject:
    """Deliver `payload` to the `listen` step that waits, or will wait, for `name`."""
    return await app.operations.signal(ctx, run_id, name, payload)


@router.get("/runs/{run_id}/events", summary="Read a run's journal")
async def run_events(
    run_id: str, app: App, ctx: Caller, after: Annotated[int, Query(ge=0)] = 0, limit: _Limit = 100
) -> JsonObject:
    """Return events after a journal sequence, in order."""
    return await app.operations.event_page(ctx, run_id=run_id, after=after, limit=limit)


@router.get("/events", summary="Read the journal", tags=["events"])
async def events(
    app: App, ctx: Caller, after: Annotated[int, Query(ge=0)] = 0, limit: _Limit = 100
) -> JsonObject:
    """Return events of every run after a journal sequence, in order."""
    return await app.operations.event_page(ctx, run_id=None, after=after, limit=limit)


@router.get("/runs/{run_id}/events/stream", summary="Follow a run", response_class=StreamingResponse)
async def run_stream(
    run_id: str, request: Request, app: App, ctx: Caller, after: Annotated[int | None, Query(ge=0)] = None
) -> StreamingResponse:
    """Server-sent events of a run; resume with Last-Event-ID."""
    await app.operations.run(ctx, run_id)
    return event_stream(app, ctx, run_id=run_id, after=resume_point(request, after))


@router.get("/events/stream", summary="Follow everything", response_class=StreamingResponse, tags=["events"])
async def stream(
    request: Request, app: App, ctx: Caller, after: Annotated[int | None, Query(ge=0)] = None
) -> StreamingResponse:
    """Server-sent events of every run; resume with Last-Event-ID."""
    return event_stream(app, ctx, run_id=None, after=resume_point(request, after))


@router.get("/runs/{run_id}/artifacts", summary="List what a run kept")
async def artifacts(run_id: str, app: App, ctx: Caller) -> JsonObject:
    """Return the artifacts of a run."""
    return await app.operations.artifacts(ctx, run_id)


@router.get("/artifacts/{artifact_id}/content", summary="Download an artifact", tags=["artifacts"])
async def content(artifact_id: str, app: App, ctx: Caller) -> Response:
    """Return an artifact's bytes; its media type is what the run declared, never rendered by a browser."""
    artifact, data = await app.operations.artifact(ctx, artifact_id)
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return Response(data, media_type=artifact["media_type"], headers=headers)


@router.get("/dead-letters", summary="List work that was given up", tags=["dead letters"])
async def dead_letters(app: App, ctx: Caller) -> JsonObject:
    """Return executions whose process crashed too often."""
    return await app.operations.dead_letters(ctx)


@router.post(
    "/dead-letters/{execution_id:path}/requeue", summary="Start given-up work again", tags=["dead letters"]
)
async def requeue(execution_id: str, app: App, ctx: Caller) -> JsonObject:
    """Reset the crash count and start again; recorded results are kept."""
    return await app.operations.requeue(ctx, execution_id)
