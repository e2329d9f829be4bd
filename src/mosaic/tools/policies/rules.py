"""One rule of an installation's policy, and whether it fits a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.tools.policies.arguments import hosts_of, paths_of, values_at
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.conditions import Condition
from mosaic.tools.policies.patterns import ArgumentTest, RuleFailed, fits, is_glob, path_fits
from mosaic.tools.schemas import ApprovalRule, Decision

__all__ = ["NAMES", "Facts", "Match", "RuleFailed", "ToolRule"]

NAMES: Mapping[str, Callable[[PolicyCall], str]] = {
    "tool": lambda call: call.spec.known_as,
    "risk": lambda call: call.spec.risk.value,
    "agent": lambda call: call.agent,
    "project": lambda call: call.ctx.project,
    "tenant": lambda call: call.ctx.tenant,
    "workflow": lambda call: call.workflow,
    "actor": lambda call: str(call.ctx.actor),
}
"""The names that a rule may match, each with patterns; a call has one of each.

A tool is what the installation knows it as. A deny or an ask also fits the name that a workflow gave it.
"""


class Facts:
    """What rules ask of one call, found once and only when asked for.

    Args:
        call: the call.
        cost_usd: what its run has cost so far; None when that is not known.
    """

    def __init__(self, call: PolicyCall, *, cost_usd: float | None = None) -> None:
        self.call = call
        self._cost_usd = cost_usd

    @cached_property
    def paths(self) -> list[tuple[str, ...]]:
        """The paths that it names."""
        return paths_of(self.call.arguments, self.call.spec.input_schema, self.call.workspace)

    @cached_property
    def hosts(self) -> list[str]:
        """The hosts that it names."""
        return hosts_of(self.call.arguments)

    @cached_property
    def fields(self) -> JsonObject:
        """What conditions see."""
        return {**self.call.fields(), "cost_usd": self._cost_usd}


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule is about; everything that it names must fit.

    Attributes:
        names: for each of `NAMES` that the rule names, its patterns.
        effects: the tool has one of these.
        arguments: pointer, and the tests of which one must hold there.
        paths: globs for the paths that a call names.
        hosts: globs for the hosts that it names.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    effects: frozenset[str] = frozenset()
    arguments: tuple[tuple[str, tuple[str, ...], tuple[ArgumentTest, ...]], ...] = ()
    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolRule:
    """A rule.

    Attributes:
        name: unique in its file.
        when: a condition; None holds always.
        reason: for people.
        approval: who is asked, for an ask; None leaves it to the tool and the settings.
        remember: whether the answer "for this run" or "always" may stand for later questions of this rule.
        expires_at: from then on it is as if it were not there.
        place: file and line.
    """

    name: str
    effect: Decision
    match: Match = Match()
    when: Condition | None = None
    reason: str = ""
    approval: ApprovalRule | None = None
    remember: bool = False
    expires_at: datetime | None = None
    place: str = ""

    @property
    def strictly(self) -> bool:
        """Whether its patterns are read narrowly, and must fit everything that a call names."""
        return self.effect is Decision.ALLOW

    def names_tool(self, tool: str) -> bool:
        """Say whether it names a tool in full, not by a pattern: only then does an allow lift a question."""
        return any(pattern == tool and not is_glob(pattern) for pattern in self.match.names.get("tool", ()))

    def mismatch_of_names(self, call: PolicyCall) -> str | None:
        """Return the first name of a call that does not fit; None when all do."""
        for key, patterns in self.match.names.items():
            value = NAMES[key](call)
            alias = call.spec.name if key == "tool" and not self.strictly else value
            if not fits(value, patterns) and (alias == value or not fits(alias, patterns)):
                return f"{key} {value or '(none)'} is not {' or '.join(patterns)}"
        if self.match.effects and not self.match.effects & {effect.value for effect in call.spec.effects}:
            return f"it has no effect {' or '.join(sorted(self.match.effects))}"
        return None

    def mismatch_of_content(self, facts: Facts) -> str | None:
        """Return the first thing besides names that does not fit; None when everything does.

        Raises:
            RuleFailed: if that cannot be said.
        """
        for pointer, parts, tests in self.match.arguments:
            if (problem := self._argument(facts, pointer, parts, tests)) is not None:
                return problem
        if self.match.paths and (problem := self._paths(facts)) is not None:
            return problem
        if self.match.hosts and (problem := self._hosts(facts)) is not None:
            return problem
        if self.when is not None and not self.when.holds(facts.fields):
            return f"`when` is false: {self.when.source}"
        return None

    def _argument(
        self, facts: Facts, pointer: str, parts: tuple[str, ...], tests: tuple[ArgumentTest, ...]
    ) -> str | None:
        values = values_at(facts.call.arguments, parts)
        if not values:
            return f"there is no argument {pointer}"
        strictly = self.strictly
        held = (any(test.holds(value, strictly=strictly) for test in tests) for value in values)
        if all(held) if strictly else any(held):
            return None
        return f"the argument {pointer} is not {' or '.join(map(str, tests))}"

    def _paths(self, facts: Facts) -> str | None:
        globs = self.match.paths
        if not facts.paths:
            return "it names no path"
        spelled = [spelling for path in facts.paths for spelling in path]
        held = [any(path_fits(path, glob, strictly=self.strictly) for glob in globs) for path in spelled]
        if all(held) if self.strictly else any(held):
            return None
        wrong = next(path for path, ok in zip(spelled, held, strict=True) if not ok)
        return f"the path {wrong} is not {' or '.join(globs)}"

    def _hosts(self, facts: Facts) -> str | None:
        globs = self.match.hosts
        if not facts.hosts:
            return "it names no host"
        held = [fits(host, globs) for host in facts.hosts]
        if all(held) if self.strictly else any(held):
            return None
        wrong = next(host for host, ok in zip(facts.hosts, held, strict=True) if not ok)
        return f"the host {wrong or '(none)'} is not {' or '.join(globs)}"

    def to_json(self) -> JsonObject:
        """Return what listings show."""
        shown: dict[str, Any] = {name: list(patterns) for name, patterns in self.match.names.items()}
        if self.match.effects:
            shown["effects"] = sorted(self.match.effects)
        if self.match.arguments:
            shown["arguments"] = {
                pointer: [str(test) for test in tests] for pointer, _, tests in self.match.arguments
            }
        if self.match.paths:
            shown["path"] = list(self.match.paths)
        if self.match.hosts:
            shown["host"] = list(self.match.hosts)
        return {
            "name": self.name,
            "effect": self.effect.value,
            "match": shown,
            "when": self.when.source if self.when is not None else None,
            "reason": self.reason,
            "expires_at": self.expires_at.isoformat() if self.expires_at is not None else None,
            "place": self.place,
        }
