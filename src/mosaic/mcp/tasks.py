"""The tasks extension (2026 wire): a call that takes long is answered with a task, and asked about later."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import mcp.types as mcp_types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from mosaic.core.errors import NotFound
from mosaic.mcp.exchange import Exchange
from mosaic.mcp.interfaces import Offer

__all__ = ["TASKS", "TaskMethods", "created", "task_of"]

TASKS = "io.modelcontextprotocol/tasks"

_POLL_MS = 1_000
_NAME_HEADER = "mcp-name"
Context = ServerRequestContext[Any, Any]


class _TaskParams(mcp_types.RequestParams):
    task_id: str


class _UpdateParams(_TaskParams):
    input_responses: dict[str, Any]


def task_of(
    task_id: str,
    status: str,
    *,
    created_at: datetime,
    changed_at: datetime,
    message: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a task as the extension writes it.

    Args:
        task_id: by which its caller asks about it.
        status: ``working``, ``input_required``, ``completed``, ``failed`` or ``cancelled``.
        created_at: when it began.
        changed_at: when it was last known to change.
        message: what a person may be told of it.
        more: what belongs to the status: ``inputRequests``, ``result`` or ``error``.
    """
    shown: dict[str, Any] = {
        "taskId": task_id,
        "status": status,
        "createdAt": created_at.isoformat(),
        "lastUpdatedAt": changed_at.isoformat(),
        "ttlMs": None,
        "pollIntervalMs": _POLL_MS,
        **more,
    }
    if message is not None:
        shown["statusMessage"] = message
    return shown


def created(task: dict[str, Any]) -> dict[str, Any]:
    """Return the answer that gives a client a task instead of a result."""
    seed = {key: value for key, value in task.items() if key not in ("inputRequests", "result", "error")}
    return {**seed, "resultType": "task"}


class TaskMethods:
    """``tasks/get``, ``tasks/update`` and ``tasks/cancel`` over an offer."""

    def __init__(self, offer: Offer, exchange: Callable[[Context], Exchange]) -> None:
        self._offer = offer
        self._exchange = exchange

    def install(self, server: "Server[Any]") -> None:
        """Have a server answer these methods."""
        server.add_request_handler("tasks/get", _TaskParams, self._get)
        server.add_request_handler("tasks/update", _UpdateParams, self._update)
        server.add_request_handler("tasks/cancel", _TaskParams, self._cancel)

    async def _get(self, ctx: Context, params: _TaskParams) -> dict[str, Any]:
        exchange = self._of_client(ctx, params)
        return {"resultType": "complete", **await _found(self._offer.task(exchange, params.task_id))}

    async def _update(self, ctx: Context, params: _UpdateParams) -> dict[str, Any]:
        exchange = self._of_client(ctx, params)
        await _found(self._offer.answer_task(exchange, params.task_id, params.input_responses))
        return {"resultType": "complete"}

    async def _cancel(self, ctx: Context, params: _TaskParams) -> dict[str, Any]:
        exchange = self._of_client(ctx, params)
        await _found(self._offer.cancel_task(exchange, params.task_id))
        return {"resultType": "complete"}

    def _of_client(self, ctx: Context, params: _TaskParams) -> Exchange:
        """Return the exchange of a client that takes part in the extension, and routes by the task it means.

        Raises:
            MCPError: if it does not.
        """
        exchange = self._exchange(ctx)
        if not exchange.is_modern:
            raise MCPError(mcp_types.METHOD_NOT_FOUND, "Method not found", ctx.method)
        if not exchange.has_extension(TASKS):
            raise MCPError(
                mcp_types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                "Missing required client capability",
                {"requiredCapabilities": {"extensions": {TASKS: {}}}},
            )
        if exchange.headers.get(_NAME_HEADER, params.task_id) != params.task_id:
            raise MCPError(mcp_types.HEADER_MISMATCH, f"The header {_NAME_HEADER} names another task.")
        return exchange


async def _found(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except NotFound as error:
        raise MCPError(mcp_types.INVALID_PARAMS, error.message) from error
