"""Several people answer: each has one vote, and the rule says when it is decided."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, PermissionDenied
from mosaic.tools import Approval, ApprovalNeeded, ApprovalRequest, ApprovalRule, Vote
from mosaic.tools.approving.votes import tally
from tests.tools.conftest import Bench
from tests.tools.test_approvals import asked, dangerous

pytestmark = pytest.mark.anyio


def person(bench: Bench, name: str) -> Context:
    return bench.ctx.acting_as(Actor("user", name))


async def question(bench: Bench, **rule: Any) -> Approval:
    return await asked(bench, dangerous(approval=ApprovalRule(**rule)))


async def say(bench: Bench, who: str, approval: Approval, *, yes: bool, **more: Any) -> Approval:
    return await bench.approvals.decide(person(bench, who), approval.id, approve=yes, **more)


def vote(actor: str, *, yes: bool, **more: Any) -> Vote:
    return Vote(f"user:{actor}", yes, now(), **more)


@pytest.mark.parametrize(
    ("quorum", "counting", "votes", "decided"),
    [
        (1, "veto", "y", "approved"),
        (1, "veto", "n", "rejected"),
        (2, "veto", "y", None),
        (2, "veto", "yy", "approved"),
        (3, "veto", "yyn", "rejected"),
        (3, "majority", "yy", None),
        (3, "majority", "yyn", "approved"),
        (3, "majority", "yn", None),
        (3, "majority", "ynn", "rejected"),
        (3, "majority", "nn", "rejected"),
        (2, "majority", "yn", "rejected"),
        (2, "majority", "n", "rejected"),
        (4, "majority", "yyyn", "approved"),
        (4, "majority", "ynn", "rejected"),
        (2, "veto", "", None),
    ],
)
def test_votes_come_to_what_the_rule_says(
    quorum: int, counting: Any, votes: str, decided: str | None
) -> None:
    cast = [vote(str(number), yes=letter == "y") for number, letter in enumerate(votes)]
    verdict = tally(cast, quorum=quorum, counting=counting)
    assert (verdict.status.value if verdict else None) == decided


def test_a_yes_counts_for_the_arguments_it_was_given_for() -> None:
    first = vote("a", yes=True)
    edited = vote("b", yes=True, arguments={"n": 2})
    assert tally([first, edited], quorum=2, counting="veto") is None
    verdict = tally([first, edited, vote("c", yes=True, arguments={"n": 2})], quorum=2, counting="veto")
    assert verdict is not None
    assert verdict.vote.arguments == {"n": 2}


def test_a_yes_lasts_no_longer_than_everybody_wanted() -> None:
    pattern = {"n": {"any": True}}
    always = vote("a", yes=True, scope="always", pattern=pattern)
    run = vote("b", yes=True, scope="run", pattern=pattern)
    narrower = vote("c", yes=True, scope="always", pattern={"n": {"equals": 1}})
    once = vote("d", yes=True)
    for votes, scope in (([always, run], "run"), ([always, once], "once"), ([always, narrower], "once")):
        verdict = tally(votes, quorum=2, counting="veto")
        assert verdict is not None
        assert (verdict.scope, verdict.pattern) == (scope, None if scope == "once" else pattern)


async def test_a_quorum_needs_different_people_and_the_call_waits_for_the_last_one(bench: Bench) -> None:
    tool = dangerous(approval=ApprovalRule(quorum=2))
    approval = await asked(bench, tool)
    first = await say(bench, "ann", approval, yes=True, note="fine by me")
    assert first.pending
    assert [(cast.actor, cast.approve, cast.note) for cast in first.votes] == [
        ("user:ann", True, "fine by me")
    ]
    assert (await say(bench, "ann", approval, yes=True)).pending, "the same person again is the same vote"
    assert len((await bench.approvals.get(bench.ctx, approval.id)).votes) == 1
    with pytest.raises(ApprovalNeeded):
        await bench.call(tool, {"n": 1}, name="c")
    assert tool.invocations == []
    second = await say(bench, "bob", approval, yes=True)
    assert (second.status, second.decided_by) == ("approved", "user:bob")
    assert (await bench.call(tool, {"n": 1}, name="c")).content == 1
    (voted,) = await bench.events("approval.voted")
    assert (voted.data["by"], voted.data["yes"], voted.data["quorum"]) == ("user:ann", 1, 2)
    (decided,) = await bench.events("approval.decided")
    assert decided.data["votes"] == [
        {"actor": "user:ann", "approve": True},
        {"actor": "user:bob", "approve": True},
    ]


async def test_one_no_rejects_and_later_votes_are_conflicts_that_name_who_decided(bench: Bench) -> None:
    approval = await question(bench, quorum=3)
    await say(bench, "ann", approval, yes=True)
    assert (await say(bench, "bob", approval, yes=False)).status == "rejected"
    for who, yes in (("ann", True), ("cat", True), ("cat", False)):
        with pytest.raises(Conflict, match="rejected already, by user:bob") as caught:
            await say(bench, who, approval, yes=yes)
        assert caught.value.data["decided_by"] == "user:bob"
    assert (await say(bench, "bob", approval, yes=False)).status == "rejected", "the same answer again"
    assert len(await bench.events("approval.decided")) == 1


async def test_a_majority_decides_where_the_rule_says_so(bench: Bench) -> None:
    approval = await question(bench, quorum=3, counting="majority")
    assert (await say(bench, "ann", approval, yes=False)).pending
    assert (await say(bench, "bob", approval, yes=True)).pending
    assert (await say(bench, "cat", approval, yes=True)).status == "approved"


async def test_somebody_may_think_again_while_nothing_is_decided(bench: Bench) -> None:
    approval = await question(bench, quorum=2)
    await say(bench, "ann", approval, yes=True)
    assert (await say(bench, "ann", approval, yes=False, note="I was wrong")).status == "rejected"


async def test_all_that_vote_at_once_are_counted(bench: Bench) -> None:
    approval = await question(bench, quorum=5)
    answers = await asyncio.gather(*(say(bench, f"p{number}", approval, yes=True) for number in range(5)))
    assert [answer.status.value for answer in answers].count("approved") >= 1
    final = await bench.approvals.get(bench.ctx, approval.id)
    assert final.approved
    assert len(final.votes) == 5
    assert len(await bench.events("approval.decided")) == 1
    assert len(await bench.events("approval.voted")) == 4


async def test_the_same_answer_of_the_same_person_many_times_at_once_is_one(bench: Bench) -> None:
    approval = await question(bench)
    answers = await asyncio.gather(*(say(bench, "ann", approval, yes=True) for _ in range(8)))
    assert {answer.status.value for answer in answers} == {"approved"}
    assert len(await bench.events("approval.decided")) == 1


@pytest.mark.parametrize("rule", [{"four_eyes": True}, {"quorum": 2}])
async def test_whoever_the_run_belongs_to_cannot_say_yes_to_it(bench: Bench, rule: dict[str, Any]) -> None:
    approval = await question(bench, **rule)
    assert approval.requested_by == str(bench.ctx.actor)
    with pytest.raises(PermissionDenied, match="somebody else must agree"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True)
    assert (await bench.approvals.get(bench.ctx, approval.id)).votes == ()
    assert (await bench.approvals.decide(bench.ctx, approval.id, approve=False)).status == "rejected"


async def test_an_agent_never_answers_whatever_roles_say(bench: Bench) -> None:
    class Everybody:
        async def holds_any(self, ctx: Context, roles: Any) -> bool:
            return True

    approvals = type(bench.approvals)(bench.database, bench.journal, bench.engine, roles=Everybody())
    approval = await question(bench)
    for actor in (Actor("agent", "coder"), Actor("system", "x")):
        for yes in (True, False):
            with pytest.raises(PermissionDenied, match="an agent never does"):
                await approvals.decide(bench.ctx.acting_as(actor), approval.id, approve=yes)
    assert (await approvals.get(bench.ctx, approval.id)).pending


async def test_too_few_votes_in_time_are_silence(bench: Bench) -> None:
    approval = await question(bench, quorum=2, timeout_s=3_600)
    await say(bench, "ann", approval, yes=True)
    late = replace(approval, expires_at=now())
    bench.approvals._clock = lambda: approval.expires_at or late.requested_at
    found = await bench.approvals.get(bench.ctx, approval.id)
    assert (found.status, found.decided_by, found.note) == (
        "expired",
        "system:timeout",
        "Too few answered in time.",
    )
    with pytest.raises(Conflict, match="expired already"):
        await say(bench, "ann", approval, yes=True)


async def test_more_than_a_page_of_approvals_is_listed_in_order(bench: Bench) -> None:
    made = [
        await bench.approvals.request(
            bench.effects(), f"ask{number}", ApprovalRequest(kind="ask", title=f"Question {number}")
        )
        for number in range(7)
    ]
    seen: list[str] = []
    after: str | None = None
    while page := await bench.approvals.list(bench.ctx, status="pending", limit=3, after=after):
        seen += [approval.id for approval in page]
        after = page[-1].id
    assert seen == [one.id for one in sorted(made, key=lambda one: (one.requested_at, one.id))]
