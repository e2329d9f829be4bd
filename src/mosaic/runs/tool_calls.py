"""Calls of tools from outside any run: a client asks for one, the tool door decides, the journal keeps it.

What the policy allows is called right away: one journaled effect, and nothing to recover, since the client waits.
What asks a person, and what has an idempotency key, is an execution of the engine: it outlives the process and the
client's connection, and its result can be picked up later.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from mosaic.core.context import Context
from mosaic.core.errors import Conflict, MosaicError, NotFound
from mosaic.core.values import JsonObject, JsonValue, content_hash
from mosaic.engine import Effects, Engine, Execution, ExecutionInfo, ExecutionStatus
from mosaic.events import Journal
from mosaic.storage import Database
from mosaic.tools import (
    Approval,
    ApprovalNeeded,
    Approvals,
    Decision,
    Policy,
    Toolbox,
    ToolDoor,
    ToolResult,
)

__all__ = ["TOOL_CALL_HANDLER", "CallState", "OutsideCall", "Reopen", "ToolCalls"]

TOOL_CALL_HANDLER = "tool_call"

Progress = Callable[[str], None]
Reopen = Callable[[Context, str | None], Awaitable[tuple[Toolbox, Policy]]]
"""Returns the tools and the policy of a context and a view, as they are now; another process may ask."""

CallState = Literal["working", "asking", "completed", "failed", "cancelled"]

_EFFECT = "call"
_OWNER_DIGITS = 16
_STATES: dict[ExecutionStatus, CallState] = {
    ExecutionStatus.QUEUED: "working",
    ExecutionStatus.RUNNING: "working",
    ExecutionStatus.SUCCEEDED: "completed",
    ExecutionStatus.FAILED: "failed",
    ExecutionStatus.DEAD: "failed",
    ExecutionStatus.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class OutsideCall:
    """Where a durable call stands.

    Attributes:
        id: by which its caller finds it; also the `run_id` of its approval and of its events.
        state: ``asking`` while a person has to answer.
        changed_at: when it ended, was asked about, or began.
        approval: what a person is asked, while one is.
        result: what it gave back, once it is completed.
        error: why it failed, once it has.
    """

    id: str
    state: CallState
    created_at: datetime
    changed_at: datetime
    approval: Approval | None = None
    result: ToolResult | None = None
    error: MosaicError | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """One call as its client asked for it."""

    tool: str
    arguments: JsonObject
    client: str
    why: str | None
    view: str | None
    workspace: str | None

    @property
    def folder(self) -> Path | None:
        return Path(self.workspace) if self.workspace is not None else None

    def to_json(self) -> JsonObject:
        return {
            "tool": self.tool,
            "arguments": self.arguments,
            "client": self.client,
            "why": self.why,
            "view": self.view,
            "workspace": self.workspace,
        }


class ToolCalls:
    """Calls tools for clients outside any run; schema, policy, approval, bounds and record are those of the door.

    Register it with the engine as the handler `TOOL_CALL_HANDLER`.

    Args:
        database: for withdrawing what a cancelled call asks.
        journal: keeps the calls.
        engine: keeps those that have to wait.
        approvals: what people are asked.
        door: calls.
        reopen: the tools and the policy, for a call that goes on in another process.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        engine: Engine,
        approvals: Approvals,
        door: ToolDoor,
        *,
        reopen: Reopen,
    ) -> None:
        self._database = database
        self._journal = journal
        self._engine = engine
        self._approvals = approvals
        self._door = door
        self._reopen = reopen
        self._watching: dict[str, set[Progress]] = {}

    async def call(
        self,
        ctx: Context,
        *,
        tool: str,
        arguments: JsonObject,
        toolbox: Toolbox,
        policy: Policy,
        client: str,
        idempotency_key: str | None = None,
        why: str | None = None,
        progress: Progress | None = None,
        begun: Callable[[str], None] | None = None,
        workspace: Path | None = None,
        view: str | None = None,
        durable: bool = False,
    ) -> ToolResult:
        """Call a tool once and return what it gave back.

        Args:
            ctx: who calls, and for which tenant and project.
            tool: a name in the toolbox.
            arguments: what it gets.
            toolbox: what may be called now.
            policy: what runs, asks, or is refused.
            client: the calling program, as people should see it.
            idempotency_key: of the caller's choice; a repeated call with it returns the first one's result.
            why: the caller's words; shown to approvers.
            progress: gets lines of text while the tool works.
            begun: told the call's id, before anything of a call that outlives its caller is written.
            workspace: what the tool is confined to.
            view: by which `reopen` finds the toolbox again.
            durable: outlive the connection even when nobody is asked and no key is given.

        Raises:
            ApprovalNeeded: if a person has to answer first; the call goes on by itself once somebody has. `data`
                holds its ``call_id`` for `wait`, `state` and `cancel`.
            Conflict: if the key was used for another call.
            MosaicError: as `ToolDoor.call` says.
        """
        wish = _Wish(tool, arguments, client, why, view, str(workspace) if workspace is not None else None)
        call_id = _call_id(ctx, idempotency_key)
        if not durable and idempotency_key is None:
            effects = Effects.open(self._journal, ctx.correlated(call_id), call_id)
            if not await self._asks(effects, wish, toolbox, policy):
                try:
                    return await self._through(effects, wish, toolbox, policy, progress)
                except ApprovalNeeded:
                    pass  # the policy has changed this very moment: what was asked is asked durably
        if begun is not None:
            begun(call_id)
        with self._watched(call_id, progress):
            await self.start(ctx, call_id, wish.to_json())
            return await self._settled(ctx, call_id)

    async def allows(
        self,
        ctx: Context,
        *,
        tool: str,
        arguments: JsonObject,
        toolbox: Toolbox,
        policy: Policy,
        client: str,
    ) -> bool:
        """Say whether a call would run without asking anybody; nothing is called or recorded."""
        if tool not in toolbox.names:
            return False
        effects = Effects.open(self._journal, ctx, _call_id(ctx, None))
        spec = toolbox.get(tool).spec_for(arguments)
        ruling = await self._door.judge(effects, spec, arguments, policy=policy, agent=client)
        return ruling.decision is Decision.ALLOW

    async def start(self, ctx: Context, call_id: str, wish: JsonObject) -> None:
        """Begin a durable call; the same one again does nothing.

        Raises:
            Conflict: if another call has the id.
        """
        ctx = ctx.correlated(call_id)
        asked = await Effects.open(self._journal, ctx, call_id).remember("wish", lambda: content_hash(wish))
        if asked != content_hash(wish):
            raise Conflict(
                "The idempotency key was used for another call.", hint="Choose a new key for each call."
            )
        await self._engine.start(
            ctx, execution_id=call_id, run_id=call_id, handler=TOOL_CALL_HANDLER, input=wish
        )

    async def wait(
        self, ctx: Context, call_id: str, *, timeout_s: float | None = None, progress: Progress | None = None
    ) -> ToolResult:
        """Return the result of a durable call of this caller once it has ended.

        Raises:
            NotFound: if the caller has no such call.
            TimedOut: if it has not ended in time; it goes on.
            MosaicError: as the call ended.
        """
        _require_own(ctx, call_id)
        with self._watched(call_id, progress):
            ended = await self._engine.wait(call_id, timeout_s=timeout_s, ctx=ctx)
        return _result(ended.unwrap())

    async def state(self, ctx: Context, call_id: str) -> OutsideCall:
        """Return where a durable call of this caller stands.

        Raises:
            NotFound: if the caller has no such call.
        """
        _require_own(ctx, call_id)
        found = [item for item in await self._engine.executions(ctx, call_id) if item.id == call_id]
        if not found:
            raise _unknown(call_id)
        return await self._state(ctx, found[0])

    async def cancel(self, ctx: Context, call_id: str) -> None:
        """Stop a durable call of this caller and withdraw what it asks; one that has ended stays as it is.

        Raises:
            NotFound: if the caller has no such call.
        """
        if (await self.state(ctx, call_id)).state not in ("working", "asking"):
            return
        await self._engine.cancel(ctx, call_id)
        async with self._database.transaction() as tx:
            await self._approvals.withdraw(tx, ctx.correlated(call_id), call_id)

    async def __call__(self, execution: Execution) -> JsonValue:
        """Make a durable call, waiting for a person where one has to answer; again after a crash."""
        wish = _Wish(**execution.input)
        while True:
            toolbox, policy = await self._reopen(execution.ctx, wish.view)
            try:
                result = await self._through(
                    execution.effects, wish, toolbox, policy, lambda line: self._tell(execution.id, line)
                )
                return result.to_json()
            except ApprovalNeeded as asked:
                approval_id = str(asked.data["approval_id"])
            await self._approvals.wait(execution, await self._approvals.get(execution.ctx, approval_id))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _asks(self, effects: Effects, wish: _Wish, toolbox: Toolbox, policy: Policy) -> bool:
        """Say whether the call would ask a person; the door decides, this only chooses how to reach it.

        Raises:
            UnknownTool: if there is no such tool.
        """
        found = toolbox.get(wish.tool)
        try:
            spec = found.spec_for(wish.arguments)
        except (MosaicError, KeyError, TypeError, ValueError):  # arguments that the door will refuse
            return False
        ruling = await self._door.judge(
            effects, spec, wish.arguments, policy=policy, workspace=wish.folder, agent=wish.client
        )
        return ruling.decision is Decision.ASK

    async def _through(
        self, effects: Effects, wish: _Wish, toolbox: Toolbox, policy: Policy, progress: Progress | None
    ) -> ToolResult:
        return await self._door.call(
            effects,
            _EFFECT,
            tool=wish.tool,
            arguments=wish.arguments,
            toolbox=toolbox,
            policy=policy,
            workspace=wish.folder,
            agent=wish.client,
            why=wish.why,
            progress=progress or _silent,
        )

    async def _settled(self, ctx: Context, call_id: str) -> ToolResult:
        """Return the result of a call, as soon as it has ended or asks.

        Raises:
            ApprovalNeeded: as soon as it asks.
        """
        ended = asyncio.ensure_future(self._engine.wait(call_id, ctx=ctx))
        asked = asyncio.ensure_future(self._asked(ctx, call_id))
        try:
            await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return _result(ended.result().unwrap())
            approval = asked.result()
        finally:
            for task in (ended, asked):
                task.cancel()
            await asyncio.gather(ended, asked, return_exceptions=True)
        raise ApprovalNeeded(
            f"The call waits for a person: {approval.id}.",
            hint=f"mosaic approvals approve {approval.id}",
            approval=approval,
            call_id=call_id,
        )

    async def _asked(self, ctx: Context, call_id: str) -> Approval:
        """Return what the call asks, once it asks something that nobody has answered."""
        async with aclosing(self._journal.tail(ctx, run_id=call_id)) as events:
            async for event in events:
                if event.type == "approval.requested":
                    approval = await self._approvals.get(ctx, str(event.data["approval"]))
                    if approval.pending:
                        return approval
        raise AssertionError("a tail has no end")

    async def _state(self, ctx: Context, found: ExecutionInfo) -> OutsideCall:
        state, changed_at = _STATES[found.status], found.finished_at or found.created_at
        if state == "working":
            pending = await self._approvals.list(ctx, status="pending", run_id=found.id, limit=1)
            if pending:
                asked = pending[0]
                return OutsideCall(found.id, "asking", found.created_at, asked.requested_at, approval=asked)
            return OutsideCall(found.id, state, found.created_at, changed_at)
        ended = await self._engine.wait(found.id, ctx=ctx)
        if ended.error is not None:
            return OutsideCall(found.id, state, found.created_at, changed_at, error=ended.error)
        return OutsideCall(found.id, state, found.created_at, changed_at, result=_result(ended.output))

    @contextmanager
    def _watched(self, call_id: str, progress: Progress | None) -> Iterator[None]:
        """Have `progress` told what a durable call says while it works in this process."""
        if progress is None:
            yield
            return
        watching = self._watching.setdefault(call_id, set())
        watching.add(progress)
        try:
            yield
        finally:
            watching.discard(progress)
            if not watching:
                self._watching.pop(call_id, None)

    def _tell(self, call_id: str, line: str) -> None:
        for progress in tuple(self._watching.get(call_id, ())):
            progress(line)


def _silent(_line: str) -> None:
    """Drop a progress line."""


def _result(recorded: JsonValue) -> ToolResult:
    return ToolResult.from_json(recorded if isinstance(recorded, dict) else {"content": recorded})


def _call_id(ctx: Context, idempotency_key: str | None) -> str:
    """Return an id that names its caller, and that nobody guesses; the same for the same caller and key."""
    if idempotency_key is None:
        return f"call_{_owner(ctx)}_{secrets.token_hex(16)}"
    return f"call_{_owner(ctx)}_{_digest(ctx.project, idempotency_key)[:32]}"


def _owner(ctx: Context) -> str:
    return _digest(ctx.tenant, str(ctx.actor))[:_OWNER_DIGITS]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


def _require_own(ctx: Context, call_id: str) -> None:
    if not call_id.startswith(f"call_{_owner(ctx)}_"):
        raise _unknown(call_id)


def _unknown(call_id: str) -> NotFound:
    return NotFound(f"There is no call {call_id[:100]!r} of yours.")
