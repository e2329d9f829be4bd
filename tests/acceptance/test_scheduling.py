"""The task queue: dependencies, priorities, retries, and work that was given up."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mosaic.core.errors import Conflict, InvalidDefinition
from tests.acceptance.installation import Desk, Installation, of, offered, on_sqlite, reason
from tests.agents.script import ScriptedModel, says, texts

pytestmark = pytest.mark.anyio

GRAPH = """
inputs: {type: object, properties: {tasks: {type: array, items: {type: object}}}}
tools: {act: {python: "acceptance:act"}}
do:
  - all:
      for: {each: task, in: "${inputs.tasks}", needs: "${task.needs}", parallel: 4}
      do: [{act: {tool: act, with: {name: "${task.name}"}}}]
"""


@pytest.mark.requirement("ENT-39")
async def test_a_task_is_dispatched_when_everything_it_needs_is_done(
    desk: Desk, installation: Installation
) -> None:
    began: list[str] = []
    done: list[str] = []
    together = asyncio.Barrier(2)

    @offered("act")
    async def act(name: str) -> str:
        """Do a task; the two in the middle wait for each other."""
        began.append(f"{name} after {','.join(sorted(done))}")
        if name in ("api", "ui"):
            await together.wait()
        done.append(name)
        return name

    desk.register(act)
    tasks = [
        {"name": "release", "needs": ["api", "ui"]},
        {"name": "ui", "needs": ["plan"]},
        {"name": "api", "needs": ["plan"]},
        {"name": "plan", "needs": []},
    ]
    run = await desk.run(installation.workflow(GRAPH), {"tasks": tasks})
    assert run["outputs"] == {"result": ["release", "ui", "api", "plan"]}
    assert began[0] == "plan after "
    assert sorted(began[1:3]) == ["api after plan", "ui after plan"]
    assert began[3] == "release after api,plan,ui"


@on_sqlite
@pytest.mark.requirement("ENT-39")
@pytest.mark.parametrize(
    ("needs", "says"), [(["b"], "a -> b -> a"), (["nowhere"], "nowhere")], ids=["a cycle", "an unknown task"]
)
async def test_dependencies_that_cannot_be_resolved_are_refused_before_any_task_begins(
    desk: Desk, installation: Installation, needs: list[str], says: str
) -> None:
    began: list[str] = []

    @offered("act")
    def act(name: str) -> str:
        """Do a task."""
        began.append(name)
        return name

    desk.register(act)
    tasks = [{"name": "a", "needs": needs}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": []}]
    failed = await desk.run(installation.workflow(GRAPH), {"tasks": tasks})
    assert failed["status"] == "failed"
    assert says in failed["error"]["message"]
    assert began == []

    written = GRAPH.replace(
        '"${inputs.tasks}"', f"[{{name: a, needs: {needs}}}, {{name: b, needs: [a]}}]".replace("'", "")
    )
    with pytest.raises(InvalidDefinition, match=needs[0]):
        await desk.start(installation.workflow(written))


@pytest.mark.requirement("ENT-40", "ENT-07", "MAOS-08", "STK-19", "STK-35", "ENT-58")
async def test_of_the_tasks_that_wait_the_one_with_the_highest_priority_goes_first(
    installation: Installation, model: ScriptedModel
) -> None:
    order: list[str] = []
    began, go_on = asyncio.Event(), asyncio.Event()

    @offered("hold")
    async def hold() -> str:
        """Keep the only place busy."""
        began.set()
        await go_on.wait()
        return "held"

    def answer(body):
        task = texts(body, "user")[0].strip().splitlines()[-1]
        if task == "first" and not began.is_set():
            return says(
                "I hold.", {"id": "c1", "type": "function", "function": {"name": "hold", "arguments": "{}"}}
            )
        order.append(task)
        return says(task)

    model.will(answer)
    folder = installation.workflow("""
inputs: {type: object, properties: {task: {type: string}}}
tools: {hold: {python: "acceptance:hold"}}
agents: {a: {model: "openai:test-model", instructions: You are a., tools: [hold], pool: narrow}}
do: [{one: {agent: a, with: "${inputs.task}"}}]
""")
    async with installation.open(pools={"default": {}, "narrow": {"concurrency": 1}}) as desk:
        desk.register(hold)
        runs = [await desk.start(folder, {"task": "first"})]
        async with asyncio.timeout(30):
            await began.wait()
        for task, priority in (("later", 30), ("normal", 20), ("urgent", 1)):
            runs.append(await desk.start(folder, {"task": task}, priority=priority))
            await desk.until(runs[-1], "step.started")
            async with asyncio.timeout(30):
                while len(await desk.application.engine.executions(desk.ctx, runs[-1])) < 2:  # noqa: ASYNC110  # no event
                    await asyncio.sleep(0.02)  # ... tells that its agent's job is in the queue
        assert order == []
        go_on.set()
        for run_id in runs:
            assert (await desk.ended(run_id))["status"] == "succeeded"
    assert order == ["first", "urgent", "normal", "later"]


@pytest.mark.requirement("ENT-42", "MAOS-44")
async def test_each_task_has_its_own_policy_of_attempts_and_delays_within_one_budget(
    desk: Desk, installation: Installation
) -> None:
    attempts: dict[str, int] = {}

    @offered("act", retries=True)
    def act(name: str) -> str:
        """Fail always."""
        attempts[name] = attempts.get(name, 0) + 1
        raise ValueError(name)

    desk.register(act)
    folder = installation.workflow("""
