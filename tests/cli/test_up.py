"""`mosaic up`: it answers, is alone on its data, starts the example once, and stops cleanly."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from tests.app.site import WAIT_S, command, write_workflow
from tests.cli.process import Process, start

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAUSED = "do:\n  - pause: {listen: {signal: go}}\noutputs: {heard: '${pause}'}\n"


async def address_of(server: Process) -> str:
    """The address that `mosaic up` prints."""
    line = await server.line(lambda text: "answers on" in text)
    return line.split("answers on ")[1].split()[0]


async def get(address: str, path: str, home: Path) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {(home / 'owner-token').read_text().strip()}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_S, headers=headers) as http:
        return await http.get(f"{address}{path}")


async def test_an_empty_installation_shows_the_example_team_once(home: Path) -> None:
    async with start("up", "--port", "0", home=home) as server:
        address = await address_of(server)
        assert (await get(address, "/healthz", home)).json() == {"status": "ok"}
        done = await server.line(lambda text: "The example team is done" in text)
        assert "(succeeded)" in done
        runs = (await get(address, "/api/v1/runs", home)).json()["items"]
        assert [run["workflow"] for run in runs] == ["hello-team"]
        status, out, err = await command("runs", "list", "--json", home=home)
        assert status == 0, err
        assert json.loads(out)["link"] == f"{address}/api/v1/runs/{runs[0]['id']}"
        server.send(signal.SIGTERM)
        status, out, err = await server.ended()
    assert (status, err) == (0, "")
    assert "Stopped." in out
    async with start("up", "--port", "0", home=home) as server:
        address = await address_of(server)
        # What a second start would run, it would have begun by the time it answers this.
        assert (await get(address, "/readyz", home)).status_code == 200
        server.send(signal.SIGINT)
        status, out, err = await server.ended()
    assert (status, err) == (0, "")
    assert "example" not in out
    status, out, _ = await command("runs", "list", "--json", home=home)
    assert len(out.splitlines()) == 1


async def test_a_second_server_on_the_same_data_is_refused(home: Path) -> None:
    async with start("up", "--port", "0", "--no-example", home=home) as server:
        address = await address_of(server)
        status, out, err = await command("up", "--port", "0", home=home)
        assert (status, out) == (1, "")
        assert address in err
        assert f"process {server.pid}" in err
        status, out, _ = await command("doctor", home=home)
        assert f"process {server.pid} at {address}" in out


async def test_a_server_is_refused_while_a_command_executes_on_the_data(home: Path, tmp_path: Path) -> None:
    flow = write_workflow(tmp_path / "paused", PAUSED)
    async with start("run", str(flow), "--json", home=home) as run:
        await run.event("step.started", "pause")
        status, _, err = await command("up", "--port", "0", home=home)
        assert status == 1
        assert f"process {run.pid}" in err


async def test_commands_beside_a_server_use_it_and_runs_go_on_there(home: Path, tmp_path: Path) -> None:
    flow = str(write_workflow(tmp_path / "paused", PAUSED))
    async with start("up", "--port", "0", "--no-example", home=home) as server:
        await address_of(server)
        status, out, err = await command("run", flow, "--detach", "--json", home=home)
        assert status == 0, err
        run_id = json.loads(out)["run_id"]
        async with start("runs", "watch", run_id, "--json", home=home) as watcher:
            await watcher.event("step.started", "pause")
            watcher.send(signal.SIGINT)
            status, _, err = await watcher.ended()
            assert status == 130
            assert "The run goes on at" in err
        async with start("runs", "watch", run_id, "--json", home=home) as watcher:
            await watcher.event("step.started", "pause")
            assert (await command("runs", "signal", run_id, "go", home=home))[0] == 0
            status, out, _ = await watcher.ended()
        assert (status, json.loads(out.splitlines()[-1])["status"]) == (0, "succeeded")
    status, _, err = await command("run", flow, "--detach", home=home)
    assert status == 2
    assert "mosaic up" in err


async def test_a_run_goes_on_when_the_server_is_started_again(home: Path, tmp_path: Path) -> None:
    flow = str(write_workflow(tmp_path / "paused", PAUSED))
    for number, expected in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        async with start("up", "--port", "0", "--no-example", home=home) as server:
            await address_of(server)
            run_id = json.loads((await command("run", flow, "--detach", "--json", home=home))[1])["run_id"]
            async with start("runs", "watch", run_id, "--json", home=home) as watcher:
                await watcher.event("step.started", "pause")
            server.send(number)
            assert (await server.ended())[0] == expected
        async with start("up", "--port", "0", "--no-example", home=home) as server:
            await address_of(server)
            assert (await command("runs", "signal", run_id, "go", home=home))[0] == 0
            status, out, _ = await command("runs", "watch", run_id, "--json", home=home)
            assert (status, json.loads(out.splitlines()[-1])["status"]) == (0, "succeeded")


async def test_beyond_loopback_it_needs_a_token(home: Path) -> None:
    status, _, err = await command("up", "--host", "0.0.0.0", "--port", "0", home=home)
    assert status == 2
    assert "MOSAIC_OWNER_TOKEN" in err
    env = {"MOSAIC_OWNER_TOKEN": "t" * 40}
    async with start("up", "--host", "0.0.0.0", "--port", "0", "--no-example", home=home, env=env) as server:
        address = await address_of(server)
        # The commands of this machine reach it, whatever it is bound to.
        status, _, err = await command("runs", "list", home=home, env=env)
        assert status == 0, err
        assert address.startswith("http://127.0.0.1:")
        status, _, err = await command("runs", "list", home=home)
        assert status == 1
        assert "MOSAIC_OWNER_TOKEN" in err


async def test_a_port_that_is_taken_is_said(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = await command("up", "--port", str(port), home=home)
    assert status == 1
    assert f"127.0.0.1:{port}" in err
    assert "--port 0" in err


async def test_a_host_that_does_not_exist_is_said(home: Path) -> None:
    env = {"MOSAIC_OWNER_TOKEN": "t" * 40}
    status, _, err = await command("up", "--host", "no.such.host.invalid", home=home, env=env)
    assert status == 1
    assert "no.such.host.invalid" in err


async def test_what_a_dead_server_left_behind_is_in_nobodys_way(home: Path) -> None:
    async with start("up", "--port", "0", "--no-example", home=home) as server:
        await address_of(server)
        server.send(signal.SIGKILL)
        await server.ended()
    # The id in the file lives, as an id that was given again does.
    (left,) = (home / "servers").iterdir()
    left.write_text(json.dumps({**json.loads(left.read_text()), "pid": os.getpid()}))
    status, _, err = await command("runs", "list", home=home)
    assert status == 0, err


async def test_a_server_stops_although_clients_listen(home: Path) -> None:
    async with start("up", "--port", "0", "--no-example", home=home) as server:
        address = await address_of(server)
        token = (home / "owner-token").read_text().strip()
        async with asyncio.timeout(WAIT_S), httpx2.AsyncClient(trust_env=False, timeout=WAIT_S) as http:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.stream("GET", f"{address}/api/v1/events/stream", headers=headers) as stream:
                chunks = stream.aiter_bytes()
                await anext(chunks)
                server.send(signal.SIGTERM)
                async for _ in chunks:
                    pass
        status, _, err = await server.ended()
    assert (status, err) == (0, "")
