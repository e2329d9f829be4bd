"""Commands are confined, bounded, and never outlive us."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mosaic.core.errors import InvalidInput, ToolFailed
from mosaic.tools import Invocation, confinement_version
from mosaic.tools.builtin import run_shell
from mosaic.tools.processes import (
    Finished,
    OutputLimits,
    Process,
    clean_environment,
    confined_to,
    plain_text,
    run_command,
)
from mosaic.tools.sandbox import Sandboxes, SandboxSettings

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]
needs_landlock = pytest.mark.skipif(confinement_version() == 0, reason="this kernel has no Landlock")


async def sh(workspace: Path, script: str, *, timeout_s: float = 30.0, **options: object) -> Finished:
    scratch = workspace.with_name("run_1.scratch")
    return await run_command(
        ("/bin/sh", "-c", script),
        cwd=workspace,
        environment=clean_environment(scratch, workspace=workspace),
        timeout_s=timeout_s,
        confinement=confined_to(workspace, scratch),
        **options,  # type: ignore[arg-type]  # passed through
    )


def alive(marker: str) -> list[int]:
    """Processes with `marker` among their arguments."""
    return [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and marker in (process.info["cmdline"] or [])
    ]


async def gone(marker: str) -> None:
    """Wait until no process with `marker` is left."""
    async with asyncio.timeout(10):
        while alive(marker):  # noqa: ASYNC110  # other processes end, not tasks of ours
            await asyncio.sleep(0.02)


async def there(marker: str) -> None:
    async with asyncio.timeout(10):
        while not alive(marker):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.02)


async def test_exit_codes_and_signals_are_told_apart(workspace: Path) -> None:
    assert (await sh(workspace, "echo out; echo err >&2; exit 3")).exit_code == 3
    killed = await sh(workspace, "kill -KILL $$")
    assert (killed.exit_code, killed.signal) == (None, "SIGKILL")


async def test_a_command_sees_nothing_of_our_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-very-secret-key-0123456789")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = (await sh(workspace, "env; ls /proc/self/fd")).stdout.text
    assert "secret" not in seen
    assert "PYTHONPATH" not in seen
    assert f"HOME={workspace}.scratch/home" in seen
    assert seen.split("\n")[-5:-1] == ["0", "1", "2", "3"], "no descriptor of ours is inherited"


async def test_python_and_pytest_are_the_installations(workspace: Path) -> None:
    done = await sh(workspace, "python -c 'import sys; print(sys.executable)'; python -m pytest --version")
    assert done.stdout.text.split("\n")[0] == sys.executable
    assert "pytest" in done.stdout.text


async def test_a_program_in_the_worktree_is_not_found_by_name(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "bin").mkdir()
    (workspace / "bin" / "git").write_text("#!/bin/sh\necho planted\n")
    (workspace / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{workspace}/bin:bin:.:{os.environ['PATH']}")
    assert "planted" not in (await sh(workspace, "git --version")).stdout.text


async def test_input_is_closed(workspace: Path) -> None:
    assert (await sh(workspace, "cat; echo end")).stdout.text == "end\n"


async def test_input_is_fed_also_to_a_command_that_does_not_read_it(workspace: Path) -> None:
    assert (await sh(workspace, "wc -c", stdin=b"x" * 1_000_000)).stdout.text.strip() == "1000000"
    assert (await sh(workspace, "exit 0", stdin=b"x" * 1_000_000)).exit_code == 0


async def test_what_cannot_be_started_says_why(workspace: Path) -> None:
    environment = clean_environment(workspace.with_name("run_1.scratch"))
    with pytest.raises(ToolFailed, match="Cannot start no-such-program: No such file"):
        await run_command(("no-such-program",), cwd=workspace, environment=environment, timeout_s=5)
    with pytest.raises(ToolFailed, match=r"Cannot enter .*absent: No such file"):
        await run_command(("ls",), cwd=workspace / "absent", environment=environment, timeout_s=5)
    with pytest.raises(InvalidInput, match="NUL"):
        await run_command(("ls", "a\0b"), cwd=workspace, environment=environment, timeout_s=5)


@needs_landlock
async def test_files_outside_can_be_read_at_most(workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    script = f"""
        cat {outside}
        echo x > {outside}; echo x >> {outside}; rm {outside}; mv {outside} here; ln {outside} here
        mkdir {tmp_path}/new; touch {tmp_path}/new; ln -s x {tmp_path}/new; truncate -s 0 {outside}
        chmod 777 {tmp_path}/new; echo inside > inside; echo home > ~/file; cat inside ~/file
    """
    done = await sh(workspace, script)
    assert done.stdout.text == "untouchedinside\nhome\n"
    assert outside.read_text() == "untouched"
    assert {"new", "here"}.isdisjoint(os.listdir(tmp_path))


@pytest.mark.skipif(confinement_version() < 6, reason="this kernel cannot keep signals in")
async def test_a_command_cannot_signal_anyone_outside(workspace: Path) -> None:
    done = await sh(workspace, f"kill -0 {os.getpid()}; kill -0 $PPID; kill -KILL $PPID; echo alive")
    assert done.stdout.text == "alive\n"
    assert done.stderr.text.count("not permitted") == 3


async def test_without_network_no_connection_is_made(workspace: Path, invoked: Invoked) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    script = (
        f'python -c \'import socket; socket.create_connection(("127.0.0.1", {port})); print("connected")\''
    )
    host = Sandboxes(SandboxSettings(network="host"))
    for network, connected in ((True, True), (False, False)):
        result = await run_shell.call(invoked(network=network, sandboxes=host), {"command": script})
        assert ("connected" in result.content["stdout"]) is connected  # type: ignore[index,call-overload]
    server.close()
    await server.wait_closed()


@pytest.mark.requirement("MAOS-11")
async def test_a_command_ends_when_its_time_is_up_also_when_it_does_not_want_to(workspace: Path) -> None:
    marker = f"86{os.getpid()}1"
    done = await sh(workspace, f"echo began; trap '' TERM; sleep {marker} & sleep {marker}", timeout_s=0.3)
    assert done.timed_out
    assert done.stdout.text == "began\n"
    assert alive(marker) == []


@pytest.mark.requirement("MAOS-11")
@pytest.mark.parametrize(
    "how", ["sleep {} &", "setsid sleep {} &", "(setsid sh -c 'trap \"\" TERM; sleep {}' &)"]
)
async def test_what_a_command_leaves_behind_ends_with_it(workspace: Path, how: str) -> None:
    marker = f"86{os.getpid()}2"
    done = await sh(workspace, f"{how.format(marker)}\necho done")
    assert done.stdout.text == "done\n"
    assert alive(marker) == []


async def test_a_cancelled_command_is_gone_when_the_cancellation_is_through(workspace: Path) -> None:
    marker = f"86{os.getpid()}3"
    task = asyncio.create_task(sh(workspace, f"setsid sleep {marker} & sleep {marker}"))
    await there(marker)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert alive(marker) == []


PARENT = """
import asyncio, sys
from pathlib import Path
from mosaic.tools.processes import clean_environment, confined_to, run_command

