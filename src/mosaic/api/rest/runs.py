"""Runs: start, list, show, cancel, fork, signal; their artifacts, and work that was given up."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged, paged_in_place
from mosaic.api.routing import Route
from mosaic.api.schemas import (
    ArtifactDocument,
    ArtifactPage,
    DeadLetterPage,
    Fork,
    Id,
    Limit,
    Requeued,
    RunDocument,
    RunPage,
    RunStatusName,
    SignalSent,
    StartRun,
    StepPage,
    StepStatusName,
)
from mosaic.app.run_steps import run_steps
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route)
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": RunDocument}}
_STARTED: dict[int | str, dict[str, Any]] = {
    201: {
        "model": RunDocument,
        "headers": {"Location": {"description": "where the run is", "schema": {"type": "string"}}},
    }
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the content, in the media type that the run declared",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/runs",
    status_code=201,
    summary="Start a run",
    tags=["runs"],
    response_model=None,
    responses=_STARTED,
)
async def start(body: StartRun, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Start a workflow. With `options.run_id` a repeated request is one start."""
    options = body.options.model_dump(exclude_none=True)
    run = await app.operations.start_run(
        ctx, {"bundle": body.bundle, "inputs": body.inputs, "options": options}
    )
    response.headers["Location"] = f"/api/v1/runs/{run['id']}"
    return run


@router.get(
    "/runs",
    summary="List runs, newest first",
    tags=["runs"],
    response_model=None,
    responses={200: {"model": RunPage}},
)
async def page(
    app: App,
    ctx: Caller,
    status: RunStatusName | None = None,
    workflow: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of runs; `next_cursor` continues it."""
    return await app.operations.runs(ctx, status=status, workflow=workflow, limit=limit, cursor=cursor)


@router.get("/runs/{run_id}", summary="Show a run", tags=["runs"], response_model=None, responses=_SHOWN)
async def show(run_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one run with its cost and what it waits for."""
    return await app.operations.run(ctx, run_id)


@router.post(
    "/runs/{run_id}/cancel", summary="Cancel a run", tags=["runs"], response_model=None, responses=_SHOWN
)
async def cancel(run_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Stop a run and everything it does, on whichever node; 409 when it has ended."""
    return await app.operations.cancel(ctx, run_id)


@router.post(
    "/runs/{run_id}/fork",
    status_code=201,
    summary="Fork a run from a step",
    tags=["runs"],
    response_model=None,
    responses=_STARTED,
)
async def fork(run_id: Id, body: Fork, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Start a new run that keeps every result before a step."""
    run = await app.operations.fork(ctx, run_id, from_step=body.from_step, inputs=body.inputs)
    response.headers["Location"] = f"/api/v1/runs/{run['id']}"
    return run


@router.post(
    "/runs/{run_id}/signals/{name}",
    status_code=202,
    summary="Send a signal to a run",
    tags=["runs"],
    response_model=None,
    responses={202: {"model": SignalSent}},
)
async def signal(run_id: Id, name: Id, payload: dict[str, Any], app: App, ctx: Caller) -> JsonObject:
    """Deliver `payload` to the `listen` step that waits, or will wait, for `name`; 409 when it was sent before."""
    return await app.operations.signal(ctx, run_id, name, payload)


@router.get(
    "/runs/{run_id}/steps",
    summary="List the steps of a run",
    tags=["runs"],
    response_model=None,
    responses={200: {"model": StepPage}},
)
async def steps(
    run_id: Id,
    app: App,
    ctx: Caller,
    status: StepStatusName | None = None,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the steps that began or were skipped, in that order, with how they ended."""
    shown = await run_steps(app, ctx, run_id)
    shown["items"] = [step for step in shown["items"] if status in (None, step["status"])]
    return paged_in_place(shown, lambda step: str(step["path"]), limit=limit, cursor=cursor)


@router.get(
    "/runs/{run_id}/artifacts",
    summary="List what a run kept",
    tags=["artifacts"],
    response_model=None,
    responses={200: {"model": ArtifactPage}},
)
async def artifacts(
    run_id: Id, app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None
) -> JsonObject:
    """Return a page of the artifacts of a run."""
    return paged(await app.operations.artifacts(ctx, run_id), "created_at", limit=limit, cursor=cursor)


@router.get(
    "/artifacts/{artifact_id}",
    summary="Show an artifact",
    tags=["artifacts"],
    response_model=None,
    responses={200: {"model": ArtifactDocument}},
)
async def artifact(artifact_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return what is known of an artifact; its content is beside it."""
    found, _ = await app.operations.artifact(ctx, artifact_id)
    return found


@router.get(
    "/artifacts/{artifact_id}/content",
    summary="Download an artifact",
    tags=["artifacts"],
    response_class=Response,
    responses=_CONTENT,
)
async def content(artifact_id: Id, app: App, ctx: Caller) -> Response:
    """Return an artifact's bytes; its media type is what the run declared, never rendered by a browser."""
    artifact, data = await app.operations.artifact(ctx, artifact_id)
    name = quote(str(artifact["name"]).rsplit("/", 1)[-1], safe="")
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }
    return Response(data, media_type=artifact["media_type"], headers=headers)


@router.get(
    "/dead-letters",
    summary="List work that was given up",
    tags=["dead letters"],
    response_model=None,
    responses={200: {"model": DeadLetterPage}},
)
async def dead_letters(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return a page of executions whose process crashed too often, oldest first."""
    return paged(await app.operations.dead_letters(ctx), "created_at", limit=limit, cursor=cursor)


@router.post(
    "/dead-letters/{execution_id:path}/requeue",
    summary="Start given-up work again",
    tags=["dead letters"],
    response_model=None,
    responses={200: {"model": Requeued}},
)
async def requeue(execution_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Reset the crash count and start again; recorded results are kept. 409 when it is not given up."""
    return await app.operations.requeue(ctx, execution_id)
