"""Runs git: explicit repository, clean environment, bounded time and output, nothing from the repository executed."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic.core.errors import MosaicError, TimedOut, ToolFailed, Unavailable
from mosaic.core.git import git_environment

__all__ = ["Git", "GitFailed"]

_CHUNK_BYTES = 65_536
_STDERR_BYTES = 4_096
_DEFAULT_LIMIT_BYTES = 64_000_000
_REAP_S = 5.0


class GitFailed(ToolFailed):
    """Git said no; `data` holds ``exit_code``, the message what it printed."""

    code = "git_failed"


@dataclass(frozen=True, slots=True)
class Git:
    """Git on one repository.

    Attributes:
        git_dir: the repository, always given explicitly: git must not go looking for one.
        work_tree: the files, for commands that need them.
        index: the index file, when it is not the repository's own.
        timeout_s: seconds one command may take.
        overrides: configuration that beats the repository's.
        keep_open: file descriptors the command inherits; a lock among them is held until the command is gone,
            even when we are killed.
        variables: further environment.
    """

    git_dir: Path
    work_tree: Path | None = None
    index: Path | None = None
    timeout_s: float = 300.0
    overrides: Mapping[str, str] | None = None
    keep_open: tuple[int, ...] = ()
    variables: Mapping[str, str] | None = None

    async def text(self, *arguments: str, stdin: bytes | Path | None = None) -> str:
        """Run git and return its output without the last newline.

        Raises:
            GitFailed: if git ends with an error.
            TimedOut: if it takes too long.
            Unavailable: if git is not installed.
        """
        output, _ = await self.bounded(*arguments, stdin=stdin)
        return output.decode("utf-8", "surrogateescape").rstrip("\n")

    async def succeeds(self, *arguments: str) -> bool:
        """Run git and say whether it ended well."""
        try:
            await self.bounded(*arguments)
        except GitFailed:
            return False
        return True

    async def bounded(
        self, *arguments: str, stdin: bytes | Path | None = None, limit_bytes: int = _DEFAULT_LIMIT_BYTES
    ) -> tuple[bytes, bool]:
        """Run git and return at most `limit_bytes` of its output, and whether there was more.

        Args:
            arguments: the git command and its arguments.
            stdin: bytes to feed it, or a file to read from; nothing when None.
            limit_bytes: git is stopped when it prints more.
        """
        if isinstance(stdin, Path):
            with stdin.open("rb") as opened:
                return await self._run(arguments, opened.fileno(), None, limit_bytes)
        feed = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
        return await self._run(arguments, feed, stdin, limit_bytes)

    async def _run(
        self, arguments: Sequence[str], feed: int, stdin: bytes | None, limit_bytes: int
    ) -> tuple[bytes, bool]:
        process = await self._start(arguments, feed)
        try:
            async with asyncio.timeout(self.timeout_s):
                (output, more), stderr = await self._exchange(process, stdin, limit_bytes)
                await process.wait()
        except TimeoutError:
            raise TimedOut(
                f"git {arguments[0]} took longer than {self.timeout_s:g} s.",
                hint="Look for a very large repository, or for a lock that another git holds.",
            ) from None
        finally:
            _kill_group(process)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), _REAP_S)
        if process.returncode != 0 and not more:
            raise _failed(arguments, process.returncode, stderr)
        return output, more

    async def _start(self, arguments: Sequence[str], feed: int) -> asyncio.subprocess.Process:
        program = shutil.which("git")
        if program is None:
            raise Unavailable("git is not installed, or not on PATH.", hint="Install git 2.31 or later.")
        where = [f"--git-dir={self.git_dir}"]
        if self.work_tree is not None:
            where.append(f"--work-tree={self.work_tree}")
        variables = dict(self.variables or {})
        if self.index is not None:
            variables["GIT_INDEX_FILE"] = str(self.index)
        try:
            return await asyncio.create_subprocess_exec(
                program,
                *where,
                *arguments,
                stdin=feed,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.work_tree or (self.git_dir if self.git_dir.is_dir() else self.git_dir.parent),
                env=git_environment(
                    os.environ.get("PATH", os.defpath), overrides=self.overrides, extra=variables
                ),
                start_new_session=True,
                pass_fds=self.keep_open,
            )
        except OSError as error:
            raise Unavailable(f"git could not be started: {error.strerror or error}.") from error

    @staticmethod
    async def _exchange(
        process: asyncio.subprocess.Process, stdin: bytes | None, limit_bytes: int
    ) -> tuple[tuple[bytes, bool], bytes]:
        assert process.stdout is not None  # noqa: S101  # both were asked for as pipes
        assert process.stderr is not None  # noqa: S101
        reading = asyncio.gather(
            _read(process.stdout, limit_bytes, process), _read(process.stderr, _STDERR_BYTES, None)
        )
        try:
            if stdin is not None and process.stdin is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(stdin)
                    await process.stdin.drain()
                process.stdin.close()
            output, (stderr, _) = await reading
        finally:
            reading.cancel()
        return output, stderr


async def _read(
    stream: asyncio.StreamReader, limit_bytes: int, stop: asyncio.subprocess.Process | None
) -> tuple[bytes, bool]:
    """Read to the end, keep the first `limit_bytes`; past them stop the process, if one is given."""
    kept, more = bytearray(), False
    while chunk := await stream.read(_CHUNK_BYTES):
        room = limit_bytes - len(kept)
        kept += chunk[:room]
        if len(chunk) > room and not more:
            more = True
            if stop is not None:
                _kill_group(stop)
    return bytes(kept), more


def _kill_group(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _failed(arguments: Sequence[str], exit_code: int | None, stderr: bytes) -> MosaicError:
    said = stderr.decode("utf-8", "replace").strip() or f"exit status {exit_code}"
    if "No space left on device" in said:
        return GitFailed(
            f"git {arguments[0]}: the disk is full.", hint="Free some space.", exit_code=exit_code
        )
    return GitFailed(f"git {arguments[0]}: {said}", exit_code=exit_code)
