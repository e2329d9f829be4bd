"""Kill -9 nodes while a thousand approvals are answered, and see that no answer is lost and no call made wrongly.

Each run waits for a person to allow one risky call, which writes a line into a ledger outside of MosAIc. First every
run is started and waits, all at once. Then several other processes answer, yes or no at random, now and then two of
them the same approval, while nodes are killed at random moments and replaced. When everything is answered and the runs
have ended:

- each run has one approval, decided once; every answer that was taken is the one that stands;
- each run that got a yes has succeeded and has one line in the ledger; no call came before the yes, and none after its
  result was recorded;
- each run that got a no has failed for that reason, and not one call of it came;
- the journal's sequence has no gap, each approval one request and one decision.

    python benchmarks/approval_storm.py [--approvals 1000] [--kills 20] [--database sqlite|postgres] [--check] [--seed 1]

`--check` exits with status 1 when anything of this does not hold. A call that a kill cut off from its record is made
again under the same key, and the ledger takes it once: such repetitions are counted, they are allowed.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import sqlalchemy
from contenders.approval_answerer import run_answerer
from contenders.approval_ledger import Entry, entries, make_ledger
from contenders.storm_fleet import FENCED, Fleet
from contenders.storm_node import PRELOAD
from contenders.storm_site import Site, open_sites
from crash_storm import first_failure, note, stop_fleet

from mosaic.app.build import Application
from mosaic.app.requests import run_request
from mosaic.core.ids import new_id

WORKFLOW = Path(__file__).parent / "storm" / "ledger.yaml"
_AT_ONCE = 50

_PENDING = "SELECT COUNT(*) FROM approval WHERE status = 'pending'"
_OPEN = "SELECT COUNT(*) FROM run WHERE status IN ('queued', 'running')"
_RUNS = """
    SELECT r.id, r.status, CAST(r.error AS TEXT) AS error, a.id AS approval, a.status AS said, a.decided_by, a.decided_at
    FROM run r LEFT JOIN approval a ON a.tenant_id = r.tenant_id AND a.run_id = r.id"""
_CALLED = "SELECT run_id, occurred_at FROM event WHERE type = 'tool.called'"
# Each finds rows that must not be.
_RULES = {
    "the sequence of a tenant has gaps": """
        SELECT h.tenant_id, h.seq, COUNT(e.seq) FROM journal_head h LEFT JOIN event e ON e.tenant_id = h.tenant_id
        GROUP BY h.tenant_id, h.seq HAVING COUNT(e.seq) <> h.seq OR MIN(e.seq) <> 1 OR MAX(e.seq) <> h.seq""",
    "an approval is not requested once and decided once": """
        SELECT a.id, SUM(CASE WHEN e.type = 'approval.requested' THEN 1 ELSE 0 END),
        SUM(CASE WHEN e.type = 'approval.decided' THEN 1 ELSE 0 END) FROM approval a
        LEFT JOIN event e ON e.tenant_id = a.tenant_id AND e.run_id = a.run_id
        GROUP BY a.id HAVING SUM(CASE WHEN e.type = 'approval.requested' THEN 1 ELSE 0 END) <> 1
        OR SUM(CASE WHEN e.type = 'approval.decided' THEN 1 ELSE 0 END) <> 1""",
    "an approval has not one vote": """
        SELECT a.id, COUNT(v.actor) FROM approval a LEFT JOIN approval_vote v
        ON v.tenant_id = a.tenant_id AND v.approval_id = a.id GROUP BY a.id HAVING COUNT(v.actor) <> 1""",
    "an effect of a run that has ended has no end": "SELECT run_id, key FROM effect WHERE status = 'started'",
    "a result is recorded twice": """
        SELECT run_id, COUNT(*) FROM event WHERE type IN ('tool.called', 'tool.rejected')
        GROUP BY run_id HAVING COUNT(*) > 1""",
}


@dataclass
class Storm:
    """One installation under observation.

    Attributes:
        accepted: the runs that nodes accepted.
        most: how many approvals were pending at once.
        problems: what must not have happened.
    """

    site: Site
    application: Application
    fleet: Fleet
    ledger: Path
    answers: Path
    accepted: set[str] = field(default_factory=set)
    most: int = 0
    killed: int = 0
    problems: list[str] = field(default_factory=list)

    async def count(self, query: str) -> int:
        """Return a number from the database."""
        async with self.application.database.transaction(read_only=True) as tx:
            return int(await tx.scalar(sqlalchemy.text(query)) or 0)

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """Return rows from the database."""
        async with self.application.database.transaction(read_only=True) as tx:
            return [dict(row) for row in await tx.rows(sqlalchemy.text(query))]

    async def until(self, query: str, wanted: int, limit_s: float) -> bool:
        """Wait until a query counts `wanted`; say whether it came to that in time."""
        until = time.monotonic() + limit_s
        while (found := await self.count(query)) != wanted and time.monotonic() < until:
            if query == _PENDING:
                self.most = max(self.most, found)
            await asyncio.sleep(0.25)
        return found == wanted

    async def start(self, approvals: int) -> None:
        """Have nodes accept so many runs."""
        inputs = {"ledger": str(self.ledger)}
        request = await asyncio.to_thread(run_request, WORKFLOW, inputs=inputs, options={})
        turns = asyncio.Semaphore(_AT_ONCE)

        async def start() -> None:
            run_id = new_id("run")
            async with turns:
                await self.fleet.start_run({**request, "options": {**request["options"], "run_id": run_id}})
            self.accepted.add(run_id)

        await asyncio.gather(*(start() for _ in range(approvals)))

    async def kill(self, kills: int, *, nodes: int, longest_s: float) -> None:
        """Kill and replace nodes, one after a random while after the other."""
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0, longest_s))
            await self.fleet.kill(random.choice(self.fleet.members))
            self.killed += 1
            while len(self.fleet.members) < nodes:
                await self.fleet.spawn()
        self.problems += [line for line in self.fleet.deaths if f"status {FENCED}" not in line]


class Answerers:
    """The processes that answer."""

    def __init__(self, storm: Storm, *, number: int, pause_s: float) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        self.processes: list[BaseProcess] = [
            context.Process(
                target=run_answerer,
                args=(
                    {
                        "settings": storm.site.settings,
                        "name": f"answerer{index}",
                        "log": str(storm.answers),
                        "pause": pause_s,
                        "seed": random.randrange(10**9),
                    },
                ),
                daemon=True,
            )
            for index in range(1, number + 1)
        ]

    async def work(self, limit_s: float) -> list[str]:
        """Run them to their end; return what went wrong."""
        for process in self.processes:
            await asyncio.to_thread(process.start)
        until = time.monotonic() + limit_s
        while any(process.is_alive() for process in self.processes) and time.monotonic() < until:
            await asyncio.sleep(0.2)
        told = []
        for process in self.processes:
            if process.is_alive():
                process.kill()
                told.append(f"{process.name} had not answered everything after {limit_s:g} s")
            elif process.exitcode:
                told.append(f"{process.name} ended with status {process.exitcode}")
        return told


async def storm_of(site: Site, options: argparse.Namespace) -> list[str]:
    """Run the storm, print its figures, and return what went wrong."""
    site.folder.joinpath("outside").mkdir()
    ledger = site.folder / "outside" / "ledger.db"
    make_ledger(ledger)
    fleet = Fleet(site.settings, site.folder)
    async with site.observe() as application, fleet.open():
        storm = Storm(site, application, fleet, ledger, site.folder / "answers.jsonl")
        began = time.monotonic()
        for _ in range(options.nodes):
            await fleet.spawn()
        await storm.start(options.approvals)
        accepted_s = time.monotonic() - began
        if not await storm.until(_PENDING, options.approvals, options.settle):
            storm.problems.append(f"only {storm.most} of {options.approvals} runs came to ask")
        storm.most = max(storm.most, await storm.count(_PENDING))
        waiting_s = time.monotonic() - began
        note(f"{storm.most} approvals are pending after {waiting_s:.0f} s; answering and killing")
        # So slow that the answers last about as long as the kills.
        pause_s = options.kills * options.longest / 2 * options.answerers / options.approvals
        answering = Answerers(storm, number=options.answerers, pause_s=pause_s).work(options.settle)
        work = asyncio.create_task(_both(storm, answering, options))
        await first_failure(work, [])
        answered_s = time.monotonic() - began
        if not await storm.until(_OPEN, 0, options.settle):
            storm.problems.append(
                f"{await storm.count(_OPEN)} runs have not ended {options.settle:g} s later"
            )
        ended_s = time.monotonic() - began
        await stop_fleet(fleet)
        figures = await judge(storm)
        times = {
            "every run accepted after, s": f"{accepted_s:.0f}",
            "every approval pending after, s": f"{waiting_s:.0f}",
            "every approval answered after, s": f"{answered_s:.0f}",
            "every run ended after, s": f"{ended_s:.0f}",
        }
        show(options, storm, {**figures, **times})
        if storm.problems:
            text = fleet.log.read_text(errors="replace") if fleet.log.exists() else ""
            note(f"--- the end of {fleet.log}:\n{text[-4000:]}")
        return storm.problems


async def _both(storm: Storm, answering: Any, options: argparse.Namespace) -> None:
    """Answer and kill at the same time."""
    killing = asyncio.create_task(storm.kill(options.kills, nodes=options.nodes, longest_s=options.longest))
    storm.problems += await answering
    await killing


async def judge(storm: Storm) -> dict[str, int]:
    """Compare what was answered, what was done and what is recorded; return figures."""
    answers = [json.loads(line) for line in storm.answers.read_text().splitlines()]
    runs = await storm.rows(_RUNS)
    called = {row["run_id"]: _seconds(row["occurred_at"]) for row in await storm.rows(_CALLED)}
    ledger = await asyncio.to_thread(entries, storm.ledger)
    found = storm.problems
    lost = storm.accepted - {row["id"] for row in runs}
    found += [f"run {run_id} was accepted and is lost" for run_id in sorted(lost)]
    for row in runs:
        found += [f"run {row['id']}: {wrong}" for wrong in _wrong(row, ledger.get(row["id"]), called)]
    found += _unheard(answers, {row["approval"]: row for row in runs})
    for rule, query in _RULES.items():
        if rows := await storm.rows(query):
            found.append(f"{rule}: {len(rows)} times, such as {tuple(rows[0].values())}")
    said = Counter(row["said"] for row in runs)
    return {
        "runs, each with one approval": len(runs),
        "approvals pending at once": storm.most,
        "nodes killed": storm.killed,
        "nodes that found themselves declared dead": len(storm.fleet.deaths),
        "answers taken": sum(bool(answer.get("taken")) for answer in answers),
        "answers refused, somebody else was faster": sum(answer.get("taken") is False for answer in answers),
        "answers that met a busy database": sum("trouble" in answer for answer in answers),
        "approved": said["approved"],
        "rejected": said["rejected"],
        "lines in the ledger": sum(len(entry.keys) for entry in ledger.values()),
        "calls repeated in the gap before their record (allowed)": sum(
            len(entry.calls) - len(entry.keys) for entry in ledger.values()
        ),
        "runs that went on in another process": await storm.count(
            "SELECT COUNT(*) FROM execution WHERE attempt > 1"
        ),
    }


def _wrong(row: dict[str, Any], entry: Entry | None, called: dict[str, float]) -> list[str]:
    """Return what is wrong with one run."""
    told = []
    calls = entry.calls if entry else ()
    if row["said"] == "approved":
        if row["status"] != "succeeded":
            told.append(f"was approved and is {row['status']}: {row['error']}")
        if entry is None or len(entry.keys) != 1:
            told.append(f"was approved and has {len(entry.keys) if entry else 0} lines in the ledger")
        if any(came_at < _seconds(row["decided_at"]) for came_at in calls):
            told.append("was called before it was approved")
        if any(came_at > called.get(row["id"], 0.0) for came_at in calls):
            told.append("was called after its result was recorded")
    elif row["said"] == "rejected":
        if calls:
            told.append(f"was rejected and called {len(calls)} times")
        if row["status"] != "failed" or "policy_denied" not in str(row["error"]):
            told.append(f"was rejected and is {row['status']}: {row['error']}")
    else:
        told.append(f"its approval is {row['said'] or 'missing'}")
    return told


def _unheard(answers: list[dict[str, Any]], by_approval: dict[str, dict[str, Any]]) -> list[str]:
    """Return the answers that were taken and do not stand."""
    told = []
    taken = [answer for answer in answers if answer.get("taken")]
    for answer in taken:
        row = by_approval[answer["approval"]]
        stands = (row["said"] == "approved", row["decided_by"])
        if stands != (answer["approve"], answer["by"]):
            told.append(
                f"{answer['approval']}: the answer of {answer['by']} was taken and does not stand: {stands}"
            )
    twice = [approval for approval, count in Counter(a["approval"] for a in taken).items() if count > 1]
    return told + [f"{approval} was answered twice" for approval in twice]


def _seconds(moment: Any) -> float:
    """Return a stored time in seconds since 1970."""
    from datetime import datetime

    return (datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp()


def show(options: argparse.Namespace, storm: Storm, lines: dict[str, Any]) -> None:
    nodes = "1 node" if options.nodes == 1 else f"{options.nodes} nodes"
    print(
        f"\napproval storm on {options.database}: {nodes}, {options.answerers} answerers, seed {options.seed}"
    )
    for name, value in lines.items():
        print(f"  {name:<58} {value}")
    for problem in storm.problems[:50]:
        print(f"FAILED {problem}")
    print(f"FAILED: {len(storm.problems)} problems" if storm.problems else "passed")


async def main(options: argparse.Namespace) -> int:
    random.seed(options.seed)
    engine = {"max_recoveries": 100, "heartbeat_s": 0.5, "lease_ttl_s": 2.5}
    with open_sites(options.database, keep=options.keep) as sites:
        problems = await storm_of(sites.make("storm", **engine), options)
    return 1 if problems and options.check else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--approvals", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument(
        "--check", action="store_true", help="exit with status 1 when something does not hold"
    )
    parser.add_argument("--seed", type=int, default=None, help="of answers, moments and victims")
    parser.add_argument("--answerers", type=int, default=3, help="processes that answer")
    parser.add_argument("--nodes", type=int, default=None, help="nodes at once; 1 on SQLite, 2 on PostgreSQL")
    parser.add_argument(
        "--longest", type=float, default=6.0, help="longest time between two kills, in seconds"
    )
    parser.add_argument("--settle", type=float, default=600.0, help="longest time for one part, in seconds")
    parser.add_argument("--keep", action="store_true", help="leave the data behind")
    options = parser.parse_args()
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    options.nodes = options.nodes or (1 if options.database == "sqlite" else 2)
    if options.database == "sqlite" and options.nodes != 1:
        parser.error("on SQLite one process has the data")
    return options


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parsed())))
