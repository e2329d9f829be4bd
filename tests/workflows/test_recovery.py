"""Nodes that are killed (-9) in the middle of every pattern: each run ends exactly as one that nobody disturbed."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.redaction import Redactor
from mosaic.engine import Engine, ExecutionStatus
from mosaic.events import Bus, Journal
from mosaic.storage import BlobStore, Database, StorageSettings
from mosaic.tools import Approvals
from tests.providers.endpoint import json_reply, running_endpoint
from tests.workflows.bench import CTX, SETTINGS, Bench, running_bench
from tests.workflows.examples import EXAMPLES, answering, path_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WAIT_S = 120
REFERENCE, STORM = "reference", "storm"
PLACES = (0.15, 0.4, 0.65, 0.9)
"""How far a run is, by its recorded effects, each time that it is killed."""
RACING = {"probe/south"}
"""Its failure is recorded, or the other branches are quicker and it is stopped: the run comes to the same."""


def run_id(kind: str, name: str) -> str:
    return f"run_{kind}-{name}"


async def finished_steps(journal: Journal, run: str) -> dict[str, Any]:
    """What each step of a run came to: path -> output."""
    found: dict[str, Any] = {}
    after = 0
    while page := await journal.read(CTX, after=after, run_id=run, types=["step.completed", "step.failed"]):
        for event in page:
            if event.path in RACING:
                continue
            key = f"{event.type} {event.path} {event.data.get('attempt', '')}"
            assert key not in found, f"{run}: {key} happened twice"
            data = event.data
            found[key] = data["output"] if event.type == "step.completed" else data["error"]["code"]
            if isinstance(found[key], dict):
                found[key].pop("created", None)  # a write that is made again finds its own file
        after = page[-1].seq
    return found


def files_of(data_dir: Path, run: str) -> dict[str, str]:
    """The files of a run's worktree."""
    root = data_dir / "workspaces" / run
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


async def undisturbed(bench: Bench, endpoint: str) -> None:
    """Run every example to its end."""
    name_of = {run_id(REFERENCE, name): name for name in EXAMPLES}
    async with answering(bench.approvals, EXAMPLES, name_of):
        for run, name in name_of.items():
            await bench.start(bench.load(path_of(name)), EXAMPLES[name].given(endpoint), run_id=run)
            for signal_name, payload in EXAMPLES[name].signals.items():
                async with bench.database.transaction() as tx:
                    await bench.engine.send_signal(tx, CTX, run, signal_name, payload)
        for run in name_of:
            assert (await bench.result(run)).status is ExecutionStatus.SUCCEEDED, run


async def live(options: dict[str, Any]) -> tuple[int, str]:
    """Run a node until it dies or is done; return its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.workflows.node",
        json.dumps(options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        async with asyncio.timeout(WAIT_S):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode() if process.returncode == 0 else error.decode()


async def test_every_pattern_survives_being_killed_again_and_again(
    database: Database, journal: Journal, bus: Bus, blobs: BlobStore,
    storage_settings: StorageSettings, tmp_path: Path,
) -> None:  # fmt: skip
    data_dir, work = storage_settings.data_dir, tmp_path / "work"
    work.mkdir()
    name_of = {run_id(STORM, name): name for name in EXAMPLES}
    async with running_endpoint() as endpoint:
        endpoint.will(json_reply({"zen": "Keep it simple."}))
        async with running_bench(database, journal, bus, blobs, data_dir=data_dir, work=work) as bench:
            await undisturbed(bench, endpoint.url)

        engine = Engine(database, journal, bus, SETTINGS)
        for run, name in name_of.items():
            for signal_name, payload in EXAMPLES[name].signals.items():
                async with database.transaction() as tx:
                    await engine.send_signal(tx, CTX, run, signal_name, payload)
        options: dict[str, Any] = {
            "url": storage_settings.url,
            "data_dir": str(data_dir),
            "work": str(work),
            "runs": {
                run: [str(path_of(name)), EXAMPLES[name].given(endpoint.url)] for run, name in name_of.items()
            },
        }
        killed: set[str] = set()
        async with answering(Approvals(database, journal, engine, redactor=Redactor()), EXAMPLES, name_of):
            for life, place in enumerate(PLACES):
                stop_at = {
                    run: max(1, int(place * len(await journal.recorded(CTX, run_id(REFERENCE, name)))))
                    for run, name in name_of.items()
                }
                status, said = await live({**options, "stop_at": stop_at, "seed": life})
                assert status == -signal.SIGKILL, said
                killed |= await under_way(engine, name_of)
            status, said = await live({**options, "stop_at": {}, "seed": 0})
        assert status == 0, said
    told = json.loads(said.splitlines()[-1])

    assert killed == set(EXAMPLES)
    for run, name in name_of.items():
        assert told[run] == {"output": {"outputs": EXAMPLES[name].outputs}, "error": None}, name
        wanted = await finished_steps(journal, run_id(REFERENCE, name))
        assert await finished_steps(journal, run) == wanted, name
        assert files_of(data_dir, run) == files_of(data_dir, run_id(REFERENCE, name)), name


async def under_way(engine: Engine, name_of: dict[str, str]) -> set[str]:
    """The examples whose run has begun and not ended."""
    found = set()
    for run, name in name_of.items():
        executions = {info.id: info for info in await engine.executions(CTX, run)}
        if run in executions and not executions[run].status.is_final:
            found.add(name)
    return found


async def test_a_command_cut_off_by_a_crash_is_reported_and_not_run_again(
    database: Database, journal: Journal, bus: Bus, blobs: BlobStore,
    storage_settings: StorageSettings, tmp_path: Path,
) -> None:  # fmt: skip
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "files").mkdir()
    workflow = tmp_path / "workflow.yaml"
    workflow.write_text(
        """mosaic: v1
