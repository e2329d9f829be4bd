"""Which calls run, which ask a person, which are refused.

A tool has a risk class and any number of effects. Each of these *aspects* is decided by the narrowest layer that
names it; the strictest aspect decides the call. So ``write: allow`` in a workflow never lifts the question that a
destructive class asks. A layer may also name a tool: that settles all its aspects at once. A deny in any layer is
final. ``ask: deny`` says that nobody is there to answer: what would ask is refused.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

# A class and an effect share the name `destructive`; the class is what people know it by.
_ASPECTS: Mapping[str, str] = {
    **{effect.value: f"effect {effect.value}" for effect in ToolEffect},
    **{risk.value: f"risk class {risk.value}" for risk in RiskClass},
}
_AUDITED = frozenset({RiskClass.EXTERNAL_API, RiskClass.FINANCIAL})


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy says about one call.

    Attributes:
        decision: allow, ask or deny.
        reason: what decided, such as ``risk class destructive``.
        audited: an audit event is due.
        by_default: it asks, and only because of what holds where nobody says otherwise.
        rule: the name of the rule that decided; None when the layers did.
        version: of the installation's policy; None when it has none.
        approval: who is asked, where the rule says it.
        remember: whether the answer "for this run" or "always" may stand for later questions of this kind.
    """

    decision: Decision
    reason: str
    audited: bool
    by_default: bool = False
    rule: str | None = None
    version: str | None = None
    approval: ApprovalRule | None = None
    remember: bool = True

    def to_json(self) -> dict[str, str | None]:
        """Return what a call's event says of the policy: its version, and the rule or aspect that decided."""
        return {"version": self.version or "built-in", "rule": self.rule or self.reason}


@dataclass(frozen=True, slots=True)
class Policy:
    """Layers of rules, from the widest (the installation's defaults) to the narrowest.

    Attributes:
        layers: each maps aspects and tool names to decisions.
        approval: who is asked, and how long, where a tool does not say.
        defaults: how many of the layers are defaults, counted from the widest.
        workflow: whose policy it is, for rules that name workflows.
    """

    layers: tuple[Mapping[str, Decision], ...] = (DEFAULT_RULES,)
    approval: ApprovalRule = field(default_factory=ApprovalRule)
    defaults: int = 1
    workflow: str = ""

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
        return replace(self, layers=(*self.layers, layer)) if layer else self

    def as_defaults(self) -> "Policy":
        """Return this policy with all its layers as defaults: an installation's, which no workflow has narrowed."""
        return replace(self, defaults=len(self.layers))

    def judge(self, spec: ToolSpec) -> Ruling:
        """Say whether a call of this tool runs, asks or is refused."""
        audited = spec.risk in _AUDITED
        aspects = [spec.risk.value, *sorted(effect.value for effect in spec.effects)]
        for key in (spec.name, spec.known_as, *aspects):  # another name does not escape a deny
            if any(layer.get(key) is Decision.DENY for layer in self.layers):
                return Ruling(Decision.DENY, _describe(key), audited)
        decision, reason, by_default = self._decide(spec.name, aspects)
        if spec.approval is not None and spec.approval.required:
            by_default = False
            if decision is Decision.ALLOW:
                decision, reason = Decision.ASK, f"{spec.name} asks for approval"
        if decision is Decision.ASK and self.unattended:
            return Ruling(Decision.DENY, _unattended(reason), audited)
        return Ruling(decision, reason, audited, by_default=by_default and decision is Decision.ASK)

    @property
    def unattended(self) -> bool:
        """Whether nobody is there to answer (``ask: deny``): what would ask is refused."""
        return self._narrowest(_UNATTENDED) is Decision.DENY

    def asked(self, ruling: Ruling) -> Ruling:
        """Return a ruling that asks as it stands where nobody may be there to answer."""
        if not self.unattended:
            return ruling
        return replace(ruling, decision=Decision.DENY, reason=_unattended(ruling.reason), by_default=False)

    def allows(self, effect: ToolEffect) -> bool:
        """Say whether no layer denies an effect: a command may then have it besides its own."""
        return not any(layer.get(effect.value) is Decision.DENY for layer in self.layers)

    def grants(self, effect: ToolEffect) -> bool:
        """Say whether an effect is allowed in so many words, by the narrowest layer that speaks of it; and by none denied."""
        return self.allows(effect) and self._narrowest(effect.value) is Decision.ALLOW

    def rule(self, spec: ToolSpec) -> ApprovalRule:
        """Return who is asked about a call of this tool, and for how long."""
        return spec.approval or self.approval

    def _narrowest(self, key: str) -> Decision | None:
        level = self._level(key)
        return None if level is None else self.layers[level][key]

    def _level(self, key: str) -> int | None:
        """Return the number of the narrowest layer that names a key."""
        for level in range(len(self.layers) - 1, -1, -1):
            if key in self.layers[level]:
                return level
        return None

    def _decide(self, name: str, aspects: Sequence[str]) -> tuple[Decision, str, bool]:
        """Return the strictest aspect's decision, why, and whether only defaults made it."""
        named = self._level(name)
        if named is None:
            # An aspect nobody names adds nothing, but a class nobody names is treated as destructive.
            found = [self._aspect(aspects[0], Decision.ASK)]
            found += [self._aspect(key, Decision.ALLOW) for key in aspects[1:]]
        else:
            # A rule for the tool settles its aspects, but not what narrower layers say about them.
            found = [(self.layers[named][name], _describe(name), named)]
            found += [
                (layer[key], _describe(key), named + 1 + above)
                for above, layer in enumerate(self.layers[named + 1 :])
                for key in aspects
                if key in layer
            ]
        decision, reason, _ = max(found, key=lambda item: _STRICTNESS[item[0]])
        return decision, reason, all(level < self.defaults for made, _, level in found if made is decision)

    def _aspect(self, key: str, otherwise: Decision) -> tuple[Decision, str, int]:
        level = self._level(key)
        return (
            (otherwise, _describe(key), 0)
            if level is None
            else (self.layers[level][key], _describe(key), level)
        )


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


def _unattended(reason: str) -> str:
    return f"{reason}, and nobody is there to ask (ask: deny)"


def _describe(key: str) -> str:
    return _ASPECTS.get(key) or f"the rule for {key}"
