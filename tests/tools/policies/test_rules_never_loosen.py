"""Whatever rule is added, in whatever order: what was refused stays refused."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, Problem
from mosaic.tools import Decision, Policy, RiskClass, ToolEffect, ToolSpec
from mosaic.tools.policies import PolicyCall, policy_of
from mosaic.tools.policies.judging import ruled
from mosaic.tools.policies.rules import Facts

NOW = datetime(2026, 12, 1, tzinfo=UTC)
STRICTNESS = {Decision.ALLOW: 0, Decision.ASK: 1, Decision.DENY: 2}

tools = st.sampled_from(["a.x", "a.y", "b.x"])
tool_patterns = st.one_of(tools, st.sampled_from(["a.*", "*", "?.x", "*.x*"]))
paths = st.sampled_from(["src/a", "../a", "/etc/passwd", ".env", "src/../.env"])
globs = st.sampled_from(["src/**", "**", "**/.env", "/etc/*", "*"])
hosts = st.sampled_from(["https://a.com", "https://b.com/x", "http://[::", "nothing"])
values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["x", "y;z", ""]), st.integers(0, 3), st.booleans(), st.none()
)
tests: st.SearchStrategy[Any] = st.one_of(
    values,
    st.just("*"),
    st.just("y*"),
    st.builds(lambda text: {"regex": text}, st.sampled_from(["x?", ".*", "y.z"])),
)
conditions = st.sampled_from(
    ["true", "call.tool == 'a.x'", "call.arguments.v > 1", "call.nothing_here == 1 || true", "call.arguments.v", "call.cost_usd > 1.0"]
)  # fmt: skip
matches = st.fixed_dictionaries(
    {},
    optional={
        "tool": tool_patterns,
        "risk": st.sampled_from([risk.value for risk in RiskClass]),
        "effects": st.sampled_from([effect.value for effect in ToolEffect]),
        "agent": st.sampled_from(["coder", "*", "?*"]),
        "project": st.sampled_from(["p1", "p*", "q"]),
        "arguments": st.dictionaries(
            st.sampled_from(["v", "/list/*", "/deep/v"]), tests, min_size=1, max_size=2
        ),
        "path": globs,
        "host": st.sampled_from(["a.com", "*"]),
    },
).filter(bool)
rules = st.fixed_dictionaries(
    {"effect": st.sampled_from(["allow", "ask", "deny"]), "match": matches},
    optional={
        "when": conditions.filter(lambda text: "nothing_here" not in text),
        "expires": st.sampled_from(["2026-01-01", "2027-01-01"]),
    },
)
calls = st.fixed_dictionaries(
    {"tool": tools, "risk": st.sampled_from(list(RiskClass)), "effects": st.frozensets(st.sampled_from(list(ToolEffect)))},
    optional={
        "agent": st.sampled_from(["coder", "other"]),
        "arguments": st.fixed_dictionaries(
            {},
            optional={
                "v": values,
                "path": paths,
                "files": st.lists(paths, max_size=2),
                "url": hosts,
                "list": st.lists(values, max_size=3),
                "deep": st.fixed_dictionaries({"v": values}),
            },
        ),
    },
)  # fmt: skip
layers = st.dictionaries(
    st.sampled_from(["write", "exec", "destructive", "a.x", "financial", "ask"]),
    st.sampled_from(["allow", "ask", "deny"]),
    max_size=3,
)


def decision(listed: list[dict[str, Any]], call: PolicyCall, base: Policy, cost_usd: float) -> Decision:
    named = [{"name": f"r{number}", **rule} for number, rule in enumerate(listed)]
    policy = policy_of({"policy.json": json.dumps({"rules": named})})
    return ruled(policy, base, Facts(call, cost_usd=cost_usd), NOW).decision


@settings(max_examples=150, deadline=None)
@given(
    listed=st.lists(rules, max_size=4),
    added=rules,
    place=st.integers(0, 4),
    made=calls,
    layer=layers,
    cost_usd=st.sampled_from([0.0, 5.0]),
)
def test_adding_any_rule_never_turns_a_deny_into_anything_else(
    listed: list[dict[str, Any]],
    added: dict[str, Any],
    place: int,
    made: dict[str, Any],
    layer: dict[str, str],
    cost_usd: float,
) -> None:
    spec = ToolSpec(made["tool"], "", {}, risk=made["risk"], effects=made["effects"])
    ctx = Context("t1", "p1", Actor("user", "u1"))
    call = PolicyCall(spec, made.get("arguments", {}), ctx, agent=made.get("agent", ""))
    base = Policy().narrowed(layer)
    before = decision(listed, call, base, cost_usd)
    after = decision([*listed[:place], added, *listed[place:]], call, base, cost_usd)
    if before is Decision.DENY:
        assert after is Decision.DENY
    if added["effect"] != "allow":
        assert STRICTNESS[after] >= STRICTNESS[before]
    # The order of a file means nothing.
    assert decision([*listed[::-1], added], call, base, cost_usd) is after


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_no_text_breaks_the_reader_of_policies(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        policy_of({"policy.yaml": text})
    except InvalidInput as error:
        problems = error.problems
    assert all(problem.line >= 1 for problem in problems)
