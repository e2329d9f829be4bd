"""A job that waits for people, and goes on once they have decided."""

import pytest

from mosaic.agents import AgentOutcome, Completed, NeedsApproval
from mosaic.core.context import Actor
from mosaic.tools import ApprovalRule, FunctionTool, tool
from tests.agents.conftest import Bench, said
from tests.agents.script import call, says, texts
from tests.agents.test_jobs import read

pytestmark = pytest.mark.anyio


@pytest.fixture
def done() -> list[str]:
    """What the tools did, in order."""
    return []


@pytest.fixture
def deploy(done: list[str]) -> FunctionTool:
    @tool(name="deploy", risk="destructive")
    def deploy(to: str) -> str:
        """Deploy."""
        done.append(f"deploy {to}")
        return f"deployed {to}"

    return deploy


@pytest.fixture
def write(done: list[str]) -> FunctionTool:
    @tool(name="write", risk="generative", effects=["write"])
    def write(text: str) -> str:
        """Write."""
        done.append(f"write {text}")
        return f"wrote {text}"

    return write


async def decide(bench: Bench, outcome: AgentOutcome, *, approve: bool = True) -> None:
    assert isinstance(outcome, NeedsApproval)
    for approval_id in outcome.approval_ids:
        await bench.approvals.decide(bench.ctx, approval_id, approve=approve, note="By hand.")


async def test_a_job_stops_for_a_decision_and_goes_on_in_a_new_process(
    bench: Bench, deploy: FunctionTool, done: list[str]
) -> None:
    bench.tools = [deploy, read]
    bench.model.will(
        says("I must deploy.", call("deploy", {"to": "prod"}), call("files.read", {"path": "a"})),
        says("Live."),
    )
    outcome = await bench.run()
    assert isinstance(outcome, NeedsApproval)
    assert (len(outcome.approval_ids), outcome.turns, done) == (1, 1, [])
    assert await bench.state() == "awaiting_approval"
    assert (await bench.registry.agent(bench.ctx, "coder")).active == 0
    approval = await bench.approvals.get(bench.ctx, outcome.approval_ids[0])
    assert (approval.detail["agent"], approval.detail["why"]) == ("coder", "I must deploy.")
    assert len(await bench.events("tool.called")) == 1  # reading needs nobody

    assert await bench.run() == outcome
    await decide(bench, outcome)
    finished = await bench.run()
    assert isinstance(finished, Completed)
    assert (finished.output, done) == ("Live.", ["deploy prod"])
    assert said(texts(bench.model.asked[1], "tool"), "deployed prod")
    assert len(bench.model.asked) == 2
    assert len(await bench.events("tool.called")) == 2
    assert len(await bench.events("approval.requested")) == 1
    moves = [move.split(" ", 1)[1] for move in await bench.moves()]
    assert moves[2:6] == [
        "running > awaiting_tool",
        "awaiting_tool > awaiting_approval",
        "awaiting_approval > awaiting_tool",
        "awaiting_tool > awaiting_approval",
    ]
    assert moves[-3:] == [
        "awaiting_approval > awaiting_tool",
        "awaiting_tool > running",
        "running > complete",
    ]
    head = await bench.journal.head(bench.ctx)
    assert await bench.run() == finished
    assert await bench.journal.head(bench.ctx) == head


async def test_all_questions_of_a_turn_are_asked_at_once_and_what_changes_things_waits_its_turn(
    bench: Bench, deploy: FunctionTool, write: FunctionTool, done: list[str]
) -> None:
    bench.tools = [deploy, write]
    bench.model.will(
        says(
            None,
            call("write", {"text": "before"}),
            call("deploy", {"to": "one"}),
            call("write", {"text": "between"}),
            call("deploy", {"to": "two"}),
        ),
        says("Live."),
    )
    outcome = await bench.run()
    assert isinstance(outcome, NeedsApproval)
    assert len(outcome.approval_ids) == 2
    assert done == ["write before"]
    await decide(bench, outcome)
    assert isinstance(await bench.run(), Completed)
    assert done == ["write before", "deploy one", "write between", "deploy two"]
    results = [text.split("\n")[1] for text in texts(bench.model.asked[1], "tool")]
    assert results == ["wrote before", "deployed one", "wrote between", "deployed two"]


async def test_a_no_is_told_to_the_agent_with_the_note(
    bench: Bench, deploy: FunctionTool, done: list[str]
) -> None:
    bench.tools = [deploy]
    bench.model.will(says(None, call("deploy", {"to": "prod"})), says("Then not."))
    await decide(bench, await bench.run(), approve=False)
    finished = await bench.run()
    assert isinstance(finished, Completed)
    assert (finished.output, done) == ("Then not.", [])
    assert said(texts(bench.model.asked[1], "tool"), "not approved", "By hand.")


async def test_edited_arguments_are_what_is_called(
    bench: Bench, deploy: FunctionTool, done: list[str]
) -> None:
    bench.tools = [deploy]
    bench.model.will(says(None, call("deploy", {"to": "prod"})), says("Live."))
    outcome = await bench.run()
    assert isinstance(outcome, NeedsApproval)
    await bench.approvals.decide(bench.ctx, outcome.approval_ids[0], approve=True, arguments={"to": "test"})
    await bench.run()
    assert done == ["deploy test"]


async def test_a_refusing_policy_is_told_to_the_agent(
    bench: Bench, deploy: FunctionTool, done: list[str]
) -> None:
    bench.tools = [deploy]
    bench.model.will(says(None, call("deploy", {"to": "prod"})), says("Then not."))
    finished = await bench.run(bench.job(bench.spec(policies={"destructive": "deny"})))
    assert isinstance(finished, Completed)
    assert done == []
    assert said(texts(bench.model.asked[1], "tool"), "[error]", "policy refuses deploy")


async def test_silence_can_mean_no(bench: Bench, done: list[str]) -> None:
    @tool(name="deploy", risk="destructive", approval=ApprovalRule(timeout_s=0.0))
    def deploy() -> str:
        """Deploy."""
        done.append("deploy")
        return "deployed"

    bench.tools = [deploy]
    bench.model.will(says(None, call("deploy")), says("Nobody answered."))
    finished = await bench.run()
    if isinstance(finished, NeedsApproval):
        finished = await bench.run()
    assert isinstance(finished, Completed)
    assert done == []


async def test_an_agent_cannot_approve_its_own_call(bench: Bench, deploy: FunctionTool) -> None:
    bench.tools = [deploy]
    bench.model.will(says(None, call("deploy", {"to": "prod"})))
    outcome = await bench.run()
    assert isinstance(outcome, NeedsApproval)
    agent = bench.ctx.acting_as(Actor("agent", "coder"))
    with pytest.raises(Exception, match="may not answer"):
        await bench.approvals.decide(agent, outcome.approval_ids[0], approve=True)
