"""What do many runs at once cost one node: wall time, and the memory of its process?

Four loads, each on a fresh installation with one node:

- N runs that each wait for a scripted model which takes a second (100, then 1,000);
- 1,000 runs that each wait for a scripted model which takes a minute, so that all of them wait at once;
- 1,000 runs that each wait for a person; then all are approved, from another process, and finish;
- 100 runs in which an agent reads, writes and edits files in a git worktree of its own.

    python benchmarks/concurrent_runs.py [--database sqlite|postgres] [--check] [--only model,long,approval,agent]

Memory is the resident set of the node's process at its highest, of which the part `before` is there without any run.
Starting is included in the wall time. `at once` is how many runs were open at the same time. `--check` exits with status 1 when a run does not succeed or 1,000 waiting runs
take 1 GB or more.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from contenders.storm_fleet import Fleet, Member
from contenders.storm_site import Site, Sites, open_sites

from mosaic.app.build import Application
from mosaic.app.requests import run_request
from mosaic.core.ids import new_id

WORKFLOWS = Path(__file__).parent / "storm"
LIMIT_BYTES = 1_000_000_000
_AT_ONCE = 100  # clients that wait for an answer at the same time
_PATIENCE_S = 600.0


@dataclass
class Figures:
    """Of one load.

    Attributes:
        accepted_s: until every run was accepted.
        wall_s: from the first start to the last end, without the time that nobody answered.
        waiting_s: until every run waited for a person, when they did.
        cpu_s: processor time of the node.
        at_once: the most runs that were open at the same time.
    """

    load: str
    runs: int
    succeeded: int
    accepted_s: float
    wall_s: float
    waiting_s: float | None
    cpu_s: float
    at_once: int
    before_bytes: int
    peak_bytes: int


class Memory:
    """Watches the resident set of a process."""

    def __init__(self, member: Member) -> None:
        self._process = psutil.Process(member.pid)
        self.before = self.peak = self._process.memory_info().rss

    @property
    def cpu_s(self) -> float:
        """Processor time so far."""
        times = self._process.cpu_times()
        return times.user + times.system

    async def watch(self) -> None:
        """Look often, for ever."""
        while True:
            self.peak = max(self.peak, self._process.memory_info().rss)
            await asyncio.sleep(0.02)


@dataclass
class Load:
    """A node that gets runs."""

    site: Site
    application: Application
    fleet: Fleet
    memory: Memory
    at_once: int = 0

    async def watch(self) -> None:
        """Count the runs that are open, for ever."""
        while True:
            self.at_once = max(self.at_once, await self.count(OPEN))
            await asyncio.sleep(0.5)

    async def start(self, workflow: str, runs: int) -> None:
        """Start so many runs as fast as they are accepted."""
        request = await asyncio.to_thread(run_request, WORKFLOWS / workflow, inputs={}, options={})
        turns = asyncio.Semaphore(_AT_ONCE)

        async def start() -> None:
            async with turns:
                options = {**request["options"], "run_id": new_id("run")}
                await self.fleet.start_run({**request, "options": options})

        await asyncio.gather(*(start() for _ in range(runs)))

    async def count(self, query: str) -> int:
        """Return a number from the database."""
        async with self.application.database.transaction(read_only=True) as tx:
            return int(await tx.scalar(sqlalchemy.text(query)) or 0)

    async def until(self, query: str, wanted: int) -> None:
        """Wait until a query counts so many."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while await self.count(query) < wanted:
                    await asyncio.sleep(0.05)

    async def approve_all(self) -> None:
        """Approve everything that is asked."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def approve(identifier: str) -> None:
            async with turns:
                await self.application.approvals.decide(self.site.ctx, identifier, approve=True)

        asked = await self.application.approvals.list(self.site.ctx, status="pending")
        await asyncio.gather(*(approve(approval.id) for approval in asked))


ENDED = "SELECT COUNT(*) FROM run WHERE status NOT IN ('queued', 'running')"
OPEN = "SELECT COUNT(*) FROM run WHERE status IN ('queued', 'running')"
SUCCEEDED = "SELECT COUNT(*) FROM run WHERE status = 'succeeded'"
ASKED = "SELECT COUNT(*) FROM approval WHERE status = 'pending'"


@contextlib.asynccontextmanager
async def loaded(site: Site, profile: Path | None) -> AsyncIterator[Load]:
    fleet = Fleet(site.settings, site.folder, profile=profile)
    async with site.observe() as application, fleet.open():
        member = await fleet.spawn()
        await member.ready.wait()
        memory = Memory(member)
        load = Load(site, application, fleet, memory)
        watching = [asyncio.create_task(work) for work in (memory.watch(), load.watch())]
        try:
            yield load
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await fleet.stop(member)


async def measure(sites: Sites, load: str, workflow: str, runs: int, profile: Path | None) -> Figures:
    site = sites.make(f"{load}_{runs}")
    site.settings["pools"] = {"default": {"concurrency": 10_000, "per_node": 10_000}}
    async with loaded(site, profile) as node:
        cpu_s, began, waiting_s, idle_s = node.memory.cpu_s, time.monotonic(), None, 0.0
        await node.start(workflow, runs)
        accepted_s = time.monotonic() - began
        if load == "approval":
            await node.until(ASKED, runs)
            waiting_s = time.monotonic() - began
            await asyncio.sleep(5.0)  # they wait
            idle_s = 5.0
            await node.approve_all()
        await node.until(ENDED, runs)
        wall_s = time.monotonic() - began - idle_s
        succeeded = await node.count(SUCCEEDED)
        return Figures(
            load, runs, succeeded, accepted_s, wall_s, waiting_s,
            node.memory.cpu_s - cpu_s, node.at_once, node.memory.before, node.memory.peak,
        )  # fmt: skip


def report(figures: Figures) -> None:
    mega = 1_000_000
    waiting = f"{figures.waiting_s:8.1f}" if figures.waiting_s is not None else f"{'-':>8}"
    print(
        f"{figures.load:10} {figures.runs:5} {figures.succeeded:9} {figures.accepted_s:10.1f} {waiting} {figures.wall_s:8.1f} "
        f"{figures.runs / figures.wall_s:7.1f} {figures.cpu_s * 1000 / figures.runs:11.1f} "
        f"{figures.at_once:7} {figures.before_bytes / mega:9.0f} {figures.peak_bytes / mega:8.0f}"
    )


def misses(figures: Figures) -> list[str]:
    missed = []
    if figures.succeeded != figures.runs:
        missed.append(f"{figures.load}: {figures.succeeded} of {figures.runs} runs succeeded")
    if figures.peak_bytes >= LIMIT_BYTES:
        missed.append(f"{figures.load}: {figures.runs} runs took {figures.peak_bytes / 1_000_000:.0f} MB")
    return missed


async def main(options: argparse.Namespace) -> int:
    wanted: list[tuple[str, str, int]] = [
        ("model", "one_call.yaml", 100),
        ("model", "one_call.yaml", options.many),
        ("long", "one_long_call.yaml", options.many),
        ("approval", "one_ask.yaml", options.many),
        ("agent", "one_agent.yaml", 100),
    ]
    missed: list[str] = []
    with open_sites(options.database) as sites:
        print(f"{options.database}: one node; wall and processor time include starting the runs")
        print(
            f"{'waits for':10} {'runs':>5} {'succeeded':>9} {'accepted s':>10} {'asked s':>8} {'wall s':>8} {'runs/s':>7} "
            f"{'cpu ms/run':>11} {'at once':>7} {'before MB':>9} {'peak MB':>8}"
        )
        for load, workflow, runs in wanted:
            if load in options.only:
                profile = Path(f"{options.profile}.{load}_{runs}") if options.profile else None
                figures = await measure(sites, load, workflow, runs, profile)
                report(figures)
                missed += misses(figures)
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed and options.check else 0


def parsed() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--only", default="model,long,approval,agent", help="which loads, by what they wait for"
    )
    parser.add_argument("--many", type=int, default=1000, help="runs of the large loads")
    parser.add_argument(
        "--profile", help="write a cProfile of each node to this file with the load's name added"
    )
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a bound is missed")
    options = parser.parse_args()
    options.only = options.only.split(",")
    return options


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parsed())))