kind: Workflow
metadata: {name: cut, version: 1.0.0}
workspace: {source: files}
do:
  - before: {run: "echo before >> log"}
  - cut: {run: "echo cut >> log; sleep 86399", catch: [{on: outcome_unknown, do: [{told: {set: "${error.code}"}}]}]}
  - after: {run: "cat log", parse: lines}
outputs: {told: "${cut}", log: "${after.value}"}
"""
    )
    options: dict[str, Any] = {
        "url": storage_settings.url,
        "data_dir": str(storage_settings.data_dir),
        "work": str(work),
        "runs": {"run_1": [str(workflow), {}]},
        "stop_at": {},
        "seed": 0,
    }
    log = storage_settings.data_dir / "workspaces" / "run_1" / "log"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.workflows.node", json.dumps(options), cwd=Path(__file__).parents[2]
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while not (log.exists() and "cut" in log.read_text()):
                assert process.returncode is None
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        await process.wait()
    status, said = await live(options)
    assert status == 0, said
    assert json.loads(said.splitlines()[-1])["run_1"]["output"] == {
        "outputs": {"told": "outcome_unknown", "log": ["before", "cut"]}
    }


async def test_a_loser_that_was_stopped_before_the_crash_stays_stopped_after_it(
    database: Database, journal: Journal, bus: Bus, storage_settings: StorageSettings, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    workflow = tmp_path / "workflow.yaml"
    (tmp_path / "script.yaml").write_text(
        """scripted: 1
agents:
  slow: [{text: too late, delay_s: 600}]
  quick: [{text: first}]
"""
    )
    workflow.write_text(
        """mosaic: v1
kind: Workflow
metadata: {name: race, version: 1.0.0}
agents:
  slow: {model: ["scripted:script.yaml"], instructions: Be slow.}
  quick: {model: ["scripted:script.yaml"], instructions: Be quick.}
do:
  - race:
      fork:
        a_slow: {agent: slow, with: go}
        b_quick: {agent: quick, with: go}
        c_late: {agent: slow, with: go, timeout: 1h}
      join: any
"""
    )
    options: dict[str, Any] = {
        "url": storage_settings.url,
        "data_dir": str(storage_settings.data_dir),
        "work": str(work),
        "runs": {"run_1": [str(workflow), {}]},
        "stop_at": {},
        "seed": 0,
        "hold_key": ["run_1", "race#output"],
    }
    engine = Engine(database, journal, bus, SETTINGS)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.workflows.node", json.dumps(options), cwd=Path(__file__).parents[2]
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while await ended_jobs(engine) != ["cancelled", "cancelled", "succeeded"]:
                assert process.returncode is None
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
    status, said = await live({**options, "hold_key": None})
    assert status == 0, said
    outputs = {"result": {"a_slow": None, "b_quick": "first", "c_late": None}}
    assert json.loads(said.splitlines()[-1])["run_1"] == {"output": {"outputs": outputs}, "error": None}


async def ended_jobs(engine: Engine) -> list[str]:
    """How the agents' jobs ended."""
    jobs = [info for info in await engine.executions(CTX, "run_1") if info.handler == "agent"]
    return sorted(info.status.value for info in jobs if info.status.is_final)
