"""Kill -9 nodes at random moments while they run workflows, and see that nothing is lost and nothing done twice.

Real node processes run the workflow in `storm/`: an agent that writes and edits files in a worktree, tool steps,
parallel branches, a wait, a retry, an approval that this process answers, HTTP calls to a recorder in this process,
and a child run. A number of runs is always in flight. Nodes are killed at uniformly random moments, so also while they
start, migrate, adopt and recover: one node on SQLite, two at once on PostgreSQL. When all kills are made, the runs that
were accepted must finish. Then:

- every run that a node accepted has succeeded, with the outputs, the files on its branch, the calls to the outside and
  the events of an undisturbed run of the same inputs;
- no call was made whose result was in the journal already, and no unsafe call was made twice: the recorder looks each
  one up when it comes;
- the sequence has no gap, each effect one row, each approval one decision, each model call one ledger row, each budget
  the sum of its ledger; no worktree and no process is left behind.

    python benchmarks/crash_storm.py --kills 200 --database sqlite|postgres [--seed 1] [--runs 6] [--nodes 2]

Exits with status 1 when anything of this does not hold. Nodes are forked from a process that has imported everything:
the kills hit what a start does to the data, not Python's import of modules. `--max-recoveries` is set high, because
chance may kill a node several times before an execution gets anywhere, which is otherwise a dead letter; the most
crashes in a row that any execution had without progress are printed.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from contenders.storm_checks import Final, broken_rules, differences, figures_of, final_of
from contenders.storm_fleet import FENCED, Fleet, Member
from contenders.storm_recorder import Recorder
from contenders.storm_site import Site, open_sites

from mosaic.app.build import Application
from mosaic.app.requests import run_request
from mosaic.core.errors import Conflict, MosaicError
from mosaic.core.ids import new_id

WORKFLOW = Path(__file__).parent / "storm" / "workflow.yaml"
VARIANTS = 3
_UNDISTURBED_S = 180.0


@dataclass
class Storm:
    """One installation under observation.

    Attributes:
        accepted: the number that each accepted run was given, by run.
        open: accepted and not seen to end.
        problems: what must not have happened.
    """

    site: Site
    application: Application
    recorder: Recorder
    fleet: Fleet
    accepted: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    feeding: bool = True
    numbers: Any = field(default_factory=itertools.count)

    async def start_run(self) -> None:
        """Have a node accept one more run."""
        number = next(self.numbers) % VARIANTS
        inputs = {"recorder": self.recorder.url, "number": number}
        run_id = new_id("run")
        request = run_request(WORKFLOW, inputs=inputs, options={"run_id": run_id})
        await self.fleet.start_run(request)
        self.accepted[run_id] = number
        self.open.add(run_id)

    async def feed(self, in_flight: int) -> None:
        """Keep so many runs in flight until `feeding` ends; what was offered to a node by then is accepted first."""
        while self.feeding:
            while self.feeding and len(self.open) < in_flight:
                try:
                    await self.start_run()
                except RuntimeError as error:
                    self.problems.append(str(error))
                    break
            await asyncio.sleep(0.1)

    async def watch(self) -> None:
        """Notice which runs end, for ever."""
        query = sqlalchemy.text("SELECT id FROM run WHERE status NOT IN ('queued', 'running')")
        while True:
            async with self.application.database.transaction(read_only=True) as tx:
                ended = {str(row["id"]) for row in await tx.rows(query)}
            self.open -= ended
            await asyncio.sleep(0.2)

    async def answer(self) -> None:
        """Approve what is asked, for ever."""
        while True:
            for approval in await self.application.approvals.list(self.site.ctx, status="pending"):
                try:
                    await self.application.approvals.decide(self.site.ctx, approval.id, approve=True)
                except Conflict as error:
                    self.problems.append(f"an approval was decided by somebody else: {error.message}")
            await asyncio.sleep(0.1)

    async def settle(self, limit_s: float) -> None:
        """Wait until every accepted run has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self.open:
                    await asyncio.sleep(0.1)
        for run_id in sorted(self.open):
            self.problems.append(f"run {run_id} has not ended {limit_s:g} s after the last kill")


