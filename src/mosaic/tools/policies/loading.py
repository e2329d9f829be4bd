"""A policy file: read, checked, and every problem told at its line and column."""

import json
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject, JsonValue
from mosaic.expressions import CelError
from mosaic.routing.source import Path, Source, read_source, schema_problems
from mosaic.tools.policies.arguments import pointer_parts
from mosaic.tools.policies.book import RuleBook
from mosaic.tools.policies.conditions import Condition, compile_condition
from mosaic.tools.policies.limits import ToolLimit
from mosaic.tools.policies.patterns import ArgumentTest, is_glob, regex_problem
from mosaic.tools.policies.rules import NAMES, Match, ToolRule
from mosaic.tools.schemas import ApprovalRule, Decision

__all__ = ["load_policy", "policy_schema"]

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_APPROVAL = ("quorum", "counting", "four_eyes", "on_timeout")


def load_policy(text: str, file: str = "") -> RuleBook:
    """Return the rules and limits that a YAML or JSON text holds.

    Args:
        text: the file's content.
        file: its name, for messages.

    Raises:
        InvalidInput: naming every problem with file, line, column and the next step.
    """
    source = read_source(text, file)
    problems = schema_problems(source, policy_schema())
    if not problems:
        loader = _Loader(source)
        book = loader.book()
        problems = loader.problems
        if not problems:
            return book
    raise InvalidInput(
        f"{file or 'The policy'}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the policy.",
        problems=sorted(problems, key=lambda problem: (problem.line, problem.column)),
    )


@cache
def policy_schema() -> JsonObject:
    """Return the published JSON Schema of a policy file."""
    text = files("mosaic.tools.policies").joinpath("policy.schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]  # an object, as the tests see to


class _Loader:
    """Makes rules of a value that fits the schema."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def book(self) -> RuleBook:
        value = self.source.value
        rules = []
        seen: dict[str, int] = {}
        for at, item in enumerate(value.get("rules", ())):
            if item["name"] in seen:
                first = self.source.places[("rules", seen[item["name"]])][0]
                self.complain(("rules", at, "name"), f"the name is taken by the rule at line {first}")
            seen.setdefault(item["name"], at)
            rules.append(self.rule(item, ("rules", at)))
        limits = [
            ToolLimit(
                pattern,
                requests_per_minute=item.get("requests_per_minute"),
                concurrency=item.get("concurrency"),
                tenants=_texts(item.get("tenant")),
            )
            for pattern, item in value.get("limits", {}).items()
        ]
        return RuleBook(rules, limits, file=self.source.file)

    def complain(
        self, path: Path, message: str, suggestion: str | None = None, *, offset: int | None = None
    ) -> None:
        self.problems.append(self.source.problem(path, message, suggestion, offset=offset))

    def rule(self, value: JsonObject, path: Path) -> ToolRule:
        effect = Decision(value["effect"])
        match, approval = value.get("match", {}), value.get("approval")
        if approval is not None and effect is not Decision.ASK:
            self.complain((*path, "approval"), f"only an ask has an approval; this rule is {effect}")
        if "match" not in value and "when" not in value and effect is not Decision.DENY:
            hint = 'name at least the tool, or write `tool: "*"`'
            self.complain(path, f"this rule would {effect} everything", hint)
        line = self.source.places.get(path, (1, 1))[0]
        return ToolRule(
            value["name"],
            effect,
            match=self.match(match, (*path, "match")),
            when=self.condition(value["when"], (*path, "when")) if "when" in value else None,
            reason=value.get("reason", ""),
            approval=_approval(approval) if approval is not None else None,
            remember=bool(approval and approval.get("remember", False)),
            expires_at=self.moment(value["expires"], (*path, "expires")) if "expires" in value else None,
            place=f"{self.source.file}:{line}" if self.source.file else "",
        )

    def match(self, value: JsonObject, path: Path) -> Match:
        tests = []
        for pointer, wanted in value.get("arguments", {}).items():
            parts = pointer_parts(pointer)
            here: Path = (*path, "arguments", pointer)
            tests.append((pointer, parts, tuple(self.test(item, here) for item in _listed(wanted))))
        return Match(
            names={name: _texts(value[name]) for name in NAMES if name in value},
            effects=frozenset(_texts(value.get("effects"))),
            arguments=tuple(tests),
            paths=_texts(value.get("path")),
            hosts=tuple(host.lower() for host in _texts(value.get("host"))),
        )

    def test(self, value: JsonValue, path: Path) -> ArgumentTest:
        if isinstance(value, str):
            return ArgumentTest("like" if is_glob(value) else "equals", value)
        if not isinstance(value, dict):
            return ArgumentTest("equals", value)
        if "equals" in value:
            return ArgumentTest("equals", value["equals"])
        if (problem := regex_problem(value["regex"])) is not None:
            self.complain((*path, "regex"), problem)
        return ArgumentTest("regex", value["regex"])

    def condition(self, text: str, path: Path) -> Condition | None:
        try:
            return compile_condition(text)
        except CelError as error:
            self.complain(path, f"wrong expression: {error.message}", error.suggestion, offset=error.offset)
            return None

    def moment(self, text: str, path: Path) -> datetime | None:
        try:
            if len(text) == len("2027-01-31"):
                return datetime.combine(date.fromisoformat(text), time(), UTC)
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            hint = "write 2027-01-31, or 2027-01-31T18:00:00+01:00"
            self.complain(path, f"`{text[:40]}` is neither a day nor a time with its zone", hint)
            return None
        return found


def _approval(value: JsonObject) -> ApprovalRule:
    chosen: dict[str, Any] = {name: value[name] for name in _APPROVAL if name in value}
    return ApprovalRule(
        roles=tuple(value.get("roles", ())), timeout_s=_seconds(value.get("timeout")), **chosen
    )


def _seconds(value: Any) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    return float(value[:-1]) * _UNITS_S[value[-1]]


def _listed(value: JsonValue) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> tuple[str, ...]:
    return () if value is None else tuple(_listed(value))
