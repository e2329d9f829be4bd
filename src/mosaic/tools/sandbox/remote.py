"""What the drivers have in common whose commands run on somebody else's machine.

The worktree travels there and back as an archive, git's own part excepted. Three acts of a session are all that a
vendor's adapter supplies: put a file, execute a line, get a file.
"""

import asyncio
import contextlib
import io
import os
import secrets
import shlex
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

from mosaic.core.errors import ContractViolation, InvalidInput, MosaicError, NotFound, ToolFailed
from mosaic.tools.paths import Confined, is_git_name
from mosaic.tools.processes import Captured, Finished, OutputLimits
from mosaic.tools.processes.output import captured_parts
from mosaic.tools.sandbox.schemas import Hold, Job, Probe

__all__ = ["RemoteSandbox", "Session"]

_MOST_BYTES = 512 * 1024**2
_TIMED_OUT = 124
_TRY_S = 60.0
# It shares nothing with this machine: there is nothing here that a command could reach.
_APART = frozenset({Hold.WRITES, Hold.METADATA, Hold.READS, Hold.ENVIRONMENT, Hold.GIT})
_RUN = """
mkdir -p work home tmp && tar -xzf before.tar.gz -C work && cd work/"$1" || exit 1
shift; limit=$1; shift; base=$1; shift
timeout -k 2 "$limit" env HOME="$base/home" TMPDIR="$base/tmp" LANG=C.UTF-8 "$@" <"$base/in" >"$base/out" 2>"$base/err"
echo $? >"$base/code"
"""
_PACK = """
first=$1; last=$2
for f in out err; do wc -c <$f >$f.size; head -c "$first" $f >$f.first; tail -c "$last" $f >$f.last; done
tar -czf after.tar.gz --exclude=./.git -C work . && tar -cf result.tar code out.* err.* after.tar.gz
"""


class Session(Protocol):
    """One machine of the vendor's, for one command. Its methods raise `Unavailable` when it is not reached."""

    async def put(self, path: str, data: bytes) -> None:
        """Write a file; its directory is made."""
        ...

    async def execute(self, line: str, *, timeout_s: float) -> int:
        """Run a line for `sh` to its end; returns its exit status. What it prints is of no interest."""
        ...

    async def get(self, path: str, *, limit_bytes: int) -> bytes:
        """Return a file's content.

        Raises:
            ContractViolation: if it is larger than `limit_bytes`.
        """
        ...


