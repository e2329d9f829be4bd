"""Runs: started once, bounded, ended once, tidied up; children belong to their parents."""

import asyncio
import contextlib
import secrets
import subprocess
from pathlib import Path

import pytest

from mosaic.core.errors import Conflict, InvalidInput
from mosaic.core.values import JsonObject
from mosaic.runs.schemas import RunStatus
from tests.app.site import WAIT_S, Site, script, write_workflow

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n"
LISTEN = "do:\n  - told: {listen: {signal: go}}\noutputs: {heard: '${told}'}\n"


def git(folder: str | Path, *args: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *args], check=True, capture_output=True, text=True
    ).stdout.strip()


async def test_starts_at_the_same_moment_are_one_run(site: Site) -> None:
    request = site.request("together", SET, run_id="run_" + "2" * 26)
    runs = await asyncio.gather(*(site.client.start_run(request) for _ in range(6)))
    assert {run["id"] for run in runs} == {"run_" + "2" * 26}
    await site.finish(runs[0]["id"])
    assert [e["type"] for e in await site.events(runs[0]["id"])].count("run.created") == 1


async def test_inputs_are_bound_with_their_defaults(site: Site) -> None:
    text = (
        "inputs: {type: object, required: [a], properties: {a: {type: integer}, b: {type: string, default: two}}}\n"
        "do:\n  - all: {set: '${inputs}'}\noutputs: {all: '${all}'}\n"
    )
    run = await site.start("bound", text, inputs={"a": 1})
    assert run["inputs"] == {"a": 1, "b": "two"}
    assert (await site.finish(run["id"]))["outputs"] == {"all": {"a": 1, "b": "two"}}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (SET, {}, 3.0),
        ("limits: {usd: 2}\n" + SET, {}, 2.0),
        ("limits: {usd: 2}\n" + SET, {"usd": 1.5}, 1.5),
        ("limits: {usd: 2}\n" + SET, {"usd": 0.0}, 0.0),
    ],
    ids=["settings", "definition", "options", "nothing"],
)
async def test_a_budget_comes_from_options_then_definition_then_settings(
    site: Site, text: str, options: JsonObject, expected: float
) -> None:
    run = await site.start("budget", text, **options)
    assert run["cost"]["limit_usd"] == expected
    await site.finish(run["id"])


async def test_no_tokens_at_all_is_a_budget_too(site: Site) -> None:
    folder = site.folder / "flows" / "tokens"
    write_workflow(
        folder, SET, script__json='{"scripted": 1, "name": "s", "agents": {"one": [{"text": "hi"}]}}'
    )
    text = "agents:\n  one: {model: ['scripted:script.json']}\ndo:\n  - talk: {agent: one, with: hello}\n"
    done = await site.finish((await site.start("tokens", text, tokens=0))["id"])
    assert done["status"] == "failed"
    assert done["error"]["data"]["reason"]["code"] == "budget_exceeded"


async def test_what_came_out_is_committed_on_a_branch_and_the_checkout_removed(site: Site) -> None:
    repo = site.folder / "flows" / "commits" / "repo"
    repo.mkdir(parents=True)
    (repo / "old.txt").write_text("old\n")
    text = (
        "inputs: {type: object, properties: {goal: {type: string, default: Write it down}}}\n"
        "workspace: {source: repo/}\npolicies: {exec: allow}\ndo:\n  - write: {run: 'echo new > new.txt'}\n"
    )
    done = await site.finish((await site.start("commits", text))["id"])
    assert done["status"] == "succeeded", done["error"]
    workspace = done["workspace"]
    assert workspace["branch"] == f"mosaic/{done['id']}"
    assert git(workspace["repository"], "show", f"{workspace['branch']}:new.txt") == "new"
    assert git(workspace["repository"], "rev-parse", workspace["branch"]) == workspace["commit"]
    subject = git(workspace["repository"], "log", "-1", "--format=%s", workspace["branch"])
    assert subject == "commits: Write it down"
    assert not (repo / "new.txt").exists()
    async with asyncio.timeout(WAIT_S):
        while Path(workspace["path"]).exists():  # removed after the end
            await asyncio.sleep(0.02)
    report = (await site.client.artifacts(done["id"]))["items"][0]
    content = (await site.client.artifact_content(report["id"])).decode()
    for expected in ("Write it down", "new.txt", workspace["commit"], "| `write` | completed"):
        assert expected in content


