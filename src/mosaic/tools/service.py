"""The tool door: the one way by which anything an agent or a step does reaches the world."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic.core.errors import (
    ContractViolation,
    MosaicError,
    PolicyDenied,
    TimedOut,
    ToolFailed,
)
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Effects, Outcome, RetryPolicy, Safety
from mosaic.events import NewEvent
from mosaic.storage import BlobStore
from mosaic.tools.approvals import ApprovalNeeded, Approvals
from mosaic.tools.errors import InvalidArguments
from mosaic.tools.figures import ToolFigures
from mosaic.tools.interfaces import CostSoFar, DoorKeys, Invocation, Tool
from mosaic.tools.policies import PolicyCall, PolicyJudge
from mosaic.tools.policy import Policy, Ruling
from mosaic.tools.results import Bounds, bounded_result, shown_json
from mosaic.tools.sandbox import Doors, Sandboxes
from mosaic.tools.schemas import (
    Approval,
    ApprovalRequest,
    Decision,
    ToolEffect,
    ToolResult,
    ToolSpec,
)
from mosaic.tools.settings import ToolSettings
from mosaic.tools.toolbox import Toolbox
from mosaic.tools.validation import problems_of, strict_json

__all__ = ["ToolDoor"]


def _silent(_line: str) -> None:
    """Drop a progress line."""


async def _unknown_cost(*_: object) -> str | None:
    """Know nothing."""
    return None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call on its way through the door."""

    effects: Effects
    name: str
    tool: Tool
    spec: ToolSpec
    ruling: Ruling
    policy: Policy
    arguments: JsonObject
    workspace: Path | None
    agent: str | None
    why: str | None
    progress: Callable[[str], None]
    approval: Approval | None = None


