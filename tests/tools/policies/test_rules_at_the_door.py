"""Every kind of rule, judged by the real door: deny wins, then ask, then allow."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Actor
from mosaic.core.errors import PolicyDenied
from mosaic.engine import Effects
from mosaic.tools import ApprovalNeeded, Policy, Toolbox, ToolDeclaration, ToolResult
from tests.tools.policies.conftest import Echo, PolicyBench

pytestmark = pytest.mark.anyio


async def outcome(
    bench: PolicyBench, tool: Echo | str, arguments: dict[str, Any] | None = None, **more: Any
) -> str:
    """Call, and say what became of it in the words of a policy."""
    try:
        result = await bench.call(tool, arguments, **more)
    except PolicyDenied:
        return "deny"
    except ApprovalNeeded:
        return "ask"
    assert isinstance(result, ToolResult)
    return "allow"


async def test_a_rule_that_denies_a_tool_by_a_pattern_refuses_the_call_and_names_itself(
    policed: PolicyBench,
) -> None:
    policed.write("""
        rules:
          - name: no-acme
            effect: deny
            match: {tool: "acme.*"}
            reason: the contract has ended
        """)
    tool = Echo()
    with pytest.raises(PolicyDenied, match=r"no-acme \(the contract has ended\)") as refused:
        await policed.call(tool)
    assert tool.calls == []
    assert refused.value.data["policy"]["rule"] == "no-acme"
    (event,) = await policed.events("tool.denied")
    assert event.data["policy"] == {"version": policed.judge.policy.version, "rule": "no-acme"}
    assert await outcome(policed, Echo("other.do")) == "allow"


async def test_the_call_event_carries_the_version_and_the_rule_that_allowed_it(policed: PolicyBench) -> None:
    policed.write("""
        rules:
          - {name: deletes, effect: allow, match: {tool: acme.delete}}
        """)
    await policed.call(Echo("acme.delete", "destructive"))
    (event,) = await policed.events("tool.called")
    assert event.data["policy"] == {"version": policed.judge.policy.version, "rule": "deletes"}
    assert event.data["policy"]["version"].startswith("sha256:")


@pytest.mark.parametrize(
    ("match", "call", "becomes"),
    [
        ("tool: acme.do", {}, "deny"),
        ("tool: acme.d?", {}, "deny"),
        ("tool: [x.y, acme.do]", {}, "deny"),
        ("tool: acme", {}, "allow"),
        ("risk: generative", {}, "deny"),
        ("risk: [financial, destructive]", {}, "allow"),
        ("effects: write", {}, "deny"),
        ("effects: [network, exec]", {}, "allow"),
        ("agent: coder", {"agent": "coder"}, "deny"),
        ("agent: coder", {"agent": "reviewer"}, "allow"),
        ("agent: coder", {}, "allow"),
        ("agent: '?*'", {}, "allow"),
        ("project: p*", {}, "deny"),
        ("project: other", {}, "allow"),
        ("tenant: t1", {}, "deny"),
        ("tenant: t2", {}, "allow"),
        ("workflow: deploy-*", {"policy": Policy(workflow="deploy-web")}, "deny"),
        ("workflow: deploy-*", {"policy": Policy(workflow="test")}, "allow"),
        ("actor: user:u1", {}, "deny"),
        ("actor: 'agent:*'", {}, "allow"),
        ("{tool: acme.do, agent: coder}", {"agent": "coder"}, "deny"),
        ("{tool: acme.do, agent: coder}", {"agent": "other"}, "allow"),
    ],
)
async def test_a_rule_matches_by_names(
    policed: PolicyBench, match: str, call: dict[str, Any], becomes: str
) -> None:
    match = match if match.startswith("{") else f"{{{match}}}"
    policed.write(f"rules: [{{name: r, effect: deny, match: {match}}}]")
    assert await outcome(policed, Echo(effects=("write",)), **call) == becomes


@pytest.mark.parametrize(
    ("tests", "arguments", "becomes"),
    [
        ("{branch: main}", {"branch": "main"}, "deny"),
        ("{branch: main}", {"branch": "mains"}, "allow"),
        ("{branch: 'release/*'}", {"branch": "release/1/x"}, "deny"),
        ("{branch: [main, master]}", {"branch": "master"}, "deny"),
        ("{branch: {regex: 'rel-[0-9]+'}}", {"branch": "rel-12"}, "deny"),
        ("{branch: {regex: 'rel-[0-9]+'}}", {"branch": "xrel-12"}, "allow"),
        ("{branch: {regex: '.*prod.*'}}", {"branch": "a\nprod"}, "deny"),
        ("{force: true}", {"force": True}, "deny"),
        ("{force: true}", {"force": 1}, "allow"),
        ("{count: 3}", {"count": 3}, "deny"),
        ("{'/a/b': x}", {"a": {"b": "x"}}, "deny"),
        ("{'/a/*/b': x}", {"a": [{"b": "y"}, {"b": "x"}]}, "deny"),
        ("{'/a/1': x}", {"a": ["y", "x"]}, "deny"),
        ("{'/a/7': x}", {"a": ["y", "x"]}, "allow"),
        ("{a: {equals: [1, 2]}}", {"a": [1, 2]}, "deny"),
        ("{missing: x}", {}, "allow"),
        ("{a: x, b: y}", {"a": "x", "b": "z"}, "allow"),
    ],
)
async def test_a_rule_matches_by_arguments(
    policed: PolicyBench, tests: str, arguments: dict[str, Any], becomes: str
) -> None:
    policed.write(f"rules: [{{name: r, effect: deny, match: {{arguments: {tests}}}}}]")
    assert await outcome(policed, Echo(), arguments) == becomes


@pytest.mark.parametrize(
    ("globs", "arguments", "becomes"),
    [
        ("secrets/**", {"path": "secrets/a/b"}, "deny"),
        ("secrets/**", {"path": "./x/../secrets/a"}, "deny"),
        ("secrets/**", {"path": "src/secrets/a"}, "allow"),
        ("'**/.env'", {"path": "a/b/.env"}, "deny"),
        ("'**/.env'", {"paths": ["x", ".env"]}, "deny"),
        ("'**/.env'", {"repo_path": "../other/.env"}, "deny"),
        ("'**/.env'", {"edits": [{"file": "a/.env"}]}, "deny"),
        ("'*.py'", {"path": "a/b.py"}, "allow"),
        ("'**/.env'", {"content": ".env"}, "allow"),
        ("/etc/**", {"path": "/etc/passwd"}, "deny"),
        ("/etc/**", {"source": "file:///etc/passwd"}, "deny"),
    ],
)
async def test_a_rule_matches_by_paths(
    policed: PolicyBench, globs: str, arguments: dict[str, Any], becomes: str
) -> None:
    policed.write(f"rules: [{{name: r, effect: deny, match: {{path: {globs}}}}}]")
    assert await outcome(policed, Echo(), arguments) == becomes


async def test_a_path_is_also_where_its_links_lead(policed: PolicyBench, workspace: Path) -> None:
    (workspace / "secrets").mkdir()
    (workspace / "plain").symlink_to("secrets")
    policed.write("rules: [{name: r, effect: deny, match: {path: secrets/**}}]")
    assert await outcome(policed, Echo(), {"path": "plain/key"}) == "deny"
    assert await outcome(policed, Echo(), {"path": f"{workspace}/secrets/key"}) == "deny"
    assert await outcome(policed, Echo(), {"path": "other/key"}) == "allow"


@pytest.mark.parametrize(
    ("arguments", "becomes"),
    [
        ({"path": "tmp/a"}, "allow"),
        ({"path": "tmp/../src"}, "ask"),
        ({"path": "/tmp/a"}, "ask"),
        ({"path": "../tmp/a"}, "ask"),
        ({"paths": ["tmp/a", "src/b"]}, "ask"),
        ({"path": "tmp/a", "destination": "src/b"}, "ask"),
        ({"path": "tmp/link/a"}, "ask"),
        ({}, "ask"),
    ],
)
async def test_an_allow_by_paths_holds_only_when_every_path_fits(
    policed: PolicyBench, workspace: Path, arguments: dict[str, Any], becomes: str
) -> None:
    (workspace / "tmp").mkdir()
    (workspace / "src").mkdir()
    (workspace / "tmp" / "link").symlink_to("../src")
    policed.write(
        "rules: [{name: r, effect: allow, match: {tool: acme.delete, path: ['tmp/**', '**/tmp/**']}}]"
    )
    assert await outcome(policed, Echo("acme.delete", "destructive"), arguments) == becomes


@pytest.mark.parametrize(
    ("arguments", "becomes"),
    [
        ({"url": "https://api.evil.com/x"}, "deny"),
        ({"url": "https://EVIL.com./x"}, "deny"),
        ({"url": "https://user:pw@evil.com:8443/"}, "deny"),
        ({"anything": "wss://evil.com"}, "deny"),
        ({"remote": {"urls": ["https://good.com", "https://evil.com"]}}, "deny"),
        ({"url": "evil.com/path"}, "deny"),
        ({"host": "evil.com:22"}, "deny"),
        ({"repo_url": "git@evil.com:a/b.git"}, "deny"),
        ({"url": "https://good.com/?next=evil.com"}, "allow"),
        ({"url": "https://good.com"}, "allow"),
        ({"url": "https://good.com\\@evil.com/"}, "deny"),  # two readers, two hosts: it is not read at all
        ({"url": "https://[::1/"}, "deny"),
        ({"text": "see evil.com"}, "allow"),
        ({"text": " https://evil.com is bad"}, "deny"),
        ({"content": "https://evil.com\nis what the second line says"}, "allow"),
        ({"content": "https://[brackets] " + "x" * 3000}, "allow"),
        ({"url": "file:///etc/passwd"}, "allow"),
    ],
)
async def test_a_rule_matches_by_hosts(policed: PolicyBench, arguments: dict[str, Any], becomes: str) -> None:
    policed.write("rules: [{name: r, effect: deny, match: {host: [evil.com, '*.evil.com']}}]")
    assert await outcome(policed, Echo(), arguments) == becomes


@pytest.mark.parametrize(
    ("condition", "becomes"),
    [
        ("call.arguments.amount > 100", "deny"),
        ("call.arguments.amount > 1000", "allow"),
        ("call.tool == 'acme.do' && call.risk == 'generative'", "deny"),
        ("'write' in call.effects", "deny"),
        ("call.agent == 'coder' && call.project == 'p1' && call.tenant == 't1'", "deny"),
        ("call.run == 'run_1' && call.actor == 'user:u1'", "deny"),
        ("call.cost_usd > 2.0", "deny"),
        ("call.cost_usd > 3.0", "allow"),
        ("has(call.arguments.nothing) && call.arguments.nothing == 1", "allow"),
        ("${ call.arguments.tags.exists(t, t.startsWith('prod')) }", "deny"),
    ],
)
async def test_a_rule_matches_by_a_condition(policed: PolicyBench, condition: str, becomes: str) -> None:
    policed.spent_usd = 2.5
    policed.write(f'rules: [{{name: r, effect: deny, match: {{tool: "acme.*"}}, when: "{condition}"}}]')
    arguments = {"amount": 500, "tags": ["a", "prod-1"]}
    assert await outcome(policed, Echo(effects=("write",)), arguments, agent="coder") == becomes


@pytest.mark.parametrize("effect", ["deny", "ask", "allow"])
@pytest.mark.parametrize(
    "condition", ["call.arguments.amount > 1", "call.arguments.text", "call.arguments.text > 3"]
)
async def test_a_rule_that_cannot_be_evaluated_refuses_and_says_so(
    policed: PolicyBench, effect: str, condition: str
) -> None:
    policed.write(
        f'rules: [{{name: broken, effect: {effect}, match: {{tool: acme.do}}, when: "{condition}"}}]'
    )
    tool = Echo()
    with pytest.raises(PolicyDenied, match="broken could not be evaluated"):
        await policed.call(tool, {"text": "x"})
    assert tool.calls == []


async def test_deny_wins_over_ask_and_ask_over_allow_whatever_their_order(policed: PolicyBench) -> None:
    policed.write("""
        rules:
          - {name: a, effect: allow, match: {tool: acme.do}}
          - {name: b, effect: ask, match: {tool: acme.do, agent: coder}}
          - {name: c, effect: deny, match: {tool: acme.do, agent: coder, arguments: {x: 1}}}
        """)
    assert await outcome(policed, Echo(), {"x": 1}, agent="coder") == "deny"
    assert await outcome(policed, Echo(), {"x": 2}, agent="coder") == "ask"
    assert await outcome(policed, Echo(), {"x": 1}, agent="other") == "allow"


async def test_an_allow_lifts_what_defaults_ask_only_where_it_names_the_tool(policed: PolicyBench) -> None:
    policed.write("""
        rules:
          - {name: named, effect: allow, match: {tool: acme.delete}}
          - {name: pattern, effect: allow, match: {tool: "acme.*"}}
          - {name: class, effect: allow, match: {risk: destructive}}
        """)
    assert await outcome(policed, Echo("acme.delete", "destructive")) == "allow"
    assert await outcome(policed, Echo("acme.wipe", "destructive")) == "ask"
    assert await outcome(policed, Echo("other.wipe", "financial")) == "ask"


async def test_an_allow_lifts_no_question_that_a_workflow_or_the_tool_itself_asks(
    policed: PolicyBench,
) -> None:
    policed.write("rules: [{name: named, effect: allow, match: {tool: acme.delete}}]")
    delete = Echo("acme.delete", "destructive")
    layer = Policy().narrowed({"destructive": "ask"})
    assert await outcome(policed, delete, policy=layer) == "ask"
    assert await outcome(policed, delete, policy=layer.as_defaults()) == "allow"
    assert await outcome(policed, delete, policy=Policy().narrowed({"acme.delete": "deny"})) == "deny"
    assert await outcome(policed, delete, policy=Policy().narrowed({"ask": "deny"})) == "deny"


async def test_what_a_rule_asks_is_refused_where_nobody_is_there_to_answer(policed: PolicyBench) -> None:
    policed.write("rules: [{name: ask-me, effect: ask, match: {tool: acme.do}}]")
    with pytest.raises(PolicyDenied, match="ask-me, and nobody is there to ask"):
        await policed.call(Echo(), policy=Policy().narrowed({"ask": "deny"}))


async def test_an_ask_rule_says_who_is_asked(policed: PolicyBench) -> None:
    policed.write("""
        rules:
          - name: one
            effect: ask
            match: {tool: acme.do}
            approval: {roles: [lead]}
          - name: two
            effect: ask
            match: {tool: acme.do, agent: coder}
            reason: coders do not pay
            approval: {roles: [finance], quorum: 2, timeout: 4h, on_timeout: approve}
        """)
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call(Echo(), {"n": 1}, agent="coder")
    approval = asked.value.approval
    assert approval is not None
    assert (approval.roles, approval.quorum, approval.on_timeout) == (("finance",), 2, "approve")
    assert approval.expires_at is not None
    assert (approval.expires_at - approval.requested_at).total_seconds() == 4 * 3600
    assert approval.detail["reason"] == "the rule two (coders do not pay)"
    assert approval.detail["policy"]["rule"] == "two"


async def test_a_rule_that_has_expired_is_as_if_it_were_not_there(policed: PolicyBench) -> None:
    policed.write("rules: [{name: freeze, effect: deny, match: {tool: acme.do}, expires: 2027-01-01}]")
    policed.time = lambda: datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert await outcome(policed, Echo()) == "deny"
    policed.time = lambda: datetime(2027, 1, 1, tzinfo=UTC)
    assert await outcome(policed, Echo()) == "allow"


async def test_wildcards_of_an_allow_stand_for_no_second_command(policed: PolicyBench) -> None:
    policed.write(
        "rules: [{name: r, effect: allow, match: {tool: acme.sh, arguments: {command: 'make **'}}}]"
    )
    shell = Echo("acme.sh", "destructive", ("exec",))
    assert await outcome(policed, shell, {"command": "make test"}) == "allow"
    assert await outcome(policed, shell, {"command": "make test; rm -rf /"}) == "ask"
    assert await outcome(policed, shell, {"command": "make $(id)"}) == "ask"


async def test_a_regular_expression_cannot_be_made_slow(policed: PolicyBench) -> None:
    policed.write("rules: [{name: r, effect: deny, match: {arguments: {t: {regex: '(a+)+b'}}}}]")
    assert await outcome(policed, Echo(), {"t": "a" * 90_000 + "c"}) == "allow"
    # What is too long to be looked at is not let through by that.
    with pytest.raises(PolicyDenied, match="could not be evaluated"):
        await policed.call(Echo(), {"t": "a" * 200_000})


async def test_edited_arguments_are_judged_again(policed: PolicyBench) -> None:
    policed.write("""
        rules:
          - {name: pay, effect: ask, match: {tool: acme.pay}, approval: {roles: [clerk]}}
          - {name: never, effect: deny, match: {tool: acme.pay}, when: "call.arguments.usd > 1000"}
          - {name: much, effect: ask, match: {tool: acme.pay}, when: "call.arguments.usd > 100", approval: {roles: [boss], quorum: 2}}
        """)
    pay = Echo("acme.pay", "financial")
    for usd, told in ((5000, "never"), (500, "needs another approval")):
        with pytest.raises(ApprovalNeeded) as asked:
            await policed.call(pay, {"usd": 50}, name=f"pay{usd}")
        approval = asked.value.approval
        assert approval is not None
        await policed.approvals.decide(policed.ctx, approval.id, approve=True, arguments={"usd": usd})
        with pytest.raises(PolicyDenied, match=told):
            await policed.call(pay, {"usd": 50}, name=f"pay{usd}")
    assert pay.calls == []


async def test_what_was_recorded_is_not_judged_again(policed: PolicyBench) -> None:
    tool = Echo()
    await policed.call(tool, name="once")
    policed.write("rules: [{name: stop, effect: deny}]")
    assert (await policed.call(tool, name="once")).content == {"echo": {}}
    assert len(tool.calls) == 1
    assert await outcome(policed, tool) == "deny"


async def test_a_broken_policy_that_nobody_was_told_of_lets_nothing_pass(policed: PolicyBench) -> None:
    (policed.home / "policy.yaml").write_text("rules: [{name: x}]")
    with pytest.raises(PolicyDenied, match="cannot be used"):
        await policed.call(Echo(risk="read_only"))


async def test_an_agents_rule_knows_the_agent_and_the_owner_of_its_run(policed: PolicyBench) -> None:
    policed.write("rules: [{name: r, effect: deny, match: {actor: 'agent:*', agent: coder}}]")
    effects = policed.effects().acting_as(Actor("agent", "coder"))
    assert isinstance(effects, Effects)
    assert str(effects.owner) == "user:u1"
    assert await outcome(policed, Echo(), effects=effects, agent="coder") == "deny"


def aliased(tool: Echo, name: str) -> Toolbox:
    """A toolbox in which a workflow calls a tool by another name."""
    return Toolbox([tool]).narrowed([ToolDeclaration(name, tool=tool.spec.name)])


async def test_another_name_does_not_escape_a_rule_that_denies_or_asks(policed: PolicyBench) -> None:
    tool = Echo("acme.delete", "destructive")
    toolbox = aliased(tool, "tidy.up")
    for effect in ("deny", "ask"):
        for name in ("acme.delete", "tidy.up"):
            policed.write(f"rules: [{{name: r, effect: {effect}, match: {{tool: {name}}}}}]")
            assert await outcome(policed, "tidy.up", toolbox=toolbox) == effect, (effect, name)
    policed.write("")
    denied = Policy().narrowed({"acme.delete": "deny"}).narrowed({"tidy.up": "allow"})
    assert await outcome(policed, "tidy.up", toolbox=toolbox, policy=denied) == "deny"


async def test_another_name_does_not_get_what_is_allowed_for_a_tool(policed: PolicyBench) -> None:
    policed.write("rules: [{name: r, effect: allow, match: {tool: acme.tidy}}]")
    wipe = Echo("acme.wipe", "destructive")
    assert await outcome(policed, "acme.tidy", toolbox=aliased(wipe, "acme.tidy")) == "ask"
    tidy = Echo("acme.tidy", "destructive")
    assert await outcome(policed, "sweep", toolbox=aliased(tidy, "sweep")) == "allow"


async def test_a_standing_answer_is_for_the_tool_and_not_for_its_name(policed: PolicyBench) -> None:
    one, other = Echo("acme.one", "destructive"), Echo("acme.other", "destructive")
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call("mine", toolbox=aliased(one, "mine"), name="asked")
    approval = asked.value.approval
    assert approval is not None
    await policed.approvals.decide(policed.ctx, approval.id, approve=True, scope="always")
    assert await outcome(policed, "mine", toolbox=aliased(one, "mine")) == "allow"
    assert await outcome(policed, one) == "allow"
    assert await outcome(policed, "mine", toolbox=aliased(other, "mine")) == "ask"


async def test_what_a_workflow_brings_along_is_known_by_a_name_of_its_own(policed: PolicyBench) -> None:
    policed.write("rules: [{name: r, effect: allow, match: {tool: acme.do}}]")
    mine = Echo("acme.do", "destructive", original="own:acme.do")
    assert await outcome(policed, mine) == "ask"
    policed.write("rules: [{name: r, effect: allow, match: {tool: 'own:acme.do'}}]")
    assert await outcome(policed, mine) == "allow"
