"""Standing rules: what people answered "for this run" and "always", visible and revocable."""

import builtins
from collections.abc import Collection
from typing import Literal

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, canonical_json
from mosaic.core.versions import require_version
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database, Transaction
from mosaic.tools.approving.patterns import ArgumentPattern
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.repository import PolicyRepository
from mosaic.tools.policies.schemas import StandingRule
from mosaic.tools.schemas import ApprovalRule

__all__ = ["StandingRules"]

_LARGEST_BYTES = 100_000


class StandingRules:
    """Keeps, lists and revokes the rules of answers that last; every process sees them at once.

    Args:
        database: where they are kept.
        journal: gets ``policy.rule_added`` and ``policy.rule_revoked``.
        redactor: says what must not be kept.
        clock: the time.
    """

    def __init__(
        self, database: Database, journal: Journal, *, redactor: Redactor | None = None, clock: Clock = now
    ) -> None:
        self._database = database
        self._journal = journal
        self._redactor = redactor or Redactor()
        self._clock = clock
        self._repository = PolicyRepository(database.dialect)

    async def remember(
        self,
        tx: Transaction,
        ctx: Context,
        *,
        tool: str,
        arguments: JsonObject | None,
        scope: Literal["run", "always"],
        run_id: str,
        approval_id: str,
    ) -> str:
        """Keep a rule that lets matching calls pass without asking, in the caller's transaction; return its id.

        It counts like an allow rule that names the tool, and never lifts a refusal. It holds for questions that those
        who granted it may answer, in their project.

        Args:
            tx: the transaction of the decision.
            ctx: who granted it.
            tool: the tool's name.
            arguments: which arguments it holds for, as `ArgumentPattern.to_json` writes it; None for any.
            scope: for the rest of the run, or until it is revoked.
            run_id: the run that asked.
            approval_id: the approval that granted it.

        Raises:
            InvalidInput: if the pattern is none, too large, or holds something that looks like a secret.
        """
        if arguments is not None:
            pattern = ArgumentPattern.from_json(arguments).to_json()
            if len(canonical_json(pattern)) > _LARGEST_BYTES:
                raise InvalidInput(
                    f"The pattern has more than {_LARGEST_BYTES} bytes.",
                    hint="Let long arguments be anything, or answer for this call only.",
                )
            if self._redactor.value(pattern) != pattern:
                raise InvalidInput(
                    "The pattern holds something that looks like a secret.",
                    hint="Let that argument be anything, or answer for this call only.",
                )
        # Who answers may do so from another project than the one whose run asks.
        asked = await self._repository.asked(tx, ctx.tenant, approval_id)
        project, roles, quorum, known_as = asked if asked is not None else (ctx.project, (), 1, None)
        rule = StandingRule(
            id=new_id("trl"),
            project=project,
            tool=known_as or tool,
            arguments=arguments,
            scope=scope,
            run_id=run_id,
            approval_id=approval_id,
            roles=roles,
            quorum=quorum,
            created_at=self._clock(),
            created_by=str(ctx.actor),
        )
        await self._repository.insert(tx, ctx.tenant, rule)
        await self._tell(tx, ctx, "policy.rule_added", rule)
        return rule.id

    async def list(
        self, ctx: Context, *, project: str | None = None, run_id: str | None = None, revoked: bool = False
    ) -> builtins.list[StandingRule]:
        """Return the tenant's rules, the newest first, at most a thousand.

        Args:
            ctx: the tenant.
            project: only of this project.
            run_id: only those that this run's approvals granted.
            revoked: also those that hold no longer.
        """
        async with self._database.transaction(read_only=True) as tx:
            return [
                *await self._repository.list(tx, ctx.tenant, project=project, run_id=run_id, revoked=revoked)
            ]

    async def get(self, ctx: Context, rule_id: str) -> StandingRule:
        """Return one rule.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        async with self._database.transaction(read_only=True) as tx:
            return await self._found(tx, ctx, rule_id)

    async def revoke(
        self, ctx: Context, rule_id: str, *, only: Collection[str] | None = None
    ) -> StandingRule:
        """Make a rule hold no longer, in every process at once. One that is revoked stays so.

        Raises:
            NotFound: if the tenant has none with that id.
            Stale: if it has a version that is not among `only`.
        """
        async with self._database.transaction() as tx:
            rule = await self._found(tx, ctx, rule_id)
            require_version(rule.version, only, what="rule")
            by = str(ctx.actor)
            if await self._repository.revoke(tx, ctx.tenant, rule_id, by=by, moment=self._clock()):
                await self._tell(tx, ctx, "policy.rule_revoked", rule)
        return await self.get(ctx, rule_id)

    async def answering(self, call: PolicyCall, asked: ApprovalRule) -> str | None:
        """Return the id of the rule that lets a call pass; None when there is none.

        Args:
            call: the call.
            asked: who would be asked now; what others granted does not hold.
        """
        async with self._database.transaction(read_only=True) as tx:
            rules = await self._repository.for_call(
                tx, call.ctx.tenant, project=call.ctx.project, tool=call.spec.known_as, run_id=call.run_id
            )
        return next((rule.id for rule in rules if _answers(rule, asked) and _fits(rule, call)), None)

    async def _found(self, tx: Transaction, ctx: Context, rule_id: str) -> StandingRule:
        rule = await self._repository.get(tx, ctx.tenant, rule_id)
        if rule is None:
            raise NotFound(f"There is no standing rule {rule_id!r}.", hint="List them: mosaic policy rules")
        return rule

    async def _tell(self, tx: Transaction, ctx: Context, event: str, rule: StandingRule) -> None:
        shown = {
            "rule": rule.id,
            "tool": rule.tool,
            "arguments": rule.arguments,
            "scope": rule.scope,
            "approval": rule.approval_id,
        }
        await self._journal.append(tx, ctx, [NewEvent(event, shown, run_id=rule.run_id)])


def _answers(rule: StandingRule, asked: ApprovalRule) -> bool:
    """Say whether everybody who could grant a rule may answer a question."""
    may = not asked.roles or (bool(rule.roles) and set(rule.roles) <= set(asked.roles))
    return may and rule.quorum >= asked.quorum


def _fits(rule: StandingRule, call: PolicyCall) -> bool:
    if rule.arguments is None:
        return True
    try:
        return ArgumentPattern.from_json(rule.arguments).matches(call.arguments)
    except InvalidInput:  # kept by a newer release: it is asked again
        return False
