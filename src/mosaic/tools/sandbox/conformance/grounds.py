"""The grounds a driver is checked on, and the list of checks."""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mosaic.tools.processes import Finished
from mosaic.tools.sandbox.interfaces import Sandbox
from mosaic.tools.sandbox.schemas import Hold, Job, Limits

__all__ = ["CHECKS", "FEW", "MEGABYTE", "Check", "Grounds", "NotHeld", "alive", "check", "grounds", "must"]

MEGABYTE = 1024**2
FEW = Limits(memory_bytes=128 * MEGABYTE, processes=32)


class NotHeld(AssertionError):
    """A command did what the sandbox must keep it from; the message says what."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where a check works: a worktree, and beside it what its commands must not reach.

    Attributes:
        outside: a directory with the file ``secret``.
        marker: a number that a command can sleep for, so that its processes can be told from all others.
    """

    sandbox: Sandbox
    workspace: Path
    scratch: Path
    outside: Path
    marker: str

    def job(self, *argv: str, **changes: Any) -> Job:
        """Return a job in the worktree."""
        return replace(Job(argv, self.scratch, self.workspace, timeout_s=60.0), **changes)

    async def sh(self, script: str, *arguments: str, **changes: Any) -> Finished:
        """Run a shell script."""
        return await self.sandbox.run(self.job("/bin/sh", "-c", script, "sh", *arguments, **changes))

    async def python(self, script: str, *arguments: str, **changes: Any) -> Finished:
        """Run a Python script."""
        return await self.sandbox.run(self.job("python3", "-c", script, *arguments, **changes))


@dataclass(frozen=True, slots=True)
class Check:
    """One promise.

    Attributes:
        hold: what a driver must claim to be held to it; None for what every driver must do.
        local: it needs a driver that runs on this machine.
    """

    name: str
    attempt: Callable[[Grounds], Awaitable[None]]
    hold: Hold | None = None
    local: bool = False


CHECKS: list[Check] = []
"""All checks; an author's own may be added."""


def check(
    hold: Hold | None = None, *, local: bool = False
) -> Callable[[Callable[[Grounds], Awaitable[None]]], Callable[[Grounds], Awaitable[None]]]:
    """Add the function below to the checks."""

    def add(attempt: Callable[[Grounds], Awaitable[None]]) -> Callable[[Grounds], Awaitable[None]]:
        CHECKS.append(Check(attempt.__name__, attempt, hold, local))
        return attempt

    return add


@asynccontextmanager
async def grounds(sandbox: Sandbox) -> AsyncIterator[Grounds]:
    """Lay out the grounds for one check, and clear them away."""
    base = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="mosaic-conformance-"))
    workspace, outside = base / "work" / "run", base / "outside"
    try:
        for directory in (workspace, base / "work" / "run.scratch", outside):
            directory.mkdir(parents=True)
        (outside / "secret").write_text("untouched")
        marker = str(86_400 + secrets.randbelow(10**9))
        yield Grounds(sandbox, workspace, base / "work" / "run.scratch", outside, marker)
    finally:
        await asyncio.to_thread(shutil.rmtree, base, ignore_errors=True)


def must(held: object, what: str) -> None:
    """Fail the check unless something held."""
    if not held:
        raise NotHeld(what)


def alive(marker: str) -> bool:
    """Say whether a process has `marker` among its arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    return True
    return False
