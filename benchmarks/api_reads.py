"""How quickly does the API answer what the board asks for, from a journal of a hundred thousand rows?

Fills an installation as four weeks of use would (2,000 runs with 50 events and 10 model calls each, 400 approvals, five
plans of 9 to 400 items), starts `mosaic up` on it and sends 200 requests a second for 30 seconds: an open loop over the
reads of the board and of programs, in which a request leaves at its moment whether the ones before it are answered or not.

    python benchmarks/api_reads.py [--database sqlite|postgres|all] [--rate 200] [--seconds 30] [--events 100000]
                                   [--only NAME,...] [--check]

Processor time is that of the server's process tree (and of PostgreSQL, apart) divided by the requests it answered.
`--check` exits with status 1 when the 99th percentile over all requests is 100 ms or more, or a request fails.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from api_rig.seeding import Seeded, seed
from api_rig.site import Server, installation, serve

HERE = Path(__file__).parent
GOAL_MS = 100.0
_SAMPLES = 60
_PLANS = ((3, 3), (3, 3), (6, 8), (10, 10), (20, 20))

Read = tuple[str, int, list[str]]


def operations(stories: int, tasks: int) -> list[dict[str, Any]]:
    """Operations for a plan of an epic, a feature, stories and their tasks, which follow each other."""
    made: list[dict[str, Any]] = [
        {"op": "add", "ref": "e", "item": {"title": "Checkout rewrite"}},
        {"op": "add", "ref": "f", "parent": "e", "item": {"title": "Shop"}},
    ]
    for story in range(stories):
        made.append({"op": "add", "ref": f"s{story}", "parent": "f", "item": {"title": f"Story {story}"}})
        for task in range(tasks):
            item = {"title": f"Step {task}", "estimate": {"hours": 2, "usd": 1.5}, "assignee": "agent:ada"}
            waits = [f"t{story}-{task - 1}"] if task else []
            made.append(
                {
                    "op": "add",
                    "ref": f"t{story}-{task}",
                    "parent": f"s{story}",
                    "item": item,
                    "depends_on": waits,
                }
            )
    return made


def plans(server: Server) -> list[str]:
    """Make plans; return their ids."""
    made = []
    for number, (stories, tasks) in enumerate(_PLANS):
        body = {"name": f"Plan {number}", "operations": operations(stories, tasks)}
        made.append(str(server.post("/plans", body)["id"]))
    return made


def reads(seeded: Seeded, plan_ids: list[str], chance: random.Random) -> list[Read]:
    """What is asked for: a name, how often, and the addresses it is taken from."""
    runs = chance.sample(seeded.runs, min(_SAMPLES, len(seeded.runs)))
    waiting = seeded.runs[-10:]
    places = [chance.randrange(seeded.head) for _ in range(_SAMPLES)]
    return [
        ("runs: newest 50", 12, ["/runs?limit=50"]),
        ("runs: failed", 4, ["/runs?status=failed&limit=50"]),
        ("runs: of a workflow", 4, ["/runs?workflow=triage&limit=20"]),
        ("runs: waiting", 2, ["/runs?status=waiting&limit=20"]),
        ("run", 14, [f"/runs/{run}" for run in runs]),
        ("run: waiting", 4, [f"/runs/{run}" for run in waiting]),
        ("run: events", 10, [f"/runs/{run}/events?limit=500" for run in runs]),
        ("run: artifacts", 4, [f"/runs/{run}/artifacts" for run in runs]),
        ("journal: 100 events", 10, [f"/events?after={place}&limit=100" for place in places]),
        ("journal: head", 4, ["/journal"]),
        ("approvals: pending", 8, ["/approvals?status=pending"]),
        ("approvals: all", 2, ["/approvals"]),
        ("approval", 4, [f"/approvals/{approval}" for approval in seeded.approvals[-_SAMPLES:]]),
        ("agents", 4, ["/agents"]),
        ("plans", 4, ["/plans?limit=50"]),
        ("plan: graph", 4, [f"/plans/{plan}/graph" for plan in plan_ids]),
        ("plan: items", 2, [f"/plans/{plan}/items?limit=50" for plan in plan_ids]),
        ("cost: by model", 4, ["/cost/usage?by=model"]),
        ("cost: by day", 3, ["/cost/usage?by=day"]),
        ("cost: forecast", 2, ["/cost/forecast?period=month"]),
        ("budgets", 2, ["/budgets"]),
        ("audit: newest 50", 2, ["/audit?limit=50"]),
        ("system", 2, ["/system"]),
        ("providers", 2, ["/providers"]),
        ("tools", 2, ["/tools?limit=50"]),
    ]


def load(server: Server, wanted: list[Read], *, rate: float, seconds: float) -> dict[str, Any]:
    """Send a load; return what the generator saw."""
    addressed = [(name, weight, [f"/api/v1{path}" for path in paths]) for name, weight, paths in wanted]
    asked = {
        "port": server.port,
        "token": server.token,
        "rate": rate,
        "seconds": seconds,
        "reads": addressed,
        "seed": 1,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "api_rig" / "reads.py")], input=json.dumps(asked),
        capture_output=True, text=True, timeout=seconds + 120, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"the load generator failed: {done.stderr.strip()[-2000:]}")
    return dict(json.loads(done.stdout))


def measured(database: str, options: argparse.Namespace) -> list[str]:
    """Measure one database, print the figures; return what missed its goal."""
    chance = random.Random(7)
    with installation(database) as at:
        print(f"{database}: seeding {options.events} events", file=sys.stderr)
        seeded = seed(at.url, at.home, events=options.events, chance=chance)
        with serve(at) as server:
            wanted = [
                read
                for read in reads(seeded, plans(server), chance)
                if not options.only or read[0] in options.only
            ]
            load(server, wanted, rate=min(options.rate, 50.0), seconds=3.0)
            before, database_before = server.spent(), server.database_cpu_s()
            seen = load(server, wanted, rate=options.rate, seconds=options.seconds)
            after, database_after = server.spent(), server.database_cpu_s()
    report(database, seen, options)
    count = max(1, seen["reads"][""]["count"])
    print(
        f"processor: {(after.cpu_s - before.cpu_s) / count * 1000:.2f} ms a request in the server"
        + (
            f", {(database_after - database_before) / count * 1000:.2f} ms in PostgreSQL"
            if database == "postgres"
            else ""
        )
        + f"; {(after.cpu_s - before.cpu_s) / seen['seconds']:.0%} of a core; {after.memory_bytes / 1e6:.0f} MB resident"
    )
    missed = [f"{database}: {text}" for text in (seen["late"], *seen["errors"]) if text]
    if seen["reads"][""]["p99"] >= GOAL_MS:
        missed.append(f"{database}: p99 is {seen['reads']['']['p99']:.0f} ms, not under {GOAL_MS:.0f}")
    return missed


def report(database: str, seen: dict[str, Any], options: argparse.Namespace) -> None:
    print(
        f"\n{database}: {options.rate:.0f} requests/s for {options.seconds:.0f} s over {options.events} journal rows"
    )
    print(f"{'':22} {'requests':>9} {'KB':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}")
    for name, row in sorted(seen["reads"].items(), key=lambda item: (item[0] == "", item[0])):
        print(
            f"{name or 'all':22} {row['count']:9} {row['bytes'] / 1000:7.1f} {row['p50']:8.1f} {row['p95']:8.1f} "
            f"{row['p99']:8.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres", "all"], default="all")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of load (at most 60)")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], help="names of reads, by comma"
    )
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a goal is missed")
    options = parser.parse_args()
    options.seconds = min(options.seconds, 60.0)
    missed: list[str] = []
    for database in ("sqlite", "postgres") if options.database == "all" else (options.database,):
        missed += measured(database, options)
    for line in missed:
        print(f"MISSED {line}")
    sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
    main()
