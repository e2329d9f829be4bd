"""Agents: their lifecycle in a run, what they are told, and the registry that knows them."""

import asyncio
from collections import Counter

import pytest

from tests.acceptance.installation import Desk, Installation, of, offered, on_sqlite
from tests.agents.script import ScriptedModel, call, says, texts

pytestmark = pytest.mark.anyio

TEAM = """
tools: {look: {python: "acceptance:look"}, remove: {python: "acceptance:remove"}}
agents:
  planner: {model: "openai:test-model", instructions: You are the planner., tools: [look], handoffs: [coder]}
  coder: {model: "openai:test-model", instructions: You are the coder., tools: [remove]}
  spare: {model: "openai:test-model", instructions: You are never asked.}
do:
  - work: {handoff: {start: planner, among: [planner, coder]}, with: "Fix the build"}
"""
ONE = """
tools: {look: {python: "acceptance:look"}}
agents:
  solo: {model: "openai:test-model", instructions: You are alone., tools: [look], capacity: 5}
do:
  - work: {agent: solo, with: "Fix the build"}
"""
HAND_OVER = call("handoff_to_coder", {"task": "Change it.", "decisions": ["Small steps."]})


@offered("look")
def look(what: str = "") -> str:
    """Look at something."""
    return f"looked at {what}"


@offered("remove", "destructive")
def remove(what: str = "") -> str:
    """Remove something."""
    return f"removed {what}"


def plays(model: ScriptedModel, **parts: list) -> None:
    """Let each agent, known by its instructions, answer its own list in order."""

    def answer(body):
        (system,) = texts(body, "system")
        due = sum(message["role"] == "assistant" for message in body["messages"])
        (mine,) = [answers for agent, answers in parts.items() if f"You are the {agent}." in system]
        return mine[due]

    model.will(answer)


