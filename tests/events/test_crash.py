"""A process killed at any moment leaves a journal in which events and effects agree."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.events import Journal, LocalBus, NewEvent
from mosaic.events.models import effect
from mosaic.storage import Database, FileBlobs

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.events import Journal, NewEvent, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings

url, folder, life = sys.argv[1:]
ctx = Context("t1", "p1", Actor("agent", "coder"))

async def main():
    database = Database(StorageSettings(url, Path(folder)))
    journal = Journal(database, open_bus(database), redactor=Redactor(), blobs=FileBlobs(Path(folder) / "blobs"))

    async def write(writer):
        for number in range(100_000):
            key = f"{life}/{writer}#{number}"
            size = 20_000 if number % 7 == 3 else 20
            events = [NewEvent("first", {"key": key}), NewEvent("second", {"key": key})]
            await journal.finish_effect(ctx, "run_1", key, result=key + " " * size, events=events)
            print(key, flush=True)

    await asyncio.gather(*(write(writer) for writer in range(20)))

asyncio.run(main())
"""


async def test_a_process_killed_in_the_middle_of_a_batch_leaves_whole_effects_and_loses_no_acknowledged_one(
    database: Database, ctx: Context, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()
    for life, lines in enumerate((1, 60, 250)):
        command = [sys.executable, "-c", WRITER, database.settings.url, str(tmp_path / "data"), str(life)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            for _ in range(lines):
                acknowledged.add((await process.stdout.readline()).decode().strip())
            process.kill()
            rest = (await process.stdout.read()).decode()
            await process.wait()
        acknowledged.update(line for line in rest.split("\n")[:-1])

    blobs = FileBlobs(tmp_path / "data" / "blobs")
    journal = Journal(database, LocalBus(), redactor=Redactor(), blobs=blobs)
    recorded = await journal.recorded(ctx, "run_1")
    events = {event.seq: event for event in await journal.read(ctx, limit=1_000_000)}

    assert acknowledged <= set(recorded)
    assert list(events) == list(range(1, len(events) + 1))
    assert len(events) == 2 * len(recorded) == 2 * len(await _rows(database))
    for key, done in recorded.items():
        assert str(done.result).strip() == key
        one, two = events[done.event_seq - 1], events[done.event_seq]
        assert (one.type, one.data["key"], two.type, two.data["key"]) == ("first", key, "second", key)

    # And life goes on.
    await journal.finish_effect(ctx, "run_1", "after#1", events=[NewEvent("third")])
    assert await journal.head(ctx) == len(events) + 1


async def _rows(database: Database) -> list[str]:
    async with database.transaction(read_only=True) as tx:
        return [row["key"] for row in await tx.rows(select(effect.c.key))]
