"""MCP servers, tools, what is approved of them, and calls."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.door_schemas import Removed
from mosaic.api.listing import Cursor, WholeLimit, paged, paged_in_place
from mosaic.api.policy_schemas import Risk
from mosaic.api.routing import Route
from mosaic.api.schemas import Id
from mosaic.api.tool_schemas import (
    AddServer,
    ApproveTool,
    CallTool,
    PinDocument,
    QuarantineTool,
    ServerAdded,
    ServerPage,
    ToolCallDocument,
    ToolCalled,
    ToolDocument,
    ToolPage,
)
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["tools"])
_PIN: dict[int | str, dict[str, Any]] = {200: {"model": PinDocument}}
_CALL: dict[int | str, dict[str, Any]] = {200: {"model": ToolCallDocument}}
_CALLED: dict[int | str, dict[str, Any]] = {
    200: {"model": ToolCalled},
    202: {"model": ToolCalled, "description": "A person has to answer first"},
}


@router.get(
    "/mcp-servers", summary="List MCP servers", response_model=None, responses={200: {"model": ServerPage}}
)
async def servers(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return a page of the registered servers and how their tools stand."""
    shown = await app.tool_operations.servers(ctx)
    return paged(shown, "name", limit=limit, cursor=cursor, identity=())


@router.post(
    "/mcp-servers",
    status_code=201,
    summary="Register an MCP server",
    response_model=None,
    responses={201: {"model": ServerAdded}},
)
async def add_server(body: AddServer, app: App, ctx: Caller) -> JsonObject:
    """Connect, register, approve the tools as they are now. 409 when there is one of that name; 503 when it is away."""
    return await app.tool_operations.add_server(ctx, body.model_dump(mode="json"))


@router.delete(
    "/mcp-servers/{name}",
    summary="Remove an MCP server",
    response_model=None,
    responses={200: {"model": Removed}},
)
async def remove_server(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Remove a server and what is approved of it."""
    return await app.tool_operations.remove_server(ctx, name)


@router.post(
    "/mcp-servers/{name}/pin",
    summary="Accept a server's tools",
    response_model=None,
    responses={200: {"model": ToolPage}},
)
async def pin_server(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Look at a server again and accept all its tools as they are now."""
    return {**await app.tool_operations.pin_server(ctx, name), "next_cursor": None}


@router.get("/tools", summary="List tools", response_model=None, responses={200: {"model": ToolPage}})
async def listed(
    app: App,
    ctx: Caller,
    search: Annotated[str | None, Query(max_length=500, description="words")] = None,
    server: Annotated[str | None, Query(max_length=100)] = None,
    view: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[Literal["built-in", "pinned", "new", "quarantined", "vanished"] | None, Query()] = None,
    risk: Risk | None = None,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return the tools that can be called outside runs, those in quarantine, and those that vanished.

    By name; with `search` the best matches first.
    """
    shown = await app.tool_operations.tools(ctx, search=search, server=server, view=view)
    shown["items"] = [
        row for row in shown["items"] if state in (None, row["state"]) and risk in (None, row["risk"])
    ]
    return paged_in_place(shown, lambda row: str(row["name"]), limit=limit, cursor=cursor)


@router.get(
    "/tools/{name}", summary="Show a tool", response_model=None, responses={200: {"model": ToolDocument}}
)
async def show(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Return a tool, how it stands, and how it differs from what is approved."""
    shown = await app.tool_operations.tool(ctx, name)
    # One in quarantine has fewer things to show.
    return {**dict.fromkeys(ToolDocument.model_fields), **shown}


@router.post("/tools/{name}/approve", summary="Accept a tool", response_model=None, responses=_PIN)
async def approve(name: Id, body: ApproveTool, app: App, ctx: Caller) -> JsonObject:
    """Accept a new or changed tool. 409 when it is not what `digest` says."""
    return await app.tool_operations.approve_tool(ctx, name, digest=body.digest)


@router.post("/tools/{name}/quarantine", summary="Stop a tool", response_model=None, responses=_PIN)
async def quarantine(name: Id, body: QuarantineTool, app: App, ctx: Caller) -> JsonObject:
    """Stop a tool from being called until somebody approves it."""
    return await app.tool_operations.quarantine_tool(ctx, name, reason=body.reason)


@router.post("/tools/{name}/call", summary="Call a tool", response_model=None, responses=_CALLED)
async def call(name: Id, body: CallTool, app: App, ctx: Caller, response: Response) -> JsonObject:
    """Call a tool by the installation's policy. 202 when a person has to answer first."""
    called = await app.tool_operations.call_tool(
        ctx,
        name,
        body.arguments,
        view=body.view,
        why=body.why,
        idempotency_key=body.idempotency_key,
    )
    if called["status"] == "waiting":
        response.status_code = 202
    return called


@router.get("/tool-calls/{call_id}", summary="Show a waiting call", response_model=None, responses=_CALL)
async def tool_call(call_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return where a call that had to wait stands, with its result once it has one."""
    return await app.tool_operations.tool_call(ctx, call_id)


@router.post(
    "/tool-calls/{call_id}/cancel", summary="Stop a waiting call", response_model=None, responses=_CALL
)
async def cancel(call_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Stop a call that waits, and withdraw what it asks."""
    return await app.tool_operations.cancel_tool_call(ctx, call_id)
