"""MCP servers, tools, what is approved of them, and calls."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.door_schemas import Removed
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

router = APIRouter(tags=["tools"])
_PIN: dict[int | str, dict[str, Any]] = {200: {"model": PinDocument}}
_CALL: dict[int | str, dict[str, Any]] = {200: {"model": ToolCallDocument}}
_CALLED: dict[int | str, dict[str, Any]] = {
    200: {"model": ToolCalled},
    202: {"model": ToolCalled, "description": "A person has to answer first"},
}


@router.get(
    "/mcp-servers", summary="List MCP servers", response_model=None, responses={200: {"model": ServerPage}}
)
async def servers(app: App, ctx: Caller) -> JsonObject:
    """Return the registered servers and how their tools stand."""
    return await app.tool_operations.servers(ctx)


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
    return await app.tool_operations.pin_server(ctx, name)


@router.get("/tools", summary="List tools", response_model=None, responses={200: {"model": ToolPage}})
async def listed(
    app: App,
    ctx: Caller,
    search: Annotated[str | None, Query(max_length=500, description="words")] = None,
    server: Annotated[str | None, Query(max_length=100)] = None,
    view: Annotated[str | None, Query(max_length=100)] = None,
) -> JsonObject:
    """Return the tools that can be called outside runs, those in quarantine, and those that vanished."""
    return await app.tool_operations.tools(ctx, search=search, server=server, view=view)


@router.get(
    "/tools/{name}", summary="Show a tool", response_model=None, responses={200: {"model": ToolDocument}}
)
async def show(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Return a tool, how it stands, and how it differs from what is approved."""
    return await app.tool_operations.tool(ctx, name)


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
