"""What becomes of a call that passes: allowed, refused, or decided by a person; and its record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError, TimedOut
from mosaic.core.values import JsonObject
from mosaic.mcp_gateway.messages import Call, encoded, text_result
from mosaic.mcp_gateway.records import CallRecords
from mosaic.mcp_gateway.schemas import GatewayCaller
from mosaic.mcp_gateway.upstreams import Upstream
from mosaic.runs.tool_calls import ToolCalls
from mosaic.tools import ApprovalNeeded, Decision, Policy, Ruling, Toolbox, ToolRegistry, ToolResult, ToolSpec
from mosaic.tools.policies import PolicyCall, PolicyJudge
from mosaic.tools.results import shown_json

__all__ = ["CallJudge", "Judged"]

_SHOWN_CHARACTERS = 4_000
_OK = 400


class OutsideTools(Protocol):
    """The tools and the policy of calls outside runs."""

    async def toolbox(self, ctx: Context, *, view: str | None = None) -> Toolbox:
        """Return the tools."""
        ...

    async def policy(self, ctx: Context) -> Policy:
        """Return the policy."""
        ...


@dataclass(slots=True)
class Judged:
    """A call on its way.

    Attributes:
        answer: the result, where the call does not go to the server from here.
        status: what the server answered with.
    """

    answer: bytes | None = None
    status: int = 0


class CallJudge:
    """Decides calls by quarantine, allow-lists, policy and limits, and records those that pass.

    Args:
        registry: what is approved.
        judge: the installation's policy.
        outside: tools and policy of calls outside runs.
        calls: makes calls that a person decides.
        records: the record.
        wait_s: how long such a call keeps its client waiting.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        judge: PolicyJudge,
        outside: OutsideTools,
        calls: ToolCalls,
        *,
        records: CallRecords,
        wait_s: float,
    ) -> None:
        self._registry = registry
        self._judge = judge
        self._outside = outside
        self._calls = calls
        self._records = records
        self._wait_s = wait_s

    async def close(self) -> None:
        """Write what is left of the record."""
        await self._records.close()

    @asynccontextmanager
    async def judged(
        self, caller: GatewayCaller, upstream: Upstream, call: Call, call_id: str
    ) -> AsyncIterator[Judged]:
        """Judge a call; it counts against limits and is recorded when the block ends.

        Raises:
            InvalidInput: if the server has no such tool, as it is approved.
        """
        ctx, name = caller.ctx, upstream.record.name
        if (why := self._registry.blocked(ctx.tenant, name, call.tool)) is not None:
            full = f"{name}.{call.tool}"
            self._note(ctx, "tool.denied", call_id, _about(full, None, call, caller, reason=why))
            yield Judged(
                text_result(
                    f"The tool {full} is in quarantine: {why}. A person has to look at it: mosaic tools show {full}",
                    is_error=True,
                )
            )
            return
        spec = upstream.specs.get(call.tool)
        if spec is None:
            raise InvalidInput(
                f"The MCP server {name} has no tool {call.tool[:100]!r}.", hint="List its tools."
            )
        policy = await self._outside.policy(ctx)
        # As the tool door does: the client is the agent, and a call outside any run belongs to who makes it.
        asked = PolicyCall(spec, call.arguments, ctx, run_id=call_id, owner=ctx.actor)
        ruling = await self._judge.judge(policy, asked)
        if ruling.decision is Decision.DENY:
            data = _about(spec.name, spec, call, caller, reason=ruling.reason, ruling=ruling)
            self._note(ctx, "tool.denied", call_id, data)
            yield Judged(text_result(f"The policy refuses {spec.name}: {ruling.reason}.", is_error=True))
            return
        if ruling.decision is Decision.ASK:
            yield Judged(await self._asked(caller, spec, call, policy))
            return
        await self._records.room()
        with self._judge.entered(spec.name, ctx.tenant):
            began, judged = monotonic(), Judged()
            failure: str | None = None
            try:
                yield judged
            except MosaicError as error:
                failure = error.code
                raise
            finally:
                self._passed(caller, spec, call, call_id, ruling, judged, failure, began)

    async def _asked(self, caller: GatewayCaller, spec: ToolSpec, call: Call, policy: Policy) -> bytes:
        """Make a call through the tool door: a person decides, and the client waits a while for it."""
        toolbox = await self._outside.toolbox(caller.ctx)
        call_id: str | None = None
        try:
            try:
                result = await self._calls.call(
                    caller.ctx,
                    tool=spec.name,
                    arguments=call.arguments,
                    toolbox=toolbox,
                    policy=policy,
                    client=caller.principal,
                )
            except ApprovalNeeded as asked:
                call_id = asked.data.get("call_id")
                if call_id is None:
                    raise
                result = await self._calls.wait(caller.ctx, call_id, timeout_s=self._wait_s)
        except TimedOut as error:
            if call_id is None:
                return _failed(error)
            return text_result(
                f"{spec.name} waits for a person and runs once they agree; do not call it again. Its result will be "
                f"found under {call_id}: mosaic tools result {call_id}",
                is_error=True,
            )
        except MosaicError as error:
            return _failed(error)
        return _told(result)

    def _passed(
        self,
        caller: GatewayCaller,
        spec: ToolSpec,
        call: Call,
        call_id: str,
        ruling: Ruling,
        judged: Judged,
        failure: str | None,
        began: float,
    ) -> None:
        if failure is None and not judged.status:
            failure = "cancelled"
        elif failure is None and judged.status >= _OK:
            failure = f"http_{judged.status}"
        data = _about(spec.name, spec, call, caller, ruling=ruling)
        data["duration_ms"] = round((monotonic() - began) * 1_000)
        if failure is not None:
            data["error"] = {"code": failure}
        self._note(caller.ctx, "tool.failed" if failure else "tool.called", call_id, data)
        if ruling.audited:
            data = {
                **data,
                "outcome": "failed" if failure else "succeeded",
                "decision": ruling.decision.value,
            }
            self._note(caller.ctx, "audit.tool_called", call_id, data)

    def _note(self, ctx: Context, event: str, call_id: str, data: JsonObject) -> None:
        self._records.add(ctx, event, data, correlation=call_id)


