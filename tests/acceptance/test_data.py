"""Data: the journal, checkpoints, what is kept about runs, and the walls between tenants."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import MosaicError, NotFound
from tests.acceptance.installation import Desk, Installation, of, offered, on_sqlite
from tests.agents.script import ScriptedModel, call, says

pytestmark = pytest.mark.anyio

FILES = """
workspace: {source: repo/}
inputs: {type: object, properties: {word: {type: string, default: one}}}
do:
  - first: {run: "echo first > a.txt"}
  - second: {run: "echo ${inputs.word} >> a.txt"}
  - third: {run: "cat a.txt"}
outputs: {text: "${third.stdout}"}
"""


def with_repository(folder: Path) -> Path:
    (folder / "repo").mkdir()
    (folder / "repo" / "a.txt").write_text("nothing\n")
    return folder


def output_of(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.requirement("MAOS-18", "MAOS-44")
async def test_a_run_can_begin_again_before_any_step_with_the_files_as_they_were(
    desk: Desk, installation: Installation
) -> None:
    run = await desk.run(with_repository(installation.workflow(FILES)))
    assert run["outputs"] == {"text": "first\none\n"}, run["error"]
    again = await desk.operations.fork(desk.ctx, run["id"], from_step="second", inputs={"word": "two"})
    forked = await desk.ended(again["id"])
    assert forked["outputs"] == {"text": "first\ntwo\n"}, "the files are as they were before that step"
    assert (await desk.operations.run(desk.ctx, run["id"]))["outputs"] == run["outputs"]
    steps = [event["path"] for event in await desk.events(forked["id"], "step.started")]
    assert "first" not in steps, "what came before is kept, not done again"


@pytest.mark.requirement("ENT-26", "MAOS-18")
async def test_the_files_before_each_step_are_kept_under_the_hash_of_their_content(
    desk: Desk, installation: Installation
) -> None:
    run = await desk.run(with_repository(installation.workflow(FILES)))
    recorded = await desk.application.journal.recorded(desk.ctx, run["id"])
    checkpoints = {key: effect.result for key, effect in recorded.items() if key.endswith("#checkpoint")}
    commit = checkpoints["second#checkpoint"]
    git = ["git", "-C", run["workspace"]["repository"]]
    content = output_of(*git, "cat-file", "commit", commit)
    assert hashlib.sha1(b"commit %d\0" % len(content) + content).hexdigest() == commit
    kept = {}
    for step in ("first", "second", "third"):
        kept[step] = output_of(*git, "show", f"{checkpoints[f'{step}#checkpoint']}:a.txt")
    assert kept == {"first": b"nothing\n", "second": b"first\n", "third": b"first\none\n"}
    tools = desk.application.tool_operations
    listed = await tools.call_tool(desk.ctx, "runs.checkpoints", {"run": run["id"]})
    items = listed["result"]["content"]["items"]
    assert [(item["step"], item["commit"]) for item in items] == [
        (step, checkpoints[f"{step}#checkpoint"]) for step in ("first", "second", "third")
    ]


@on_sqlite  # where they are files anybody can look at
@pytest.mark.requirement("ENT-26")
async def test_what_a_run_keeps_stands_under_the_hash_of_its_bytes_and_damage_is_noticed(
    installation: Installation, model: ScriptedModel
) -> None:
    long = "word " * 10_000
    async with installation.open() as desk:

        @offered("act")
        def act() -> str:
            """Say much."""
            return long

        desk.register(act)
        run = await desk.run(
            installation.workflow('tools: {act: {python: "acceptance:act"}}\ndo: [{one: {tool: act}}]\n')
        )
        (artifact,) = (await desk.operations.artifacts(desk.ctx, run["id"]))["items"]
    blobs = [path for path in (installation.home / "blobs").rglob("*") if path.is_file()]
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in blobs}
    assert all(digest.endswith(path.name) for digest, path in digests.items())
    kept = {run["definition_hash"], artifact["digest"]}
    assert kept <= {f"sha256:{digest}" for digest in digests}
    assert len(digests) > len(kept), "the long result is there, too"
    async with installation.open(execute=False) as desk:
        assert long in str((await desk.operations.run(desk.ctx, run["id"]))["outputs"])
        path = digests[artifact["digest"].removeprefix("sha256:")]
        path.chmod(0o600)
        path.write_bytes(b"something else")
        with pytest.raises(MosaicError) as damaged:
            await desk.operations.artifact(desk.ctx, artifact["id"])
        assert damaged.value.code == "damaged"


@pytest.mark.requirement("MAOS-03", "STK-49", "STK-23")
async def test_what_the_tables_say_of_a_run_follows_from_its_events(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    @offered("act", "destructive")
    def act() -> str:
        """Act."""
        return "acted"

    desk.register(act)
    model.will(says("I act.", call("act")), says("Done."))
    run_id = await desk.start(
        installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [act]}}
do: [{one: {agent: solo, with: go}}]
""")
    )
    asked = await desk.asked(run_id)
    await desk.operations.decide(desk.ctx, asked["id"], {"approve": True, "note": "fine"})
    run = await desk.ended(run_id)
    events = await desk.events(run_id)
    (created,) = of(events, "run.created")
    (ended,) = of(events, "run.succeeded")
    (decided,) = of(events, "approval.decided")
    states = {event["path"]: event["data"]["to"] for event in events if event["type"] == "agent.turn"}
    approval = await desk.operations.approval(desk.ctx, asked["id"])
    conversation = await desk.application.conversations.conversation(desk.ctx, run_id, "one")
    assert (created["workflow"], created["definition_hash"]) == (run["workflow"], run["definition_hash"])
    assert ended["outputs"] == run["outputs"]
    assert (decided["status"], decided["by"], decided["note"]) == (
        approval["status"],
        approval["decided_by"],
        approval["note"],
    )
    assert states == {"one": conversation.state}
    called = of(events, "model.called")
    assert sum(data["input_tokens"] + data["output_tokens"] for data in called) == run["cost"]["tokens"]
    assert all(data["latency_ms"] >= 0 for data in called)
    assert of(events, "step.completed")[0]["duration_ms"] >= 0
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert all(event["correlation"] == run_id for event in events)


