"""Questions to people: asked durably, answered once, from any process, at any time."""

import builtins
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Unpack

from mosaic.core.clock import Clock, now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, MosaicError, NotFound
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.engine import EffectCall, Effects, Execution, Outcome, Safety
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database, Transaction
from mosaic.tools.approving import events
from mosaic.tools.approving.answers import Answer, Judge, Said
from mosaic.tools.approving.outbox import Outbox
from mosaic.tools.approving.patterns import ArgumentPattern
from mosaic.tools.approving.previews import Previews
from mosaic.tools.approving.roles import LocalOwner
from mosaic.tools.approving.votes import Verdict, same_answer, tally
from mosaic.tools.interfaces import Roles, RuleKeeper, SignalSender
from mosaic.tools.repository import ApprovalRow, ApprovalsRepository
from mosaic.tools.schemas import Approval, ApprovalRequest, ApprovalScope, ApprovalStatus, Vote

__all__ = ["ApprovalNeeded", "Approvals", "Receipt"]

_TIMEOUT = Actor("system", "timeout")
_RUN_ENDED = Actor("system", "run-ended")
_MOST_LISTED = 1_000
_ASKED_BYTES = 1_000_000


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


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed message that an answer came in; the same one is taken once.

    Attributes:
        webhook: who signed it.
        message_id: its id.
        kept_s: for how long a message of that age would still be accepted.
    """

    webhook: str
    message_id: str
    kept_s: float


class Approvals:
    """Asks, lists and decides.

    A decision, its event, the rule it becomes and the signal that wakes the run are one transaction. An approval
    whose time has passed is decided by its `on_timeout` at the next look, whoever looks, so silence counts also while
    no run is awake.

    Args:
        database: where approvals are kept.
        journal: gets ``approval.requested``, ``approval.voted``, ``approval.decided`` and ``approval.expired``.
        signals: wakes the run; the engine.
        roles: says who holds which role.
        rules: keeps a yes that is to hold for more than one call; without it there is none.
        previews: shows what edited arguments would do.
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
        rules: RuleKeeper | None = None,
        previews: Previews | None = None,
        redactor: Redactor | None = None,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._signals = signals
        self._rules = rules
        self._previews = previews
        self._redactor = redactor or Redactor()
        self._judge = Judge(
            roles or LocalOwner(), keeps_rules=rules is not None, redactor=self._redactor, clock=clock
        )
        self._clock = clock
        self._repository = ApprovalsRepository()
        self._outbox = Outbox()

    async def request(self, effects: Effects, name: str, request: ApprovalRequest) -> Approval:
        """Ask once, as the effect `name`; asking again returns the same approval as it now stands.

        The row, the event and the effect are one transaction.
        """

        async def ask(_: EffectCall) -> Outcome:
            asked = self._new(effects, request)
            insert = self._repository.insert(
                effects.ctx.tenant,
                effects.ctx.project,
                asked,
                arguments=self._kept(request.arguments),
                arguments_schema=request.arguments_schema,
            )
            return Outcome({"approval": asked.id}, events=(events.requested(asked),), writes=(insert,))

        recorded = await effects.effect(name, ask, safety=Safety.REPEATABLE)
        if not isinstance(recorded, dict):
            raise NotFound(f"The effect {name} of {effects.path} is no approval.")
        return await self.get(effects.ctx, str(recorded["approval"]))

    async def get(self, ctx: Context, approval_id: str) -> Approval:
        """Return an approval; one whose time has passed is decided first.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        return (await self._current(ctx, approval_id)).value

    async def list(
        self,
        ctx: Context,
        *,
        status: ApprovalStatus | str | None = None,
        run_id: str | None = None,
        limit: int = _MOST_LISTED,
        after: str | None = None,
    ) -> builtins.list[Approval]:
        """Return the tenant's approvals, oldest first; those whose time has passed are decided first.

        Args:
            ctx: whose.
            status: only those.
            run_id: only those of this run.
            limit: how many; at most 1,000.
            after: the id of the last one of the page before.

        Raises:
            InvalidInput: if `status` is none.
            NotFound: if there is no approval `after`.
        """
        try:
            wanted = ApprovalStatus(status) if status is not None else None
        except ValueError:
            choices = ", ".join(ApprovalStatus)
            raise InvalidInput(f"{status!r} is no approval status.", hint=f"One of: {choices}") from None
        await self.expire_due(ctx)
        last = (await self._row(ctx, after)).value if after is not None else None
        async with self._database.transaction(read_only=True) as tx:
            rows = await self._repository.page(
                tx,
                ctx.tenant,
                status=wanted,
                run_id=run_id,
                limit=min(limit, _MOST_LISTED),
                after=(last.requested_at, last.id) if last is not None else None,
            )
        return [row.value for row in rows]

    async def open_by_run(self, ctx: Context) -> dict[str, builtins.list[str]]:
        """Return the ids of the tenant's pending approvals by run, oldest first; those whose time has passed are decided first."""
        await self.expire_due(ctx)
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.open_by_run(tx, ctx.tenant)

    async def preview(self, ctx: Context, approval_id: str, answer: Answer) -> JsonObject:
        """Return what a yes like this would mean, and change nothing.

        Returns:
            ``arguments`` (whole, secrets masked; None when they are too large to be kept) and ``edited``; with edited
            ones what the tool shows for them; for a yes that lasts ``pattern`` and ``holds_for``, a sentence.

        Raises:
            NotFound: if the tenant has none with that id.
            InvalidInput: if arguments or pattern do not fit.
            Unsupported: if a yes that lasts cannot be kept here.
        """
        row = await self._current(ctx, approval_id)
        # Whether an answer to a question fits is seen when it is given.
        arguments = self._judge.arguments(row, answer) if row.value.kind == "tool" else None
        pattern = self._judge.pattern(row, answer, arguments)
        shown: JsonObject = {
            "approval": approval_id,
            "status": row.value.status.value,
            "arguments": arguments if arguments is not None else row.asked_arguments,
            "edited": arguments is not None,
            "scope": answer.scope,
            "pattern": pattern.to_json() if pattern is not None else None,
            "holds_for": _holds_for(row.value, answer.scope, pattern) if pattern is not None else None,
            "detail": {},
        }
        if arguments is not None and self._previews is not None:
            shown["detail"] = self._redactor.value(await self._previews.of(ctx, row.value, arguments))
        return shown

    async def decide(
        self,
        ctx: Context,
        approval_id: str,
        *,
        approve: bool,
        receipt: Receipt | None = None,
        **said: Unpack[Said],
    ) -> Approval:
        """Answer; once enough people have, decide and wake the run. The same answer again changes nothing.

        Args:
            ctx: who answers.
            approval_id: which one.
            approve: yes or no.
            receipt: the signed message this answer came in.
            **said: the rest of an `Answer`: ``note``, ``arguments`` or ``changes``, ``answer``, ``scope``, ``match``.

        Returns:
            The approval as it stands then; still pending when more people must answer.

        Raises:
            NotFound: if the tenant has none with that id.
            Conflict: if it is decided otherwise or by somebody else, or the signed message was taken before.
            PermissionDenied: if the actor may not answer.
            InvalidInput: if arguments, answer or pattern do not fit.
            Unsupported: if a yes that lasts cannot be kept here.
        """
        row = await self._current(ctx, approval_id)
        if not row.value.pending and all(vote.actor != str(ctx.actor) for vote in row.value.votes):
            raise _decided_already(row.value)
        await self._judge.admit(ctx, row.value, approve=approve)
        vote = self._judge.vote(ctx, row, Answer(approve, **said))
        async with self._database.transaction() as tx:
            if receipt is not None:
                await self._take(tx, ctx, receipt)
            await self._cast(tx, ctx, approval_id, vote)
        return await self.get(ctx, approval_id)

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
        open_ones = await self._repository.page(
            tx, ctx.tenant, status=ApprovalStatus.PENDING, run_id=run_id, limit=_MOST_LISTED
        )
        told = []
        for row in open_ones:
            decided = await self._repository.decide(
                tx,
                ctx.tenant,
                row.value.id,
                status=ApprovalStatus.EXPIRED,
                decided_by=str(_RUN_ENDED),
                decided_at=self._clock(),
                note="The run has ended.",
            )
            shown = {"approval": row.value.id, "status": ApprovalStatus.EXPIRED.value, "by": str(_RUN_ENDED)}
            if decided:
                told.append(NewEvent("approval.expired", shown, run_id=run_id, path=row.value.path))
        await self._journal.append(tx, ctx, told)
        return len(told)

    # -- asking -------------------------------------------------------------------------------------------------

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
            quorum=rule.quorum,
            counting=rule.counting,
            four_eyes=rule.four_eyes,
        )

    def _kept(self, arguments: JsonObject | None) -> JsonObject | None:
        """Return what is kept of the arguments: masked, and nothing when they are large."""
        masked = self._redactor.value(arguments)
        if not isinstance(masked, dict) or len(json.dumps(masked)) > _ASKED_BYTES:
            return None
        return masked

    async def _row(self, ctx: Context, approval_id: str) -> ApprovalRow:
        async with self._database.transaction(read_only=True) as tx:
            row = await self._repository.get(tx, ctx.tenant, approval_id)
        if row is None:
            raise NotFound(f"There is no approval {approval_id!r}.", hint="List them: mosaic approvals list")
        return row

    async def _current(self, ctx: Context, approval_id: str) -> ApprovalRow:
        """Return an approval's row; one whose time has passed is decided first."""
        row = await self._row(ctx, approval_id)
        if not self._is_late(row.value):
            return row
        await self._expire(ctx, row.value)
        return await self._row(ctx, approval_id)

    def _is_late(self, approval: Approval) -> bool:
        return approval.pending and approval.expires_at is not None and approval.expires_at <= self._clock()

    # -- answering ----------------------------------------------------------------------------------------------

    async def _take(self, tx: Transaction, ctx: Context, receipt: Receipt) -> None:
        new = await self._outbox.receive(
            tx,
            ctx.tenant,
            receipt.webhook,
            receipt.message_id,
            now=self._clock(),
            kept_s=receipt.kept_s,
        )
        if not new:
            raise Conflict(f"The message {receipt.message_id} was received before; it is taken once.")

    async def _cast(self, tx: Transaction, ctx: Context, approval_id: str, vote: Vote) -> None:
        """Add a vote to those before, and decide when it was the last one needed."""
        row = await self._repository.get(tx, ctx.tenant, approval_id, hold=True)
        if row is None:
            raise NotFound(f"There is no approval {approval_id!r}.", hint="List them: mosaic approvals list")
        held, ctx = row.value, replace(ctx, project=row.project)
        mine = next((other for other in held.votes if other.actor == vote.actor), None)
        if not held.pending:
            _require_same(held, mine, vote)
            return
        if self._is_late(held):
            raise Conflict(f"The time for {approval_id} is up.", approval=approval_id)
        if mine is not None and same_answer(mine, vote) and mine.pattern == vote.pattern:
            return
        await self._repository.vote(tx, ctx.tenant, approval_id, vote)
        votes = (*(other for other in held.votes if other.actor != vote.actor), vote)
        held = replace(held, votes=votes)
        verdict = tally(votes, quorum=held.quorum, counting=held.counting)
        if verdict is None:
            await self._journal.append(tx, ctx, [events.voted(held, vote)])
            return
        await self._conclude(tx, ctx, held, vote, verdict)

    async def _conclude(
        self, tx: Transaction, ctx: Context, held: Approval, last: Vote, verdict: Verdict
    ) -> None:
        rule = None
        if verdict.scope != "once" and verdict.pattern is not None and self._rules is not None:
            rule = await self._rules.remember(
                tx,
                ctx,
                tool=str(held.detail.get("tool")),
                arguments=verdict.pattern,
                scope=verdict.scope,
                run_id=held.run_id,
                approval_id=held.id,
            )
        chosen = verdict.vote
        decided = await self._repository.decide(
            tx,
            ctx.tenant,
            held.id,
            status=verdict.status,
            decided_by=last.actor,
            decided_at=last.voted_at,
            note=last.note,
            arguments=chosen.arguments,
            answer=chosen.answer,
            scope=verdict.scope,
            pattern=verdict.pattern,
            rule=rule,
        )
        if not decided:  # held by us; only a database that does not hold it could say so
            raise _decided_already(held)
        shown: JsonObject = {"note": last.note, "edited": chosen.arguments is not None}
        if len(held.votes) > 1:
            shown["votes"] = [{"actor": vote.actor, "approve": vote.approve} for vote in held.votes]
        if rule is not None:
            shown |= {"scope": verdict.scope, "rule": rule}
        await self._announce(tx, ctx, held, verdict.status, "approval.decided", shown)

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
                note="Nobody answered in time." if not approval.votes else "Too few answered in time.",
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


def _holds_for(approval: Approval, scope: ApprovalScope, pattern: ArgumentPattern) -> str:
    long = "for the rest of this run" if scope == "run" else "until the rule is revoked"
    return f"{approval.detail.get('tool')} with {pattern} runs without asking {long}."


def _require_same(held: Approval, mine: Vote | None, vote: Vote) -> None:
    """Check that a vote on what is decided only says again what its actor said.

    Raises:
        Conflict: if not; it names who decided.
    """
    said = ApprovalStatus.APPROVED if vote.approve else ApprovalStatus.REJECTED
    if mine is None or not same_answer(mine, vote) or held.status is not said:
        raise _decided_already(held)


def _decided_already(approval: Approval) -> Conflict:
    when = f" at {approval.decided_at:%Y-%m-%d %H:%M:%S} UTC" if approval.decided_at else ""
    return Conflict(
        f"{approval.id} is {approval.status.value} already, by {approval.decided_by}{when}.",
        approval=approval.id,
        status=approval.status.value,
        decided_by=approval.decided_by,
    )
