"""Questions to people: asked durably, answered once, from any process, at any time."""

import builtins
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mosaic.core.clock import Clock, now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, MosaicError, NotFound, PermissionDenied
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Effects, Execution, Outcome, Safety
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database, Transaction
from mosaic.tools.errors import InvalidArguments
from mosaic.tools.interfaces import Roles, SignalSender
from mosaic.tools.repository import ApprovalRow, ApprovalsRepository
from mosaic.tools.schemas import Approval, ApprovalRequest, ApprovalStatus
from mosaic.tools.validation import problems_of

__all__ = ["ApprovalNeeded", "Approvals", "LocalOwner"]

_TIMEOUT = Actor("system", "timeout")
_RUN_ENDED = Actor("system", "run-ended")
_MOST_LISTED = 1_000
_NOTE_CHARACTERS = 4_000


class ApprovalNeeded(MosaicError):
    """A person must answer first. Not a failure: wait for the signal named `approval.id`, then call again.

    Attributes:
        approval: what is being asked; `data` holds its ``approval_id``.
    """

    code = "approval_needed"
    http_status = 409

    def __init__(
        self, message: str, *, approval: Approval | None = None, hint: str | None = None, **data: Any
    ) -> None:
        if approval is not None:
            data.setdefault("approval_id", approval.id)
        super().__init__(message, hint=hint, **data)
        self.approval = approval


class LocalOwner:
    """Roles of an installation with one owner: a person holds every role, nobody else holds any."""

    async def holds_any(self, ctx: Context, roles: Sequence[str]) -> bool:  # noqa: ARG002  # the owner has all of them
        """Say whether the actor is a person."""
        return ctx.actor.kind == "user"


