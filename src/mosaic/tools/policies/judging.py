"""The judgement of a call: permissions, the run's layers, the installation's rules, standing answers - in this order.

Whatever refuses is final. What is left asks where a rule or a layer asks, unless something that may lift the question
does: an allow rule that names the tool lifts what only defaults ask; a standing answer lifts what layers ask, and what
a rule asks that says ``remember``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError, Unavailable
from mosaic.observability import get_logger
from mosaic.tools.interfaces import Roles
from mosaic.tools.policies.book import Verdict
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.files import LoadedPolicy, Seen, read_policy, seen
from mosaic.tools.policies.limits import LimitKeeper
from mosaic.tools.policies.rules import Facts
from mosaic.tools.policy import Policy, Ruling
from mosaic.tools.schemas import ApprovalRule, Decision

__all__ = ["PolicyJudge", "SpentUsd", "StandingAnswers", "VersionKeeper", "ruled"]

SpentUsd = Callable[[Context, str], Awaitable[float]]
"""Tells what a run has cost up to now, in dollars."""

_LOOK_AGAIN_S = 1.0
_log = get_logger(__name__)


class StandingAnswers(Protocol):
    """Knows what people answered for more than one call."""

    async def answering(self, call: PolicyCall, asked: ApprovalRule) -> str | None:
        """Return the id of the standing answer that lets a call pass; None when there is none.

        Args:
            call: the call.
            asked: who would be asked now; an answer that others gave does not hold.
        """
        ...


class VersionKeeper(Protocol):
    """Keeps every version of the policy that was in force."""

    async def keep(self, policy: LoadedPolicy) -> None:
        """Keep a version; may be repeated."""
        ...


class PolicyJudge:
    """Judges calls by an installation's policy as it is now, and counts them against its limits.

    Args:
        home: the data folder; None for no policy but the layers.
        standing: standing answers; None for none.
        versions: keeps versions; None for nobody.
        roles: says who holds which role, for permissions.
        spent: what a run has cost, for conditions that ask.
        clock: the time, for rules that expire.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        standing: StandingAnswers | None = None,
        versions: VersionKeeper | None = None,
        roles: Roles | None = None,
        spent: SpentUsd | None = None,
        clock: Clock = now,
    ) -> None:
        self._home = home
        self._standing = standing
        self._versions = versions
        self._roles = roles
        self._spent = spent
        self._clock = clock
        self._policy: LoadedPolicy | None = None if home is not None else LoadedPolicy()
        self._seen: Seen = ()
        self._kept: str | None = None
        self._limits = LimitKeeper()
        self._task: asyncio.Task[None] | None = None

    @property
    def moment(self) -> datetime:
        """The time by which rules expire."""
        return self._clock()

    @property
    def policy(self) -> LoadedPolicy:
        """The policy in force; read when nothing has read it yet.

        Raises:
            InvalidInput: if its files are wrong.
        """
        if self._policy is None:
            self.load()
        assert self._policy is not None  # noqa: S101  # `load` has set it
        return self._policy

    def load(self) -> None:
        """Judge by the files as they are now.

        Raises:
            InvalidInput: if they are wrong, with every problem; what was judged by stays.
            Unavailable: if they cannot be read.
        """
        if self._home is None:
            return
        state = seen(self._home)
        policy = read_policy(self._home)
        self._seen, self._policy = state, policy
        self._limits.replace(policy.book.limits)

    async def start(self) -> None:
        """Read the files, and follow their changes.

        Raises:
            InvalidInput: if they are wrong, with every problem.
        """
        await asyncio.to_thread(self.load)
        await self._keep()
        self._task = asyncio.create_task(self._watch(), name="policy")

    async def close(self) -> None:
        """Stop following changes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def entered(self, tool: str, tenant: str) -> AbstractContextManager[None]:
        """Count a call against the limits while it lasts.

        Raises:
            LimitExceeded: on entering, naming the limit.
        """
        return self._limits.entered(tool, tenant)

    async def judge(self, layers: Policy, call: PolicyCall) -> Ruling:
        """Say whether a call runs, asks or is refused, by which rule of which version."""
        try:
            policy = self.policy
        except (InvalidInput, Unavailable) as error:
            # Nobody has started it, so nobody was told: without its rules nothing may pass.
            base = layers.judge(call.spec)
            return _denied(base, f"the policy of this installation cannot be used: {error.message}", "policy")
        await self._keep()
        # One version judges a call from begin to end, whatever is read in the meantime.
        held = await self.held_roles(policy, call)
        ruling = ruled(policy, layers, await self.facts(policy, call), self._clock(), held)
        if ruling.decision is Decision.ASK:
            ruling = await self._answered(ruling, layers, call)
        return replace(ruling, version=policy.version) if policy.version is not None else ruling

    async def held_roles(self, policy: LoadedPolicy, call: PolicyCall) -> Sequence[str]:
        """Return those of the roles that the permissions name which the person behind a call holds."""
        if policy.permissions is None or self._roles is None:
            return ()
        person = call.ctx.acting_as(call.owner or call.ctx.actor)
        return [role for role in policy.permissions.roles if await self._roles.holds_any(person, [role])]

    async def facts(self, policy: LoadedPolicy, call: PolicyCall) -> Facts:
        """Return what rules see of a call, with its run's cost where one of them asks."""
        wanted = policy.book.wants_cost(call)
        return Facts(call, cost_usd=await self._cost(call) if wanted else None)

    async def standing_answer(self, ruling: Ruling, layers: Policy, call: PolicyCall) -> str | None:
        """Return the id of the standing answer that stands for a question; None where there is none, or none may."""
        if ruling.decision is not Decision.ASK or not ruling.remember or self._standing is None:
            return None
        return await self._standing.answering(call, ruling.approval or layers.rule(call.spec))

    async def _answered(self, ruling: Ruling, layers: Policy, call: PolicyCall) -> Ruling:
        answer = await self.standing_answer(ruling, layers, call)
        if answer is None:
            return ruling
        reason = f"the standing answer {answer} lets it pass"
        return replace(
            ruling, decision=Decision.ALLOW, reason=reason, rule=answer, approval=None, by_default=False
        )

    async def _cost(self, call: PolicyCall) -> float | None:
        if self._spent is None or not call.run_id:
            return 0.0 if not call.run_id else None
        return await self._spent(call.ctx, call.run_id)

    async def _keep(self) -> None:
        version = self._policy.version if self._policy is not None else None
        if version is None or version == self._kept or self._versions is None or self._policy is None:
            return
        self._kept = version
        try:
            await self._versions.keep(self._policy)
        except MosaicError as error:
            self._kept = None
            _log.error("the version %s of the policy could not be kept: %s", version, error)

    async def _watch(self) -> None:
        told: Seen | None = None
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            if self._home is None or (state := seen(self._home)) in (self._seen, told):
                continue
            try:
                await asyncio.to_thread(self.load)
                await self._keep()
                _log.info("the policy was read again: %s", self.policy.version or "no file")
            except (InvalidInput, Unavailable) as error:
                told = state
                problems = "; ".join(map(str, getattr(error, "problems", ()))) or error.message
                _log.error("the changed policy is wrong, the old one stays: %s", problems)
            except Exception as error:  # noqa: BLE001  # a worker: it looks again
                _log.exception("following the policy failed", exc_info=error)


