"""Permissions in Cedar: who may call which tool on what at all; deny by default, and a forbid wins."""

from typing import Any

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, PolicyDenied
from mosaic.engine import Effects
from mosaic.tools import ApprovalNeeded
from mosaic.tools.policies.permissions import load_permissions
from tests.tools.policies.conftest import Echo, PolicyBench

pytestmark = pytest.mark.anyio


async def may(bench: PolicyBench, tool: Echo, arguments: dict[str, Any] | None = None, **more: Any) -> bool:
    try:
        await bench.call(tool, arguments, **more)
    except PolicyDenied:
        return False
    except ApprovalNeeded:
        return True
    return True


@pytest.mark.parametrize(
    ("permit", "permitted"),
    [
        ("permit(principal, action, resource);", True),
        ('permit(principal == Agent::"coder", action, resource);', True),
        ('permit(principal == Agent::"other", action, resource);', False),
        ("permit(principal is Agent, action, resource);", True),
        ("permit(principal is User, action, resource);", False),
        # An agent stands below whoever its run belongs to, and he below his roles.
        ('permit(principal in User::"u1", action, resource);', True),
        ('permit(principal in User::"u2", action, resource);', False),
        ('permit(principal in Role::"developer", action, resource);', True),
        ('permit(principal, action == Action::"files.write", resource);', True),
        ('permit(principal, action == Action::"files.read", resource);', False),
        ('permit(principal, action in Action::"files", resource);', True),
        ('permit(principal, action in Action::"risk:generative", resource);', True),
        ('permit(principal, action in Action::"risk:destructive", resource);', False),
        ('permit(principal, action in Action::"effect:write", resource);', True),
        ('permit(principal, action, resource == Project::"p1");', True),
        ('permit(principal, action, resource == Project::"p2");', False),
        ('permit(principal, action, resource in Tenant::"t1");', True),
        ('permit(principal, action, resource in Tenant::"t2");', False),
        ('permit(principal, action, resource) when { context.paths.contains("src/a") };', True),
        ("permit(principal, action, resource) when { context.hosts.isEmpty() };", True),
        (
            'permit(principal, action, resource) when { context.agent == "coder" && context.run == "run_1" };',
            True,
        ),
        ('permit(principal, action, resource) when { context.effects.contains("network") };', False),
    ],
)
async def test_what_a_permit_says_is_permitted_and_nothing_else(
    policed: PolicyBench, permit: str, permitted: bool
) -> None:
    policed.write("", permissions=permit)
    effects = policed.effects().acting_as(Actor("agent", "coder"))
    tool = Echo("files.write", effects=("write",))
    assert await may(policed, tool, {"path": "./src/a"}, effects=effects, agent="coder") is permitted


@pytest.mark.requirement("ORC-82")
async def test_a_forbid_wins_and_is_named(policed: PolicyBench) -> None:
    policed.write(
        "rules: [{name: named, effect: allow, match: {tool: acme.do}}]",
        permissions="""
            // everybody
            permit(principal, action, resource);
            @id("no robots")
            forbid(principal is Agent, action in Action::"acme", resource);
            """,
    )
    with pytest.raises(PolicyDenied, match=r"the permissions forbid it \(no robots\)") as refused:
        await policed.call(Echo(), agent="coder")
    assert refused.value.data["policy"]["rule"] == "permissions:no robots"
    assert await may(policed, Echo())
    (event,) = await policed.events("tool.denied")
    assert event.data["policy"]["version"] == policed.judge.policy.version


@pytest.mark.requirement("ORC-82", "MAOS-33")
async def test_without_a_permit_everything_is_refused_also_what_a_rule_allows(policed: PolicyBench) -> None:
    policed.write(
        "rules: [{name: named, effect: allow, match: {tool: acme.do}}]", permissions="// nobody may anything"
    )
    with pytest.raises(PolicyDenied, match="no permission permits it"):
        await policed.call(Echo(risk="read_only"))


async def test_without_a_file_everything_is_permitted(policed: PolicyBench) -> None:
    policed.write("")
    assert await may(policed, Echo())
    policed.write("", permissions='permit(principal == User::"nobody", action, resource);')
    assert not await may(policed, Echo())
    (policed.home / "permissions.cedar").unlink()
    policed.judge.load()
    assert await may(policed, Echo())


async def test_a_permission_does_not_lift_a_question(policed: PolicyBench) -> None:
    policed.write("", permissions="permit(principal, action, resource);")
    with pytest.raises(ApprovalNeeded):
        await policed.call(Echo("acme.wipe", "destructive"))


async def test_a_policy_that_cannot_be_evaluated_refuses(policed: PolicyBench) -> None:
    policed.write(
        "",
        permissions="""
            permit(principal, action, resource);
            @id("typo") forbid(principal, action, resource) when { context.agnet == "coder" };
            """,
    )
    with pytest.raises(PolicyDenied, match=r"could not be evaluated.*`typo`.*agnet"):
        await policed.call(Echo(), agent="coder")


@pytest.mark.requirement("MAOS-33", "STK-21", "MAOS-04")
async def test_keys_and_webhooks_are_principals_of_their_own(policed: PolicyBench) -> None:
    policed.write(
        "",
        permissions='permit(principal == Key::"key_1", action, resource); permit(principal is Webhook, action, resource);',
    )
    for number, (actor, permitted) in enumerate(
        [
            (Actor("webhook", "key_1"), True),
            (Actor("user", "key_1"), True),
            (Actor("webhook", "ci"), True),
            (Actor("user", "u1"), False),
            (Actor("system", "x"), False),
        ]
    ):
        effects = Effects.open(policed.journal, Context("t1", "p1", actor), f"run_{number}", path="s")
        assert await may(policed, Echo(), effects=effects) is permitted, actor


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("permit(principal, action, resource)", 1, 1),
        ("permit(principal, action, resource);\n\n  forbid(principal, resource);", 3, 3),
        ('permit(principal, action, resource) when { context.x == "a;b" };\nnonsense;', 2, 9),
        ("// a;b\npermit(principal,\n  action, resource) when { context.x.y( };", 3, 41),
        ("permit(principal == ?principal, action, resource);", 1, 1),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_permissions(text, "permissions.cedar")
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.column) == ("permissions.cedar", line, column)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        load_permissions("permit(a);\npermit(principal, action, resource);\nforbid(b);", "p")
    assert [problem.line for problem in refused.value.problems] == [1, 3]
