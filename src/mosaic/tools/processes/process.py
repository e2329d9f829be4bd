"""Starts a command under its warden and waits for it, with bounds on time and memory."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic.core.errors import InvalidInput, ToolFailed
from mosaic.tools.processes.orders import Confinement, Terms
from mosaic.tools.processes.output import Capture, Captured, OutputLimits, plain_text

__all__ = ["Finished", "Process", "run_command"]

_HERE = str(Path(__file__).parent)
# The warden's package is found beside this file, and compiled once; nothing else of ours is on its path.
_WARDEN = "import sys; sys.path.insert(0, sys.argv[2]); from warden.watch import main; main()"
_CHUNK_BYTES = 65_536
_GRACE_S = 2.0
# After the grace the warden kills; this is how long that may take before we kill the warden.
_KILL_S = 6.0
_PROGRESS_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended.

    Attributes:
        exit_code: its status; None when a signal ended it.
        signal: the signal's name; None when it ended by itself.
        timed_out: we ended it because its time was up.
    """

    exit_code: int | None
    signal: str | None
    timed_out: bool
    duration_s: float
    stdout: Captured
    stderr: Captured


class Process:
    """A running command. When this program dies, however it dies, the command and all its children die."""

    def __init__(self, warden: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._warden = warden
        self._control = control
        self._reported: dict[str, Any] | None = None
        self._pid = 0

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """Where to write; None when it was started without input."""
        return self._warden.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it prints."""
        assert self._warden.stdout is not None  # noqa: S101  # always a pipe
        return self._warden.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it complains."""
        assert self._warden.stderr is not None  # noqa: S101  # always a pipe
        return self._warden.stderr

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._warden.returncode is None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        argv: tuple[str, ...],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        confinement: Confinement | None = None,
        terms: Terms | None = None,
        with_stdin: bool = False,
        grace_s: float = _GRACE_S,
    ) -> AsyncIterator["Process"]:
        """Run a command for the length of the block; at its end everything it started is gone.

        Args:
            argv: program and arguments; no shell reads them.
            cwd: where it runs.
            environment: all of its variables.
            confinement: what it may touch, when there are no other terms.
            terms: on which terms it runs.
            with_stdin: whether it gets input.
            grace_s: seconds between TERM and KILL.

        Raises:
            ToolFailed: if it cannot be started.
            InvalidInput: if an argument holds a NUL character.
        """
        if any("\0" in text for text in (*argv, *environment.values())):
            raise InvalidInput("An argument of the command holds a NUL character.")
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                warden = await _start_warden(theirs, with_stdin=with_stdin)
            process = cls(warden, ours)
            try:
                order = {
                    "argv": list(argv),
                    "cwd": str(cwd),
                    "environment": dict(environment),
                    "grace_s": grace_s,
                    **(terms or Terms(confinement)).to_json(),
                }
                await process._order(order, program=argv[0], cwd=cwd)
                yield process
            finally:
                await process._end(grace_s)

    async def wait(self) -> tuple[int | None, str | None]:
        """Wait for its end; returns exit status and signal name, one of them None."""
        while self._reported is None:
            self._reported = await self._report()
        code = self._reported.get("exit_code")
        if not isinstance(code, int):
            return None, "SIGKILL"  # the warden itself was killed, and took the command with it
        return (code, None) if code >= 0 else (None, _signal_name(-code))

    async def wait_at_most(self, timeout_s: float) -> tuple[int | None, str | None, bool]:
        """Wait for its end, or order it; the third value says that its time was up."""
        try:
            async with asyncio.timeout(timeout_s):
                return *(await self.wait()), False
        except TimeoutError:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)  # the order to stop; its pipes can still be read
            return None, None, True

    async def _order(self, order: dict[str, Any], *, program: str, cwd: Path) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            await loop.sock_sendall(self._control, json.dumps(order).encode() + b"\n")
        answer = await self._report()
        self._pid = int(answer.get("pid", 0))
        if not self._pid:
            what = {
                "enter": f"enter {cwd}",
                "confine": f"confine {program}",
                "limit": f"bound {program}",
            }.get(str(answer.get("failed")), f"start {program}")
            raise ToolFailed(
                f"Cannot {what}: {answer.get('message', 'its warden died')}.",
                hint="Check the spelling; the command sees only PATH and the worktree."
                if "start" in what
                else None,
            )

    async def _report(self) -> dict[str, Any]:
        loop, line = asyncio.get_running_loop(), b""
        while not line.endswith(b"\n"):
            try:
                more = await loop.sock_recv(self._control, 1)
            except OSError:
                more = b""
            if not more:
                return {}
            line += more
        report: dict[str, Any] = json.loads(line)
        return report

    async def _end(self, grace_s: float) -> None:
        """Make it end, however we got here, and wait until it has; a cancellation waits that long too."""
        self._control.close()  # for the warden this is the order to stop
        if self._warden.stdin is not None:
            self._warden.stdin.close()
        ending = asyncio.ensure_future(self._reap(grace_s))
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as error:
                cancelled = error
        ending.result()
        if cancelled is not None:
            raise cancelled

    async def _reap(self, grace_s: float) -> None:
        draining = asyncio.gather(_drain(self.stdout), _drain(self.stderr))
        try:
            async with asyncio.timeout(grace_s + _KILL_S):
                await self._warden.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._warden.kill()
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            if self._warden.returncode != 0 and self._pid:
                # Somebody killed the warden. The kernel ended the command with it; this ends its group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            # A survivor may still hold a pipe; nothing public closes our end of it.
            self._warden._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