async def test_a_run_that_fails_keeps_its_files(site: Site) -> None:
    text = "do:\n  - write: {run: 'echo half > half.txt'}\n  - stop: {run: 'exit 7'}\n"
    done = await site.finish((await site.start("half", text))["id"])
    assert done["status"] == "failed"
    assert done["error"]["data"]["step"] == "stop"
    assert (Path(done["workspace"]["path"]) / "half.txt").read_text() == "half\n"


@pytest.mark.parametrize(
    "text",
    [
        "do:\n  - a: {run: 'echo hi > f'}\n  - b: {run: cat f}\n",
        "do:\n  - a: {tool: files.write, with: {path: f, content: hi}}\n  - b: {tool: files.read, with: {path: f}}\n",
        "do:\n  - a: {validate: [{run: 'test -d .'}]}\n",
        "do:\n  - a: {switch: [{when: 'true', do: [{deep: {for: {each: n, in: [1]}, do: [{x: {run: pwd}}]}}]}]}\n",
        "do:\n  - a: {set: 1, catch: [{do: [{x: {run: pwd}}], then: continue}]}\n",
    ],
    ids=["command", "tool", "check", "deep", "caught"],
)
async def test_a_run_that_needs_files_and_names_none_gets_an_empty_workspace(site: Site, text: str) -> None:
    done = await site.finish(
        (await site.start("empty", "policies: {write: allow, exec: allow}\n" + text))["id"]
    )
    assert done["status"] == "succeeded", done["error"]
    assert done["workspace"]["branch"] == f"mosaic/{done['id']}"


async def test_a_run_without_files_gets_no_workspace(site: Site) -> None:
    done = await site.finish((await site.start("nofiles", SET))["id"])
    assert done["workspace"] is None


async def test_the_models_of_every_kind_of_task_travel_with_the_definition(site: Site) -> None:
    text = (
        "agents: {a: {model: {default: ['scripted:plain.yaml'], review: ['scripted:review.yaml']}}}\n"
        "do: [{x: {agent: a, with: go}}, {y: {agent: a, with: go, task_kind: review}}]\n"
        "outputs: {x: '${x}', y: '${y}'}\n"
    )
    folder = site.folder / "flows" / "kinds"
    folder.mkdir(parents=True)
    for name in ("plain", "review"):
        (folder / f"{name}.yaml").write_text(script({"a": [{"turns": [{"text": name}]}]}))
    done = await site.finish((await site.start("kinds", text))["id"])
    assert (done["status"], done["outputs"]) == ("succeeded", {"x": "plain", "y": "review"})


async def test_a_child_works_for_its_parent_and_shares_its_budget(site: Site) -> None:
    folder = site.folder / "flows" / "family"
    child = "mosaic: v1\nkind: Workflow\nmetadata: {name: child}\nlimits: {usd: 9}\n"
    child += (
        "workspace: {source: files/}\ndo:\n  - see: {run: cat given.txt}\noutputs: {seen: '${see.stdout}'}\n"
    )
    write_workflow(folder / "kids", child, files_S_given__txt="given\n").rename(
        folder / "kids" / "child.yaml"
    )
    text = "policies: {exec: allow}\nlimits: {usd: 2}\ndo:\n  - kid: {workflow: kids/child.yaml}\noutputs: {seen: '${kid.seen}'}\n"
    done = await site.finish((await site.start("family", text))["id"])
    assert done["status"] == "succeeded", done["error"]
    assert done["outputs"] == {"seen": "given\n"}
    page = await site.client.runs(status=None, workflow="child", limit=1, cursor=None)
    kid = page["items"][0]
    assert (kid["parent_run_id"], kid["root_run_id"]) == (done["id"], done["id"])
    assert kid["cost"]["limit_usd"] == 2.0