@pytest.mark.requirement("MOZ-07", "MOZ-08", "MOZ-09", "MOZ-10", "MOZ-11", "MOZ-15")
async def test_an_agents_job_goes_through_its_states_and_the_journal_tells_each_move(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    desk.register(look, remove)
    plays(
        model,
        planner=[says("First I look.", call("look", {"what": "ci"})), says("Your turn.", HAND_OVER)],
        coder=[says("It is done.")],
    )
    run = await desk.run(installation.workflow(TEAM))
    assert (run["status"], run["outputs"]) == ("succeeded", {"result": "It is done."})
    begin = [("idle", "spawn", "ready"), ("ready", "invoke", "running")]
    tool_call = [("running", "tool_call", "awaiting_tool"), ("awaiting_tool", "tool_result", "running")]
    assert await desk.moves(run["id"], "planner") == [
        *begin,
        *tool_call,
        *tool_call,  # handing over is a call, too
        ("running", "handoff", "handoff"),
        ("handoff", "handoff_complete", "complete"),
    ]
    assert await desk.moves(run["id"], "coder") == [*begin, ("running", "complete", "complete")]


@on_sqlite
@pytest.mark.requirement("MOZ-13", "MOZ-14")
async def test_an_agent_that_is_only_defined_is_nowhere_and_one_that_is_ready_has_its_system_prompt(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    desk.register(look, remove)
    ready: list[list[str]] = []

    def answer(body):
        ready.append(texts(body, "system"))
        return says("Done.")

    model.will(answer)
    run = await desk.run(installation.workflow(TEAM))
    assert await desk.moves(run["id"], "spare") == []
    assert "spare" not in {agent["name"] for agent in (await desk.operations.agents(desk.ctx))["items"]}
    (prompt,) = ready[0]
    assert "You are the planner." in prompt
    kinds = [event["type"] for event in await desk.events(run["id"], "agent.turn", "model.called")]
    assert kinds[:3] == ["agent.turn", "agent.turn", "model.called"], (
        "ready and running come before a message"
    )


@pytest.mark.requirement("MOZ-16")
async def test_an_agent_is_paused_while_its_tool_runs(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @offered("look")
    async def slow_look(what: str = "") -> str:
        """Look for as long as the test says."""
        began.set()
        await go_on.wait()
        return f"looked at {what}"

    desk.register(slow_look)
    model.will(says("I look.", call("look")), says("Done."))
    run_id = await desk.start(installation.workflow(ONE))
    async with asyncio.timeout(30):
        await began.wait()
    assert (await desk.moves(run_id, "solo"))[-1] == ("running", "tool_call", "awaiting_tool")
    assert len(model.asked) == 1
    figures = (await desk.operations.agents(desk.ctx))["items"]
    assert [(agent["name"], agent["active"]) for agent in figures] == [("solo", 1)]
    go_on.set()
    assert (await desk.ended(run_id))["status"] == "succeeded"
    assert len(model.asked) == 2


@on_sqlite
@pytest.mark.requirement("MOZ-11", "MOZ-17", "STK-10")
async def test_a_handoff_passes_control_and_its_checked_context_to_the_next_agent(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    desk.register(look, remove)
    wrong = call("handoff_to_coder", {"task": "Change it.", "decision": "misspelt"})
    plays(model, planner=[says("Take over.", wrong), says("Again.", HAND_OVER)], coder=[says("Changed.")])
    run = await desk.run(installation.workflow(TEAM))
    assert run["outputs"] == {"result": "Changed."}
    (handed,) = of(await desk.events(run["id"]), "agent.handoff")
    assert (handed["agent"], handed["to"], handed["task"]) == ("planner", "coder", "Change it.")
    refused = texts(model.asked[1], "tool")[-1]
    assert "decision" in refused, "a context that does not fit goes back to the one who wrote it"
    told = "\n".join(texts(model.asked[-1], "user"))
    assert "Change it." in told
    assert "Small steps." in told
    assert "planner" in told, "the chain of agents so far"


@pytest.mark.requirement("MOZ-18")
async def test_at_the_end_of_a_job_its_state_is_kept_its_place_is_free_and_its_answer_delivered(
    installation: Installation, model: ScriptedModel
) -> None:
    model.will(says("I look.", call("look", {"what": "ci"})), says("All is well."))
    async with installation.open() as desk:
        desk.register(look)
        run = await desk.run(installation.workflow(ONE))
        assert run["outputs"] == {"result": "All is well."}
        (agent,) = (await desk.operations.agents(desk.ctx))["items"]
        assert (agent["name"], agent["availability"], agent["active"]) == ("solo", "online", 0)
    async with installation.open(execute=False) as desk:  # another process, later
        kept = await desk.application.conversations.conversation(desk.ctx, run["id"], "work")
    assert kept.state == "complete"
    assert [message.role for message in kept.messages] == ["user", "assistant", "tool", "assistant"]
    assert kept.messages[-1].text == "All is well."


@pytest.mark.requirement("MOZ-12")
async def test_what_is_complete_leaves_its_state_by_ending_only() -> None:
    from mosaic.agents.turns import TRANSITIONS, Trigger, TurnState

    leaving = {trigger: after for (before, trigger), after in TRANSITIONS.items() if before == "complete"}
    assert leaving == {Trigger.TERMINATE: TurnState.IDLE}


@pytest.mark.requirement("MOZ-19")
async def test_a_job_that_fails_or_is_cancelled_says_so_in_its_state(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    began = asyncio.Event()

    @offered("look")
    async def endless_look(what: str = "") -> str:
        """Look for ever."""
        began.set()
        await asyncio.Event().wait()
        return "never"

    desk.register(endless_look)
    model.will(says(None, finish="content_filter"))
    failed = await desk.run(installation.workflow(ONE))
    assert failed["status"] == "failed"
    assert (await desk.moves(failed["id"], "solo"))[-1] == ("running", "fail", "failed")
    (reason,) = of(await desk.events(failed["id"]), "agent.failed")
    assert reason["error"]["code"] == "model_refused"

    model.will(says("I look.", call("look")))
    run_id = await desk.start(installation.workflow(ONE))
    async with asyncio.timeout(30):
        await began.wait()
    await desk.operations.cancel(desk.ctx, run_id)
    assert (await desk.ended(run_id))["status"] == "cancelled"
    assert (await desk.moves(run_id, "solo"))[-1] == ("awaiting_tool", "cancel", "cancelled")


@pytest.mark.requirement("MOZ-07", "MOZ-32")
async def test_an_agent_that_needs_a_person_waits_and_goes_on_in_another_process(
    installation: Installation, model: ScriptedModel
) -> None:
    plays(
        model,
        planner=[says("Your turn.", HAND_OVER)],
        coder=[says("I must.", call("remove", {"what": "x"})), says("It is gone.")],
    )
    async with installation.open() as desk:
        desk.register(look, remove)
        run_id = await desk.start(installation.workflow(TEAM))
        asked = await desk.asked(run_id)
        await desk.until(run_id, "agent.turn", when=lambda event: event["data"]["to"] == "awaiting_approval")
    async with installation.open() as desk:
        desk.register(look, remove)
        await desk.operations.decide(desk.ctx, asked["id"], {"approve": True})
        run = await desk.ended(run_id)
        assert run["outputs"] == {"result": "It is gone."}
        waited = [move for move in await desk.moves(run_id, "coder") if "awaiting_approval" in move]
        assert waited == [
            ("awaiting_tool", "approval_needed", "awaiting_approval"),
            ("awaiting_approval", "decided", "awaiting_tool"),
        ]
        assert Counter(tool["tool"] for tool in of(await desk.events(run_id), "tool.called")) == {"remove": 1}


@pytest.mark.requirement("ENT-37", "ENT-38", "MAOS-07")
async def test_the_registry_counts_agents_and_their_load(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @offered("look")
    async def slow_look(what: str = "") -> str:
        """Look for as long as the test says."""
        began.set()
        await go_on.wait()
        return "looked"

    desk.register(slow_look)
    nobody = (await desk.operations.agents(desk.ctx))["metrics"]
    assert nobody == {
        "total": 0,
        "online": 0,
        "offline": 0,
        "busy": 0,
        "error": 0,
        "average_load": 0,
        "total_capacity": 0,
        "utilization": 0,
    }
    model.will(says("I look.", call("look")), says("Done."))
    run_id = await desk.start(installation.workflow(ONE))
    async with asyncio.timeout(30):
        await began.wait()
    at_work = (await desk.operations.agents(desk.ctx))["metrics"]
    assert at_work == {
        "total": 1,
        "online": 1,
        "offline": 0,
        "busy": 0,
        "error": 0,
        "average_load": 0.2,
        "total_capacity": 5,
        "utilization": 20.0,
    }
    go_on.set()
    await desk.ended(run_id)
    assert (await desk.operations.agents(desk.ctx))["metrics"]["utilization"] == 0
