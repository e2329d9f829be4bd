"""`mosaic` as a user runs it: processes of their own, at a terminal or not."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, environment

__all__ = ["Process", "start"]


class Process:
    """A running command; what it says is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal
        self.screen = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, wanted: Callable[[str], bool] = lambda _: True) -> str:
        """Read stdout up to a line that is wanted, and return that."""
        assert self._process.stdout is not None
        read: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while text := (await self._process.stdout.readline()).decode():
                read.append(text)
                if wanted(text):
                    return text.rstrip("\n")
        raise AssertionError(f"the command ended without saying it: {read} {await self._errors()}")

    async def event(self, kind: str, path: str | None = None) -> JsonObject:
        """Read JSON lines up to an event."""

        def wanted(line: str) -> bool:
            shown = json.loads(line)
            return shown.get("type") == kind and path in (None, shown.get("path"))

        found: JsonObject = json.loads(await self.line(wanted))
        return found

    async def shows(self, text: str) -> str:
        """Read the terminal until it shows a text; return what came up to there."""
        try:
            async with asyncio.timeout(WAIT_S):
                while text not in self.screen:
                    self.screen += (await self._typed_to_us()).decode("utf-8", "replace")
        except TimeoutError:
            raise AssertionError(f"{text!r} is not shown, but {self.screen!r}") from None
        shown, _, self.screen = self.screen.partition(text)
        return shown

    async def _typed_to_us(self) -> bytes:
        assert self._terminal is not None
        loop, terminal = asyncio.get_running_loop(), self._terminal
        arrived: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            if arrived.done():
                return
            try:
                arrived.set_result(os.read(terminal, 65_536))
            except OSError as error:  # nobody has the other end any more
                arrived.set_exception(AssertionError(f"the command ended ({error}): {self.screen!r}"))

        loop.add_reader(terminal, read)
        try:
            return await arrived
        finally:
            loop.remove_reader(terminal)

    def type(self, text: str) -> None:
        """Type at the terminal."""
        assert self._terminal is not None
        os.write(self._terminal, text.encode())

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> tuple[int, str, str]:
        """Wait for its end; returns exit status and what it said besides."""
        async with asyncio.timeout(WAIT_S):
            out, err = await self._process.communicate()
        return self._process.returncode or 0, out.decode(), (err or b"").decode()

    async def _errors(self) -> str:
        return (await self.ended())[2]

    async def clean_up(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.communicate()
        self._process._transport.close()  # type: ignore[attr-defined]  # or its pipes warn when they are collected
        if self._terminal is not None:
            os.close(self._terminal)


@contextlib.asynccontextmanager
async def start(
    *args: str, home: Path, terminal: bool = False, env: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """Start a command; with `terminal` its stdin and stderr are one. It is killed when the block ends."""
    ours, theirs = os.openpty() if terminal else (None, None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mosaic.cli",
        *args,
        stdin=theirs if theirs is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs if theirs is not None else asyncio.subprocess.PIPE,
        env=environment(home, **(env or {})),
        cwd=home.parent,
        limit=1 << 24,
        start_new_session=terminal,
    )
    if theirs is not None:
        os.close(theirs)
    running = Process(process, ours)
    try:
        yield running
    finally:
        await running.clean_up()
