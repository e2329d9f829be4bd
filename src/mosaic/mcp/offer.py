"""What MosAIc offers to MCP clients: tools through the tool door, and the waiting that belongs to them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import mcp.types as mcp_types
from mcp.shared.exceptions import MCPError

from mosaic.app.operation_tools import RUN_STARTER
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, MosaicError, NotFound, PermissionDenied, TimedOut
from mosaic.mcp.asking import answer_of, question
from mosaic.mcp.changes import TenantChanges
from mosaic.mcp.content import error_result, listed, result_of
from mosaic.mcp.exchange import Exchange
from mosaic.mcp.following import RunFollower
from mosaic.mcp.interfaces import OutsideTools
from mosaic.mcp.own_tools import ANSWER_TOOL, RESULT_TOOL
from mosaic.mcp.prompts import Prompts
from mosaic.mcp.resources import Resources
from mosaic.mcp.tasks import TASKS, created, task_of
from mosaic.observability import get_logger
from mosaic.runs.tool_calls import OutsideCall, ToolCalls
from mosaic.tools import Approval, ApprovalNeeded, Approvals, InvalidArguments, ToolResult, ToolSpec

__all__ = ["MosaicOffer"]

log = get_logger(__name__)

_KEY_META, _KEY_HEADER, _WHY_META = "mosaic/idempotency-key", "idempotency-key", "mosaic/why"
_LONGEST_KEY = 200
_LONGEST_WHY = 2_000
_PULSE_S = 10.0
_RESULT_WAIT_S, _LONGEST_WAIT_S = 20.0, 50.0
_OWN = {name: spec for spec in (RESULT_TOOL, ANSWER_TOOL) for name in (spec.name, spec.model_name)}


class MosaicOffer:
    """Tools, resources and prompts of an installation.

    Args:
        outside: which tools there are, and by which policy.
        calls: calls them.
        approvals: what people are asked.
        follower: follows runs.
        resources: what can be read.
        prompts: what can be filled in.
        changes: where a tenant hears of changes.
        wait_s: how long a call waits for a person when its client can neither be asked nor take a task.
        stopping: set when the server stops: calls go on then without their clients.
    """

    def __init__(
        self,
        outside: OutsideTools,
        calls: ToolCalls,
        approvals: Approvals,
        *,
        follower: RunFollower,
        resources: Resources,
        prompts: Prompts,
        changes: Callable[[Context], TenantChanges],
        wait_s: float,
        stopping: asyncio.Event,
    ) -> None:
        self._outside = outside
        self._calls = calls
        self._approvals = approvals
        self._follower = follower
        self._resources = resources
        self._prompts = prompts
        self._open_changes = changes
        self._changes: dict[str, TenantChanges] = {}
        self._wait_s = wait_s
        self._stopping = stopping
        self._with_headers: dict[str, Mapping[str, Any]] = {}

    # -- tools --------------------------------------------------------------------------------------------------

    def header_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema of a tool of somebody's server that wants arguments as headers too."""
        return self._with_headers.get(name)

    async def tools(self, exchange: Exchange) -> list[mcp_types.Tool]:
        """Return what the caller may call, and the server's own tools."""
        toolbox = await self._outside.toolbox(exchange.caller.ctx, view=exchange.view)
        specs = toolbox.specs()
        for spec in specs:
            if "x-mcp-header" in json.dumps(spec.input_schema):
                self._with_headers[spec.model_name] = spec.input_schema
        own = [RESULT_TOOL]
        if exchange.caller.is_person and exchange.can_be_asked:
            own.append(ANSWER_TOOL)
        return [listed(spec) for spec in (*specs, *own)]

    async def call(self, exchange: Exchange, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool; one that asks is put to the client's user, given as a task, or waited for."""
        if (own := _OWN.get(name)) is not None:
            return await self._call_own(exchange, own, dict(arguments))
        ctx = exchange.caller.ctx
        toolbox = await self._outside.toolbox(ctx, view=exchange.view)
        spec = toolbox.get(name).spec
        async with exchange.telling() as report:
            if exchange.state is not None:
                call_id, approval = await self._asked_before(exchange)
                return await self._ask_client(exchange, call_id, approval, spec, report)
            begun: list[str] = []
            async with self._cancelled_with(exchange, begun):
                try:
                    result = await self._calls.call(
                        ctx,
                        tool=spec.name,
                        arguments=dict(arguments),
                        toolbox=toolbox,
                        policy=await self._outside.policy(ctx),
                        client=f"mcp:{exchange.client}",  # its own word: never the name of an agent of ours
                        idempotency_key=_key(exchange),
                        why=_text(exchange.meta.get(_WHY_META), _LONGEST_WHY),
                        progress=report,
                        begun=begun.append,
                        view=exchange.view,
                    )
                except ApprovalNeeded as asked:
                    return await self._asked(exchange, asked, spec, report)
        return await self._followed(exchange, result, spec)

    async def _followed(self, exchange: Exchange, result: ToolResult, spec: ToolSpec | None) -> Any:
        """Return a result; when it is a run that began, what comes of that, or a task."""
        is_run = spec is not None and spec.source == RUN_STARTER and not result.is_error
        if not is_run or not isinstance(result.content, dict):
            return result_of(result, spec)
        run_id = str(result.content["run"])
        if exchange.has_extension(TASKS):
            return created(await self._follower.task(exchange, run_id))
        return await self._follower.outcome(exchange, run_id, wait_s=self._wait_s)

    async def _call_own(self, exchange: Exchange, spec: ToolSpec, arguments: dict[str, Any]) -> Any:
        if spec is ANSWER_TOOL:
            return await self._answer(exchange, _required(arguments, "approval"))
        call_id, wait_s = _required(arguments, "call"), arguments.get("wait_s", _RESULT_WAIT_S)
        if not isinstance(wait_s, int | float) or not 0 <= wait_s <= _LONGEST_WAIT_S:
            raise InvalidArguments(f"`wait_s` is a number of seconds, at most {_LONGEST_WAIT_S}.")
        if (run_id := self._follower.run_of(exchange.caller, call_id)) is not None:
            return await self._follower.outcome(exchange, run_id, wait_s=wait_s)
        async with exchange.telling() as report:
            return await self._waited(exchange, call_id, None, report, wait_s=wait_s)

    # -- asking a person ----------------------------------------------------------------------------------------

    async def _asked(
        self, exchange: Exchange, asked: ApprovalNeeded, spec: ToolSpec, report: Callable[[str], None]
    ) -> Any:
        call_id, approval = str(asked.data["call_id"]), asked.approval
        if approval is None:
            raise asked
        if exchange.caller.is_person and exchange.can_be_asked:
            return await self._ask_client(exchange, call_id, approval, spec, report)
        if exchange.has_extension(TASKS):
            return created(self._shown(exchange, await self._calls.state(exchange.caller.ctx, call_id)))
        await exchange.log("notice", f"{approval.title}: {approval.id} waits for a person.")
        return await self._waited(exchange, call_id, spec, report, wait_s=self._wait_s)

    @asynccontextmanager
    async def _cancelled_with(self, exchange: Exchange, begun: list[str]) -> AsyncIterator[None]:
        """Cancel a call that waits when its client cancels the request; one with a key is fetched later."""
        try:
            yield
        except asyncio.CancelledError:
            if begun and _key(exchange) is None and not self._stopping.is_set():
                _afterwards(self._cancel_soon(exchange.caller.ctx, begun[0]))
            raise

    async def _cancel_soon(self, ctx: Context, call_id: str) -> None:
        try:
            await self._calls.cancel(ctx, call_id)
        except NotFound:  # it was not written yet, and will not be
            log.debug("the call %s was cancelled before it began", call_id)

    async def _ask_client(
        self,
        exchange: Exchange,
        call_id: str,
        approval: Approval,
        spec: ToolSpec,
        report: Callable[[str], None],
    ) -> Any:
        """Put an approval to the client's user; whoever answers first, here or elsewhere, counts."""
        ctx = exchange.caller.ctx
        if approval.pending:
            asking = asyncio.ensure_future(self._put(exchange, call_id, approval))
            ended = asyncio.ensure_future(self._calls.wait(ctx, call_id))
            try:
                await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    asking.result()
            finally:
                for task in (asking, ended):
                    task.cancel()
                await asyncio.gather(asking, ended, return_exceptions=True)
        wait_s = max(self._wait_s, spec.timeout_s + spec.stop_s)
        return await self._waited(exchange, call_id, spec, report, wait_s=wait_s)

    async def _put(self, exchange: Exchange, call_id: str, approval: Approval) -> None:
        state = json.dumps({"call": call_id, "approval": approval.id})
        try:
            answers = await exchange.ask({approval.id: question(approval)}, state=state)
        except MCPError as refused:  # the client would not: the approval stays open for everybody else
            await exchange.log("notice", f"{approval.id} stays open: {refused.message}")
            return
        await self._decide(exchange, approval, answers[approval.id])

    async def _decide(self, exchange: Exchange, approval: Approval, given: object) -> str:
        """Decide as the client's user said; return what came of it."""
        said = answer_of(approval, given)
        if said is None:
            return f"{approval.id} stays open."
        try:
            decided = await self._approvals.decide(
                exchange.caller.ctx, approval.id, approve=said.approve, note=said.note, answer=said.answer
            )
        except (Conflict, PermissionDenied) as refused:  # decided elsewhere, or not theirs to decide
            return refused.message
        return f"{approval.id} is {decided.status.value}."

    async def _asked_before(self, exchange: Exchange) -> tuple[str, Approval]:
        """Return the call and the approval that a client was asked about; the state was sealed by us, for this caller."""
        state = json.loads(exchange.state or "{}")
        approval = await self._approvals.get(exchange.caller.ctx, str(state.get("approval")))
        return str(state.get("call")), approval

    async def _answer(self, exchange: Exchange, approval_id: str) -> Any:
        approval = await self._approvals.get(exchange.caller.ctx, approval_id)
        if not approval.pending:
            raise Conflict(f"{approval.id} is {approval.status.value} already.")
        if not (exchange.caller.is_person and exchange.can_be_asked):
            raise PermissionDenied(
                "Your client shows no forms to a person.", hint=f"mosaic approvals approve {approval.id}"
            )
        answers = await exchange.ask({approval.id: question(approval)}, state=json.dumps({}))
        told = await self._decide(exchange, approval, answers[approval.id])
        return mcp_types.CallToolResult(content=[mcp_types.TextContent(text=told)])

    async def _waited(
        self,
        exchange: Exchange,
        call_id: str,
        spec: ToolSpec | None,
        report: Callable[[str], None],
        *,
        wait_s: float,
    ) -> Any:
        """Return the result of a call once it has ended, or how to come back to it."""
        ctx = exchange.caller.ctx
        pulse = asyncio.create_task(_pulse(report, call_id))
        try:
            result = await self._calls.wait(ctx, call_id, timeout_s=wait_s, progress=report)
            return await self._followed(exchange, result, spec)
        except TimedOut as late:
            state = await self._calls.state(ctx, call_id)
            if state.state not in ("working", "asking"):
                return error_result(late)
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)
        return error_result(_pending(state))

    # -- tasks --------------------------------------------------------------------------------------------------

    async def task(self, exchange: Exchange, task_id: str) -> dict[str, Any]:
        """Return where a call or a run stands."""
        if (run_id := self._follower.run_of(exchange.caller, task_id)) is not None:
            return await self._follower.task(exchange, run_id)
        return self._shown(exchange, await self._calls.state(exchange.caller.ctx, task_id))

    async def answer_task(self, exchange: Exchange, task_id: str, responses: Mapping[str, Any]) -> None:
        """Decide approvals as the client's user said."""
        ctx = exchange.caller.ctx
        await self.task(exchange, task_id)
        asker = self._follower.run_of(exchange.caller, task_id) or task_id
        if not exchange.caller.is_person:
            raise PermissionDenied("No person stands behind this credential.")
        for approval_id, given in responses.items():
            try:
                approval = await self._approvals.get(ctx, approval_id)
            except NotFound:
                continue
            if approval.run_id == asker and approval.pending:
                await self._decide(exchange, approval, mcp_types.ElicitResult.model_validate(given))

    async def cancel_task(self, exchange: Exchange, task_id: str) -> None:
        """Cancel a call of this caller, or a run."""
        if (run_id := self._follower.run_of(exchange.caller, task_id)) is not None:
            await self._follower.cancel(exchange.caller.ctx, run_id)
        else:
            await self._calls.cancel(exchange.caller.ctx, task_id)

    def _shown(self, exchange: Exchange, call: OutsideCall) -> dict[str, Any]:
        """Return a call as a task."""
        about: dict[str, Any] = {"created_at": call.created_at, "changed_at": call.changed_at}
        if call.approval is not None:
            about["message"] = f"It waits for a person: {call.approval.id}."
            if exchange.caller.is_person and exchange.can_be_asked:
                form = question(call.approval).model_dump(mode="json", by_alias=True, exclude_none=True)
                return task_of(call.id, "input_required", **about, inputRequests={call.approval.id: form})
            return task_of(call.id, "working", **about)
        if call.state in ("working", "cancelled"):
            return task_of(call.id, call.state, **about)
        if call.result is not None:
            result = result_of(call.result)
        elif isinstance(call.error, MosaicError):
            result = error_result(call.error)
        else:
            result = error_result(MosaicError("The call has failed."))
        shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return task_of(call.id, "completed", **about, result=shown)

    # -- resources and prompts ----------------------------------------------------------------------------------

    async def resources(self, exchange: Exchange, cursor: str | None) -> mcp_types.ListResourcesResult:
        """Return a page of runs and their reports; none to whom the policy shows none."""
        if not await self._may_read(exchange, "runs.list", {}):
            return mcp_types.ListResourcesResult(resources=[])
        return await self._resources.page(exchange.caller.ctx, cursor)

    async def templates(self, exchange: Exchange) -> list[mcp_types.ResourceTemplate]:  # noqa: ARG002  # the same for all
        """Return the patterns of addresses."""
        return self._resources.templates()

    async def read(self, exchange: Exchange, uri: str) -> mcp_types.ReadResourceResult:
        """Return what is at an address, if the policy lets the caller read it as a tool's result."""
        tool, arguments = self._resources.as_tool(uri)
        if not await self._may_read(exchange, tool, arguments):
            raise NotFound(f"There is nothing at {uri[:200]!r} for you.")
        return await self._resources.read(exchange.caller.ctx, uri)

    async def _may_read(self, exchange: Exchange, tool: str, arguments: dict[str, Any]) -> bool:
        ctx = exchange.caller.ctx
        return await self._calls.allows(
            ctx,
            tool=tool,
            arguments=arguments,
            toolbox=await self._outside.toolbox(ctx, view=exchange.view),
            policy=await self._outside.policy(ctx),
            client=f"mcp:{exchange.client}",
        )

    async def prompts(self, exchange: Exchange) -> list[mcp_types.Prompt]:  # noqa: ARG002  # the same for all
        """Return every prompt."""
        return self._prompts.all()

    async def prompt(
        self, exchange: Exchange, name: str, arguments: Mapping[str, str]
    ) -> mcp_types.GetPromptResult:
        """Return a prompt with its arguments filled in, with what it brings along."""

        async def read(uri: str) -> mcp_types.ReadResourceResult:
            return await self.read(exchange, uri)

        return await self._prompts.filled(exchange.caller.ctx, name, arguments, read=read)

    async def complete(self, exchange: Exchange, what: str, argument: str, begun: str) -> list[str]:
        """Return runs, or workflows, whose names go on like that."""
        if not await self._may_read(exchange, "runs.list", {}):
            return []
        return await self._prompts.completions(exchange.caller.ctx, what, argument, begun)

    async def check_watched(self, exchange: Exchange, uri: str) -> None:
        """Check that there is something at an address, for the caller."""
        await self.read(exchange, uri)

    def changes(self, exchange: Exchange) -> TenantChanges:
        """Return where the caller's tenant hears of changes."""
        ctx = exchange.caller.ctx
        if (known := self._changes.get(ctx.tenant)) is None:
            known = self._changes[ctx.tenant] = self._open_changes(ctx)
        return known


