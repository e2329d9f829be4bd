"""The rules of one version of a policy: deny wins, then ask, then allow."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime

from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.limits import ToolLimit
from mosaic.tools.policies.rules import NAMES, Facts, RuleFailed, ToolRule
from mosaic.tools.schemas import ApprovalRule, Decision

__all__ = ["Look", "RuleBook", "Verdict"]

_ORDER = {Decision.DENY: 0, Decision.ASK: 1, Decision.ALLOW: 2}
_MEMORY = 4096


@dataclass(frozen=True, slots=True)
class Look:
    """What became of one rule for one call.

    Attributes:
        mismatch: why it does not fit; None when it fits.
        failed: it could not be evaluated, so the call is refused.
    """

    rule: ToolRule
    mismatch: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say about a call.

    Attributes:
        decision: None when no rule fits.
        rule: the rule that decided.
        failure: why it could not be evaluated, where that decided.
        names_tool: for an allow: whether a rule that fits names the tool in full.
    """

    decision: Decision | None = None
    rule: ToolRule | None = None
    failure: str | None = None
    names_tool: bool = False


NOTHING = Verdict()


class RuleBook:
    """Rules and limits, ready to judge.

    Args:
        rules: in the order of their file.
        limits: of rate and concurrency.
        file: where they stand, for people.
    """

    def __init__(
        self, rules: Iterable[ToolRule] = (), limits: Iterable[ToolLimit] = (), *, file: str = ""
    ) -> None:
        self.rules = tuple(rules)
        self.limits = tuple(limits)
        self.file = file
        self._ordered = sorted(self.rules, key=lambda rule: _ORDER[rule.effect])
        self._wants_cost = any(rule.when is not None and rule.when.wants_cost for rule in self.rules)
        self._known: dict[Hashable, tuple[ToolRule, ...]] = {}

    def candidates(self, call: PolicyCall) -> tuple[ToolRule, ...]:
        """Return the rules whose names fit a call, the strictest first; the same names are looked up once."""
        if not self.rules:
            return ()
        key = (*[name(call) for name in NAMES.values()], call.spec.name, call.spec.effects)
        found = self._known.get(key)
        if found is None:
            found = tuple(rule for rule in self._ordered if rule.mismatch_of_names(call) is None)
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[key] = found
        return found

    def wants_cost(self, call: PolicyCall) -> bool:
        """Say whether a rule that may fit looks at what the run has cost."""
        return self._wants_cost and any(
            rule.when is not None and rule.when.wants_cost for rule in self.candidates(call)
        )

    def judge(self, facts: Facts, moment: datetime) -> Verdict:
        """Say what the rules say about a call at a moment."""
        candidates = self.candidates(facts.call)
        if not candidates:
            return NOTHING
        fitting = []
        for rule in candidates:
            look = _look(rule, facts, moment)
            if look.failed:
                return Verdict(Decision.DENY, rule, failure=look.mismatch)
            if look.mismatch is None:
                if rule.effect is Decision.DENY:
                    return Verdict(Decision.DENY, rule)
                fitting.append(rule)
        return _decided(fitting, facts.call.spec.known_as)

    def looks(self, facts: Facts, moment: datetime) -> list[Look]:
        """Return what became of every rule, in the order of the file: for explanations."""
        found = []
        for rule in self.rules:
            mismatch = rule.mismatch_of_names(facts.call)
            found.append(_look(rule, facts, moment) if mismatch is None else Look(rule, mismatch))
        return found


def _look(rule: ToolRule, facts: Facts, moment: datetime) -> Look:
    if rule.expires_at is not None and rule.expires_at <= moment:
        return Look(rule, f"it expired at {rule.expires_at.isoformat()}")
    try:
        return Look(rule, rule.mismatch_of_content(facts))
    except RuleFailed as error:
        return Look(rule, str(error), failed=True)


def _decided(fitting: list[ToolRule], tool: str) -> Verdict:
    asking = [rule for rule in fitting if rule.effect is Decision.ASK]
    if asking:
        return Verdict(Decision.ASK, max(asking, key=_strength))
    if not fitting:
        return NOTHING
    named = next((rule for rule in fitting if rule.names_tool(tool)), None)
    return Verdict(Decision.ALLOW, named or fitting[0], names_tool=named is not None)


def _strength(rule: ToolRule) -> tuple[int, bool, bool]:
    """Return what orders rules that ask: more people first, then named roles, then an answer that does not last."""
    asked = rule.approval or ApprovalRule()
    return asked.quorum, bool(asked.roles), not rule.remember
