"""A run that a client started, followed for it: told as it goes on, answered with what came out of it, or as a task."""

import asyncio
import hashlib
import hmac
from contextlib import aclosing
from datetime import datetime
from typing import Any

import mcp.types as mcp_types

from mosaic.app.operations import Operations
from mosaic.core.context import Context
from mosaic.core.values import JsonObject, JsonValue
from mosaic.mcp.asking import question
from mosaic.mcp.content import result_of
from mosaic.mcp.exchange import Exchange
from mosaic.mcp.schemas import Caller
from mosaic.mcp.tasks import task_of
from mosaic.tools import Approvals, ToolResult

__all__ = ["RunFollower"]

_MARK_DIGITS = 20
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_ENDS = frozenset(f"run.{status}" for status in _ENDED)
_TOLD = {
    "run.started": "The run has started.",
    "step.started": "{path} has started.",
    "step.completed": "{path} is done.",
    "step.failed": "{path} has failed.",
    "approval.requested": "It waits for a person: {approval}.",
    "approval.decided": "A person has answered {approval}.",
    "tool.called": "{path} has called {tool}.",
}


class RunFollower:
    """Follows runs.

    A client knows a run that it started by a ticket: the run's id, and a mark that only we can make for this caller.

    Args:
        operations: what every door can ask for.
        approvals: what people are asked.
        key: makes the marks; the same for all replicas.
    """

    def __init__(self, operations: Operations, approvals: Approvals, *, key: bytes) -> None:
        self._operations = operations
        self._approvals = approvals
        self._key = key

    def ticket(self, caller: Caller, run_id: str) -> str:
        """Return what `caller` gets to come back to a run with."""
        told = f"{caller.principal}\0{run_id}".encode()
        return f"{run_id}-{hmac.new(self._key, told, hashlib.sha256).hexdigest()[:_MARK_DIGITS]}"

    def run_of(self, caller: Caller, ticket: str) -> str | None:
        """Return the run of a ticket; None when it is none that `caller` got."""
        run_id, dash, _ = ticket.rpartition("-")
        if not dash or not hmac.compare_digest(self.ticket(caller, run_id).encode(), ticket.encode()):
            return None
        return run_id

    async def outcome(self, exchange: Exchange, run_id: str, *, wait_s: float) -> mcp_types.CallToolResult:
        """Return what came out of a run, or where it stands after `wait_s` seconds; progress is told meanwhile."""
        ctx = exchange.caller.ctx
        try:
            async with asyncio.timeout(wait_s):
                await self._tell(exchange, ctx, run_id)
        except TimeoutError:
            pass  # it goes on; the answer says how to come back to it
        run = await self._operations.run(ctx, run_id)
        shown = _shown(run, self.ticket(exchange.caller, run_id))
        return result_of(ToolResult(shown, is_error=run["status"] in ("failed", "cancelled")))

    async def task(self, exchange: Exchange, run_id: str) -> dict[str, Any]:
        """Return a run as a task.

        Raises:
            NotFound: if the tenant has none of that id.
        """
        ctx = exchange.caller.ctx
        run = await self._operations.run(ctx, run_id)
        status, ticket = run["status"], self.ticket(exchange.caller, run_id)
        created_at = datetime.fromisoformat(run["created_at"])
        changed_at = datetime.fromisoformat(run["finished_at"] or run["started_at"] or run["created_at"])
        about: dict[str, Any] = {
            "created_at": created_at,
            "changed_at": changed_at,
            "message": f"Run {status}.",
        }
        if status == "cancelled":
            return task_of(ticket, "cancelled", **about)
        if status in _ENDED:
            result = result_of(ToolResult(_shown(run, ticket), is_error=status == "failed"))
            shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
            return task_of(ticket, "completed", **about, result=shown)
        if run["approvals"] and exchange.caller.is_person and exchange.can_be_asked:
            requests = {key: await self._question(ctx, key) for key in run["approvals"]}
            return task_of(ticket, "input_required", **about, inputRequests=requests)
        return task_of(ticket, "working", **about)

    async def cancel(self, ctx: Context, run_id: str) -> None:
        """Cancel a run.

        Raises:
            NotFound: if the tenant has none of that id.
        """
        await self._operations.cancel(ctx, run_id)

    async def _question(self, ctx: Context, approval_id: str) -> JsonObject:
        form = question(await self._approvals.get(ctx, approval_id))
        shown: JsonObject = form.model_dump(mode="json", by_alias=True, exclude_none=True)
        return shown

    async def _tell(self, exchange: Exchange, ctx: Context, run_id: str) -> None:
        """Tell what happens in a run until it has ended."""
        number = 0
        events = self._operations.events(ctx, run_id=run_id, after=0, follow=True)
        async with aclosing(events):
            async for event in events:
                if event["type"] in _ENDS:
                    return
                if (line := _line(event)) is not None:
                    number += 1
                    await exchange.tell(number, None, line)


def _line(event: JsonObject) -> str | None:
    pattern = _TOLD.get(event["type"])
    if pattern is None:
        return None
    data = event["data"]
    return pattern.format(
        path=event["path"] or "A step", approval=data.get("approval", "?"), tool=data.get("tool", "a tool")
    )


def _shown(run: JsonObject, ticket: str) -> JsonValue:
    shown = {key: run[key] for key in ("workflow", "status", "outputs", "error", "approvals", "cost", "link")}
    kept = {"run": run["id"], **{key: value for key, value in shown.items() if value not in (None, [])}}
    if run["status"] not in _ENDED:
        kept["call"] = ticket
        kept["next"] = "It goes on by itself: wait for it with calls__result, and do not start it again."
    return kept