async def _start_warden(control: socket.socket, *, with_stdin: bool) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        "-c",
        _WARDEN,
        str(control.fileno()),
        _HERE,
        stdin=asyncio.subprocess.PIPE if with_stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"LANG": "C.UTF-8", "PATH": os.defpath},
        pass_fds=(control.fileno(),),
        start_new_session=True,
    )


async def run_command(
    argv: tuple[str, ...],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    confinement: Confinement | None = None,
    terms: Terms | None = None,
    stdin: bytes | None = None,
    limits: OutputLimits | None = None,
    progress: Callable[[str], None] | None = None,
) -> Finished:
    """Run a command to its end, or until its time is up.

    Args:
        argv: program and arguments; no shell reads them.
        cwd: where it runs.
        environment: all of its variables.
        timeout_s: then TERM, two seconds later KILL.
        confinement: what it may touch, when there are no other terms.
        terms: on which terms it runs.
        stdin: what it reads; nothing when None.
        limits: how much of each stream is kept.
        progress: gets the last line of what it prints, now and then.

    Raises:
        ToolFailed: if it cannot be started.
    """
    loop = asyncio.get_running_loop()
    began, limits = loop.time(), limits or OutputLimits()
    out, err = Capture(limits), Capture(limits)
    async with Process.start(
        argv,
        cwd=cwd,
        environment=environment,
        confinement=confinement,
        terms=terms,
        with_stdin=stdin is not None,
    ) as process:
        work = asyncio.gather(
            _take(process.stdout, out, progress),
            _take(process.stderr, err, progress),
            _feed(process.stdin, stdin),
        )
        try:
            code, name, timed_out = await process.wait_at_most(timeout_s)
            with contextlib.suppress(TimeoutError):
                # The warden has killed what was left, so the pipes end; unless the kernel is slower than this.
                async with asyncio.timeout(_GRACE_S + _KILL_S):
                    await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return Finished(code, name, timed_out, loop.time() - began, out.finish(), err.finish())


async def _take(
    stream: asyncio.StreamReader, capture: Capture, progress: Callable[[str], None] | None
) -> None:
    while chunk := await stream.read(_CHUNK_BYTES):
        capture.feed(chunk)
        if progress is not None and (lines := chunk[-2 * _PROGRESS_CHARACTERS :].strip().splitlines()):
            progress(plain_text(lines[-1])[:_PROGRESS_CHARACTERS])


async def _feed(stream: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stream is None or data is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _drain(stream: asyncio.StreamReader) -> None:
    """Read what nobody wants any more: a command that still prints must be able to end."""
    with contextlib.suppress(RuntimeError):  # somebody else reads it
        while await stream.read(_CHUNK_BYTES):
            pass


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
