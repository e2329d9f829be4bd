"""Tests of a policy: calls in YAML, each with what is to become of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, MosaicError, Problem
from mosaic.core.values import JsonObject
from mosaic.routing.source import Path, Source, read_source, schema_problems
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.explaining import Explanation, explain_offline
from mosaic.tools.policies.files import LoadedPolicy
from mosaic.tools.policies.rules import Facts
from mosaic.tools.policy import Policy, policy_problems
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolSpec
from mosaic.tools.toolbox import Toolbox
from mosaic.tools.validation import problems_of

__all__ = ["CaseResult", "PolicyCase", "case_of", "load_cases", "run_case"]

_TEXT = {"type": "string", "minLength": 1, "maxLength": 300}
_CALL: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tool"],
    "properties": {
        "tool": _TEXT,
        "arguments": {"type": "object"},
        "agent": {"type": "string"},
        "workflow": {"type": "string"},
        "project": _TEXT,
        "tenant": _TEXT,
        "actor": {
            "type": "string",
            "description": "user:NAME, agent:NAME, system:NAME or webhook:NAME",
            "pattern": "^(user|agent|system|webhook):.{1,200}$",
        },
        "run": {"type": "string"},
        "risk": {"enum": [risk.value for risk in RiskClass]},
        "effects": {"type": "array", "items": {"enum": [effect.value for effect in ToolEffect]}},
        "cost_usd": {"type": "number", "minimum": 0},
        "roles": {"type": "array", "items": _TEXT},
        "policies": {"type": "object"},
    },
}
_DECISIONS: JsonObject = {"enum": ["allow", "ask", "deny"]}
_SCHEMA: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cases"],
    "properties": {
        "cases": {
            "type": "array",
            "minItems": 1,
            "maxItems": 10_000,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "call", "expect"],
                "properties": {
                    "name": _TEXT,
                    "call": _CALL,
                    "at": {"type": "string"},
                    "expect": {
                        "description": "allow, ask or deny, or a mapping with `decision` and `rule`.",
                        "oneOf": [
                            _DECISIONS,
                            {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["decision"],
                                "properties": {"decision": _DECISIONS, "rule": _TEXT},
                            },
                        ],
                    },
                },
            },
        }
    },
}


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A call, and what is to become of it.

    Attributes:
        given: the call, as written.
        decision: allow, ask or deny.
        rule: the rule that is to decide; None for any.
        at: when it is judged; None for now.
        place: file and line.
    """

    name: str
    given: JsonObject
    decision: str
    rule: str | None = None
    at: datetime | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case."""

    case: PolicyCase
    found: Explanation

    @property
    def passed(self) -> bool:
        """Whether it is as expected."""
        return not self.difference()

    def difference(self) -> list[str]:
        """Return what is expected and what is found, as lines of a diff; empty when they are the same."""
        ruling = self.found.ruling
        lines = []
        if ruling.decision.value != self.case.decision:
            lines += [f"- decision: {self.case.decision}", f"+ decision: {ruling.decision.value}"]
        if self.case.rule is not None and ruling.rule != self.case.rule:
            lines += [f"- rule: {self.case.rule}", f"+ rule: {ruling.rule or ruling.reason}"]
        return [*lines, f"  because: {ruling.reason}"] if lines else []

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        ruling = self.found.ruling
        return {
            "name": self.case.name,
            "place": self.case.place,
            "passed": self.passed,
            "expected": {"decision": self.case.decision, "rule": self.case.rule},
            "found": {"decision": ruling.decision.value, "rule": ruling.rule, "reason": ruling.reason},
            "difference": self.difference(),
        }


def load_cases(text: str, file: str = "") -> list[PolicyCase]:
    """Return the cases that a YAML text holds.

    Raises:
        InvalidInput: naming every problem with file, line and column.
    """
    source = read_source(text, file)
    problems = schema_problems(source, _SCHEMA)
    cases: list[PolicyCase] = []
    if not problems:
        for at, value in enumerate(source.value["cases"]):
            cases.append(_case(source, value, ("cases", at), problems))
    if problems:
        raise InvalidInput(
            f"{file or 'The cases'}: {len(problems)} of them cannot be read.", problems=problems
        )
    return cases


def run_case(
    case: PolicyCase, policy: LoadedPolicy, *, layers: Policy, tools: Toolbox, ctx: Context, moment: datetime
) -> CaseResult:
    """Judge a case's call as the door would, without standing answers."""
    call, cost_usd, narrowed = case_of(case.given, layers=layers, tools=tools, ctx=ctx)
    facts = Facts(call, cost_usd=cost_usd)
    held = [str(role) for role in case.given.get("roles", ())]
    return CaseResult(case, explain_offline(policy, narrowed, facts, case.at or moment, held=held))


def case_of(
    given: JsonObject, *, layers: Policy, tools: Toolbox, ctx: Context
) -> tuple[PolicyCall, float, Policy]:
    """Return the call that a mapping describes, what its run has cost, and the layers that hold for it.

    A tool that is not known is destructive, unless the mapping says its risk.
    """
    arguments: JsonObject = given.get("arguments") or {}
    spec = _spec(str(given["tool"]), arguments, tools)
    if given.get("risk") is not None:
        spec = replace(spec, risk=RiskClass(given["risk"]))
    if given.get("effects") is not None:
        spec = replace(spec, effects=frozenset(map(ToolEffect, given["effects"])))
    agent = str(given.get("agent") or "")
    owner = Actor.parse(given["actor"]) if given.get("actor") else ctx.actor
    scope = Context(
        str(given.get("tenant") or ctx.tenant),
        str(given.get("project") or ctx.project),
        Actor("agent", agent) if agent else owner,
    )
    call = PolicyCall(
        spec,
        arguments,
        scope,
        agent=agent,
        workflow=str(given.get("workflow") or ""),
        run_id=str(given.get("run") or ""),
        owner=owner,
    )
    rules: dict[str, Any] = given.get("policies") or {}
    return call, float(given.get("cost_usd") or 0.0), layers.narrowed(rules, tools=(spec.name, *tools.names))


def _spec(name: str, arguments: JsonObject, tools: Toolbox) -> ToolSpec:
    try:
        tool = tools.get(name)
    except MosaicError:  # there is none, its server cannot be reached, or it is in quarantine
        return ToolSpec(name, "", {}, source="unknown")
    # What depends on arguments may rely on their being valid.
    return tool.spec if problems_of(arguments, tool.spec.input_schema) else tool.spec_for(arguments)


def _case(source: Source, value: JsonObject, path: Path, problems: list[Problem]) -> PolicyCase:
    expect, line = value["expect"], source.places.get(path, (1, 1))[0]
    moment = None
    if "at" in value:
        try:
            moment = datetime.fromisoformat(value["at"])
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            problems.append(
                source.problem((*path, "at"), "not a time with its zone, such as 2027-01-31T18:00:00Z")
            )
    layer = value["call"].get("policies") or {}
    inside: Path = (*path, "call", "policies")
    problems += [
        source.problem(
            (*inside, problem.path.rpartition("policies.")[2]), problem.message, problem.suggestion
        )
        for problem in policy_problems(layer, tools=(value["call"]["tool"],))
    ]
    return PolicyCase(
        value["name"],
        value["call"],
        expect if isinstance(expect, str) else expect["decision"],
        rule=None if isinstance(expect, str) else expect.get("rule"),
        at=moment,
        place=f"{source.file}:{line}" if source.file else "",
    )
