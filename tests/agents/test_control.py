"""Handing control to another agent."""

import pytest

from mosaic.agents import Completed, HandedOff
from mosaic.core.errors import ContractViolation
from tests.agents.conftest import PATH, Bench, said
from tests.agents.script import call, says, texts
from tests.agents.test_handoff import CONTEXT
from tests.agents.test_jobs import SCORE, read

pytestmark = pytest.mark.anyio

SECRET = "ghp_" + "a1b2c3d4e5f6a7b8c9d0e1f2"


@pytest.mark.requirement("MOZ-11", "MOZ-17", "STK-10")
async def test_a_handoff_ends_the_job_with_a_checked_context(bench: Bench) -> None:
    bench.tools = [read]
    given = {"task": "Review it.", "kind": "implementation_to_verification", "files_to_read": ["calc.py"]}
    bench.model.will(
        says("Over to you.", call("handoff_to_reviewer", given), call("files.read", {"path": "a"}))
    )
    spec = bench.spec(handoffs=("reviewer", "planner"), output_schema=SCORE)
    job = bench.job(spec, handoff_context=CONTEXT, peers={"reviewer": "Checks the work"})
    outcome = await bench.run(job)
    assert isinstance(outcome, HandedOff)
    assert outcome.to == "reviewer"
    assert outcome.context.to_json() == {
        **given,
        "next_agent": "reviewer",
        "session": "run_1",
        "chain": ["planner", "coder"],
        "earlier": [
            {"by": "planner", "task": CONTEXT.task, "decisions": ["The bug is in add()."]},
        ],
    }
    assert await bench.moves() == [
        "0 idle > ready",
        "0 ready > running",
        "1 running > awaiting_tool",
        "1 awaiting_tool > running",
        "1 running > handoff",
        "1 handoff > complete",
    ]
    (handed,) = await bench.events("agent.handoff")
    assert (handed.data["to"], handed.data["task"]) == ("reviewer", "Review it.")
    assert await bench.run(job) == outcome
    assert len(bench.model.asked) == 1
    assert len(await bench.events("agent.handoff")) == 1


@pytest.mark.requirement("STK-10")
async def test_the_model_knows_whom_it_may_hand_over_to_and_what_it_was_handed(bench: Bench) -> None:
    bench.model.will(says("Done."))
    spec = bench.spec(handoffs=("reviewer",))
    await bench.run(bench.job(spec, handoff_context=CONTEXT, peers={"reviewer": "Checks the work"}))
    body = bench.model.asked[0]
    assert [one["function"]["name"] for one in body["tools"]] == ["handoff_to_reviewer"]
    assert "handoff_to_reviewer: Checks the work" in texts(body, "system")[0]
    (task,) = texts(body, "user")
    assert task.startswith("Fix it.\n\nplanner handed this work to you")
    assert '"decisions": [\n    "The bug is in add()."\n  ]' in task


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "'task' is a required property"),
        ({"task": "x", "mood": "good"}, "mood"),
        ({"task": "x" * 10_000}, "under 10000 bytes"),
        ({"task": "x", "next_agent": "someone-else", "chain": []}, None),
    ],
)
async def test_a_wrong_context_is_put_right_first(
    bench: Bench, given: dict[str, object], told: str | None
) -> None:
    bench.model.will(
        says(None, call("handoff_to_reviewer", given)),
        says(None, call("handoff_to_reviewer", {"task": "Review."})),
    )
    outcome = await bench.run(bench.job(bench.spec(handoffs=("reviewer",))))
    assert isinstance(outcome, HandedOff)
    assert (outcome.to, outcome.context.next_agent, outcome.context.chain) == (
        "reviewer",
        "reviewer",
        ("coder",),
    )
    if told is None:
        assert outcome.turns == 1
    else:
        assert outcome.context.task == "Review."
        assert said(texts(bench.model.asked[1], "tool"), "[error]", told)


@pytest.mark.requirement("STK-10")
async def test_a_secret_in_a_handoff_goes_nowhere(bench: Bench) -> None:
    bench.model.will(says(None, call("handoff_to_reviewer", {"task": f"Log in with {SECRET}."})))
    outcome = await bench.run(bench.job(bench.spec(handoffs=("reviewer",))))
    assert isinstance(outcome, HandedOff)
    assert outcome.context.task == "Log in with [redacted]."
    assert SECRET not in str([event.data for event in await bench.events()])
    found = await bench.conversations.conversation(bench.ctx, "run_1", PATH)
    assert SECRET not in str(found.to_json())


@pytest.mark.requirement("MOZ-51")
async def test_handing_over_to_an_agent_that_is_not_allowed_is_an_unknown_tool(bench: Bench) -> None:
    bench.model.will(says(None, call("handoff_to_owner", {"task": "x"})), says("Done."))
    outcome = await bench.run(bench.job(bench.spec(handoffs=("reviewer",))))
    assert isinstance(outcome, Completed)
    assert said(texts(bench.model.asked[1], "tool"), "There is no tool 'handoff_to_owner'")


async def test_the_first_of_two_handoffs_counts(bench: Bench) -> None:
    bench.model.will(
        says(None, call("handoff_to_reviewer", {"task": "one"}), call("handoff_to_planner", {"task": "two"}))
    )
    outcome = await bench.run(bench.job(bench.spec(handoffs=("planner", "reviewer"))))
    assert isinstance(outcome, HandedOff)
    assert (outcome.to, outcome.context.task) == ("reviewer", "one")


async def test_a_model_that_never_gets_the_handoff_right_is_ended(bench: Bench) -> None:
    bench.model.will(says(None, call("handoff_to_reviewer", {})))
    with pytest.raises(ContractViolation, match="handoff context is not acceptable"):
        await bench.run(bench.job(bench.spec(handoffs=("reviewer",))))
