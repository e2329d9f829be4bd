"""Why a call runs, asks or is refused: which rules looked, which decided, and what would have to change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mosaic.core.values import JsonObject
from mosaic.tools.policies.book import Look
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.files import LoadedPolicy
from mosaic.tools.policies.judging import PolicyJudge, ruled
from mosaic.tools.policies.permissions import PermissionRuling
from mosaic.tools.policies.rules import Facts
from mosaic.tools.policy import Policy, Ruling
from mosaic.tools.schemas import ApprovalRule, Decision

__all__ = ["Explanation", "explain", "explain_offline"]

_WORDS = {Decision.ALLOW: "runs", Decision.ASK: "asks a person", Decision.DENY: "is refused"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a policy says of a call, and everything that led there.

    Attributes:
        ruling: what becomes of the call.
        base: what the layers say alone.
        looks: what became of each rule, in the order of the file.
        permission: what the permissions say; None when there are none.
        standing: the standing answer that lets it pass.
        asked: who is asked, where it asks.
    """

    call: PolicyCall
    ruling: Ruling
    base: Ruling
    looks: tuple[Look, ...]
    permission: PermissionRuling | None = None
    standing: str | None = None
    asked: ApprovalRule | None = None

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        fields = self.call.fields()
        del fields["arguments"]
        return {
            "decision": self.ruling.decision.value,
            "reason": self.ruling.reason,
            "policy": self.ruling.to_json(),
            "call": fields,
            "layers": {
                "decision": self.base.decision.value,
                "reason": self.base.reason,
                "by_default": self.base.by_default,
            },
            "rules": [_look(look) for look in self.looks],
            "permissions": None
            if self.permission is None
            else {
                "permitted": self.permission.permitted,
                "reason": self.permission.reason,
                "policies": list(self.permission.policies),
            },
            "standing": self.standing,
            "approval": _asked(self.asked) if self.asked is not None else None,
            "to_change": self.to_change(),
            "summary": self.summary(),
        }

    def to_change(self) -> list[str]:
        """Return what would have to change for another decision, a sentence each."""
        name, rule = self.call.spec.known_as, self._decisive()
        if self.permission is not None and not self.permission.permitted:
            return [self._to_permit()]
        if self.base.decision is Decision.DENY:
            said = f"The layers refuse it ({self.base.reason}): change `policies` in the workflow, agent or settings."
            return [said, "No rule and no answer can lift that."]
        if rule is not None and self.ruling.decision is Decision.DENY:
            return [f"Narrow, change or remove the rule {rule.rule.name} ({rule.rule.place or 'no file'})."]
        if self.ruling.decision is Decision.ASK:
            return self._to_pass(name, rule)
        if self.standing is not None:
            return [f"`mosaic policy revoke {self.standing}` makes it ask again."]
        return [f"A rule with `effect: ask` or `effect: deny` that matches {name}."]

    def _to_permit(self) -> str:
        assert self.permission is not None  # noqa: S101  # as its caller has checked
        if self.permission.problem is not None:
            return "Correct what could not be evaluated in permissions.cedar."
        if self.permission.policies:
            return (
                f"Narrow or remove the `forbid` {', '.join(self.permission.policies)} in permissions.cedar."
            )
        return "Add a `permit` for this principal, action and resource to permissions.cedar."

    def _to_pass(self, name: str, rule: Look | None) -> list[str]:
        if rule is not None:
            said = [f"Narrow, change or remove the rule {rule.rule.name} ({rule.rule.place or 'no file'})."]
            if not rule.rule.remember:
                said.append(
                    "With `approval: {remember: true}` in it, a standing answer could stand for the question."
                )
            return said
        answer = "Answer it once with `for this run` or `always`."
        if self.base.by_default:
            return [f"An allow rule that names the tool in full: `match: {{tool: {name}}}`.", answer]
        stated = f"A workflow, an agent or the tool itself asks ({self.base.reason}): change it there, no rule lifts it."
        return [stated, answer]

    def summary(self) -> list[str]:
        """Return the explanation as lines for people."""
        lines = [f"{self.call.spec.name} {_WORDS[self.ruling.decision]}: {self.ruling.reason}."]
        lines.append(
            f"policy {(self.ruling.version or 'built-in')[:19]}, decided by {self.ruling.to_json()['rule']}"
        )
        if self.permission is not None:
            lines.append(f"permissions: {self.permission.reason}")
        lines.append(f"layers: {self.base.decision.value} ({self.base.reason})")
        decisive = self._decisive()
        for look in self.looks:
            verdict = (
                "could not be evaluated"
                if look.failed
                else "fits"
                if look.mismatch is None
                else "does not fit"
            )
            why = f": {look.mismatch}" if look.mismatch else ""
            mark = "->" if look is decisive else "  "
            lines.append(f"{mark} {look.rule.effect.value:5} {look.rule.name} {verdict}{why}")
        if self.asked is not None:
            lines.append(f"asked: {_people(self.asked)}")
        return [*lines, *(f"to change it: {said}" for said in self.to_change())]

    def _decisive(self) -> Look | None:
        return next((look for look in self.looks if look.rule.name == self.ruling.rule), None)


async def explain(judge: PolicyJudge, layers: Policy, call: PolicyCall) -> Explanation:
    """Return what would become of a call now and why; nothing is called, asked or counted."""
    policy = judge.policy
    held = await judge.held_roles(policy, call)
    facts = await judge.facts(policy, call)
    found = explain_offline(policy, layers, facts, judge.moment, held=held)
    standing = await judge.standing_answer(found.ruling, layers, call)
    if standing is None:
        return found
    ruling = await judge.judge(layers, call)
    return Explanation(call, ruling, found.base, found.looks, found.permission, standing)


def explain_offline(
    policy: LoadedPolicy, layers: Policy, facts: Facts, moment: datetime, *, held: Sequence[str] = ()
) -> Explanation:
    """Return what a policy says of a call, without standing answers."""
    ruling = replace(ruled(policy, layers, facts, moment, held), version=policy.version)
    permission = policy.permissions.judge(facts, held) if policy.permissions is not None else None
    spec = facts.call.spec
    asks = ruling.decision is Decision.ASK
    return Explanation(
        facts.call,
        ruling,
        layers.judge(spec),
        tuple(policy.book.looks(facts, moment)),
        permission,
        asked=(ruling.approval or layers.rule(spec)) if asks else None,
    )


def _look(look: Look) -> JsonObject:
    return {
        "name": look.rule.name,
        "effect": look.rule.effect.value,
        "place": look.rule.place,
        "fits": look.mismatch is None,
        "failed": look.failed,
        "why": look.mismatch,
    }


def _asked(rule: ApprovalRule) -> JsonObject:
    return {
        "roles": list(rule.roles),
        "quorum": rule.quorum,
        "timeout_s": rule.timeout_s,
        "on_timeout": rule.on_timeout,
    }


def _people(rule: ApprovalRule) -> str:
    who = f"one of the roles {', '.join(rule.roles)}" if rule.roles else "any person"
    many = f"{rule.quorum} people, each " if rule.quorum > 1 else ""
    wait = f", within {rule.timeout_s:g} s, else {rule.on_timeout}" if rule.timeout_s is not None else ""
    return f"{many}{who}{wait}"
