"""What another implementation must honour: a sandbox."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from mosaic.tools.processes import Finished, Process
from mosaic.tools.sandbox.schemas import Job, Probe

__all__ = ["Sandbox", "ServingSandbox"]


class Sandbox(Protocol):
    """Runs commands apart from the machine it is on. `conformance` is the suite that an implementation must pass."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...

    async def probe(self) -> Probe:
        """Find out what works here, by trying; never raises, starts nothing that outlives it."""
        ...

    async def run(self, job: Job) -> Finished:
        """Run a command to its end, or until its time is up; whatever it started is gone when this returns.

        A cancellation waits until the command is gone. Not idempotent.

        Raises:
            ToolFailed: if it cannot be started.
            InvalidInput: if an argument holds a NUL character.
            PermissionDenied: if the worktree is such that it cannot be protected.
            Unavailable: if the engine behind it is not reached.
        """
        ...


@runtime_checkable
class ServingSandbox(Sandbox, Protocol):
    """A sandbox that can also run a server whose input and output stay open."""

    def start(self, job: Job) -> AbstractAsyncContextManager[Process]:
        """Run a command for the length of the block; at its end everything it started is gone.

        `timeout_s`, `stdin` and `output` of the job are not looked at.

        Raises:
            ToolFailed: if it cannot be started.
        """
        ...