async def kill_nodes(storm: Storm, kills: int, *, nodes: int, longest_s: float) -> None:
    """Kill and replace nodes, one after a random while after the other."""
    for _ in range(nodes):
        await storm.fleet.spawn()
    began, starting = time.monotonic(), 0
    for number in range(1, kills + 1):
        await asyncio.sleep(random.uniform(0, longest_s))
        victim: Member = random.choice(storm.fleet.members)
        starting += victim.node is None
        await storm.fleet.kill(victim)
        while len(storm.fleet.members) < nodes:  # others may have ended by themselves
            await storm.fleet.spawn()
        if number % 10 == 0 or number == kills:
            done = len(storm.accepted) - len(storm.open)
            note(
                f"{number} kills ({starting} while starting), {done} runs done, {time.monotonic() - began:.0f} s"
            )
    storm.problems += [line for line in storm.fleet.deaths if f"status {FENCED}" not in line]


async def reference(site: Site, recorder: Recorder) -> list[Final]:
    """Return what undisturbed runs come to, one for each variant of the inputs."""
    async with site.observe() as application:
        recorder.database, recorder.ctx = application.database, site.ctx
        fleet = Fleet(site.settings, site.folder)
        async with fleet.open():
            storm = Storm(site, application, recorder, fleet)
            await fleet.spawn()
            workers = [asyncio.create_task(work) for work in (storm.watch(), storm.answer())]
            for _ in range(VARIANTS):
                await storm.start_run()
            await storm.settle(_UNDISTURBED_S)
            await stop(workers)
            await stop_fleet(fleet)
        finals = [
            await final_of(application, site.ctx, run_id, recorder.heard)
            for run_id, _ in sorted(storm.accepted.items(), key=lambda item: item[1])
        ]
        bad = [*storm.problems, *fleet.deaths, *recorder.violations, *await broken_rules(application)]
        bad += [f"{final.status}: {final.outputs}" for final in finals if final.status != "succeeded"]
        if bad:
            sys.exit("the undisturbed runs went wrong:\n" + "\n".join(bad) + f"\n{_tail(fleet.log)}")
        return finals


async def storm_of(
    site: Site, recorder: Recorder, options: argparse.Namespace, wanted: list[Final]
) -> list[str]:
    """Run the storm, print its figures, and return what went wrong."""
    async with site.observe() as application:
        recorder.database, recorder.ctx = application.database, site.ctx
        recorder.calls.clear()
        recorder.repeated.clear()
        fleet = Fleet(site.settings, site.folder)
        began = time.monotonic()
        async with fleet.open():
            storm = Storm(site, application, recorder, fleet)
            workers = [
                asyncio.create_task(work)
                for work in (storm.watch(), storm.answer(), storm.feed(options.runs))
            ]
            killing = asyncio.create_task(
                kill_nodes(storm, options.kills, nodes=options.nodes, longest_s=options.longest)
            )
            await first_failure(killing, workers)
            stormy_s = time.monotonic() - began
            storm.feeding = False
            await workers.pop()
            await storm.settle(options.settle)
            await stop(workers)
            await stop_fleet(fleet)
        problems = [*storm.problems, *recorder.violations, *await broken_rules(application)]
        problems += await unlike(storm, wanted)
        problems += left_behind(site)
        figures = await figures_of(application)
        show(options, storm, figures, stormy_s, time.monotonic() - began)
        if problems:
            note(_tail(fleet.log))
        return problems


