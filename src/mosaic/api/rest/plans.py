"""Plans: work breakdowns, their items, changes as reviewable diffs, the graph, and runs that work on items."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor
from mosaic.api.plan_schemas import (
    ApplyChanges,
    ChangeDocument,
    ChangePage,
    CreatePlan,
    GraphDocument,
    ItemDocument,
    ItemKind,
    ItemPage,
    ItemRun,
    ItemStatus,
    PlanDocument,
    PlanPage,
    PlanRemoved,
    RunItem,
    UndoChange,
    UpdatePlanFields,
    plan_version,
)
from mosaic.api.routing import Route
from mosaic.api.schemas import Id, IfMatch, Limit
from mosaic.app.plan_operations import graph_tag
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["plans"])

_ETAG = {"ETag": {"description": "the plan's version, for If-Match", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "where it is", "schema": {"type": "string"}}}
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": PlanDocument, "headers": _ETAG}}
_MADE: dict[int | str, dict[str, Any]] = {201: {"model": PlanDocument, "headers": {**_ETAG, **_LOCATION}}}
_CHANGED: dict[int | str, dict[str, Any]] = {200: {"model": ChangeDocument, "headers": _ETAG}}
_GRAPH: dict[int | str, dict[str, Any]] = {
    200: {"model": GraphDocument, "headers": _ETAG},
}
_YAML: dict[int | str, dict[str, Any]] = {
    200: {"description": "the plan as YAML", "content": {"application/yaml": {"schema": {"type": "object"}}}}
}
_Text = Annotated[str | None, Query(max_length=500)]


@router.post("/plans", status_code=201, summary="Make a plan", response_model=None, responses=_MADE)
async def create(body: CreatePlan, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Make a plan: empty, from operations that add its items, or from a YAML document."""
    plan = await app.plans.create_plan(ctx, body.model_dump(mode="json", exclude_unset=True))
    response.headers["Location"] = f"/api/v1/plans/{plan['id']}"
    response.headers["ETag"] = _etag(plan["version"])
    return plan


@router.get(
    "/plans", summary="List plans, newest first", response_model=None, responses={200: {"model": PlanPage}}
)
async def page(
    app: App, ctx: Caller, project: _Text = None, limit: Limit = 50, cursor: Cursor = None
) -> JsonObject:
    """Return a page of plans with their progress; `next_cursor` continues it."""
    return await app.plans.plans(ctx, project=project, limit=limit, cursor=cursor)


