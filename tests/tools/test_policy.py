"""Which calls run, which ask, which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import InvalidDefinition
from mosaic.tools import ApprovalRule, Decision, Policy, RiskClass, ToolEffect, ToolSpec, policy_problems
from mosaic.tools.policy import POLICY_KEYS

STRICTNESS = [Decision.ALLOW, Decision.ASK, Decision.DENY]


def spec(risk: str, *effects: str, name: str = "x.y", approval: ApprovalRule | None = None) -> ToolSpec:
    return ToolSpec(
        name,
        "",
        {},
        risk=RiskClass(risk),
        effects=frozenset(ToolEffect(e) for e in effects),
        approval=approval,
    )


@pytest.mark.requirement("MOZ-26", "MOZ-27", "MOZ-28", "MOZ-29", "MOZ-30")
@pytest.mark.parametrize(
    ("risk", "decision", "audited"),
    [
        ("read_only", "allow", False),
        ("generative", "allow", False),
        ("external_api", "allow", True),
        ("destructive", "ask", False),
        ("financial", "ask", True),
    ],
)
def test_each_risk_class_has_its_default(risk: str, decision: str, audited: bool) -> None:
    ruling = Policy().judge(spec(risk))
    assert (ruling.decision, ruling.audited) == (decision, audited)


@pytest.mark.requirement("MOZ-29")
def test_a_tool_that_says_nothing_of_its_risk_is_destructive() -> None:
    assert Policy().judge(ToolSpec("new", "", {})).decision is Decision.ASK


@pytest.mark.parametrize(
    ("rules", "tool", "decision"),
    [
        ({"exec": "ask"}, spec("generative", "read", "write", "exec"), "ask"),
        ({"exec": "deny"}, spec("generative", "exec"), "deny"),
        ({"network": "ask"}, spec("external_api", "network"), "ask"),
        ({"write": "allow"}, spec("destructive", "write", "destructive"), "ask"),
        ({"destructive": "allow"}, spec("destructive", "write", "destructive"), "allow"),
        ({"destructive": "deny"}, spec("destructive"), "deny"),
        ({"read": "deny"}, spec("generative", "write"), "allow"),
        ({"financial": "allow"}, spec("financial"), "allow"),
        ({"x.y": "allow"}, spec("destructive", "destructive"), "allow"),
        ({"x.y": "ask"}, spec("read_only", "read"), "ask"),
        ({"ask": "deny"}, spec("destructive"), "deny"),
        ({"ask": "deny"}, spec("read_only", "read"), "allow"),
        ({"ask": "allow"}, spec("destructive"), "ask"),
    ],
)
def test_a_workflows_words_map_to_decisions(rules: dict[str, str], tool: ToolSpec, decision: str) -> None:
    assert Policy().narrowed(rules).judge(tool).decision == decision


def test_the_narrower_layer_wins() -> None:
    policy = Policy().narrowed({"exec": "ask"})
    assert policy.narrowed({"exec": "allow"}).judge(spec("generative", "exec")).decision is Decision.ALLOW
    assert (
        Policy()
        .narrowed({"exec": "allow"})
        .narrowed({"exec": "ask"})
        .judge(spec("generative", "exec"))
        .decision
        == "ask"
    )


@pytest.mark.requirement("MOZ-34")
def test_a_deny_is_final() -> None:
    policy = Policy().narrowed({"exec": "deny"}).narrowed({"exec": "allow", "x.y": "allow"})
    assert policy.judge(spec("generative", "exec")).decision is Decision.DENY
    assert not policy.allows(ToolEffect.EXEC)


def test_a_rule_for_a_tool_does_not_silence_a_narrower_layer() -> None:
    policy = Policy().narrowed({"x.y": "allow"}).narrowed({"write": "ask"})
    assert policy.judge(spec("generative", "write")).decision is Decision.ASK


def test_a_tool_may_ask_where_the_policy_would_allow() -> None:
    ruling = Policy().judge(spec("read_only", approval=ApprovalRule(required=True)))
    assert ruling.decision is Decision.ASK
    assert "asks for approval" in ruling.reason


def test_what_is_wrong_in_policies_is_said_all_at_once() -> None:
    problems = policy_problems(
        {"exce": "ask", "write": "maybe", "deploy": "ask", "files.delete": "deny"}, tools=["deploy"]
    )
    assert [str(problem) for problem in problems] == [
        "policies.exce: unknown policy 'exce' (did you mean exec?)",
        "policies.write: 'maybe' is no decision (one of allow, ask, deny)",
    ]
    with pytest.raises(InvalidDefinition) as caught:
        Policy().narrowed({"exce": "ask"})
    assert caught.value.problems


layers = st.lists(
    st.dictionaries(st.sampled_from([*POLICY_KEYS, "x.y"]), st.sampled_from(list(Decision))), max_size=4
)
tools = st.builds(
    lambda risk, effects: ToolSpec("x.y", "", {}, risk=risk, effects=frozenset(effects)),
    st.sampled_from(list(RiskClass)),
    st.sets(st.sampled_from(list(ToolEffect))),
)


@given(layers, tools, st.data())
def test_adding_a_deny_never_makes_anything_milder(
    rules: list[dict[str, Decision]], tool: ToolSpec, data: st.DataObject
) -> None:
    policy = Policy()
    for layer in rules:
        policy = policy.narrowed(layer)
    before = policy.judge(tool).decision
    key = data.draw(st.sampled_from([*POLICY_KEYS, "x.y"]))
    after = policy.narrowed({key: "deny"}).judge(tool).decision
    assert STRICTNESS.index(after) >= STRICTNESS.index(before) or key == "ask"


@given(layers, tools)
def test_a_denied_aspect_is_denied_wherever_it_stands(
    rules: list[dict[str, Decision]], tool: ToolSpec
) -> None:
    policy = Policy()
    for layer in rules:
        policy = policy.narrowed(layer)
    aspects = {tool.name, tool.risk.value, *(effect.value for effect in tool.effects)}
    denied = any(layer.get(aspect) is Decision.DENY for layer in rules for aspect in aspects)
    assert not denied or policy.judge(tool).decision is Decision.DENY


def test_an_effect_is_granted_only_in_so_many_words_and_by_the_narrowest_who_speaks() -> None:
    plain = Policy()
    assert plain.allows(ToolEffect.NETWORK)
    assert not plain.grants(ToolEffect.NETWORK)
    allowed = plain.narrowed({"network": "allow"})
    assert allowed.grants(ToolEffect.NETWORK)
    assert allowed.narrowed({"exec": "allow"}).grants(ToolEffect.NETWORK)
    assert not allowed.narrowed({"network": "ask"}).grants(ToolEffect.NETWORK)
    assert not plain.narrowed({"network": "deny"}).narrowed({"network": "allow"}).grants(ToolEffect.NETWORK)
