"""Processes under observation: what a tree of them has spent and holds, from /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Spent:
    """Processor seconds and resident bytes of a process tree."""

    cpu_s: float
    memory_bytes: int


class CannotStart(Exception):
    """A contender is not here; the text says why."""


def spent(root: int) -> Spent:
    """What the tree under `root` has used so far, children that have ended included."""
    cpu, memory = 0.0, 0
    for pid in _tree(root):
        with contextlib.suppress(OSError, IndexError):
            # The name in brackets may hold spaces; after it, the 12th to 15th field are the times.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu += sum(map(int, fields[11:15])) / TICKS_PER_S
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return Spent(cpu, memory)


def _tree(root: int) -> list[int]:
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    log: Path,
    env: Mapping[str, str] | None = None,
    start_s: float = 120,
) -> Iterator[int]:
    """Run `command` until the block ends; yields its process id when it listens on `port`.

    Raises:
        CannotStart: if it does not come that far; the end of its log says why.
    """
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                cwd=log.parent,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart(str(error)) from error
    try:
        _wait(process, port, start_s, log)
        yield process.pid
    finally:
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, wanted)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
                break


def _wait(process: "subprocess.Popen[bytes]", port: int, start_s: float, log: Path) -> None:
    until = time.monotonic() + start_s
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise CannotStart(f"it does not listen: {log.read_text(errors='replace').strip()[-600:]}")