@router.get("/plans/{plan_id}", summary="Show a plan", response_model=None, responses=_SHOWN)
async def show(plan_id: Id, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return one plan with progress, cost, finish and critical path."""
    plan = await app.plans.plan(ctx, plan_id)
    response.headers["ETag"] = _etag(plan["version"])
    return plan


@router.patch("/plans/{plan_id}", summary="Change a plan", response_model=None, responses=_SHOWN)
async def update(
    plan_id: Id,
    body: UpdatePlanFields,
    response: Response,
    app: App,
    ctx: Caller,
    if_match: IfMatch = None,
) -> JsonObject:
    """Set the plan's name or description; 412 when it has changed since the ETag in If-Match."""
    fields = body.model_dump(mode="json", exclude_unset=True)
    plan = await app.plans.update_plan(ctx, plan_id, fields, base_version=plan_version(if_match))
    response.headers["ETag"] = _etag(plan["version"])
    return plan


@router.delete(
    "/plans/{plan_id}", summary="Remove a plan", response_model=None, responses={200: {"model": PlanRemoved}}
)
async def remove(plan_id: Id, app: App, ctx: Caller, if_match: IfMatch = None) -> JsonObject:
    """Remove a plan with its items; 409 while runs work on it or another plan waits for it."""
    return await app.plans.remove_plan(ctx, plan_id, base_version=plan_version(if_match))


@router.get("/plans/{plan_id}/export", summary="Export a plan", response_class=Response, responses=_YAML)
async def export(plan_id: Id, app: App, ctx: Caller) -> Response:
    """Return the plan as a YAML document that can be imported."""
    exported = await app.plans.export_plan(ctx, plan_id)
    return Response(exported["document"], media_type="application/yaml")


@router.get(
    "/plans/{plan_id}/items",
    summary="List work items",
    response_model=None,
    responses={200: {"model": ItemPage}},
)
async def items(
    plan_id: Id,
    app: App,
    ctx: Caller,
    status: Annotated[list[ItemStatus] | None, Query(max_length=20, description="any of these")] = None,
    kind: Annotated[list[ItemKind] | None, Query(max_length=20, description="any of these")] = None,
    assignee: Annotated[str | None, Query(max_length=200, description="`none` for items of nobody")] = None,
    parent: Annotated[str | None, Query(max_length=200, description="id or key; `none` for epics")] = None,
    fields: Annotated[
        str | None,
        Query(max_length=1_000, description="names of fields, separated by commas; all without it"),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of items, parents before children; `next_cursor` continues it."""
    return await app.plans.plan_items(
        ctx,
        plan_id,
        status=status or (),
        kind=kind or (),
        assignee=assignee,
        parent=parent,
        fields=[name.strip() for name in fields.split(",")] if fields is not None else (),
        limit=limit,
        cursor=cursor,
    )


@router.get(
    "/plans/{plan_id}/items/{item_id}",
    summary="Show a work item",
    response_model=None,
    responses={200: {"model": ItemDocument}},
)
async def item(plan_id: Id, item_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one item, by its id or its key."""
    return await app.plans.plan_item(ctx, plan_id, item_id)


@router.post("/plans/{plan_id}/changes", summary="Change items", response_model=None, responses=_CHANGED)
async def change(
    plan_id: Id,
    body: ApplyChanges,
    response: Response,
    app: App,
    ctx: Caller,
    dry_run: bool = False,
    if_match: IfMatch = None,
) -> JsonObject:
    """Apply a change set whole, or with `dry_run=true` only show its diff and what it would mean.

    412 when the plan has changed since `base_version` or the ETag in If-Match; 409 for a cycle, which is named.
    """
    base = body.base_version if body.base_version is not None else plan_version(if_match)
    wanted = {**body.model_dump(mode="json", exclude_unset=True), "base_version": base}
    made = await app.plans.change_plan(ctx, plan_id, wanted, dry_run=dry_run)
    response.headers["ETag"] = _etag(made["base_version"] if dry_run else made["version"])
    return made


@router.get(
    "/plans/{plan_id}/changes",
    summary="List changes, newest first",
    response_model=None,
    responses={200: {"model": ChangePage}},
)
async def changes(plan_id: Id, app: App, ctx: Caller, limit: Limit = 20, cursor: Cursor = None) -> JsonObject:
    """Return the history of a plan; `next_cursor` continues it."""
    return await app.plans.plan_changes(ctx, plan_id, limit=limit, cursor=cursor)


@router.post(
    "/plans/{plan_id}/changes/{change_id}/undo",
    summary="Take a change back",
    response_model=None,
    responses=_CHANGED,
)
async def undo(
    plan_id: Id,
    change_id: Id,
    response: Response,
    app: App,
    ctx: Caller,
    body: UndoChange | None = None,
    dry_run: bool = False,
) -> JsonObject:
    """Take a change set back by one of the opposite; 409 when something it touched has changed again since."""
    wanted = body.model_dump(exclude_unset=True) if body is not None else {}
    made = await app.plans.undo_change(ctx, plan_id, change_id, wanted, dry_run=dry_run)
    response.headers["ETag"] = _etag(made["base_version"] if dry_run else made["version"])
    return made


@router.get("/plans/{plan_id}/graph", summary="Read a whole plan", response_model=None, responses=_GRAPH)
async def graph(plan_id: Id, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return every item with what a drawing needs, for thousands at once; 304 when nothing has changed."""
    shown = await app.plans.plan_graph(ctx, plan_id)
    # Weak: the same plan at a later place of the journal is the same drawing, though not the same bytes.
    response.headers["ETag"] = f"W/{graph_tag(shown)}"
    return shown


@router.post(
    "/plans/{plan_id}/items/{item_id}/run",
    status_code=201,
    summary="Start a run for an item",
    response_model=None,
    responses={201: {"model": ItemRun, "headers": _LOCATION}},
)
async def run(
    plan_id: Id, item_id: Id, body: RunItem, response: Response, app: App, ctx: Caller
) -> JsonObject:
    """Start a run that works on an item: the item's status and cost follow it. 409 while the item waits for others.

    With `options.run_id` a repeated request is one start.
    """
    wanted = body.model_dump(mode="json", exclude_none=True)
    wanted["options"] = body.options.model_dump(exclude_none=True)
    made = await app.plans.run_item(ctx, plan_id, item_id, wanted)
    response.headers["Location"] = f"/api/v1/runs/{made['run']['id']}"
    return made


def _etag(version: int) -> str:
    return f'"{version}"'