@pytest.mark.requirement("MAOS-20", "MAOS-21", "ENT-23", "STK-33")
async def test_what_is_known_of_runs_definitions_artifacts_and_agents_is_in_the_database(
    installation: Installation, model: ScriptedModel
) -> None:
    model.will(says("Done."))
    async with installation.open() as desk:
        run = await desk.run(
            installation.workflow(
                'agents: {solo: {model: "openai:test-model", instructions: Act., capabilities: [code.write]}}\n'
                "inputs: {type: object, properties: {goal: {type: string}}}\n"
                "do: [{one: {agent: solo, with: go}}]\n"
            ),
            {"goal": "ship"},
        )
        postgresql = installation.database_url.startswith("postgresql")
        assert desk.application.database.dialect == ("postgresql" if postgresql else "sqlite")
    async with installation.open(execute=False) as desk:
        found = (
            await desk.operations.runs(
                desk.ctx, status="succeeded", workflow="under-test", limit=5, cursor=None
            )
        )["items"]
        assert [one["id"] for one in found] == [run["id"]]
        assert found[0]["inputs"] == {"goal": "ship"}
        assert (await desk.application.runs.definition(desk.ctx, run["id"])).name == "under-test"
        (artifact,) = (await desk.operations.artifacts(desk.ctx, run["id"]))["items"]
        assert (artifact["name"], artifact["media_type"]) == ("report.md", "text/markdown; charset=utf-8")
        (agent,) = (await desk.operations.agents(desk.ctx))["items"]
        assert (agent["name"], agent["capabilities"]) == ("solo", ["code.write"])
        assert (await desk.operations.runs(desk.ctx, status="failed", workflow=None, limit=5, cursor=None))[
            "items"
        ] == []


