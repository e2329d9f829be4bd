"""Coordination: one state that every process sees, events that reach who waits for them, votes, limits."""

import asyncio
from contextlib import aclosing

import pytest

from tests.acceptance.installation import Desk, Installation, of, offered, on_sqlite
from tests.agents.script import ScriptedModel, call, says, texts

pytestmark = pytest.mark.anyio

LISTENING = """
do:
  - one: {emit: {event: build.planned, data: {n: 1}}}
  - go: {listen: go}
  - two: {emit: {event: build.finished, data: "${go}"}}
"""


@pytest.mark.requirement("STK-20", "MAOS-13", "STK-19", "STK-01")
async def test_every_process_sees_one_state_follows_it_live_and_finds_it_again(
    installation: Installation,
) -> None:
    folder = installation.workflow(LISTENING)
    async with installation.open() as worker, installation.open(execute=False) as door:
        run_id = await worker.start(folder)
        seen: list[str] = []
        async with (
            asyncio.timeout(30),
            aclosing(door.operations.events(door.ctx, run_id=run_id, after=0, follow=True)) as live,
        ):
            async for event in live:
                seen.append(event["type"])
                if event["type"] == "step.started" and event["path"] == "go":
                    assert (await door.operations.run(door.ctx, run_id))["status"] == "running"
                    await door.operations.signal(door.ctx, run_id, "go", {"from": "another process"})
                if event["type"] == "run.succeeded":
                    break
        assert (await door.operations.run(door.ctx, run_id))["outputs"] is not None
        told = of(await worker.events(run_id), "workflow.build.finished")
        assert told == [{"from": "another process"}]
    async with installation.open(execute=False) as later:
        assert [event["type"] for event in await later.events(run_id)][: len(seen)] == seen


@pytest.mark.requirement("MAOS-14", "STK-24", "STK-36")
async def test_events_go_to_those_who_ask_for_them_each_once_and_in_order(
    desk: Desk, installation: Installation
) -> None:
    folder = installation.workflow(LISTENING)
    runs = [await desk.start(folder) for _ in range(2)]

    async def follow(run_id: str | None, count: int) -> list[dict]:
        found: list[dict] = []
        async with aclosing(desk.operations.events(desk.ctx, run_id=run_id, after=0, follow=True)) as events:
            async for event in events:
                found.append(event)
                if event["type"] == "run.succeeded" and (count := count - 1) == 0:
                    return found
        return found

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        only = [group.create_task(follow(run_id, 1)) for run_id in runs]
        everything = group.create_task(follow(None, 2))
        for run_id in runs:
            await desk.until(run_id, "step.started", when=lambda event: event["path"] == "go")
            await desk.operations.signal(desk.ctx, run_id, "go", {})
    for run_id, task in zip(runs, only, strict=True):
        assert {event["run_id"] for event in task.result()} == {run_id}
        assert [event["data"] for event in task.result() if event["type"] == "workflow.build.planned"] == [
            {"n": 1}
        ]
    order = [event["seq"] for event in everything.result()]
    assert order == list(range(1, len(order) + 1))
    assert {event["run_id"] for event in everything.result()} == set(runs)


@on_sqlite
@pytest.mark.requirement("MAOS-15")
async def test_agents_agree_by_vote_and_without_a_quorum_nothing_is_decided(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    agents = "".join(
        f'\n  {name}: {{model: "openai:test-model", instructions: You are {name}.}}' for name in "abc"
    )
    folder = installation.workflow(
        f"agents:{agents}\ndo: [{{decide: {{vote: {{agents: [a, b, c], rule: two_thirds}}, with: Merge?}}}}]\n"
    )
    votes = {"a": "approve", "b": "approve", "c": "reject"}

    def answer(body):
        (agent,) = [name for name in "abc" if f"You are {name}." in texts(body, "system")[0]]
        if agent not in votes:
            return says(None, finish="content_filter")
        return says(f'{{"choice": "{votes[agent]}", "reason": "because"}}')

    model.will(answer)
    decided = (await desk.run(folder))["outputs"]["result"]
    assert (decided["decision"], decided["passed"]) == ("approve", True)
    votes["b"] = "reject"
    votes["a"] = "reject"
    assert (await desk.run(folder))["outputs"]["result"]["decision"] == "reject"
    votes.update(a="approve", b="reject", c="reject")
    assert (await desk.run(folder))["outputs"]["result"]["decision"] == "reject"
    del votes["c"]
    failed = await desk.run(folder)
    assert failed["status"] == "failed"
    assert "2 of the 3 agents" in failed["error"]["message"]


@on_sqlite
@pytest.mark.requirement("MAOS-08", "STK-24", "STK-35")
async def test_a_pool_never_works_on_more_jobs_at_once_than_it_may(
    installation: Installation, model: ScriptedModel
) -> None:
    at_once, most = 0, 0
    two = asyncio.Barrier(2)

    @offered("meet")
    async def meet() -> str:
        """Meet one other job."""
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await two.wait()
        at_once -= 1
        return "met"

    model.will(says(None, call("meet")), says("Done."))
    folder = installation.workflow("""
tools: {meet: {python: "acceptance:meet"}}
agents: {a: {model: "openai:test-model", instructions: You are a., tools: [meet], pool: narrow}}
do: [{all: {for: {each: n, in: [1, 2, 3, 4, 5, 6], parallel: 6}, do: [{one: {agent: a, with: go}}]}}]
""")
    async with installation.open(pools={"default": {}, "narrow": {"per_tenant": 2}}) as desk:
        desk.register(meet)
        assert (await desk.run(folder))["status"] == "succeeded"
    assert most == 2
