"""A node in a process of its own that kills itself (-9) at chosen commits, for tests of recovery.

Usage: python -m tests.workflows.node OPTIONS (JSON: url, data_dir, work, runs {run id: [file, inputs]},
stop_at {run id: number of recorded effects}, seed, hold_key [run id, key])
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import ExecutionResult
from mosaic.events import Bus, Finish, Journal, open_bus
from mosaic.storage import BlobStore, Database, FileBlobs, StorageSettings
from tests.workflows.bench import CTX, Bench, running_bench

T = TypeVar("T")


class MortalJournal(Journal):
    """Holds each run at one commit, before it or after it and before anybody hears of it; then the process dies.

    Never while an unsafe call is under way: that ends as `OutcomeUnknown`, which is another test.
    """

    def __init__(
        self, database: Database, bus: Bus, blobs: BlobStore, *, stop_at: dict[str, int], seed: int
    ) -> None:
        super().__init__(database, bus, redactor=Redactor(), blobs=blobs)
        self._stop_at = stop_at
        self._done: dict[str, int] = {}
        self._under_way: set[tuple[str, str]] = set()
        self._chance = random.Random(seed)
        self.hold_key: list[str] | None = None
        """One run and effect key to hold before its commit, for ever."""
        self.held: set[str] = set()
        self.ended: set[str] = set()

    async def count(self, ctx: Context) -> None:
        """Take in what earlier lives have recorded."""
        for run_id in self._stop_at:
            self._done[run_id] = len(await self.recorded(ctx, run_id))

    async def begin_effect(self, ctx: Context, run_id: str, key: str, data: JsonObject | None = None) -> None:
        self._under_way.add((run_id, key))
        await super().begin_effect(ctx, run_id, key, data)

    async def try_finish(self, finish: Finish) -> tuple[bool, asyncio.CancelledError | None]:
        return await self._around(finish, super().try_finish)

    async def write_finish(self, finish: Finish) -> JsonValue:
        return await self._around(finish, super().write_finish)

    async def _around(self, finish: Finish, write: Callable[[Finish], Awaitable[T]]) -> T:
        run_id, key = finish.row.run_id, finish.row.key
        if [run_id, key] == self.hold_key:
            await self._hold(run_id)
        self._done[run_id] = self._done.get(run_id, 0) + 1
        is_due = run_id in self._stop_at and self._done[run_id] >= self._stop_at[run_id]
        if is_due and (run_id, key) not in self._under_way and self._chance.random() < 0.5:
            await self._hold(run_id)
        try:
            found = await write(finish)
        finally:
            self._under_way.discard((run_id, key))
        if is_due:
            await self._hold(run_id)
        return found

    async def _hold(self, run_id: str) -> NoReturn:
        self.held.add(run_id)
        while True:  # a commit goes on when its caller is cancelled, and so does waiting for it
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def die(self) -> None:
        """Die once every run is held or has ended."""
        while not self._all_held():  # noqa: ASYNC110  # three things change, and none tells
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

    def _all_held(self) -> bool:
        return bool(self.held) and self._stop_at.keys() <= self.held | self.ended and not self._under_way


async def main(options: Any) -> None:
    settings = StorageSettings(options["url"], Path(options["data_dir"]))
    database = Database(settings)
    bus = open_bus(database)
    blobs = FileBlobs(settings.data_dir / "blobs", durable=False)
    journal = MortalJournal(database, bus, blobs, stop_at=options["stop_at"], seed=options["seed"])
    journal.hold_key = options.get("hold_key")
    await journal.count(CTX)
    death = asyncio.create_task(journal.die()) if options["stop_at"] else None
    files = sorted({Path(file) for file, _ in options["runs"].values()})
    async with running_bench(
        database, journal, bus, blobs, data_dir=settings.data_dir, work=Path(options["work"]), preload=files
    ) as bench:
        for run_id, (file, inputs) in options["runs"].items():
            await bench.start(bench.load(Path(file)), inputs, run_id=run_id)
        results = await asyncio.gather(*(ended(bench, journal, run_id) for run_id in options["runs"]))
        if death is not None:
            death.cancel()
        told = {
            run_id: {"output": result.output, "error": result.error.to_json() if result.error else None}
            for run_id, result in zip(options["runs"], results, strict=True)
        }
    await bus.close()
    await database.close()
    sys.stdout.write(json.dumps(told) + "\n")


async def ended(bench: Bench, journal: MortalJournal, run_id: str) -> ExecutionResult:
    """Wait for a run's end."""
    result = await bench.result(run_id)
    journal.ended.add(run_id)
    return result


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
