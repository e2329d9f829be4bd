"""`mosaic run` and `mosaic runs watch` as a person and a script use them, in processes of their own."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, command, write_workflow
from tests.cli.process import start

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RISKY = """
policies: {exec: allow}
do:
  - first: {run: 'echo one >> log.txt'}
  - sure: {ask: {question: Delete it all?, detail: {folder: /everything}}}
  - last: {run: cat log.txt}
outputs: {log: "${last.stdout}", note: "${sure.note}"}
"""
PAUSED = """
policies: {exec: allow}
do:
  - first: {run: 'echo one >> log.txt'}
  - pause: {listen: {signal: go}}
  - last: {run: cat log.txt}
outputs: {log: "${last.stdout}"}
"""


@pytest.fixture
def risky(tmp_path: Path) -> str:
    return str(write_workflow(tmp_path / "risky", RISKY))


@pytest.fixture
def paused(tmp_path: Path) -> str:
    return str(write_workflow(tmp_path / "paused", PAUSED))


def result(out: str) -> JsonObject:
    """The last line of a command's JSON lines, all of which are JSON objects."""
    lines: list[JsonObject] = [json.loads(line) for line in out.splitlines()]
    assert all(isinstance(line, dict) and "type" in line for line in lines)
    assert lines[-1]["type"] == "result"
    return lines[-1]


async def test_a_script_stops_at_an_approval_and_goes_on_after_the_answer(home: Path, risky: str) -> None:
    status, out, err = await command("run", risky, "--json", home=home)
    assert status == 3, err
    stopped = result(out)
    assert (stopped["status"], stopped["cost_usd"], stopped["outputs"]) == ("waiting", 0.0, None)
    (approval,) = stopped["approvals"]
    status, out, _ = await command("approvals", "show", approval, home=home)
    assert status == 0
    status, out, err = await command("approvals", "approve", approval, "--note", "go on", home=home)
    assert status == 0, err
    assert out.strip() == f"{approval}  approved"
    assert f"mosaic runs watch {stopped['run_id']}" in err
    status, out, err = await command("runs", "watch", stopped["run_id"], "--json", home=home)
    assert status == 0, err
    done = result(out)
    assert done["status"] == "succeeded"
    assert done["approvals"] == []
    # What was done before the approval was done once.
    assert done["outputs"] == {"log": "one\n", "note": "go on"}
    assert [item["name"] for item in done["artifacts"]] == ["report.md"]
    assert done["commit"]
    status, _, err = await command("approvals", "reject", approval, home=home)
    assert status == 1
    assert "approved already" in err


async def test_a_person_is_asked_at_the_terminal_and_says_yes(home: Path, risky: str) -> None:
    async with start("run", risky, home=home, terminal=True) as run:
        asked = await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        assert "Delete it all?" in asked
        run.type("maybe\n")
        await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        run.type("d\n")
        assert "/everything" in await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        run.type("y\n")
        await run.shows("Answer (optional): ")
        run.type("\n")
        line = await run.line()
        assert "succeeded" in line
        assert (await run.ended())[0] == 0


async def test_a_person_says_no_and_why(home: Path, risky: str) -> None:
    async with start("run", risky, home=home, terminal=True) as run:
        await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        run.type("n\n")
        await run.shows("Why not (optional): ")
        run.type("not on a Friday\n")
        status, out, _ = await run.ended()
    assert status == 1
    assert "not on a Friday" in out


async def test_an_answer_that_does_not_fit_is_asked_for_again(home: Path, tmp_path: Path) -> None:
    text = "do:\n  - pick: {ask: {question: How many?, answer: {type: integer}}}\noutputs: {n: '${pick.answer}'}\n"
    flow = write_workflow(tmp_path / "pick", text)
    async with start("run", str(flow), home=home, terminal=True) as run:
        for answer in ("many", "7"):
            await run.shows("Approve? [y]es, [n]o, [d]etails: ")
            run.type("y\n")
            await run.shows("Answer (optional): ")
            run.type(f"{answer}\n")
        status, out, _ = await run.ended()
    assert status == 0
    assert "n         7" in out


async def test_what_is_asked_cannot_draw_over_the_terminal(home: Path, tmp_path: Path) -> None:
    text = 'do:\n  - sure: {ask: {question: "Delete \\e[2K\\e[1Gnothing\\u202e", detail: "\\e]0;x\\a"}}\n'
    flow = write_workflow(tmp_path / "spoof", text)
    async with start("run", str(flow), home=home, terminal=True) as run:
        shown = await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        assert "\\x1b[2K" in shown
        assert "\x1b[2K" not in shown
        assert "\u202e" not in shown
        run.send(signal.SIGINT)
        assert (await run.ended())[0] == 130


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"]
)
async def test_an_interrupted_run_is_saved_and_carried_on(
    home: Path, paused: str, number: signal.Signals, expected: int
) -> None:
    async with start("run", paused, "--json", home=home) as run:
        event = await run.event("step.started", "pause")
        run.send(number)
        status, out, err = await run.ended()
    assert status == expected
    assert f"mosaic runs watch {event['run_id']}" in err
    assert result(out)["status"] == "running"
    await carried_on(home, event["run_id"])


async def test_ctrl_c_at_a_question_leaves_the_question_open(home: Path, risky: str) -> None:
    async with start("run", risky, home=home, terminal=True) as run:
        await run.shows("Approve? [y]es, [n]o, [d]etails: ")
        run.type("\x03")
        run.send(signal.SIGINT)  # in a session of its own the terminal sends nothing by itself
        status, _, _ = await run.ended()
    assert status == 130
    status, out, _ = await command("approvals", "list", "--json", home=home)
    assert json.loads(out)["status"] == "pending"