def _about(
    name: str,
    spec: ToolSpec | None,
    call: Call,
    caller: GatewayCaller,
    *,
    reason: str | None = None,
    ruling: Ruling | None = None,
) -> JsonObject:
    data: JsonObject = {
        "tool": name,
        "risk": spec.risk.value if spec is not None else None,
        "agent": caller.principal,
        "arguments": shown_json(call.arguments, _SHOWN_CHARACTERS),
        "via": "mcp-gateway",
    }
    if ruling is not None:
        data["policy"] = ruling.to_json()
    if reason is not None:
        data["reason"] = reason
    return data


def _failed(error: MosaicError) -> bytes:
    hint = f" {error.hint}" if error.hint else ""
    return text_result(f"{error.message}{hint}", is_error=True)


def _told(result: ToolResult) -> bytes:
    """Return what the door gave back in the form of the protocol."""
    content = result.content
    is_blocks = isinstance(content, list) and bool(content)
    if is_blocks and all(isinstance(block, dict) and "type" in block for block in content or ()):  # type: ignore[union-attr]  # a list, see above
        return encoded({"content": content, "isError": result.is_error, "resultType": "complete"})
    if isinstance(content, str):
        return text_result(content, is_error=result.is_error)
    shown: JsonObject = {
        "content": [{"type": "text", "text": encoded(content).decode()}],
        "isError": result.is_error,
        "resultType": "complete",
    }
    if isinstance(content, dict) and not result.is_error and not result.truncated:
        shown["structuredContent"] = content
    return encoded(shown)
