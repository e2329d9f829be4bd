"""A node in this process, and nodes in processes of their own."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Context
from mosaic.engine import Engine, EngineSettings, Handler, QueueLimits
from mosaic.events import Bus, Event, Journal
from mosaic.storage import Database, StorageSettings

WAIT_S = 30.0
SETTINGS = EngineSettings(
    queues={"agents": QueueLimits(per_tenant_concurrency=2, per_node_concurrency=4)},
    drain_s=2.0,
    safety_poll_s=5.0,
    heartbeat_s=0.3,
    lease_ttl_s=3.0,
)

Launch = Callable[..., Awaitable[Engine]]


@pytest.fixture
def engine(database: Database, journal: Journal, bus: Bus) -> Engine:
    """An engine that is not launched: it looks, signals and cancels, as another process does."""
    return Engine(database, journal, bus, SETTINGS)


@pytest.fixture
async def launch(database: Database, journal: Journal, bus: Bus) -> AsyncIterator[Launch]:
    """Launch an engine with these handlers; it is shut down after the test."""
    launched: list[Engine] = []

    async def launch(settings: EngineSettings = SETTINGS, **handlers: Handler) -> Engine:
        engine = Engine(database, journal, bus, settings)
        for name, handler in handlers.items():
            engine.register(name, handler)
        await engine.launch()
        launched.append(engine)
        return engine

    yield launch
    for engine in launched:
        await engine.shutdown()


@pytest.fixture
def happened(journal: Journal, ctx: Context) -> Callable[..., Awaitable[Event]]:
    """Wait for an event of a type, and return it."""

    async def happened(kind: str, **data: Any) -> Event:
        async with asyncio.timeout(WAIT_S), contextlib.aclosing(journal.tail(ctx)) as events:
            async for event in events:
                if event.type == kind and data.items() <= event.data.items():
                    return event
        raise AssertionError("unreachable")

    return happened


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """Look again and again until `check` finds something, for what no event tells of; return it."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await check()):  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.05)
    return found


class Worker:
    """A node in a process of its own, with the handlers of ``handlers.py``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.output: list[str] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    async def said(self, word: str) -> str:
        """Read its output up to a line that starts with `word`, and return the rest of that line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while line := await self._process.stdout.readline():
                text = line.decode().strip()
                self.output.append(text)
                if text.startswith(word):
                    return text.removeprefix(word).strip()
        raise AssertionError(f"the worker ended without saying {word!r}: {self.output}")

    async def start(self, **execution: Any) -> None:
        """Have it start an execution."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(execution).encode() + b"\n")
        await self._process.stdin.drain()
        await self.said(f"started {execution['execution_id']}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        async with asyncio.timeout(WAIT_S):
            assert self._process.stdout is not None
            self.output += (await self._process.stdout.read()).decode().splitlines()
            return await self._process.wait()

    async def clean_up(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
                self._process.kill()
            await self.ended()
        self._process._transport.close()  # type: ignore[attr-defined]  # or its pipes warn when they are collected


@pytest.fixture
async def worker(storage_settings: StorageSettings) -> AsyncIterator[Callable[..., Awaitable[Worker]]]:
    """Start a node in a process of its own; it is killed after the test."""
    workers: list[Worker] = []

    async def worker(settings: EngineSettings = SETTINGS) -> Worker:
        options = {
            "url": storage_settings.url,
            "data_dir": str(storage_settings.data_dir),
            "settings": asdict(settings),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            json.dumps(options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        found = Worker(process)
        workers.append(found)
        await found.said("ready")
        return found

    yield worker
    for found in workers:
        await found.clean_up()
