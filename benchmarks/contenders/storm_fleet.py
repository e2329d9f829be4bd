"""The nodes of a storm: forks them, talks to them, kills them, sees them end."""

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from contenders.storm_node import LINE_BYTES, PRELOAD, run_node

__all__ = ["FENCED", "Fleet", "Member"]

FENCED = 75
"""How a node ends that finds itself declared dead."""


@dataclass(eq=False)
class Member:
    """One process.

    Attributes:
        node: its id as a node, once it runs work.
        ready: set then; also when it ends before.
        ended: set when the process is gone.
    """

    name: str
    process: BaseProcess
    began: float = field(default_factory=time.monotonic)
    node: str | None = None
    ready_s: float | None = None
    writer: asyncio.StreamWriter | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    @property
    def is_open(self) -> bool:
        """Whether it can be told to start runs."""
        return self.node is not None and not self.ended.is_set()

    def send(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Fleet:
    """Every node of one installation.

    Args:
        settings: of each node, or what gives them for a node's name.
        folder: for the socket and the log.
        profile: where a node that is stopped leaves a profile.
    """

    def __init__(
        self,
        settings: dict[str, Any] | Callable[[str], dict[str, Any]],
        folder: Path,
        *,
        profile: Path | None = None,
    ) -> None:
        self.members: list[Member] = []
        self.deaths: list[str] = []
        self._settings = settings
        self._folder = folder
        self._profile = profile
        self._names = itertools.count(1)
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(PRELOAD)
        self._by_name: dict[str, Member] = {}
        self._accepted: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def log(self) -> Path:
        """What the nodes print."""
        return self._folder / "nodes.log"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Fleet"]:
        """Listen for nodes; at the end all of them are killed."""
        server = await asyncio.start_unix_server(self._listen, self._folder / "control", limit=LINE_BYTES)
        try:
            yield self
        finally:
            for member in list(self.members):
                await self.kill(member)
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def spawn(self) -> Member:
        """Start a node; returns as soon as the process exists."""
        name = f"n{next(self._names)}"
        order = {
            "name": name,
            "settings": self._settings(name) if callable(self._settings) else self._settings,
            "control": str(self._folder / "control"),
            "log": str(self.log),
            "profile": str(self._profile) if self._profile else None,
        }
        process = self._processes.Process(target=run_node, args=(order,), name=name, daemon=True)
        member = self._by_name[name] = Member(name, process)
        await asyncio.to_thread(process.start)
        member.began = time.monotonic()
        self.members.append(member)
        asyncio.get_running_loop().add_reader(process.sentinel, self._buried, member)
        return member

    def _buried(self, member: Member) -> None:
        asyncio.get_running_loop().remove_reader(member.process.sentinel)
        member.process.join(1)
        self.members.remove(member)
        if member.process.exitcode not in (0, -signal.SIGKILL):
            self.deaths.append(f"{member.name} ended by itself with status {member.process.exitcode}")
        member.ended.set()
        member.ready.set()

    async def kill(self, member: Member) -> None:
        """Kill -9, and wait until it is gone."""
        member.send(signal.SIGKILL)
        await member.ended.wait()

    async def stop(self, member: Member) -> None:
        """Let a node stop in order."""
        if member.writer is not None:
            member.writer.write(b'{"stop": true}\n')
        await member.ended.wait()

    async def start_run(self, request: dict[str, Any], *, on: Member | None = None) -> None:
        """Start a run on any node; returns when a node has accepted it, however many were asked.

        Args:
            request: as `mosaic.app.requests.run_request` makes it, with a run id of our own.
            on: the one node to ask.

        Raises:
            RuntimeError: if a node refuses it.
        """
        run_id = request["options"]["run_id"]
        while True:
            able = [member for member in self.members if member.is_open and on in (None, member)]
            if not able:
                await asyncio.sleep(0.05)
                continue
            member = random.choice(able)
            future = self._accepted.setdefault(run_id, asyncio.get_running_loop().create_future())
            if member.writer is not None:
                member.writer.write(json.dumps({"start": request}).encode() + b"\n")
            ended = asyncio.ensure_future(member.ended.wait())
            await asyncio.wait((future, ended), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if future.done():
                future.result()
                return

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError):
            member = self._by_name[json.loads(await reader.readline())["name"]]
            member.writer = writer
            while line := await reader.readline():
                if line.endswith(b"\n"):  # the last words of a killed process may be cut
                    self._hear(member, json.loads(line))
        writer.close()

    def _hear(self, member: Member, said: dict[str, Any]) -> None:
        if "ready" in said:
            member.node, member.ready_s = said["ready"], time.monotonic() - member.began
            member.ready.set()
        run_id = said.get("accepted") or said.get("refused")
        future = self._accepted.get(str(run_id))
        if future is not None and not future.done():
            if "accepted" in said:
                future.set_result(None)
            else:
                future.set_exception(RuntimeError(f"{run_id} was refused: {said['error']}"))
