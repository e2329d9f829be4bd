"""What the drivers have in common that start a process on this machine under our warden."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mosaic.core.errors import MosaicError, ToolFailed
from mosaic.tools.processes import ControlGroup, Finished, Process, Terms, clean_environment, run_command
from mosaic.tools.sandbox.groups import holds_by_groups
from mosaic.tools.sandbox.schemas import Hold, Job, Limits, Probe

__all__ = ["Launch", "LocalSandbox", "bounds"]

_PROBE = Path(__file__).with_name("probe_inside.py")
_PROBE_S = 20.0
_PROBE_LIMITS = Limits(memory_bytes=96 * 1024**2, processes=24)
# A command does not end with these numbers by itself.
_DEADLY = frozenset(
    {
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
    }
)
# Variables that every command has, whatever ours are.
_HARMLESS = frozenset(
    [
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_PAGER",
        "GIT_TERMINAL_PROMPT",
        "HOME",
        "HOSTNAME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LOGNAME",
        "NO_COLOR",
        "OLDPWD",
        "PAGER",
        "PATH",
        "PWD",
        "PYTHONPYCACHEPREFIX",
        "SHLVL",
        "TERM",
        "TMPDIR",
        "USER",
        "XDG_CACHE_HOME",
        "_",
    ]
)
_CANNOT = {
    Hold.WRITES: "A file outside could be changed.",
    Hold.METADATA: "The mode of a file outside could be changed; that takes namespaces, which are not allowed here.",
    Hold.READS: "A file outside, or a home directory, could be read.",
    Hold.NETWORK: "A server of this machine, or the machine that it is a guest of, could be reached.",
    Hold.ENVIRONMENT: "Our variables could be read.",
    Hold.GIT: "The worktree's hooks or configuration could be changed; that takes namespaces, which are not allowed here.",
    Hold.PROCESSES: "No control group can be made here; the kernel's limit per user does not bind the superuser.",
    Hold.MEMORY: "No control group can be made here; each process is bounded, all together are not.",
    Hold.CPU: "No control group can be made here.",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """A command as the warden starts it."""

    argv: tuple[str, ...]
    terms: Terms


class LocalSandbox(ABC):
    """Starts commands through `launch`.

    Args:
        readable: directories of the host that every command may read.
    """

    name: str

    def __init__(self, *, readable: tuple[Path, ...] = ()) -> None:
        self.readable = readable

    @abstractmethod
    async def launch(self, job: Job) -> Launch:
        """Return how a job is started."""

    @abstractmethod
    async def probe(self) -> Probe:
        """Find out what holds here, by trying."""

    def counted_together(self) -> frozenset[Hold]:
        """Return which amounts are held for all processes of a command together."""
        return holds_by_groups()

    def environment_of(self, job: Job) -> dict[str, str]:
        """Return the whole environment that a job is started with."""
        return clean_environment(job.scratch, workspace=job.workspace, extra=job.environment)

    def must_exist(self, job: Job, environment: dict[str, str]) -> None:
        """Say what is missing in our words: a wrapper's are about itself.

        Raises:
            ToolFailed: if the directory or the program is not there.
        """
        program = job.argv[0]
        if not job.cwd.is_dir():
            raise ToolFailed(f"Cannot enter {job.cwd}: No such file or directory.")
        if "/" not in program and shutil.which(program, path=environment["PATH"]) is None:
            raise ToolFailed(
                f"Cannot start {program}: No such file or directory.",
                hint="Check the spelling; the command sees only PATH and the worktree.",
            )

    async def run(self, job: Job) -> Finished:
        """Run a command to its end, or until its time is up."""
        environment = self.environment_of(job)
        self.must_exist(job, environment)
        launch = await self.launch(job)
        done = await run_command(
            launch.argv,
            cwd=job.cwd,
            environment=environment,
            timeout_s=job.timeout_s,
            terms=launch.terms,
            stdin=job.stdin,
            limits=job.output,
            progress=job.progress,
        )
        return _as_it_ended(done) if launch.terms.wrapped else done

    @asynccontextmanager
    async def start(self, job: Job) -> AsyncIterator[Process]:
        """Run a server for the length of the block."""
        environment = self.environment_of(job)
        self.must_exist(job, environment)
        launch = await self.launch(job)
        async with Process.start(
            launch.argv, cwd=job.cwd, environment=environment, terms=launch.terms, with_stdin=True
        ) as process:
            yield process

    async def try_out(self, detail: str, *, gaps: Mapping[Hold, str], fix: str | None = None) -> Probe:
        """Run a command that tries to break out, beside things that it must not reach; tell what it reached.

        Args:
            detail: what the driver stands on, for the probe.
            gaps: what it cannot hold, known beforehand.
            fix: the next step, for the probe.
        """
        base = Path(tempfile.mkdtemp(prefix="mosaic-probe-"))
        try:
            reached = await self._try_in(base)
        except MosaicError as error:
            return Probe(self.name, False, error.message, error.hint or fix)
        except OSError as error:
            return Probe(self.name, False, f"{error.filename or base}: {error.strerror}", fix)
        finally:
            await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)
        found = {hold: _CANNOT[hold] for hold in Hold if hold.value in reached} | dict(gaps)
        return Probe(self.name, True, detail, fix, frozenset(Hold) - found.keys(), found)

    async def _try_in(self, base: Path) -> set[str]:
        workspace, scratch, outside = base / "work" / "run", base / "work" / "run.scratch", base / "outside"
        for directory in (workspace / ".git" / "hooks", scratch, outside):
            directory.mkdir(parents=True)
        for file in (workspace / ".git" / "config", outside / "file"):
            file.write_text("untouched")
        with (
            _listening(socket.SOCK_STREAM) as stream,
            _listening(socket.SOCK_DGRAM) as datagrams,
        ):
            order = {
                "outside": str(outside),
                "workspace": str(workspace),
                "home": str(Path.home()),
                "pid": os.getpid(),
                "tcp": stream.getsockname(),
                "udp": datagrams.getsockname(),
                "processes": _PROBE_LIMITS.processes,
                "memory_bytes": _PROBE_LIMITS.memory_bytes,
            }
            job = Job(
                ("python3", "-I", "-S", "-c", _PROBE.read_text(encoding="utf-8")),
                scratch,
                workspace,
                timeout_s=_PROBE_S,
                stdin=json.dumps(order).encode(),
                limits=_PROBE_LIMITS,
            )
            done = await self.run(job)
            told = _told(done)
            with contextlib.suppress(BlockingIOError):
                datagrams.recv(1)
                told.add(Hold.NETWORK)
        if any(word.removeprefix("variable ") in os.environ.keys() - _HARMLESS for word in told):
            told.add(Hold.ENVIRONMENT)
        if (outside / "file").read_text() != "untouched" or (outside / "new").exists():
            told.add(Hold.WRITES)
        return told | {hold.value for hold in (Hold.MEMORY, Hold.CPU) if hold not in self.counted_together()}


def _as_it_ended(done: Finished) -> Finished:
    """Return the end of a wrapped command: its wrapper tells of a signal as shells do."""
    number = (done.exit_code or 0) - 128
    if number in _DEADLY:
        return replace(done, exit_code=None, signal=signal.Signals(number).name)
    return done


def bounds(limits: Limits, groups: tuple[ControlGroup, ...]) -> dict[str, int]:
    """Return the limits that the kernel puts on each process; on memory only where no group does."""
    made = {"FSIZE": limits.file_bytes}
    if not any(name.startswith("memory.") for group in groups for name in group.values):
        made["DATA"] = limits.memory_bytes
    return made


def _told(done: Finished) -> set[str]:
    """Return what the probe says it reached.

    Raises:
        ToolFailed: if it did not run to its end.
    """
    lines = done.stdout.text.splitlines()
    # The last thing it tries may cost it its life, and is meant to.
    if done.timed_out or "began memory" not in lines:
        said = (done.stderr.text.strip().splitlines() or ["it said nothing"])[-1]
        how = "took too long" if done.timed_out else f"ended with {done.exit_code or done.signal}"
        raise ToolFailed(f"A command in it {how}: {said[:300]}")
    return {line.removeprefix("reached ") for line in lines if not line.startswith("began ")}


@contextlib.contextmanager
def _listening(kind: int) -> Any:
    with socket.socket(socket.AF_INET, kind) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen(8)
        yield made