async def test_a_child_ends_with_its_parent(site: Site) -> None:
    folder = site.folder / "flows" / "together-they-end"
    child = "mosaic: v1\nkind: Workflow\nmetadata: {name: listening-child}\n" + LISTEN
    write_workflow(folder, SET, child__yaml=child)
    run = await site.start("together-they-end", "do:\n  - kid: {workflow: child.yaml}\n")
    async with asyncio.timeout(WAIT_S):
        while not (
            items := (
                await site.client.runs(status="running", workflow="listening-child", limit=1, cursor=None)
            )["items"]
        ):
            await asyncio.sleep(0.02)
    await site.happened(items[0]["id"], "step.started")
    await site.client.cancel(run["id"])
    assert (await site.client.run(items[0]["id"]))["status"] == "cancelled"


async def test_a_child_that_is_cancelled_alone_fails_the_step_that_waits_for_it(site: Site) -> None:
    folder = site.folder / "flows" / "alone"
    child = "mosaic: v1\nkind: Workflow\nmetadata: {name: lone-child}\n" + LISTEN
    write_workflow(folder, SET, child__yaml=child)
    run = await site.start("alone", "do:\n  - kid: {workflow: child.yaml}\n")
    async with asyncio.timeout(WAIT_S):
        while not (
            items := (await site.client.runs(status="running", workflow="lone-child", limit=1, cursor=None))[
                "items"
            ]
        ):
            await asyncio.sleep(0.02)
    await site.client.cancel(items[0]["id"])
    done = await site.finish(run["id"])
    assert done["status"] == "failed"
    assert "cancelled" in done["error"]["message"]


async def test_cancelling_kills_the_command_that_runs(site: Site) -> None:
    # Known by how long it sleeps: in a sandbox a command has a number of its own, not the host's.
    nap = f"600.{secrets.randbelow(10**9)}"
    text = f"policies: {{exec: allow}}\ndo:\n  - hang: {{run: 'exec sleep {nap}'}}\n"
    run = await site.start("hangs", text)
    async with asyncio.timeout(WAIT_S):
        while not _asleep(nap):
            await asyncio.sleep(0.02)
        await site.client.cancel(run["id"])
        while _asleep(nap):
            await asyncio.sleep(0.02)
    assert (await site.finish(run["id"]))["status"] == "cancelled"


def _asleep(nap: str) -> bool:
    """Say whether some process sleeps that long."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"sleep\0{nap}\0".encode() in (entry / "cmdline").read_bytes():
                    return True
    return False


async def test_a_run_has_one_end_whoever_is_first(site: Site) -> None:
    """A cancel that meets the last step: whatever wins, one end is written and it is the row's."""
    for _ in range(8):
        run = await site.start("race", SET)
        with contextlib.suppress(Conflict):
            await site.client.cancel(run["id"])
        done = await site.finish(run["id"])
        ends = [
            e["type"] for e in await site.events(run["id"]) if e["type"] in ("run.succeeded", "run.cancelled")
        ]
        assert ends == [f"run.{done['status']}"]


async def test_a_run_whose_execution_is_over_is_ended_by_the_next_look(site: Site) -> None:
    run = await site.start("orphan", LISTEN)
    await site.happened(run["id"], "step.started")
    application = site.application
    # What a crash leaves between the engine's end of an execution and the end of its run.
    await application.engine.cancel(site.ctx, run["id"])
    await application.engine.wait(run["id"], timeout_s=WAIT_S)
    assert (await site.client.run(run["id"]))["status"] == "running"
    async with asyncio.timeout(WAIT_S):
        while await application.runs.reconcile(limit=2):
            pass
        while (await site.client.run(run["id"]))["status"] == "running":
            await application.runs.reconcile(limit=2)
    assert (await site.client.run(run["id"]))["status"] == RunStatus.CANCELLED


async def test_a_workspace_that_is_not_there_is_refused(site: Site) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        await site.start("gone", SET, workspace_source="/no/such/folder")
