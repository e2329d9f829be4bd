"""Tools of MCP servers: found, called, and survived, whatever the server does."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidDefinition,
    OutcomeUnknown,
    TimedOut,
    ToolFailed,
    Unavailable,
)
from mosaic.engine import RetryPolicy
from mosaic.tools import (
    ApprovalNeeded,
    McpServer,
    Policy,
    RiskClass,
    Toolbox,
    Toolboxes,
    ToolDeclaration,
    ToolEffect,
    ToolSettings,
)
from tests.tools.conftest import Bench
from tests.tools.test_processes import alive, gone, there

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("sqlite_only")]

SERVERS = Path(__file__).with_name("mcp_servers")
FREELY = Policy().narrowed({"destructive": "allow"})


@pytest.fixture
def sqlite_only(database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("no database is involved")


def sdk(**more: Any) -> McpServer:
    return McpServer(command=(sys.executable, str(SERVERS / "sdk_server.py")), **more)


def raw(behaviour: str, *marker: str, **more: Any) -> McpServer:
    return McpServer(command=(sys.executable, str(SERVERS / "raw_server.py"), behaviour, *marker), **more)


class Opened:
    """A toolbox that stays open for a test."""

    def __init__(self, bench: Bench, *entries: ToolDeclaration, **settings: Any) -> None:
        self.bench = bench
        self.boxes = Toolboxes(ToolSettings(**settings), data_dir=bench.workspace.parent)
        self._opening = self.boxes.open(bench.ctx, "run_1", entries, workspace=bench.workspace)
        self.toolbox = Toolbox()

    async def __aenter__(self) -> Self:
        self.toolbox = await self._opening.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._opening.__aexit__(*error)  # type: ignore[arg-type]  # passed through
        await self.boxes.close()

    async def call(self, name: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        options.setdefault("policy", FREELY)
        return await self.bench.call(name, arguments, toolbox=self.toolbox, **options)


async def test_a_server_over_stdio_is_listed_and_called(bench: Bench) -> None:
    async with Opened(bench, ToolDeclaration("ex", mcp=sdk())) as opened:
        assert {"ex.add", "ex.text", "ex.fail", "ex.about"} <= set(opened.toolbox.names)
        assert (await opened.call("ex.add", {"a": 2, "b": 3})).content == {"result": 5}
        assert (await opened.call("ex.plain")).content == "plain text"
        failed = await opened.call("ex.fail")
        assert failed.is_error
        assert "fail" in failed.content
        seen: list[str] = []
        assert (await opened.call("ex.slow", progress=seen.append)).content == {"result": "done"}
        assert "half way" in seen


async def test_a_server_gets_a_clean_environment_and_works_in_the_worktree(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdefghij")
    async with Opened(bench, ToolDeclaration("ex", mcp=sdk(environment={"EXTRA": "given"}))) as opened:
        seen = (await opened.call("ex.about")).content
    assert seen["extra"] == "given"
    assert seen["cwd"] == str(bench.workspace)
    assert "ANTHROPIC_API_KEY" not in seen["names"]


async def test_a_servers_own_word_about_its_risk_counts_only_when_trusted(bench: Bench) -> None:
    async with Opened(bench, ToolDeclaration("ex", mcp=sdk())) as opened:
        assert {spec.risk for spec in opened.toolbox.specs(["ex.*"])} == {RiskClass.DESTRUCTIVE}
        with pytest.raises(ApprovalNeeded):
            await opened.call("ex.add", {"a": 1, "b": 1}, policy=Policy())
    async with Opened(bench, ToolDeclaration("ex", mcp=sdk(trust_annotations=True))) as opened:
        risks = {spec.name: (spec.risk, spec.retries) for spec in opened.toolbox.specs(["ex.*"])}
        assert risks["ex.add"] == ("read_only", True)
        assert risks["ex.text"] == ("generative", False)
        assert risks["ex.fail"] == ("destructive", False)


async def test_one_tool_of_a_configured_server_has_the_name_and_risk_that_the_workflow_says(
    bench: Bench,
) -> None:
    entry = ToolDeclaration("sum", mcp="ops", tool="add", risk=RiskClass.READ_ONLY)
    async with Opened(bench, entry, mcp_servers={"ops": sdk()}) as opened:
        spec = opened.toolbox.get("sum").spec
        assert (spec.risk, spec.effects, spec.source) == ("read_only", frozenset(), "mcp:sum")
        assert (await opened.call("sum", {"a": 1, "b": 1}, policy=Policy())).content == {"result": 2}
    missing = ToolDeclaration("sum", mcp=sdk(), tool="ad")
    with pytest.raises(InvalidDefinition, match="offers no tool 'ad'") as caught:
        async with Opened(bench, missing):
            pass
    assert caught.value.hint == "Did you mean add?"


async def test_entries_of_one_run_share_a_server_and_it_ends_with_them(bench: Bench) -> None:
    marker = f"87{os.getpid()}1"
    server = raw("fine", marker)
    async with Opened(bench, ToolDeclaration("ex", mcp=server)) as opened:
        again = opened.boxes.open(
            bench.ctx, "run_1", [ToolDeclaration("ex", mcp=server)], workspace=bench.workspace
        )
        async with again as second:
            assert (await opened.bench.call("ex.work", toolbox=second, policy=FREELY)).content == "fine"
        assert len(alive(marker)) == 1
    assert alive(marker) == []


async def test_unusable_tools_are_left_out_and_the_others_work(bench: Bench) -> None:
    async with Opened(bench, ToolDeclaration("ex", mcp=raw("fine"))) as opened:
        assert [name for name in opened.toolbox.names if name.startswith("ex.")] == [
            "ex.work",
            "ex.typed",
            "ex.reads",
        ]


async def test_lines_that_are_no_messages_are_passed_over(bench: Bench) -> None:
    async with Opened(bench, ToolDeclaration("ex", mcp=raw("chatty"))) as opened:
        assert (await opened.call("ex.work")).content == "fine"


async def test_a_hostile_pattern_in_a_schema_does_not_stop_the_loop(bench: Bench) -> None:
    async with Opened(bench, ToolDeclaration("ex", mcp=raw("redos"))) as opened, asyncio.timeout(20):
        assert (await opened.call("ex.typed")).content == {"n": "a" * 40 + "!"}
    async with Opened(bench, ToolDeclaration("ex", mcp=raw("fine"))) as opened:
        with pytest.raises(ContractViolation, match="outside its schema"):
            await opened.call("ex.typed")


@pytest.mark.parametrize(
    ("behaviour", "error", "message"),
    [
        ("crash", OutcomeUnknown, "out of cheese"),
        ("huge", OutcomeUnknown, "a line of more than"),
        ("garbage", OutcomeUnknown, "no MCP messages"),
        ("nonsense", ContractViolation, "answered nonsense"),
        ("hang", TimedOut, "did not answer|took longer"),
    ],
)
async def test_whatever_a_server_does_to_a_destructive_call_is_a_clear_error(
    bench: Bench, behaviour: str, error: type[Exception], message: str
) -> None:
    entry = ToolDeclaration("ex", mcp=raw(behaviour), timeout_s=1.0 if behaviour == "hang" else None)
    async with Opened(bench, entry) as opened:
        with pytest.raises(error, match=message):
            await opened.call("ex.work")


async def test_a_crashed_server_is_started_again_after_a_pause(bench: Bench) -> None:
    marker = f"87{os.getpid()}2"
    entry = ToolDeclaration("ex", mcp=raw("fine", marker))
    async with Opened(bench, entry) as opened:
        assert (await opened.call("ex.work")).content == "fine"
        (pid,) = alive(marker)
        os.kill(pid, signal.SIGKILL)
        await gone(marker)
        assert (await opened.call("ex.work")).content == "fine", (
            "it was known to be gone before anything was sent"
        )
        assert len(alive(marker)) == 1


async def test_retries_of_a_reading_tool_wait_for_the_server(bench: Bench) -> None:
    flag = bench.workspace / "up"
    script = (
        f"import os,sys; os.path.exists({str(flag)!r}) or sys.exit('not yet'); "
        f"sys.argv=['x','fine']; exec(open({str(SERVERS / 'raw_server.py')!r}).read())"
    )
    flag.touch()
    server = McpServer(command=(sys.executable, "-c", script), trust_annotations=True)
    async with Opened(bench, ToolDeclaration("ex", mcp=server)) as opened:
        assert (await opened.call("ex.reads")).content == "fine"
        flag.unlink()
        for pid in alive(script):
            os.kill(pid, signal.SIGKILL)
        await gone(script)
        # The new one, or the old one's pipe, whose end is perhaps not read yet.
        with pytest.raises(Unavailable, match=r"not yet|ended the connection"):
            await opened.call("ex.reads")
        with pytest.raises(Unavailable, match="failed 1 times") as caught:
            await opened.call("ex.reads")
        assert caught.value.data["retry_after_s"] <= 0.5
        flag.touch()
        policy = RetryPolicy(attempts=4, base_s=0.2)
        assert (await opened.call("ex.reads", retry=policy)).content == "fine"


@pytest.mark.parametrize(
    ("behaviour", "message"), [("dead", "no licence"), ("mute", "did not answer within 1 s")]
)
async def test_a_server_that_does_not_start_leaves_the_other_tools_usable(
    bench: Bench, behaviour: str, message: str
) -> None:
    marker = f"87{os.getpid()}3"
    entry = ToolDeclaration(
        "ex", mcp=raw(behaviour, marker, start_timeout_s=1.0 if behaviour == "mute" else 30.0)
    )
    async with Opened(bench, entry) as opened:
        with pytest.raises(Unavailable, match=message):
            await opened.call("ex.work")
        assert (await opened.call("files.list")).content["entries"] == []
    assert alive(marker) == []


async def test_a_program_that_does_not_exist_is_named(bench: Bench) -> None:
    entry = ToolDeclaration("ex", mcp=McpServer(command=("no-such-server",)))
    async with Opened(bench, entry) as opened:
        with pytest.raises(Unavailable, match="Cannot start no-such-server"):
            await opened.call("ex.work")


PARENT = """
import asyncio, sys
from pathlib import Path
from mosaic.core.context import Actor, Context
from mosaic.tools import McpServer, ToolDeclaration, Toolboxes, ToolSettings

