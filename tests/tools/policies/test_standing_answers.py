"""What people answer for more than one call: it holds, it is seen, it is revoked, and it lifts no refusal."""

from typing import Any, Literal

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, NotFound, PolicyDenied
from mosaic.tools import ApprovalNeeded, Policy
from mosaic.tools.approving.patterns import ArgumentPattern
from mosaic.tools.interfaces import RuleKeeper
from mosaic.tools.policies import StandingRules
from tests.tools.policies.conftest import Echo, PolicyBench

pytestmark = pytest.mark.anyio

BELOW_TMP: dict[str, Any] = {"path": {"like": "tmp/**"}}


async def remember(
    bench: PolicyBench,
    tool: str = "acme.delete",
    arguments: dict[str, Any] | None = None,
    *,
    scope: Literal["run", "always"] = "always",
    run_id: str = "run_1",
    approval_id: str = "apr_none",
    ctx: Context | None = None,
) -> str:
    async with bench.database.transaction() as tx:
        return await bench.standing.remember(
            tx,
            ctx or bench.ctx,
            tool=tool,
            arguments=arguments,
            scope=scope,
            run_id=run_id,
            approval_id=approval_id,
        )


async def asks(bench: PolicyBench, tool: Echo, arguments: dict[str, Any], **more: Any) -> bool:
    try:
        await bench.call(tool, arguments, **more)
    except ApprovalNeeded:
        return True
    return False


@pytest.fixture
def delete() -> Echo:
    return Echo("acme.delete", "destructive")


async def test_it_is_what_approvals_keep_lasting_answers_in(policed: PolicyBench) -> None:
    keeper: RuleKeeper = policed.standing
    assert isinstance(keeper, StandingRules)


async def test_a_matching_call_passes_and_says_by_which_rule(policed: PolicyBench, delete: Echo) -> None:
    rule = await remember(policed, arguments=BELOW_TMP)
    assert not await asks(policed, delete, {"path": "tmp/a/b"})
    assert await asks(policed, delete, {"path": "src/a"})
    assert await asks(policed, delete, {"path": "tmp/../src"})
    assert await asks(policed, delete, {"path": "tmp/a", "recursive": True})
    assert await asks(policed, Echo("acme.wipe", "destructive"), {"path": "tmp/a"})
    (event,) = await policed.events("tool.called")
    assert event.data["policy"]["rule"] == rule


async def test_a_rule_for_a_run_holds_for_that_run_only(policed: PolicyBench, delete: Echo) -> None:
    await remember(policed, scope="run", run_id="run_1")
    assert not await asks(policed, delete, {})
    other = policed.effects().open(policed.journal, policed.ctx, "run_2", path="step")
    assert await asks(policed, delete, {}, effects=other)


async def test_a_rule_holds_in_its_own_project_and_tenant(policed: PolicyBench, delete: Echo) -> None:
    actor = Actor("user", "u1")
    await remember(policed, ctx=Context("t1", "p2", actor))
    await remember(policed, ctx=Context("t2", "p1", actor))
    assert await asks(policed, delete, {})
    assert [rule.project for rule in await policed.standing.list(policed.ctx)] == ["p2"]
    assert await policed.standing.list(policed.ctx, project="p1") == []


async def test_a_revoked_rule_holds_no_longer_and_both_are_journaled(
    policed: PolicyBench, delete: Echo
) -> None:
    rule = await remember(policed, arguments=BELOW_TMP)
    assert not await asks(policed, delete, {"path": "tmp/a"})
    revoked = await policed.standing.revoke(policed.ctx, rule)
    assert revoked.revoked_by == "user:u1"
    assert revoked.revoked_at is not None
    assert await asks(policed, delete, {"path": "tmp/a"})
    again = await policed.standing.revoke(policed.ctx, rule)
    assert again.revoked_at == revoked.revoked_at
    added, gone = await policed.events("policy.rule_added", "policy.rule_revoked")
    assert added.data == {
        "rule": rule,
        "tool": "acme.delete",
        "arguments": BELOW_TMP,
        "scope": "always",
        "approval": "apr_none",
    }
    assert (gone.type, gone.data["rule"]) == ("policy.rule_revoked", rule)
    assert await policed.standing.list(policed.ctx) == []
    assert [kept.id for kept in await policed.standing.list(policed.ctx, revoked=True)] == [rule]
    with pytest.raises(NotFound):
        await policed.standing.revoke(policed.ctx, "trl_nothing")
    with pytest.raises(NotFound):
        await policed.standing.get(Context("t2", "p1", Actor("user", "u1")), rule)


async def test_a_rule_is_gone_with_the_transaction_that_made_it(policed: PolicyBench, delete: Echo) -> None:
    async def decide() -> None:
        async with policed.database.transaction() as tx:
            await policed.standing.remember(
                tx,
                policed.ctx,
                tool="acme.delete",
                arguments=None,
                scope="always",
                run_id="run_1",
                approval_id="apr_1",
            )
            raise RuntimeError("never mind")

    with pytest.raises(RuntimeError, match="never mind"):
        await decide()
    assert await asks(policed, delete, {})
    assert await policed.events("policy.rule_added") == []