@pytest.mark.requirement("MOZ-21", "MOZ-127", "MOZ-111")
async def test_a_conversation_is_kept_with_its_tools_results_for_its_run_and_no_other(
    installation: Installation, model: ScriptedModel
) -> None:
    @offered("act")
    def act() -> str:
        """Act."""
        return "the very words of the tool"

    model.will(says("I act.", call("act")), says("Done."))
    folder = installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [act]}}
do: [{one: {agent: solo, with: go}}]
""")
    async with installation.open() as desk:
        desk.register(act)
        first, second = await desk.run(folder), await desk.run(folder)
        assert len(model.asked) == 4
        assert len(model.asked[2]["messages"]) == len(model.asked[0]["messages"]), "a new run starts afresh"
    async with installation.open(execute=False) as desk:
        conversations = desk.application.conversations
        kept = await conversations.conversation(desk.ctx, first["id"], "one")
        assert "the very words of the tool" in str([message.to_json() for message in kept.messages])
        assert kept.messages[-1].text == "Done."
        assert [one.path for one in await conversations.conversations(desk.ctx, second["id"])] == ["one"]


@pytest.mark.requirement(
    "ENT-64", "MOZ-126", "MOZ-125", "MOZ-38", "ENT-04", "MOZ-124", "ORC-70", "ORC-71", "ORC-75"
)
async def test_another_tenant_of_the_same_installation_sees_and_touches_nothing(
    desk: Desk, installation: Installation, model: ScriptedModel
) -> None:
    @offered("act", "destructive")
    def act() -> str:
        """Act."""
        return "acted"

    desk.register(act)
    model.will(says("I act.", call("act")), says("Done."))
    folder = installation.workflow("""
tools: {act: {python: "acceptance:act"}}
agents: {solo: {model: "openai:test-model", instructions: Act., tools: [act]}}
do: [{one: {agent: solo, with: go}}, {two: {listen: go}}]
""")
    run_id = await desk.start(folder)
    asked = await desk.asked(run_id)
    ours, theirs = desk.ctx, Context("other", "default", Actor("user", "owner"))
    operations, application = desk.operations, desk.application
    everything = {"status": None, "workflow": None, "limit": 50, "cursor": None}

    assert (await operations.runs(theirs, **everything))["items"] == []
    assert (await operations.approvals(theirs, status=None, run_id=None))["items"] == []
    assert (await operations.approvals(theirs, status=None, run_id=run_id))["items"] == []
    assert (await operations.agents(theirs))["items"] == []
    assert (await operations.event_page(theirs, run_id=None, after=0, limit=500))["items"] == []
    assert (await operations.dead_letters(theirs))["items"] == []
    for reach in (
        lambda: operations.run(theirs, run_id),
        lambda: anext(operations.events(theirs, run_id=run_id, after=0, follow=False)),
        lambda: operations.cancel(theirs, run_id),
        lambda: operations.fork(theirs, run_id, from_step="one", inputs=None),
        lambda: operations.signal(theirs, run_id, "go", {}),
        lambda: operations.approval(theirs, asked["id"]),
        lambda: operations.decide(theirs, asked["id"], {"approve": True}),
        lambda: operations.artifacts(theirs, run_id),
        lambda: operations.event_page(theirs, run_id=run_id, after=0, limit=5),
        lambda: application.runs.definition(theirs, run_id),
        lambda: application.conversations.conversation(theirs, run_id, "one"),
    ):
        with pytest.raises((NotFound, StopAsyncIteration)):
            await reach()
    assert (await operations.approval(ours, asked["id"]))["status"] == "pending"
    await operations.decide(ours, asked["id"], {"approve": True})
    await desk.until(run_id, "step.started", when=lambda event: event["path"] == "two")
    await operations.signal(ours, run_id, "go", {})
    run = await desk.ended(run_id)
    assert run["status"] == "succeeded"
    (artifact,) = (await operations.artifacts(ours, run_id))["items"]
    with pytest.raises(NotFound):
        await operations.artifact(theirs, artifact["id"])