async def main(directory, *command):
    boxes = Toolboxes(ToolSettings(), data_dir=Path(directory))
    entry = ToolDeclaration("ex", mcp=McpServer(command=command))
    async with boxes.open(Context("t", "p", Actor("user", "u")), "run_1", [entry]) as toolbox:
        print(len(toolbox.names), flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def parent(directory: Path, *command: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PARENT, str(directory), *command], stdout=subprocess.PIPE)


async def test_when_we_are_killed_our_servers_die(bench: Bench) -> None:
    marker = f"87{os.getpid()}4"
    process = parent(bench.workspace, sys.executable, str(SERVERS / "raw_server.py"), "fine", marker)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.stdout.close()
    await there(marker)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await gone(marker)


# Over streamable HTTP


def start_http_server(port: int, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, str(SERVERS / "sdk_server.py"), str(port)], stdout=file, stderr=file
        )


@pytest.fixture
async def http_server(tmp_path: Path) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start_http_server(port, tmp_path / "server.log")
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
    yield f"http://127.0.0.1:{port}/mcp", process
    process.kill()
    process.wait()


async def test_a_server_over_http_is_listed_called_and_missed(
    bench: Bench, http_server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    url, process = http_server
    entry = ToolDeclaration("web", mcp=McpServer(url=url, trust_annotations=True))
    async with Opened(bench, entry) as opened:
        spec = opened.toolbox.get("web.add").spec
        assert (spec.risk, spec.effects) == ("read_only", {ToolEffect.READ, ToolEffect.NETWORK})
        assert (await opened.call("web.add", {"a": 2, "b": 3})).content == {"result": 5}
        assert (await opened.call("web.fail")).is_error
        process.kill()
        process.wait()
        with pytest.raises(Unavailable):
            await opened.call("web.add", {"a": 2, "b": 3})
    async with Opened(bench, entry) as opened:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await opened.call("web.add", {"a": 2, "b": 3})


async def test_an_address_that_is_no_mcp_server_is_a_clear_error(bench: Bench) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    async with Opened(bench, ToolDeclaration("web", mcp=McpServer(url=url))) as opened:
        with pytest.raises((Unavailable, ToolFailed, ContractViolation)):
            await opened.call("web.add")
    server.close()
    await server.wait_closed()