_unwatched: set[asyncio.Task[None]] = set()


def _afterwards(work: Coroutine[Any, Any, None]) -> None:
    """Do something that outlives the request that wants it."""
    task = asyncio.create_task(work)
    _unwatched.add(task)
    task.add_done_callback(_unwatched.discard)


async def _pulse(report: Callable[[str], None], call_id: str) -> None:
    """Say now and then that a call goes on, so that nobody in between takes it for dead."""
    while True:
        await asyncio.sleep(_PULSE_S)
        report(f"{call_id} goes on.")


def _pending(call: OutsideCall) -> MosaicError:
    hint = f"Ask again with {RESULT_TOOL.model_name}: call={call.id}."
    if call.approval is not None:
        return ApprovalNeeded(
            f"Nobody has answered yet: {call.approval.title} ({call.approval.id}). It runs once somebody approves.",
            hint=f"{hint} A person answers with: mosaic approvals approve {call.approval.id}",
            approval=call.approval,
            call_id=call.id,
        )
    return TimedOut("It has not ended yet, and goes on.", hint=hint, call_id=call.id)


def _key(exchange: Exchange) -> str | None:
    given = exchange.meta.get(_KEY_META) or exchange.headers.get(_KEY_HEADER)
    if given is None:
        return None
    if not isinstance(given, str) or not 1 <= len(given) <= _LONGEST_KEY:
        raise InvalidInput(f"An idempotency key is a text of at most {_LONGEST_KEY} characters.")
    return given


def _required(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidArguments(f"`{name}` is missing: a text.")
    return value


def _text(value: object, longest: int) -> str | None:
    return value[:longest] if isinstance(value, str) and value else None