async def main(workspace, marker):
    await run_command(
        ("/bin/sh", "-c", f"setsid sh -c 'trap \\"\\" TERM; sleep {marker}' & sleep {marker}"),
        cwd=workspace, environment=clean_environment(workspace.parent / "scratch"), timeout_s=600,
    )

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def parent(workspace: Path, marker: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PARENT, str(workspace), marker])


async def test_when_we_are_killed_no_child_is_left(workspace: Path) -> None:
    marker = f"86{os.getpid()}4"
    process = parent(workspace, marker)
    await there(marker)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await gone(marker)


async def test_when_the_warden_is_killed_the_command_ends(workspace: Path) -> None:
    marker = f"86{os.getpid()}5"
    environment = clean_environment(workspace.with_name("run_1.scratch"))
    async with Process.start(("/bin/sleep", marker), cwd=workspace, environment=environment) as process:
        await there(marker)
        os.kill(process._warden.pid, signal.SIGKILL)
        assert await process.wait() == (None, "SIGKILL")
    await gone(marker)


async def test_a_fork_bomb_is_cleared_away(workspace: Path) -> None:
    marker = f"86{os.getpid()}6"
    script = f"i=0; while [ $i -lt 60 ]; do (setsid sleep {marker} &); i=$((i+1)); done; sleep {marker}"
    done = await sh(workspace, script, timeout_s=1.0)
    assert done.timed_out
    assert alive(marker) == []


HOG = """
import asyncio, resource, sys
from pathlib import Path
from mosaic.tools.processes import clean_environment, run_command

async def main(workspace):
    async def sh(script):
        return await run_command(("/bin/sh", "-c", script), cwd=workspace, timeout_s=100,
            environment=clean_environment(workspace.parent / "scratch"))
    await sh("head -c 5000000 /dev/zero")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = await sh("head -c 1000000000 /dev/zero | tr '\\\\0' a; echo; echo end")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(done.stdout.size_bytes, len(done.stdout.text), len(done.stdout.whole), done.stdout.text[-4:].strip(),
        (after - before) // 1024)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.requirement("MAOS-11")
@pytest.mark.slow
def test_a_gigabyte_of_output_costs_less_than_ten_megabytes(workspace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOG, str(workspace)], capture_output=True, text=True, check=True, timeout=120
    )
    size, text, whole, end, grew_mb = done.stdout.split()
    assert (int(size), end) == (1_000_000_005, "end")
    assert int(text) < 40_000
    assert int(whole) == 4_000_000
    assert int(grew_mb) < 10, f"memory grew by {grew_mb} MB"


async def test_head_and_tail_are_kept_and_what_is_missing_is_counted(workspace: Path) -> None:
    limits = OutputLimits(head_bytes=100, tail_bytes=100, spool_bytes=1_000)
    done = await sh(workspace, "seq 1 10000", limits=limits)
    assert done.stdout.text.startswith("1\n2\n")
    assert done.stdout.text.endswith("9999\n10000\n")
    assert f"[... {done.stdout.size_bytes - 200} bytes left out ...]" in done.stdout.text
    assert done.stdout.whole is not None
    assert len(done.stdout.whole) == 1_000
    assert done.stdout.whole.startswith(b"1\n2\n")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        (b"10%\r20%\r\ndone", "10%\n20%\ndone"),
        (b"caf\xe9\x00\x07", "caf\ufffd"),
        ("a\u202eb".encode(), "ab"),
        (b"tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_text_is_made_safe(data: bytes, text: str) -> None:
    assert plain_text(data) == text


async def test_binary_output_is_named_not_shown(workspace: Path) -> None:
    assert (await sh(workspace, "head -c 1000 /dev/zero")).stdout.text == "[1000 bytes of binary output]"


async def test_progress_tells_the_last_line(workspace: Path) -> None:
    seen: list[str] = []
    await sh(workspace, "echo one; echo two", progress=seen.append)
    assert seen[-1] == "two"