async def test_a_killed_run_is_finished_by_whoever_watches_it(home: Path, paused: str) -> None:
    async with start("run", paused, "--json", home=home) as run:
        event = await run.event("step.started", "pause")
        run.send(signal.SIGKILL)
        await run.ended()
    await carried_on(home, event["run_id"])


async def carried_on(home: Path, run_id: str) -> None:
    """Tell a paused run to go on, and watch it to its end: what was done before is not done again."""
    status, _, err = await command("runs", "signal", run_id, "go", home=home)
    assert status == 0, err
    status, out, err = await command("runs", "watch", run_id, "--json", home=home)
    assert status == 0, err
    assert result(out)["outputs"] == {"log": "one\n"}


async def test_another_process_looks_on_while_one_executes(home: Path, paused: str) -> None:
    async with start("run", paused, "--json", home=home) as run:
        event = await run.event("step.started", "pause")
        status, _, err = await command("run", paused, home=home)
        assert status == 1
        assert f"process {run.pid}" in err
        assert "mosaic up" in err
        async with start("runs", "watch", event["run_id"], "--json", home=home) as watcher:
            await watcher.event("step.started", "pause")
            assert (await command("runs", "signal", event["run_id"], "go", '{"n": 1}', home=home))[0] == 0
            assert result((await watcher.ended())[1])["status"] == "succeeded"
        status, out, _ = await run.ended()
    assert status == 0
    assert result(out)["outputs"] == {"log": "one\n"}


async def test_a_run_is_cancelled_from_another_process(home: Path, paused: str) -> None:
    async with start("run", paused, "--json", home=home) as run:
        event = await run.event("step.started", "pause")
        status, out, _ = await command("runs", "cancel", event["run_id"], home=home)
        assert (status, out.strip()) == (0, f"{event['run_id']}  cancelled")
        status, out, _ = await run.ended()
    assert status == 1
    assert result(out)["status"] == "cancelled"


async def test_a_run_is_forked_listed_shown_and_logged(home: Path, tmp_path: Path) -> None:
    flow = write_workflow(tmp_path / "small", "do:\n  - a: {set: 1}\n  - b: {set: 2}\noutputs: {b: '${b}'}\n")
    run = result((await command("run", str(flow), "--json", home=home))[1])
    status, out, err = await command("runs", "fork", run["run_id"], "--from-step", "b", "--json", home=home)
    assert status == 0, err
    fork = result(out)
    assert fork["outputs"] == {"b": 2}
    status, out, _ = await command("runs", "list", "--limit", "1", home=home)
    assert fork["run_id"] in out
    assert run["run_id"] not in out
    status, out, _ = await command("runs", "show", fork["run_id"], home=home)
    assert f"forked from  {run['run_id']} at b" in out
    status, out, _ = await command("runs", "logs", run["run_id"], "--step", "b", home=home)
    assert status == 0
    assert all(" b " in line for line in out.splitlines())
    status, out, _ = await command("runs", "artifact", run["artifacts"][0]["id"], home=home)
    assert out.startswith("# small 0")
    status, _, err = await command("runs", "fork", run["run_id"], "--from-step", "c", home=home)
    assert status == 1
    assert "Steps it began: a, b." in err


async def next_one(reached: asyncio.Queue[None]) -> None:
    async with asyncio.timeout(WAIT_S):
        await reached.get()


@contextlib.asynccontextmanager
async def hanging_server() -> AsyncIterator[tuple[str, asyncio.Queue[None], asyncio.Event]]:
    """An HTTP server that answers nobody before it is told to; yields its address and who reached it."""
    reached: asyncio.Queue[None] = asyncio.Queue()
    answer = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            reached.put_nowait(None)
            await answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", reached, answer
        answer.set()


async def test_a_run_whose_process_keeps_dying_is_given_up_and_can_be_started_again(
    home: Path, tmp_path: Path
) -> None:
    env = {"MOSAIC_ENGINE__MAX_RECOVERIES": "1", "MOSAIC_TOOLS__ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
    async with hanging_server() as (address, reached, answer):
        text = f"do:\n  - first: {{set: 1}}\n  - poison: {{http: {{url: '{address}'}}, timeout: 10m}}\n"
        flow = str(write_workflow(tmp_path / "poison", text))
        run_id = ""
        async with start("run", flow, "--json", home=home, env=env) as run:
            run_id = (await run.event("run.created"))["run_id"]
            await next_one(reached)
            run.send(signal.SIGKILL)
            await run.ended()
        async with start("runs", "watch", run_id, "--json", home=home, env=env) as run:
            await next_one(reached)
            run.send(signal.SIGKILL)
            await run.ended()
        status, out, err = await command("runs", "watch", run_id, "--json", home=home, env=env)
        assert status == 1, err
        given_up = result(out)
        assert given_up["status"] == "failed"
        assert "crashed 2 times in a row" in given_up["error"]["message"]
        status, out, _ = await command("runs", "dead", home=home)
        assert run_id in out
        answer.set()
        status, _, err = await command("runs", "dead", "--requeue", run_id, home=home)
        assert status == 0, err
        status, out, err = await command("runs", "watch", run_id, "--json", home=home, env=env)
    assert status == 0, err
    assert result(out)["status"] == "succeeded"
    assert [json.loads(line)["type"] for line in out.splitlines()].count("run.reopened") == 1
    status, _, err = await command("runs", "dead", "--requeue", run_id, home=home)
    assert (status, "not dead" in err) == (1, True)
