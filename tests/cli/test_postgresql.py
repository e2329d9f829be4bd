"""The same commands on PostgreSQL: nothing else changes, and a second server is a second node."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.site import command, database, script, write_workflow
from tests.cli.process import start
from tests.cli.test_up import address_of, get

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAUSED = """
policies: {exec: allow}
do:
  - first: {run: 'echo one >> log.txt'}
  - pause: {listen: {signal: go}}
  - last: {run: cat log.txt}
outputs: {log: "${last.stdout}"}
"""


@pytest.fixture
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    with database(request, "postgresql", tmp_path) as url:
        yield {
            "MOSAIC_DATABASE_URL": url,
            "MOSAIC_ENGINE__HEARTBEAT_S": "0.3",
            "MOSAIC_ENGINE__LEASE_TTL_S": "3",
            "MOSAIC_ENGINE__DRAIN_S": "2",
        }


@pytest.fixture
def paused(tmp_path: Path) -> str:
    return str(write_workflow(tmp_path / "paused", PAUSED))


async def test_a_run_is_interrupted_and_carried_on(home: Path, paused: str, env: dict[str, str]) -> None:
    async with start("run", paused, "--json", home=home, env=env) as run:
        run_id = (await run.event("step.started", "pause"))["run_id"]
        run.send(signal.SIGTERM)
        assert (await run.ended())[0] == 143
    assert not (home / "mosaic.db").exists()
    status, out, err = await command("runs", "list", "--json", home=home, env=env)
    assert (status, json.loads(out)["id"]) == (0, run_id), err
    assert (await command("runs", "signal", run_id, "go", home=home, env=env))[0] == 0
    status, out, err = await command("runs", "watch", run_id, "--json", home=home, env=env)
    assert status == 0, err
    assert json.loads(out.splitlines()[-1])["outputs"] == {"log": "one\n"}


async def test_a_second_node_takes_over_what_a_dead_one_left(
    home: Path, paused: str, env: dict[str, str]
) -> None:
    async with start("up", "--port", "0", "--no-example", home=home, env=env) as first:
        await address_of(first)
        status, out, err = await command("run", paused, "--detach", "--json", home=home, env=env)
        assert status == 0, err
        run_id = json.loads(out)["run_id"]
        async with start("runs", "watch", run_id, "--json", home=home, env=env) as watcher:
            await watcher.event("step.started", "pause")
        async with start("up", "--port", "0", "--no-example", home=home, env=env) as second:
            address = await address_of(second)
            nodes = (await get(address, "/api/v1/system", home)).json()["nodes"]
            assert len([node for node in nodes if not node["dead"]]) == 2
            first.send(signal.SIGKILL)
            await first.ended()
            assert (await command("runs", "signal", run_id, "go", home=home, env=env))[0] == 0
            status, out, err = await command("runs", "watch", run_id, "--json", home=home, env=env)
            assert status == 0, err
            assert json.loads(out.splitlines()[-1])["outputs"] == {"log": "one\n"}
            second.send(signal.SIGTERM)
            assert (await second.ended())[0] == 0


LONG = """
agents: {writer: {model: ["scripted:script.yaml"], instructions: Write.}}
do:
  - long: {agent: writer, with: go}
  - pause: {listen: {signal: go}}
  - last: {agent: writer, with: "${long}"}
outputs: {length: "${size(last)}"}
"""


async def test_a_node_with_a_folder_of_its_own_takes_over_what_another_left(
    home: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    """Definition, script, conversation and a result too large for the journal: all of it comes from the database."""
    turns = [{"text": "x" * 50_000}]
    flow = str(write_workflow(tmp_path / "long", LONG, script__yaml=script({"writer": [{"turns": turns}]})))
    elsewhere = tmp_path / "elsewhere"
    status, _, err = await command("init", str(elsewhere.parent / "other"), home=elsewhere, env=env)
    assert status == 0, err
    async with start("up", "--port", "0", "--no-example", home=home, env=env) as first:
        await address_of(first)
        status, out, err = await command("run", flow, "--detach", "--json", home=home, env=env)
        assert status == 0, err
        run_id = json.loads(out)["run_id"]
        async with start("runs", "watch", run_id, "--json", home=home, env=env) as watcher:
            await watcher.event("step.started", "pause")
        async with start("up", "--port", "0", "--no-example", home=elsewhere, env=env) as second:
            await address_of(second)
            first.send(signal.SIGKILL)
            await first.ended()
            assert (await command("runs", "signal", run_id, "go", home=elsewhere, env=env))[0] == 0
            status, out, err = await command("runs", "watch", run_id, "--json", home=elsewhere, env=env)
            assert status == 0, err
            assert json.loads(out.splitlines()[-1])["outputs"] == {"length": 50_000}
            assert not (home / "blobs").exists()
            assert not (elsewhere / "blobs").exists()


async def test_a_database_that_is_not_there_is_said_without_its_password(home: Path, paused: str) -> None:
    env = {"MOSAIC_DATABASE_URL": "postgresql://mosaic:hunter2hunter2@127.0.0.1:1/mosaic"}
    for args in (("runs", "list"), ("run", paused), ("up", "--port", "0"), ("doctor",)):
        status, out, err = await command(*args, home=home, env=env)
        assert status == 1, args
        assert "127.0.0.1/mosaic cannot be reached" in out + err
        assert "hunter2" not in out + err
        assert "Traceback" not in out + err
