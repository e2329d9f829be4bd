"""Before a yes: other arguments, what they would do, and for which calls the yes shall hold."""

from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Actor
from mosaic.core.errors import InvalidInput, PermissionDenied, Unsupported
from mosaic.tools import (
    Answer,
    Approval,
    ApprovalNeeded,
    ApprovalRequest,
    ApprovalRule,
    Approvals,
    InvalidArguments,
    Policy,
    Previews,
)
from mosaic.tools.approving.edits import edited
from mosaic.tools.policies import StandingRules
from tests.tools.conftest import Bench
from tests.tools.test_approvals import asked, dangerous

pytestmark = pytest.mark.anyio

WRITES = Policy().narrowed({"write": "ask"})


@pytest.fixture
def rules(bench: Bench) -> StandingRules:
    return StandingRules(bench.database, bench.journal)


@pytest.fixture
def keeping(bench: Bench, rules: StandingRules) -> Approvals:
    """Approvals as an application has them: they keep rules and show what edits would do."""
    return Approvals(
        bench.database,
        bench.journal,
        bench.engine,
        rules=rules,
        previews=Previews(bench.installed, lambda _run: bench.workspace),
    )


async def write_asked(bench: Bench, **arguments: Any) -> Approval:
    with pytest.raises(ApprovalNeeded) as caught:
        await bench.call(
            "files.write", {"path": "src/a.txt", "content": "one\n", **arguments}, name="c", policy=WRITES
        )
    assert caught.value.approval is not None
    return caught.value.approval


def test_changes_are_laid_over_what_was_asked_about() -> None:
    asked = {"url": "http://x", "headers": {"a": "1", "b": "2"}}
    changed = edited(asked, arguments=None, changes={"headers.a": "9", "method": "GET"})
    assert changed == {"url": "http://x", "headers": {"a": "9", "b": "2"}, "method": "GET"}
    assert asked["headers"] == {"a": "1", "b": "2"}, "what was asked about stays as it is"
    assert edited(asked, arguments=dict(asked), changes=None) is None, "the same arguments are no edit"
    assert edited({"n": 1}, arguments={"n": True}, changes=None) == {"n": True}


@pytest.mark.parametrize(
    ("asked", "arguments", "changes", "says"),
    [
        ({"n": 1}, {"n": 2}, {"n": 3}, "either the whole arguments or changes"),
        ({"n": 1}, None, {"n.m": 3}, "do not fit the arguments"),
        ({"n": 1}, None, {"": 3}, "do not fit the arguments"),
        (None, None, {"n": 3}, "too large to be changed in part"),
        ({"n": 1, "key": "[redacted]"}, None, {"n": 3}, "still hold masked values"),
    ],
)
def test_an_edit_that_cannot_be_meant_is_refused(asked: Any, arguments: Any, changes: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        edited(asked, arguments=arguments, changes=changes)


async def test_a_single_argument_is_changed_and_the_call_runs_with_it(
    bench: Bench, keeping: Approvals
) -> None:
    approval = await write_asked(bench)
    decided = await keeping.decide(
        bench.ctx, approval.id, approve=True, changes={"path": "docs/a.txt"}, note="not there"
    )
    assert decided.arguments == {"path": "docs/a.txt", "content": "one\n"}
    await bench.call("files.write", {"path": "src/a.txt", "content": "one\n"}, name="c", policy=WRITES)
    assert (bench.workspace / "docs" / "a.txt").read_text() == "one\n"
    assert not (bench.workspace / "src").exists()


async def test_what_edited_arguments_would_do_is_shown_before_anything_is_decided(
    bench: Bench, keeping: Approvals
) -> None:
    (bench.workspace / "old.txt").write_text("old\n")
    approval = await write_asked(bench)
    shown = await keeping.preview(bench.ctx, approval.id, Answer(True, changes={"path": "old.txt"}))
    assert shown["edited"]
    assert shown["arguments"] == {"path": "old.txt", "content": "one\n"}
    assert "-old\n" in shown["detail"]["diff"]
    assert "+one\n" in shown["detail"]["diff"]
    assert shown["detail"]["risk"] == "generative"
    plain = await keeping.preview(bench.ctx, approval.id, Answer(True))
    assert (plain["edited"], plain["detail"], plain["holds_for"]) == (False, {}, None)
    assert plain["arguments"] == {"path": "src/a.txt", "content": "one\n"}
    with pytest.raises(InvalidArguments, match="edited arguments do not fit"):
        await keeping.preview(bench.ctx, approval.id, Answer(True, changes={"pth": "x"}))
    assert (await keeping.get(bench.ctx, approval.id)).pending
    assert (bench.workspace / "old.txt").read_text() == "old\n"


async def test_a_tool_that_only_the_run_has_says_so(bench: Bench, keeping: Approvals) -> None:
    approval = await asked(bench, dangerous())
    shown = await keeping.preview(bench.ctx, approval.id, Answer(True, arguments={"n": 5}))
    assert "belongs to the run" in shown["detail"]["note"]


async def test_arguments_too_large_to_keep_can_only_be_replaced(bench: Bench, keeping: Approvals) -> None:
    approval = await write_asked(bench, content="x" * 1_100_000)
    shown = await keeping.preview(bench.ctx, approval.id, Answer(True))
    assert shown["arguments"] is None
    with pytest.raises(InvalidInput, match="too large to make a rule"):
        await keeping.decide(bench.ctx, approval.id, approve=True, scope="run")
    whole = {"path": "small.txt", "content": "x"}
    assert (await keeping.decide(bench.ctx, approval.id, approve=True, arguments=whole)).arguments == whole


# A yes that lasts


async def test_a_yes_for_the_run_becomes_a_rule_in_the_transaction_of_the_decision(
    bench: Bench, keeping: Approvals, rules: StandingRules
) -> None:
    approval = await write_asked(bench)
    answer = Answer(True, scope="run", match={"path": "src/**"})
    shown = await keeping.preview(bench.ctx, approval.id, answer)
    assert shown["holds_for"] == (
        "files.write with path like src/**, content anything runs without asking for the rest of this run."
    )
    decided = await keeping.decide(
        bench.ctx, approval.id, approve=True, scope="run", match={"path": "src/**"}
    )
    (rule,) = await rules.list(bench.ctx)
    assert (decided.rule, decided.scope, decided.pattern) == (rule.id, "run", shown["pattern"])
    assert (rule.tool, rule.scope, rule.run_id, rule.approval_id) == (
        "files.write",
        "run",
        approval.run_id,
        approval.id,
    )
    assert rule.arguments == {"path": {"like": "src/**"}, "content": {"any": True}}
    (event,) = await bench.events("approval.decided")
    assert (event.data["scope"], event.data["rule"]) == ("run", rule.id)


async def test_a_rule_that_cannot_be_kept_leaves_the_question_open(
    bench: Bench, keeping: Approvals, rules: StandingRules
) -> None:
    approval = await write_asked(bench)
    with pytest.raises(InvalidInput, match="does not hold for the call"):
        await keeping.decide(bench.ctx, approval.id, approve=True, scope="always", match={"path": "lib/**"})
    big = {"path": "src/a.txt", "content": "y" * 150_000}
    with pytest.raises(InvalidInput, match="more than 100000 bytes"):
        await keeping.decide(bench.ctx, approval.id, approve=True, scope="always", arguments=big)
    found = await keeping.get(bench.ctx, approval.id)
    assert found.pending
    assert found.votes == ()
    assert await rules.list(bench.ctx) == []


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"approve": False, "scope": "always"}, "A no holds for this call"),
        ({"approve": True, "match": {"path": "src/**"}}, "needs a yes that lasts"),
    ],
)
async def test_a_scope_that_means_nothing_is_refused(
    bench: Bench, keeping: Approvals, said: dict[str, Any], says: str
) -> None:
    approval = await write_asked(bench)
    with pytest.raises(InvalidInput, match=says):
        await keeping.decide(bench.ctx, approval.id, **said)