async def first_failure(work: asyncio.Task[None], others: list[asyncio.Task[None]]) -> None:
    """Wait for `work`; when one of the others ends, which none should, raise what it raised."""
    done, _ = await asyncio.wait([work, *others], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def stop_fleet(fleet: Fleet) -> None:
    for member in list(fleet.members):
        await member.ready.wait()
        await fleet.stop(member)


async def unlike(storm: Storm, wanted: list[Final]) -> list[str]:
    """Return in what the storm's runs differ from undisturbed ones."""
    told = []
    for run_id, number in storm.accepted.items():
        try:
            found = await final_of(storm.application, storm.site.ctx, run_id, storm.recorder.heard)
        except MosaicError as error:
            told.append(f"run {run_id} was accepted and is lost: {error.message}")
            continue
        told += [f"run {run_id}: {difference}" for difference in differences(wanted[number], found)]
    return told


def left_behind(site: Site) -> list[str]:
    """Return worktrees and processes that nobody cleared away."""
    told = []
    home = Path(site.settings["home"])
    trees = [path.name for path in (home / "workspaces").glob("run_*") if path.is_dir()]
    if trees:
        told.append(f"{len(trees)} worktrees are left behind, such as {trees[0]}")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(home):
                told.append(f"a process is left behind: {process.pid} {' '.join(process.cmdline())[:200]}")
    return told


def show(
    options: argparse.Namespace, storm: Storm, figures: dict[str, int], stormy_s: float, wall_s: float
) -> None:
    recorder = storm.recorder
    lines: dict[str, Any] = {
        "kills": options.kills,
        "runs accepted, all of which must succeed": len(storm.accepted),
        "child runs besides": len(storm.accepted),
        **figures,
        "nodes that found themselves declared dead": len(storm.fleet.deaths),
        "calls to the recorder": sum(recorder.calls.values()),
        "calls repeated in the gap before their record (allowed)": sum(recorder.repeated.values()),
        "calls repeated after their record (forbidden)": len(recorder.violations),
        "storm, s": f"{stormy_s:.0f}",
        "wall time, s": f"{wall_s:.0f}",
    }
    nodes = "1 node" if options.nodes == 1 else f"{options.nodes} nodes"
    print(f"\ncrash storm on {options.database}: {nodes}, {options.runs} runs in flight, seed {options.seed}")
    for name, value in lines.items():
        print(f"  {name:<58} {value}")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tail(log: Path) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"--- the end of {log}:\n{text[-4000:]}"


async def main(options: argparse.Namespace) -> int:
    random.seed(options.seed)
    engine = {"max_recoveries": options.max_recoveries, "heartbeat_s": 0.5, "lease_ttl_s": 2.5}
    with open_sites(options.database, keep=options.keep) as sites:
        recorder = Recorder(None, None)  # type: ignore[arg-type]  # each installation gives it its own
        async with recorder.open():
            note(f"crash storm on {options.database} in {sites.folder}: undisturbed runs first")
            wanted = await reference(sites.make("reference", **engine), recorder)
            problems = await storm_of(sites.make("storm", **engine), recorder, options, wanted)
    for problem in problems:
        print(f"FAILED {problem}")
    print("FAILED" if problems else "passed")
    return 1 if problems else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the moments and victims; random by default"
    )
    parser.add_argument("--runs", type=int, default=6, help="runs in flight")
    parser.add_argument("--nodes", type=int, default=None, help="nodes at once; 1 on SQLite, 2 on PostgreSQL")
    parser.add_argument(
        "--longest", type=float, default=3.0, help="longest time between two kills, in seconds"
    )
    parser.add_argument(
        "--settle", type=float, default=300.0, help="seconds for the runs to end after the last kill"
    )
    parser.add_argument(
        "--max-recoveries",
        type=int,
        default=100,
        help="crashes in a row without progress before a dead letter",
    )
    parser.add_argument("--keep", action="store_true", help="leave the data behind")
    options = parser.parse_args()
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    options.nodes = options.nodes or (1 if options.database == "sqlite" else 2)
    options.longest = options.longest or (3.0 if options.database == "sqlite" else 4.0)
    if options.database == "sqlite" and options.nodes != 1:
        parser.error("on SQLite one process has the data")
    return options


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parsed())))
