"""Which calls run, which ask a person, which are refused.

A tool has a risk class and any number of effects. Each of these *aspects* is decided by the narrowest layer that
names it; the strictest aspect decides the call. So ``write: allow`` in a workflow never lifts the question that a
destructive class asks. A layer may also name a tool: that settles all its aspects at once. A deny in any layer is
final. ``ask: deny`` says that nobody is there to answer: what would ask is refused.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaic.core.errors import InvalidDefinition, Problem
from mosaic.tools.nearest import nearest
from mosaic.tools.schemas import ApprovalRule, Decision, RiskClass, ToolEffect, ToolSpec

__all__ = ["DEFAULT_RULES", "POLICY_KEYS", "Policy", "Ruling", "policy_problems"]

_STRICTNESS = {Decision.ALLOW: 0, Decision.ASK: 1, Decision.DENY: 2}
_UNATTENDED = "ask"

POLICY_KEYS: tuple[str, ...] = (
    *(effect.value for effect in ToolEffect),
    *(risk.value for risk in RiskClass if risk.value not in {effect.value for effect in ToolEffect}),
    _UNATTENDED,
)
"""The words a `policies` mapping may use; a dotted name is a tool."""

DEFAULT_RULES: Mapping[str, Decision] = {
    RiskClass.READ_ONLY.value: Decision.ALLOW,
    RiskClass.GENERATIVE.value: Decision.ALLOW,
    RiskClass.EXTERNAL_API.value: Decision.ALLOW,
    RiskClass.DESTRUCTIVE.value: Decision.ASK,
    RiskClass.FINANCIAL.value: Decision.ASK,
}
"""What holds when nobody says otherwise. An unknown tool is destructive."""

_AUDITED = frozenset({RiskClass.EXTERNAL_API, RiskClass.FINANCIAL})


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says about one tool.

    Attributes:
        decision: allow, ask or deny.
        reason: the aspect that decided, such as ``risk class destructive``.
        audited: an audit event is due.
    """

    decision: Decision
    reason: str
    audited: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """Layers of rules, from the widest (the installation's defaults) to the narrowest.

    Attributes:
        layers: each maps aspects and tool names to decisions.
        approval: who is asked, and how long, where a tool does not say.
    """

    layers: tuple[Mapping[str, Decision], ...] = (DEFAULT_RULES,)
    approval: ApprovalRule = field(default_factory=ApprovalRule)

    def narrowed(self, rules: Mapping[str, Any], *, tools: Collection[str] = ()) -> "Policy":
        """Return this policy with a narrower layer, such as a workflow's or an agent's `policies`.

        Args:
            rules: aspects or tool names, each with a decision.
            tools: tool names without a dot that may stand there; dotted ones always may.

        Raises:
            InvalidDefinition: if a key or value is not known; it lists every one.
        """
        if problems := policy_problems(rules, tools=tools):
            raise InvalidDefinition("The policies are wrong.", problems=problems)
        layer = {key: Decision(value) for key, value in rules.items()}
        return Policy((*self.layers, layer), self.approval) if layer else self

    def judge(self, spec: ToolSpec) -> Ruling:
        """Say whether a call of this tool runs, asks or is refused."""
        audited = spec.risk in _AUDITED
        aspects = [spec.risk.value, *sorted(effect.value for effect in spec.effects)]
        for key in (spec.name, *aspects):
            if any(layer.get(key) is Decision.DENY for layer in self.layers):
                return Ruling(Decision.DENY, _describe(key), audited)
        decision, reason = self._decide(spec.name, aspects)
        if spec.approval is not None and spec.approval.required and decision is Decision.ALLOW:
            decision, reason = Decision.ASK, f"{spec.name} asks for approval"
        if decision is Decision.ASK and self._narrowest(_UNATTENDED) is Decision.DENY:
            return Ruling(Decision.DENY, f"{reason}, and nobody is there to ask (ask: deny)", audited)
        return Ruling(decision, reason, audited)

    def allows(self, effect: ToolEffect) -> bool:
        """Say whether no layer denies an effect: a command may then have it besides its own."""
        return not any(layer.get(effect.value) is Decision.DENY for layer in self.layers)

    def rule(self, spec: ToolSpec) -> ApprovalRule:
        """Return who is asked about a call of this tool, and for how long."""
        return spec.approval or self.approval

    def _narrowest(self, key: str) -> Decision | None:
        return next((layer[key] for layer in reversed(self.layers) if key in layer), None)

    def _decide(self, name: str, aspects: Sequence[str]) -> tuple[Decision, str]:
        named = max((number for number, layer in enumerate(self.layers) if name in layer), default=None)
        if named is None:
            # An aspect nobody names adds nothing, but a class nobody names is treated as destructive.
            found = [(self._narrowest(aspects[0]) or Decision.ASK, _describe(aspects[0]))]
            found += [(self._narrowest(key) or Decision.ALLOW, _describe(key)) for key in aspects[1:]]
        else:
            # A rule for the tool settles its aspects, but not what narrower layers say about them.
            found = [(self.layers[named][name], _describe(name))]
            found += [
                (layer[key], _describe(key))
                for layer in self.layers[named + 1 :]
                for key in aspects
                if key in layer
            ]
        return max(found, key=lambda item: _STRICTNESS[item[0]])


def policy_problems(
    rules: Mapping[str, Any], *, tools: Collection[str] = (), path: str = "policies"
) -> list[Problem]:
    """Return everything that is wrong in a `policies` mapping."""
    problems = []
    choices = ", ".join(decision.value for decision in Decision)
    for key, value in rules.items():
        if not isinstance(key, str) or (key not in POLICY_KEYS and key not in tools and "." not in key):
            close = nearest(str(key), [*POLICY_KEYS, *tools])
            suggestion = (
                f"did you mean {close[0]}?" if close else f"one of {', '.join(POLICY_KEYS)}, or a tool"
            )
            problems.append(Problem(f"unknown policy {key!r}", path=f"{path}.{key}", suggestion=suggestion))
        elif value not in list(Decision):
            problems.append(
                Problem(f"{value!r} is no decision", path=f"{path}.{key}", suggestion=f"one of {choices}")
            )
    return problems


def _describe(key: str) -> str:
    if key in set(RiskClass):
        return f"risk class {key}"
    return f"effect {key}" if key in set(ToolEffect) else f"the rule for {key}"