class Approvals:
    """Asks, lists and decides.

    A decision, its event and the signal that wakes the run are one transaction. An approval whose time has passed
    is decided by its `on_timeout` at the next look, whoever looks, so silence counts also while no run is awake.

    Args:
        database: where approvals are kept.
        journal: gets ``approval.requested``, ``approval.decided`` and ``approval.expired``.
        signals: wakes the run; the engine.
        roles: says who holds which role.
        redactor: masks secrets in what is shown.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        signals: SignalSender,
        *,
        roles: Roles | None = None,
        redactor: Redactor | None = None,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._signals = signals
        self._roles: Roles = roles or LocalOwner()
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._repository = ApprovalsRepository()

    async def request(self, effects: Effects, name: str, request: ApprovalRequest) -> Approval:
        """Ask once, as the effect `name`; asking again returns the same approval as it now stands.

        The row, the event and the effect are one transaction.
        """

        async def ask(_: EffectCall) -> Outcome:
            asked = self._new(effects, request)
            insert = self._repository.insert(
                effects.ctx.tenant, effects.ctx.project, asked, arguments_schema=request.arguments_schema
            )
            shown = {
                "approval": asked.id,
                "kind": asked.kind,
                "title": asked.title,
                "roles": list(asked.roles),
                "expires_at": asked.expires_at.isoformat() if asked.expires_at else None,
                "detail": asked.detail,
            }
            return Outcome(
                {"approval": asked.id}, events=(NewEvent("approval.requested", shown),), writes=(insert,)
            )

        recorded = await effects.effect(name, ask, safety=Safety.REPEATABLE)
        if not isinstance(recorded, dict):
            raise NotFound(f"The effect {name} of {effects.path} is no approval.")
        return await self.get(effects.ctx, str(recorded["approval"]))

    async def get(self, ctx: Context, approval_id: str) -> Approval:
        """Return an approval; one whose time has passed is decided first.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        found = (await self._row(ctx, approval_id)).value
        if found.pending and found.expires_at is not None and found.expires_at <= self._clock():
            await self._expire(ctx, found)
            return (await self._row(ctx, approval_id)).value
        return found

    async def list(
        self,
        ctx: Context,
        *,
        status: ApprovalStatus | str | None = None,
        run_id: str | None = None,
        limit: int = _MOST_LISTED,
    ) -> builtins.list[Approval]:
        """Return the tenant's approvals, oldest first; those whose time has passed are decided first.

        Raises:
            InvalidInput: if `status` is none.
        """
        try:
            wanted = ApprovalStatus(status) if status is not None else None
        except ValueError:
            choices = ", ".join(ApprovalStatus)
            raise InvalidInput(f"{status!r} is no approval status.", hint=f"One of: {choices}") from None
        await self.expire_due(ctx)
        async with self._database.transaction(read_only=True) as tx:
            rows = await self._repository.list(
                tx, ctx.tenant, status=wanted, run_id=run_id, limit=min(limit, _MOST_LISTED)
            )
        return [row.value for row in rows]

    async def decide(
        self,
        ctx: Context,
        approval_id: str,
        *,
        approve: bool,
        note: str | None = None,
        arguments: JsonObject | None = None,
        answer: JsonValue = None,
    ) -> Approval:
        """Answer, and wake the run.

        Args:
            ctx: who answers.
            approval_id: which one.
            approve: yes or no.
            note: a word to whoever asked; the agent reads it.
            arguments: other arguments than those that were asked about; only with yes, only for a tool.
            answer: the answer to a question of kind ``ask``.

        Raises:
            NotFound: if the tenant has none with that id.
            Conflict: if it is decided already.
            PermissionDenied: if the actor holds none of its roles.
            InvalidInput: if arguments or answer do not fit.
        """
        before = await self.get(ctx, approval_id)
        row = await self._row(ctx, approval_id)
        if not before.pending:
            raise _decided_already(before)
        if not await self._roles.holds_any(ctx, before.roles):
            needed = f"one of the roles {', '.join(before.roles)}" if before.roles else "a person"
            raise PermissionDenied(f"{ctx.actor} may not answer {approval_id}; it needs {needed}.")
        self._check_answer(row, approve=approve, arguments=arguments, answer=answer)
        note = self._redactor.text(note)[:_NOTE_CHARACTERS].replace("\0", "") if note else None
        status = ApprovalStatus.APPROVED if approve else ApprovalStatus.REJECTED
        async with self._database.transaction() as tx:
            decided = await self._repository.decide(
                tx,
                ctx.tenant,
                approval_id,
                status=status,
                decided_by=str(ctx.actor),
                decided_at=self._clock(),
                note=note,
                arguments=arguments,
                answer=answer,
            )
            if decided:
                shown: JsonObject = {"note": note, "edited": arguments is not None}
                await self._announce(tx, ctx, before, status, "approval.decided", shown)
        now_stands = await self.get(ctx, approval_id)
        if not decided:
            raise _decided_already(now_stands)
        return now_stands

    async def wait(self, execution: Execution, approval: Approval) -> Approval:
        """Wait in a handler until somebody answers or the time is up; returns the approval as decided."""
        timeout_s = None
        if approval.expires_at is not None:
            timeout_s = max(0.0, (approval.expires_at - approval.requested_at).total_seconds())
        while approval.pending:
            signal = await execution.wait_signal(approval.id, timeout_s=timeout_s)
            approval = await self.get(execution.ctx, approval.id)
            if signal is None and approval.pending:
                # The recorded wait is over by another clock than ours.
                await self._expire(execution.ctx, approval)
                approval = await self.get(execution.ctx, approval.id)
        return approval

    async def expire_due(self, ctx: Context) -> int:
        """Decide every approval of the tenant whose time has passed; returns how many."""
        async with self._database.transaction(read_only=True) as tx:
            due = await self._repository.due(tx, ctx.tenant, self._clock())
        for approval_id in due:
            await self._expire(ctx, (await self._row(ctx, approval_id)).value)
        return len(due)

    async def withdraw(self, tx: Transaction, ctx: Context, run_id: str) -> int:
        """Close what a run that has ended still asks, in the caller's transaction; returns how many."""
        open_ones = await self._repository.list(
            tx, ctx.tenant, status=ApprovalStatus.PENDING, run_id=run_id, limit=_MOST_LISTED
        )
        events = []
        for row in open_ones:
            await self._repository.decide(
                tx,
                ctx.tenant,
                row.value.id,
                status=ApprovalStatus.EXPIRED,
                decided_by=str(_RUN_ENDED),
                decided_at=self._clock(),
                note="The run has ended.",
            )
            shown = {"approval": row.value.id, "status": ApprovalStatus.EXPIRED.value, "by": str(_RUN_ENDED)}
            events.append(NewEvent("approval.expired", shown, run_id=run_id, path=row.value.path))
        await self._journal.append(tx, ctx, events)
        return len(events)

    async def _row(self, ctx: Context, approval_id: str) -> ApprovalRow:
        async with self._database.transaction(read_only=True) as tx:
            row = await self._repository.get(tx, ctx.tenant, approval_id)
        if row is None:
            raise NotFound(f"There is no approval {approval_id!r}.", hint="List them: mosaic approvals list")
        return row

    def _new(self, effects: Effects, request: ApprovalRequest) -> Approval:
        asked_at, detail = self._clock(), self._redactor.value(request.detail)
        rule = request.rule
        return Approval(
            id=new_id("apr"),
            run_id=effects.run_id,
            path=effects.path,
            kind=request.kind,
            title=self._redactor.text(request.title)[:500].replace("\0", ""),
            detail=detail if isinstance(detail, dict) else {},
            roles=rule.roles,
            status=ApprovalStatus.PENDING,
            requested_by=str(effects.ctx.actor),
            requested_at=asked_at,
            expires_at=asked_at + timedelta(seconds=rule.timeout_s) if rule.timeout_s is not None else None,
            on_timeout=rule.on_timeout,
        )

    async def _expire(self, ctx: Context, approval: Approval) -> None:
        """Let silence decide; does nothing when somebody was faster."""
        status = ApprovalStatus.APPROVED if approval.on_timeout == "approve" else ApprovalStatus.EXPIRED
        moment: datetime = max(self._clock(), approval.expires_at or self._clock())
        async with self._database.transaction() as tx:
            decided = await self._repository.decide(
                tx,
                ctx.tenant,
                approval.id,
                status=status,
                decided_by=str(_TIMEOUT),
                decided_at=self._clock(),
                note="Nobody answered in time.",
                expired_before=moment,
            )
            if decided:
                by = replace(ctx, actor=_TIMEOUT)
                await self._announce(tx, by, approval, status, "approval.expired", {})
        # Whoever was faster has told the run.

    async def _announce(
        self,
        tx: Transaction,
        ctx: Context,
        approval: Approval,
        status: ApprovalStatus,
        event: str,
        more: JsonObject,
    ) -> None:
        """Wake the run and journal the decision; the journal comes last, it holds up others until the commit."""
        told: JsonObject = {"approval": approval.id, "status": status.value}
        await self._signals.send_signal(tx, ctx, approval.run_id, approval.id, told)
        shown = {**told, "by": str(ctx.actor), "title": approval.title, **more}
        await self._journal.append(
            tx, ctx, [NewEvent(event, shown, run_id=approval.run_id, path=approval.path)]
        )

    def _check_answer(
        self, row: ApprovalRow, *, approve: bool, arguments: JsonObject | None, answer: JsonValue
    ) -> None:
        given = arguments if row.value.kind == "tool" else answer
        if arguments is not None and (row.value.kind != "tool" or not approve):
            raise InvalidInput("Arguments can be edited only when approving a tool call.")
        if answer is not None and row.value.kind == "tool":
            raise InvalidInput(
                "A tool call takes yes or no, not an answer.", hint="Edit `arguments` instead."
            )
        if given is not None and self._redactor.value(given) != given:
            raise InvalidInput("The answer holds something that looks like a secret.", hint="Leave it out.")
        if row.arguments_schema is None or (given is None and not (row.value.kind == "ask" and approve)):
            return
        if problems := problems_of(given, row.arguments_schema):
            told = (
                "The edited arguments do not fit." if row.value.kind == "tool" else "The answer does not fit."
            )
            raise InvalidArguments(told, problems=problems)


def _decided_already(approval: Approval) -> Conflict:
    when = f" at {approval.decided_at:%Y-%m-%d %H:%M:%S} UTC" if approval.decided_at else ""
    return Conflict(
        f"{approval.id} is {approval.status.value} already, by {approval.decided_by}{when}.",
        approval=approval.id,
        status=approval.status.value,
    )