def ruled(
    policy: LoadedPolicy, layers: Policy, facts: Facts, moment: datetime, held: Sequence[str] = ()
) -> Ruling:
    """Return what permissions, layers and rules say about a call, before standing answers.

    Args:
        policy: the installation's.
        layers: the run's.
        facts: the call.
        moment: when, for rules that expire.
        held: the roles that the person behind the call holds.
    """
    base = layers.judge(facts.call.spec)
    if policy.permissions is not None:
        permitted = policy.permissions.judge(facts, held)
        if not permitted.permitted:
            named = ",".join(permitted.policies)
            return _denied(base, permitted.reason, f"permissions:{named}" if named else "permissions")
    if base.decision is Decision.DENY:
        return base
    return _combined(layers, base, policy.book.judge(facts, moment))


def _combined(layers: Policy, base: Ruling, verdict: Verdict) -> Ruling:
    """Return what layers and rules say together, where the layers do not refuse."""
    rule = verdict.rule
    if rule is None or verdict.decision is None:
        return base
    said = f"the rule {rule.name}"
    if verdict.failure is not None:
        return _denied(base, f"{said} could not be evaluated: {verdict.failure}", rule.name)
    told = f"{said} ({rule.reason})" if rule.reason else said
    if verdict.decision is Decision.DENY:
        return _denied(base, told, rule.name)
    if verdict.decision is Decision.ASK:
        asking = replace(
            base,
            decision=Decision.ASK,
            reason=told,
            rule=rule.name,
            by_default=False,
            approval=rule.approval,
            remember=rule.remember,
        )
        return layers.asked(asking)
    if base.decision is Decision.ALLOW or (base.by_default and verdict.names_tool):
        return replace(base, decision=Decision.ALLOW, reason=told, rule=rule.name, by_default=False)
    return base


def _denied(base: Ruling, reason: str, rule: str) -> Ruling:
    return replace(base, decision=Decision.DENY, reason=reason, rule=rule, by_default=False)