class RemoteSandbox(ABC):
    """Runs each command on a machine of its own, elsewhere. It needs `sh`, `tar`, `env` and `timeout` there."""

    name: str

    @abstractmethod
    def open(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """Get a machine for the length of the block, without network unless the job has it.

        Raises:
            Unavailable: if the vendor gives none.
        """

    @abstractmethod
    def problem(self) -> tuple[str, str] | None:
        """Return what is missing to use it and how to get it, known without asking the vendor; None for nothing."""

    @property
    @abstractmethod
    def amounts(self) -> frozenset[Hold]:
        """Which amounts the vendor holds a machine to."""

    async def run(self, job: Job) -> Finished:
        """Run a command to its end, or until its time is up."""
        if any("\0" in text for text in (*job.argv, *job.environment.values())):
            raise InvalidInput("An argument of the command holds a NUL character.")
        workspace, began = job.workspace or job.scratch, time.monotonic()
        limits, base = job.output or OutputLimits(), f"/tmp/mosaic-{secrets.token_hex(8)}"  # noqa: S108  # on a machine of its own
        async with self.open(job) as session:
            names, packed = await asyncio.to_thread(_packed, workspace)
            await session.put(f"{base}/before.tar.gz", packed)
            await session.put(f"{base}/in", job.stdin or b"")
            variables = [f"{name}={value}" for name, value in job.environment.items()]
            where = str(job.cwd.relative_to(workspace))
            argv = (where, f"{job.timeout_s:.1f}", base, *variables, *job.argv)
            status = await session.execute(_line(base, _RUN, argv), timeout_s=job.timeout_s + _TRY_S)
            took = time.monotonic() - began
            if status != 0:
                raise ToolFailed(f"Cannot enter {job.cwd} in the sandbox, or it has no tar or timeout.")
            sizes = (str(max(limits.head_bytes, limits.spool_bytes)), str(limits.tail_bytes))
            await session.execute(_line(base, _PACK, sizes), timeout_s=_TRY_S)
            result = await session.get(f"{base}/result.tar", limit_bytes=_MOST_BYTES)
        return await asyncio.to_thread(_unpacked, result, names, workspace, job.scratch, limits, took)

    async def probe(self) -> Probe:
        """Find out whether it works, by running a command there."""
        if (missing := self.problem()) is not None:
            return Probe(self.name, False, *missing)
        with tempfile.TemporaryDirectory(prefix="mosaic-probe-") as scratch:
            try:
                done = await self.run(Job(("sh", "-c", "echo works"), Path(scratch), timeout_s=_TRY_S))
            except MosaicError as error:
                return Probe(self.name, False, error.message, error.hint)
        if done.stdout.text != "works\n":
            return Probe(self.name, False, f"A command there said: {done.stderr.text[:200]}")
        holds = _APART | {Hold.NETWORK} | self.amounts
        gaps = {hold: "The vendor's own bound applies, not ours." for hold in Hold if hold not in holds}
        return Probe(self.name, True, "a machine elsewhere, for each command", None, holds, gaps)


def _line(base: str, script: str, arguments: tuple[str, ...]) -> str:
    return f"cd {base} && sh -c {shlex.quote(script)} sh {shlex.join(arguments)}"


def _packed(workspace: Path) -> tuple[set[str], bytes]:
    """Return the names of the worktree's files and the archive of them, git's own left out."""
    names, buffer = set[str](), io.BytesIO()

    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = PurePosixPath(member.name).parts
        if any(map(is_git_name, parts)) or not (member.isreg() or member.isdir() or member.issym()):
            return None
        if not member.isdir():
            names.add(str(PurePosixPath(member.name)))
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(workspace, arcname=".", filter=keep)
    if buffer.tell() > _MOST_BYTES:
        raise ToolFailed(f"The worktree is larger than {_MOST_BYTES} bytes packed, too large to travel.")
    return names, buffer.getvalue()


def _unpacked(
    result: bytes, before: set[str], workspace: Path, scratch: Path, limits: OutputLimits, took_s: float
) -> Finished:
    """Lay what came back over the worktree and return how the command ended; nothing that came back is trusted."""
    try:
        with tarfile.open(fileobj=io.BytesIO(result)) as archive:
            status = int(_member(archive, "code"))
            streams = [_stream(archive, name, limits) for name in ("out", "err")]
            after = _member(archive, "after.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(after)) as archive:
            remaining = _laid_over(archive, workspace)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise ContractViolation(f"The sandbox sent back no usable archive: {error}") from error
    confined = Confined(workspace, scratch)
    for name in sorted(before - remaining):
        try:
            confined.delete(name, recursive=False)
        except (NotFound, InvalidInput):
            continue
    timed_out = status == _TIMED_OUT
    return Finished(None if timed_out else status, None, timed_out, took_s, *streams)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name) if name in archive.getnames() else None
    if found is None:
        raise ValueError(f"it has no {name}")
    return found.read()


def _stream(archive: tarfile.TarFile, name: str, limits: OutputLimits) -> Captured:
    first, last = _member(archive, f"{name}.first"), _member(archive, f"{name}.last")
    return captured_parts(int(_member(archive, f"{name}.size")), first, last, limits)


def _laid_over(archive: tarfile.TarFile, workspace: Path) -> set[str]:
    """Extract everything that stays inside and is not git's; return the names of what the archive has."""
    names = set[str]()
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if any(map(is_git_name, parts)) or ".." in parts:
            continue
        if not member.isdir():
            names.add(str(PurePosixPath(member.name)))
        _extract(archive, member, workspace)
    return names


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, workspace: Path) -> None:
    """Write one member, unless it is a link that leads out, a device, or has an absolute name."""
    if hasattr(tarfile, "data_filter"):
        with contextlib.suppress(tarfile.FilterError):
            archive.extract(member, workspace, filter="data")
        return
    # Python 3.11 before 3.11.4 has no filters: the same rules by hand.
    root = os.path.realpath(workspace)
    at = os.path.realpath(os.path.join(root, member.name))
    led_to = [at]
    if member.issym():
        led_to.append(os.path.realpath(os.path.join(os.path.dirname(at), member.linkname)))
    elif member.islnk():
        led_to.append(os.path.realpath(os.path.join(root, member.linkname)))
    elif not (member.isreg() or member.isdir()):
        return
    absolute = os.path.isabs(member.name) or (not member.isreg() and os.path.isabs(member.linkname))
    if absolute or any(os.path.commonpath([root, place]) != root for place in led_to):
        return
    member.mode &= 0o755
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    archive.extract(member, workspace)