limits: {retries: 4}
tools: {act: {python: "acceptance:act"}}
do:
  - never: {tool: act, with: {name: never}, retry: 1, catch: [{on: any}]}
  - twice: {tool: act, with: {name: twice}, catch: [{on: any}],
            retry: {attempts: 3, delay: 10ms, factor: 4, jitter: 0, on: [tool_failed]}}
  - other: {tool: act, with: {name: other}, catch: [{on: any}],
            retry: {attempts: 3, delay: 10ms, on: [timed_out]}}
  - often: {tool: act, with: {name: often}, retry: {attempts: 9, delay: 5ms, on: [tool_failed]}}
""")
    run = await desk.run(folder)
    assert reason(run) == "tool_failed"
    assert attempts == {"never": 1, "twice": 3, "other": 1, "often": 3}, (
        "the run's budget of 4 bounds them all"
    )
    delays = [data["delay_s"] for data in of(await desk.events(run["id"]), "retry")]
    assert delays[:2] == [0.01, 0.04]


@pytest.mark.slow
@pytest.mark.requirement("ENT-41")
@on_sqlite
@pytest.mark.parametrize("place", ["step", "agent"])
async def test_work_whose_process_dies_again_and_again_is_put_aside_seen_and_started_again(
    installation: Installation, tmp_path: Path, place: str
) -> None:
    deadly = tmp_path / "deadly"
    deadly.touch()
    script = tmp_path / "node.py"
    script.write_text(f"""
import asyncio, os, signal, sys
from pathlib import Path
from mosaic.engine import Safety
from tests.acceptance.installation import Installation, offered

@offered("act", safety=Safety.REPEATABLE)
def act() -> str:
    "Kill the process, as long as a file is there."
    if Path({str(deadly)!r}).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"

async def main():
    installation = Installation(Path({str(installation.home)!r}), {installation.database_url!r}, {{}})
    async with installation.open(engine={{"max_recoveries": 2, "heartbeat_s": 0.2, "lease_ttl_s": 1}}) as desk:
        desk.register(act)
        if sys.argv[2] == "start":
            await desk.start(Path(sys.argv[1]), run_id="run_" + "0" * 26)
        await desk.ended("run_" + "0" * 26)

asyncio.run(main())
""")
    work = "tool: act" if place == "step" else "agent: solo, with: go"
    folder = installation.workflow(
        'tools: {act: {python: "acceptance:act"}}\n'
        'agents: {solo: {model: "scripted:scripted.yaml", instructions: Act., tools: [act]}}\n'
        f"do: [{{one: {{{work}}}}}]\n",
        scripted_yaml="scripted: 1\nagents: {solo: [{tool_calls: [{tool: act, arguments: {}}]}, {text: alive}]}\n",
    )
    run_id = "run_" + "0" * 26

    async def node(verb: str) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, script, folder, verb, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        async with asyncio.timeout(60):
            return await process.wait()

    codes = [await node("start")]
    assert codes == [-signal.SIGKILL]
    while codes[-1] != 0 and len(codes) < 6:
        codes.append(await node("go on"))
    assert codes == [-signal.SIGKILL] * 3 + [0], "two recoveries are allowed"
    async with installation.open(execute=False) as door:
        await door.application.runs.reconcile()
        letters = (await door.operations.dead_letters(door.ctx))["items"]
        # The run that waits for its agent is put aside with it when its process dies before it has settled to wait.
        (letter,) = [one for one in letters if one["handler"] == ("run" if place == "step" else "agent")]
        assert (letter["run_id"], letter["crashes"]) == (run_id, 3)
        assert (await door.operations.run(door.ctx, run_id))["status"] == "failed"
    deadly.unlink()
    if place == "step":
        async with installation.open(execute=False) as door:
            await door.operations.requeue(door.ctx, letter["id"])
            with pytest.raises(Conflict):
                await door.operations.requeue(door.ctx, letter["id"])
        assert await node("go on") == 0
        async with installation.open(execute=False) as door:
            run = await door.operations.run(door.ctx, run_id)
            assert (run["status"], run["outputs"]) == ("succeeded", {"result": "alive"})
            assert (await door.operations.dead_letters(door.ctx))["items"] == []