class ToolDoor:
    """Calls tools: exists? arguments valid? allowed? approved? then once, in time, checked, masked, journaled.

    Args:
        approvals: asks people.
        redactor: masks secrets in results and in what is shown.
        blobs: keeps output that is too long.
        settings: bounds.
        cost_so_far: tells an approver what the run has cost.
        judge: the installation's policy; None for none beyond what each call brings along.
        doors: lets commands reach the model gateway and this door, where the settings give them that for a network.
    """

    def __init__(
        self,
        approvals: Approvals,
        *,
        redactor: Redactor,
        blobs: BlobStore,
        settings: ToolSettings | None = None,
        cost_so_far: CostSoFar = _unknown_cost,
        judge: PolicyJudge | None = None,
        doors: DoorKeys | None = None,
    ) -> None:
        self.approvals = approvals
        self.settings = settings or ToolSettings()
        self.figures = ToolFigures()
        self._sandboxes = Sandboxes(self.settings.sandbox)
        self._redactor = redactor
        self._blobs = blobs
        self._cost_so_far = cost_so_far
        self._judge = judge or PolicyJudge()
        self._doors = doors

    async def call(
        self,
        effects: Effects,
        name: str,
        *,
        tool: str,
        arguments: JsonObject,
        toolbox: Toolbox,
        policy: Policy,
        workspace: Path | None = None,
        agent: str | None = None,
        why: str | None = None,
        retry: RetryPolicy | None = None,
        progress: Callable[[str], None] = _silent,
    ) -> ToolResult:
        """Call a tool once, as the effect `name`; a replay returns the recorded result and touches nothing.

        Args:
            effects: where the call is recorded.
            name: unique at that path. Used besides: ``<name>/approval``, ``<name>/refused``, ``<name>/<attempt>``.
            tool: a name in the toolbox.
            arguments: what the tool gets.
            toolbox: the tools of the run.
            policy: what runs, asks, or is refused.
            workspace: the worktree the tool is confined to.
            agent: who calls; shown to approvers.
            why: the caller's words; shown to approvers.
            retry: tries again what failed in a retryable way, where the tool allows it.
            progress: gets lines of text while the tool works.

        Returns:
            The result. `is_error` says that the tool reports a failure, or that a person said no.

        Raises:
            TenantViolation: if the tools are another tenant's.
            UnknownTool: if there is no such tool.
            InvalidArguments: if the arguments do not fit its schema.
            PolicyDenied: if the policy refuses.
            ApprovalNeeded: if a person has to answer first; not recorded. Wait for the signal named by the
                approval's id (`Approvals.wait`), then call again with the same name.
            TimedOut, ToolFailed: if it took too long, or failed.
            ContractViolation: if it answered outside its contract.
            OutcomeUnknown: if a crash cut an unsafe call short.
        """
        if (known := await self._recorded(effects, name, retry.attempts if retry else 0)) is not None:
            return known
        found = toolbox.for_tenant(effects.ctx).get(tool)
        self._check_arguments(found.spec, arguments)
        spec = found.spec_for(arguments)
        ruling = await self.judge(effects, spec, arguments, policy=policy, workspace=workspace, agent=agent)
        call = _Call(effects, name, found, spec, ruling, policy, arguments, workspace, agent, why, progress)
        if ruling.decision is Decision.DENY:
            return await self._deny(call)
        # What was asked stays asked: the answer counts, also where it made a rule that allows such calls.
        if ruling.decision is Decision.ASK or await effects.was_recorded(f"{name}/approval"):
            approval = await self._ask(call)
            if not approval.approved:
                return await self._rejected(call, approval)
            call = await self._as_approved(call, approval)
        return await self._run(call, retry)

    async def judge(
        self,
        effects: Effects,
        spec: ToolSpec,
        arguments: JsonObject,
        *,
        policy: Policy,
        workspace: Path | None = None,
        agent: str | None = None,
    ) -> Ruling:
        """Say what would become of a call now: whether it runs, asks or is refused, and by which rule."""
        return await self._judge.judge(
            policy,
            PolicyCall(
                spec,
                arguments,
                effects.ctx,
                agent=agent or "",
                workflow=policy.workflow,
                run_id=effects.run_id,
                workspace=workspace,
                owner=effects.owner,
            ),
        )

    # -- before -------------------------------------------------------------------------------------------------

    async def _recorded(self, effects: Effects, name: str, attempts: int) -> ToolResult | None:
        """Return what is recorded, before anything that may have changed since is asked: tools, policy, people."""
        for recorded in (name, f"{name}/refused"):
            if await effects.was_recorded(recorded):
                return _from_effect(await effects.effect(recorded, _never))
        for number in range(1, attempts + 1):
            if await effects.was_recorded(f"{name}/{number}"):
                with contextlib.suppress(
                    MosaicError
                ):  # a failed attempt; the last one is raised by `retrying`
                    return _from_effect(await effects.effect(f"{name}/{number}", _never))
        return None

    def _check_arguments(self, spec: ToolSpec, arguments: JsonObject) -> None:
        try:
            strict_json(arguments, what="The caller", limit_bytes=self.settings.arguments_bytes)
        except ContractViolation as error:
            raise InvalidArguments(f"The arguments of {spec.name} are unusable: {error.message}") from error
        if problems := problems_of(arguments, spec.input_schema):
            raise InvalidArguments(
                f"The arguments of {spec.name} do not fit: {'; '.join(str(problem) for problem in problems)[:2_000]}",
                problems=problems,
                tool=spec.name,
            )

    async def _deny(self, call: _Call) -> ToolResult:
        refusal = PolicyDenied(
            f"The policy refuses {call.spec.name}: {call.ruling.reason}.",
            hint="Change `policies` in the workflow, if it should be allowed."
            if call.ruling.rule is None
            else f"`mosaic policy explain {call.spec.name}` shows the rules that look at such calls.",
            tool=call.spec.name,
            policy=call.ruling.to_json(),
        )

        async def refuse(_: EffectCall) -> Outcome:
            raise refusal

        def events(_: MosaicError) -> list[NewEvent]:
            return [NewEvent("tool.denied", {**self._shown(call), "reason": call.ruling.reason})]

        return _from_effect(
            await call.effects.effect(
                f"{call.name}/refused", refuse, safety=Safety.REPEATABLE, events_on_error=events
            )
        )

    async def _ask(self, call: _Call) -> Approval:
        """Return the approval of this call as it stands.

        Raises:
            ApprovalNeeded: while nobody has answered.
        """
        name = f"{call.name}/approval"
        asked_before = await call.effects.was_recorded(name)
        request = ApprovalRequest("tool", "") if asked_before else await self._request(call)
        approval = await self.approvals.request(call.effects, name, request)
        if approval.pending:
            raise ApprovalNeeded(
                f"{call.spec.name} waits for a person: {approval.id}.",
                hint=f"mosaic approvals approve {approval.id}",
                approval=approval,
            )
        return approval

    async def _request(self, call: _Call) -> ApprovalRequest:
        spec, rule = call.spec, call.ruling.approval or call.policy.rule(call.spec)
        invocation = self._invocation(call, EffectCall("preview", 1))
        try:
            async with asyncio.timeout(spec.timeout_s):
                preview = await call.tool.preview(invocation, call.arguments)
        except (MosaicError, TimeoutError) as error:
            preview = {"note": f"It cannot be shown what this would do: {error or 'it took too long'}"}
        who = call.agent or "A step"
        cost = await self._cost_so_far(call.effects.ctx, call.effects.run_id)
        detail: JsonObject = {
            "tool": spec.name,
            "description": spec.description,
            "risk": spec.risk.value,
            "effects": sorted(effect.value for effect in spec.effects),
            "reason": call.ruling.reason,
            "policy": {**call.ruling.to_json(), "remember": call.ruling.remember, "tool": spec.known_as},
            "arguments": shown_json(call.arguments, 20_000),
            **preview,
            "why": call.why,
            "agent": call.agent,
            "cost_so_far": cost,
            "on_approve": f"{spec.name} runs once with these arguments, then the run goes on.",
            "on_reject": f"{spec.name} does not run; {who} is told so, with your note, and goes on without it.",
        }
        return ApprovalRequest(
            kind="tool",
            title=f"{who} wants to call {spec.name}",
            detail=detail,
            rule=rule,
            arguments=call.arguments,
            arguments_schema=spec.input_schema,
        )

    async def _rejected(self, call: _Call, approval: Approval) -> ToolResult:
        """Record that a person, or silence, said no."""
        said = f" {approval.decided_by} wrote: {approval.note}" if approval.note else ""
        message = f"{call.spec.name} was not approved ({approval.status.value}).{said}"
        content: JsonObject = {"error": "not_approved", "message": message, "approval": approval.id}

        async def record(_: EffectCall) -> Outcome:
            event = NewEvent(
                "tool.rejected", {**self._shown(call), "approval": approval.id, "note": approval.note}
            )
            return Outcome(ToolResult(content, is_error=True).to_json(), events=(event,))

        return _from_effect(
            await call.effects.effect(f"{call.name}/refused", record, safety=Safety.REPEATABLE)
        )

    async def _as_approved(self, call: _Call, approval: Approval) -> _Call:
        if approval.arguments is None:
            return replace(call, approval=approval)
        self._check_arguments(call.tool.spec, approval.arguments)
        spec = call.tool.spec_for(approval.arguments)
        ruling = await self.judge(
            call.effects,
            spec,
            approval.arguments,
            policy=call.policy,
            workspace=call.workspace,
            agent=call.agent,
        )
        if ruling.decision is Decision.DENY:
            raise PolicyDenied(f"The policy refuses {spec.name} with the edited arguments: {ruling.reason}.")
        if ruling.decision is Decision.ASK and ruling.approval not in (None, call.ruling.approval):
            raise PolicyDenied(
                f"{spec.name} with the edited arguments needs another approval than it got: {ruling.reason}.",
                hint="Call it with these arguments, so that those are asked who must be.",
            )
        return replace(call, approval=approval, arguments=approval.arguments, spec=spec, ruling=ruling)

    # -- the call -----------------------------------------------------------------------------------------------

    async def _run(self, call: _Call, retry: RetryPolicy | None) -> ToolResult:
        if retry is None or retry.attempts <= 1 or not call.spec.retries:
            return await self._attempt(call, call.name, 1)

        async def attempt(number: int) -> ToolResult:
            return await self._attempt(call, f"{call.name}/{number}", number)

        return await call.effects.retrying(call.name, attempt, retry)

    async def _attempt(self, call: _Call, name: str, number: int) -> ToolResult:
        began = time.monotonic()

        async def execute(effect: EffectCall) -> Outcome:
            result = await self._execute(call, effect, number)
            return Outcome(result.to_json(), events=self._events(call, began, result=result))

        def failed(error: MosaicError) -> tuple[NewEvent, ...]:
            return self._events(call, began, error=error)

        return _from_effect(
            await call.effects.effect(name, execute, safety=call.spec.safety, events_on_error=failed)
        )

    async def _execute(self, call: _Call, effect: EffectCall, number: int) -> ToolResult:
        spec, invocation = call.spec, self._invocation(call, effect, number)
        if call.workspace is not None and invocation.scratch is not None:
            invocation.scratch.mkdir(parents=True, exist_ok=True)
        try:
            with self._judge.entered(spec.name, call.effects.ctx.tenant):
                async with asyncio.timeout(spec.timeout_s + spec.stop_s) as limit:
                    result = await call.tool.call(invocation, call.arguments)
        except TimeoutError as error:
            if not limit.expired():
                raise ToolFailed(f"{spec.name} gave up: it ran into a timeout of its own.") from error
            raise TimedOut(
                f"{spec.name} took longer than {spec.timeout_s:g} s.",
                hint="Give it more time (`timeout` in the workflow's `tools:`), or less to do.",
                tool=spec.name,
            ) from None
        return await self._checked(spec, result)

    async def _checked(self, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Check a result against its contract, bound it and mask secrets."""
        if not isinstance(result, ToolResult):
            raise ContractViolation(f"{spec.name} returned a {type(result).__name__} and no ToolResult.")
        bounds = Bounds(spec.result_bytes or self.settings.result_bytes, self.settings.kept_bytes)
        if spec.output_schema is not None and not result.is_error and not result.truncated:
            content, _ = strict_json(result.content, what=spec.name, limit_bytes=4 * bounds.kept_bytes)
            if problems := problems_of(content, spec.output_schema, root="result"):
                raise ContractViolation(
                    f"{spec.name} answered outside its schema: {'; '.join(map(str, problems))[:1_000]}",
                    tool=spec.name,
                )
        return await bounded_result(result, bounds, what=spec.name, redactor=self._redactor, keep=self._keep)

    async def _keep(self, data: bytes) -> str:
        """Store output whole, secrets masked."""
        return await self._blobs.put(self._redactor.text(data.decode("utf-8", "replace")).encode())

    def _invocation(self, call: _Call, effect: EffectCall, number: int = 1) -> Invocation:
        return Invocation(
            ctx=call.effects.ctx,
            run_id=call.effects.run_id,
            path=call.effects.path,
            agent=call.agent,
            workspace=call.workspace,
            idempotency_key=effect.idempotency_key,
            timeout_s=call.spec.timeout_s,
            progress=self._guarded(call.progress),
            attempt=number,
            network=call.policy.allows(ToolEffect.NETWORK),
            network_granted=call.policy.grants(ToolEffect.NETWORK),
            doors=lambda: self._doors_of(call),
            keep=self._keep,
            sandboxes=self._sandboxes,
        )

    def _doors_of(self, call: _Call) -> contextlib.AbstractAsyncContextManager[Doors | None]:
        allowed, granted = call.policy.allows(ToolEffect.NETWORK), call.policy.grants(ToolEffect.NETWORK)
        if self._doors is None or not self._sandboxes.gives_doors(allowed, granted=granted):
            return contextlib.nullcontext()
        return self._doors(call.effects.ctx, call.effects.run_id, call.spec.timeout_s + call.spec.stop_s)

    def _guarded(self, progress: Callable[[str], None]) -> Callable[[str], None]:
        def tell(line: str) -> None:
            with contextlib.suppress(Exception):  # whoever watches must not break what is watched
                progress(self._redactor.text(line))

        return tell

    # -- what is journaled --------------------------------------------------------------------------------------

    def _shown(self, call: _Call) -> JsonObject:
        return {
            "tool": call.spec.name,
            "risk": call.spec.risk.value,
            "agent": call.agent,
            "arguments": shown_json(call.arguments, self.settings.event_characters),
            "policy": call.ruling.to_json(),
        }

    def _events(
        self, call: _Call, began: float, *, result: ToolResult | None = None, error: MosaicError | None = None
    ) -> tuple[NewEvent, ...]:
        seconds = time.monotonic() - began
        shown: JsonObject = {**self._shown(call), "duration_ms": round(seconds * 1_000)}
        if call.approval is not None:
            shown["approval"] = call.approval.id
            shown["approved_by"] = call.approval.decided_by
            shown["edited"] = call.approval.arguments is not None
        failed = error is not None or (result is not None and result.is_error)
        self.figures.note(call.spec, seconds, failed=failed)
        if error is not None:
            shown["error"] = {"code": error.code, "message": error.message[:2_000]}
        elif result is not None:
            shown["result"] = shown_json(result.content, self.settings.event_characters)
            if result.blob is not None:
                shown["blob"] = result.blob
        events = [NewEvent("tool.failed" if failed else "tool.called", shown)]
        if call.ruling.audited:
            audit = {key: shown[key] for key in shown if key not in ("result", "arguments")}
            digest = json.dumps(call.arguments, sort_keys=True, ensure_ascii=True, default=str)[:500]
            outcome = "failed" if failed else "succeeded"
            audited = {
                **audit,
                "arguments": digest,
                "outcome": outcome,
                "decision": call.ruling.decision.value,
            }
            events.append(NewEvent("audit.tool_called", audited))
        return tuple(events)


def _from_effect(recorded: JsonValue) -> ToolResult:
    return ToolResult.from_json(recorded if isinstance(recorded, dict) else {"content": recorded})


async def _never(_: EffectCall) -> Outcome:
    raise ToolFailed("A recorded call was made again.")