async def test_only_a_tool_call_can_be_allowed_for_longer(bench: Bench, keeping: Approvals) -> None:
    question = await keeping.request(bench.effects(), "q", ApprovalRequest(kind="ask", title="Go on?"))
    with pytest.raises(InvalidInput, match="Only a yes to a tool call"):
        await keeping.decide(bench.ctx, question.id, approve=True, scope="always")


async def test_without_a_keeper_of_rules_a_yes_holds_once(bench: Bench) -> None:
    approval = await write_asked(bench)
    with pytest.raises(Unsupported, match="keeps no rules"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True, scope="always")
    assert (await bench.approvals.get(bench.ctx, approval.id)).pending


async def test_a_masked_secret_is_compared_with_nothing(bench: Bench, keeping: Approvals) -> None:
    approval = await write_asked(bench, content="key sk-ant-REDACTME-0123456789abcdef")
    with pytest.raises(InvalidInput, match="secret was masked in content"):
        await keeping.decide(bench.ctx, approval.id, approve=True, scope="always")
    decided = await keeping.decide(
        bench.ctx, approval.id, approve=True, scope="always", match={"path": "src/*"}
    )
    assert decided.rule is not None


async def test_a_rule_of_two_people_holds_for_what_both_wanted(
    bench: Bench, keeping: Approvals, rules: StandingRules
) -> None:
    tool = dangerous(approval=ApprovalRule(quorum=2))
    approval = await asked(bench, tool)
    ann, bob = (bench.ctx.acting_as(Actor("user", name)) for name in ("ann", "bob"))
    await keeping.decide(ann, approval.id, approve=True, scope="always")
    assert await rules.list(bench.ctx) == []
    decided = await keeping.decide(bob, approval.id, approve=True)
    assert (decided.approved, decided.scope, decided.rule) == (True, "once", None)
    assert await rules.list(bench.ctx) == []


async def test_who_may_not_answer_gets_no_rule_either(
    bench: Bench, keeping: Approvals, rules: StandingRules
) -> None:
    approval = await write_asked(bench)
    with pytest.raises(PermissionDenied):
        await keeping.decide(
            bench.ctx.acting_as(Actor("agent", "coder")), approval.id, approve=True, scope="always"
        )
    assert await rules.list(bench.ctx) == []


async def test_a_preview_never_leaves_the_worktree(bench: Bench, keeping: Approvals, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("not for you\n")
    approval = await write_asked(bench)
    shown = await keeping.preview(bench.ctx, approval.id, Answer(True, changes={"path": "../../outside.txt"}))
    assert "not for you" not in str(shown)