async def test_no_standing_answer_lifts_a_refusal(policed: PolicyBench, delete: Echo) -> None:
    await remember(policed)
    for layers in ({"destructive": "deny"}, {"acme.delete": "deny"}, {"ask": "deny"}):
        with pytest.raises(PolicyDenied):
            await policed.call(delete, policy=Policy().narrowed(layers))
    policed.write("rules: [{name: stop, effect: deny, match: {tool: acme.delete}}]")
    with pytest.raises(PolicyDenied, match="stop"):
        await policed.call(delete)


async def test_a_standing_answer_stands_for_what_a_workflow_asks(policed: PolicyBench, delete: Echo) -> None:
    await remember(policed)
    assert not await asks(policed, delete, {}, policy=Policy().narrowed({"destructive": "ask"}))


async def test_a_rule_that_asks_is_not_answered_for_good_unless_it_says_so(
    policed: PolicyBench, delete: Echo
) -> None:
    await remember(policed)
    policed.write("rules: [{name: each-time, effect: ask, match: {tool: acme.delete}}]")
    assert await asks(policed, delete, {})
    policed.write("""
        rules: [{name: once, effect: ask, match: {tool: acme.delete}, approval: {remember: true}}]
        """)
    assert not await asks(policed, delete, {})


async def test_an_answer_holds_only_for_questions_that_those_who_gave_it_may_answer(
    policed: PolicyBench, delete: Echo
) -> None:
    policed.write("""
        rules:
          - {name: r, effect: ask, match: {tool: acme.delete}, approval: {roles: [lead], remember: true}}
        """)
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call(delete, {"n": 1}, name="asked")
    approval = asked.value.approval
    assert approval is not None
    rule = await remember(policed, approval_id=approval.id)
    assert (await policed.standing.get(policed.ctx, rule)).roles == ("lead",)
    assert not await asks(policed, delete, {"n": 2})
    policed.write("""
        rules:
          - {name: r, effect: ask, match: {tool: acme.delete}, approval: {roles: [boss], remember: true}}
        """)
    assert await asks(policed, delete, {"n": 3})
    policed.write("""
        rules:
          - {name: r, effect: ask, match: {tool: acme.delete}, approval: {roles: [lead, boss], quorum: 2, remember: true}}
        """)
    assert await asks(policed, delete, {"n": 4})
    policed.write("""
        rules:
          - {name: r, effect: ask, match: {tool: acme.delete}, approval: {roles: [lead, boss], remember: true}}
        """)
    assert not await asks(policed, delete, {"n": 5})


async def test_a_question_that_was_asked_keeps_its_answer_though_a_rule_came_of_it(
    policed: PolicyBench, delete: Echo
) -> None:
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call(delete, {"path": "tmp/a"}, name="one")
    approval = asked.value.approval
    assert approval is not None
    await policed.approvals.decide(policed.ctx, approval.id, approve=True, arguments={"path": "tmp/b"})
    await remember(policed, approval_id=approval.id)
    await policed.call(delete, {"path": "tmp/a"}, name="one")
    assert delete.calls == [{"path": "tmp/b"}]
    (event,) = await policed.events("tool.called")
    assert event.data["approval"] == approval.id


async def test_a_no_stays_a_no_though_a_rule_would_now_let_the_call_pass(
    policed: PolicyBench, delete: Echo
) -> None:
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call(delete, {}, name="one")
    approval = asked.value.approval
    assert approval is not None
    await policed.approvals.decide(policed.ctx, approval.id, approve=False)
    await remember(policed)
    assert (await policed.call(delete, {}, name="one")).is_error
    assert delete.calls == []


@pytest.mark.parametrize("scope", ["run", "always"])
async def test_an_approver_answers_for_more_than_one_call(
    policed: PolicyBench, delete: Echo, scope: Literal["run", "always"]
) -> None:
    with pytest.raises(ApprovalNeeded) as asked:
        await policed.call(delete, {"path": "tmp/a"}, name="one")
    approval = asked.value.approval
    assert approval is not None
    assert approval.detail["policy"]["remember"] is True
    elsewhere = Context("t1", "p9", Actor("user", "boss"))
    decided = await policed.approvals.decide(
        elsewhere, approval.id, approve=True, scope=scope, match={"path": "tmp/**"}
    )
    assert decided.rule is not None
    await policed.call(delete, {"path": "tmp/a"}, name="one")
    assert not await asks(policed, delete, {"path": "tmp/b"})
    assert await asks(policed, delete, {"path": "src/b"})
    other = policed.effects().open(policed.journal, policed.ctx, "run_2", path="step")
    assert await asks(policed, delete, {"path": "tmp/c"}, effects=other) is (scope == "run")
    (rule,) = await policed.standing.list(policed.ctx)
    assert (rule.id, rule.project, rule.created_by) == (decided.rule, "p1", "user:boss")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ({"path": "tmp/**"}, "pattern of the argument 'path' is none"),
        ({"token": {"equals": "sk-" + "x" * 40}}, "looks like a secret"),
        ({"text": {"equals": "x" * 200_000}}, "more than 100000 bytes"),
    ],
)
async def test_a_pattern_that_cannot_be_kept_is_refused(
    policed: PolicyBench, pattern: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        await remember(policed, arguments=pattern)
    assert await policed.standing.list(policed.ctx) == []


async def test_exactly_these_arguments_hold_for_no_others(policed: PolicyBench, delete: Echo) -> None:
    await remember(policed, arguments=ArgumentPattern.exactly({"path": "*"}).to_json())
    assert not await asks(policed, delete, {"path": "*"})
    assert await asks(policed, delete, {"path": "anything"})
