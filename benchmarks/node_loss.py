"""Two nodes on PostgreSQL, one is lost: how soon do its runs go on, and does a frozen node that wakes write anything?

Killed: a node gets runs that tick and talk to a scripted model all the time, and is killed -9. Measured is the time
from the moment its lease ran out (its last heartbeat plus the lease, on the database's clock) to the first thing that
the other node did in each of its runs. It must be at most 5 s; it is negative when the others noticed before the lease ended,
which they may, because the database sees the sessions of a killed process end. The time from the kill is shown, too.

Frozen: the same with SIGSTOP; when the other node has all its runs, SIGCONT. The frozen node must write nothing more
and end with status 75. Each node has a database role of its own, so that triggers on every table, MosAIc's and DBOS',
can note who writes.

    python benchmarks/node_loss.py [--rounds 3] [--runs 6]

Exits with status 1 when a bound is missed, a run does not succeed, or the database does not hold what it must.
"""

import argparse
import asyncio
import contextlib
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import sqlalchemy
from contenders.storm_checks import broken_rules
from contenders.storm_fleet import FENCED, Fleet, Member
from contenders.storm_site import Site, open_sites

from mosaic.app.build import Application
from mosaic.app.requests import run_request
from mosaic.core.ids import new_id

WORKFLOW = Path(__file__).parent / "storm" / "ticks.yaml"
BOUND_S = 5.0
LEASE_S = 5.0
_PATIENCE_S = 90.0
_WAKING_S = 10.0

_NOTE_WRITERS = """
CREATE TABLE storm_writer (at timestamptz NOT NULL, who text NOT NULL, place text NOT NULL);
CREATE FUNCTION storm_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.storm_writer VALUES
    (clock_timestamp(), session_user, TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
  RETURN NULL;
END $$;
DO $$ DECLARE found record; BEGIN
  FOR found IN SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'storm_writer'
  LOOP
    EXECUTE format('CREATE TRIGGER storm_note AFTER INSERT OR UPDATE OR DELETE ON %I.%I '
      'FOR EACH ROW EXECUTE FUNCTION storm_note()', found.schemaname, found.tablename);
  END LOOP;
END $$;
"""


@dataclass
class Pair:
    """Two nodes and what is seen of them."""

    site: Site
    application: Application
    fleet: Fleet

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """Return what a query finds."""
        async with self.application.database.transaction(read_only=True) as tx:
            return list(await tx.rows(sqlalchemy.text(query).bindparams(**values)))

    async def give(self, member: Member, runs: int, ticks: int) -> list[str]:
        """Start runs on one node, and wait until all of them tick and talk."""
        ids = [new_id("run") for _ in range(runs)]
        for run_id in ids:
            inputs = {"ticks": ticks, "talks": ticks // 5}
            await self.fleet.start_run(
                run_request(WORKFLOW, inputs=inputs, options={"run_id": run_id}), on=member
            )
        await self.until_moving(ids, None)
        return ids

    async def until_moving(
        self, ids: Iterable[str], since: datetime | None
    ) -> dict[str, dict[str, datetime]]:
        """Wait until each run ticked and talked after `since`; return when it did first, by run and event."""
        query = """SELECT run_id, type, MIN(occurred_at) AS first FROM event
            WHERE type IN ('workflow.storm.tick', 'model.called') AND occurred_at > :since GROUP BY run_id, type"""
        began = since or datetime.fromisoformat("2000-01-01T00:00:00+00:00")
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            seen: dict[str, dict[str, datetime]] = {run_id: {} for run_id in ids}
            for row in await self.rows(query, since=began):
                if row["run_id"] in seen:
                    seen[row["run_id"]][row["type"]] = row["first"]
            if all(len(moments) == 2 for moments in seen.values()):
                return seen
            if time.monotonic() > give_up:
                raise RuntimeError(await self._stuck(seen))
            await asyncio.sleep(0.1)

    async def _stuck(self, seen: dict[str, dict[str, datetime]]) -> str:
        """Describe why runs stand still: their executions, and who holds what in the database."""
        idle = [run_id for run_id, moments in seen.items() if len(moments) < 2]
        lines = [f"{len(idle)} of {len(seen)} runs stand still for {_PATIENCE_S:g} s: {' '.join(idle)}"]
        for query in (
            "SELECT id, status, node, attempt, crashes, parked FROM execution WHERE status IN ('queued', 'running')",
            "SELECT id, dead, beat, clock_timestamp() - beat AS age FROM executor",
            "SELECT pid, usename, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid), "
            "clock_timestamp() - xact_start AS open, left(query, 200) FROM pg_stat_activity "
            "WHERE datname = current_database() AND xact_start IS NOT NULL",
            "SELECT workflow_uuid, status, executor_id, queue_name, recovery_attempts FROM dbos.workflow_status "
            "WHERE status NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')",
        ):
            lines += [
                query.partition(" FROM ")[2],
                *(f"  {tuple(row.values())}" for row in await self.rows(query)),
            ]
        return "\n".join(lines)

    async def until_ended(self, ids: list[str]) -> list[str]:
        """Wait until the runs have ended; return what went wrong with any."""
        query = "SELECT id, status, error FROM run WHERE status NOT IN ('queued', 'running')"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    ended = {row["id"]: row for row in await self.rows(query)}
                    if set(ids) <= set(ended):
                        bad = [ended[run_id] for run_id in ids if ended[run_id]["status"] != "succeeded"]
                        return [f"run {row['id']} {row['status']}: {row['error']}" for row in bad]
                    await asyncio.sleep(0.1)
        return ["the runs of a lost node have not ended"]

    async def now(self) -> datetime:
        """Return the database's time."""
        moment: datetime = (await self.rows("SELECT clock_timestamp() AS at"))[0]["at"]
        return moment

    async def last_beat(self, member: Member) -> datetime:
        """Return a node's last heartbeat."""
        moment: datetime = (await self.rows("SELECT beat FROM executor WHERE id = :id", id=member.node))[0][
            "beat"
        ]
        return moment

    async def two(self) -> tuple[Member, Member]:
        """Return two running nodes."""
        while len(self.fleet.members) < 2:
            await self.fleet.spawn()
        for member in self.fleet.members:
            await member.ready.wait()
        one, other = self.fleet.members
        return one, other


async def killed(pair: Pair, runs: int) -> tuple[list[float], list[float], list[str]]:
    """Kill a node; return the seconds from its lease's end, and from the kill, to each run's going on."""
    victim, _ = await pair.two()
    ids = await pair.give(victim, runs, ticks=100)
    at = await pair.now()
    await pair.fleet.kill(victim)
    seen = await pair.until_moving(ids, at)
    expiry = await pair.last_beat(victim) + timedelta(seconds=LEASE_S)
    moments = [moment for events in seen.values() for moment in events.values()]
    problems = await pair.until_ended(ids)
    return (
        [(moment - expiry).total_seconds() for moment in moments],
        [(moment - at).total_seconds() for moment in moments],
        problems,
    )


async def frozen(pair: Pair, runs: int) -> tuple[dict[str, Any], list[str]]:
    """Freeze a node, wake it when it has lost its runs, and see what it does."""
    victim, _ = await pair.two()
    ids = await pair.give(victim, runs, ticks=250)
    at = await pair.now()
    victim.send(signal.SIGSTOP)
    await asyncio.sleep(0.5)  # what the server was told by then it has done
    asleep = await pair.now()
    seen = await pair.until_moving(ids, asleep)
    expiry = await pair.last_beat(victim) + timedelta(seconds=LEASE_S)
    woken, began = await pair.now(), time.monotonic()
    victim.send(signal.SIGCONT)
    problems = []
    try:
        async with asyncio.timeout(_WAKING_S):
            await victim.ended.wait()
    except TimeoutError:
        problems.append(f"the frozen node still runs {_WAKING_S:g} s after it woke")
    ended_s = time.monotonic() - began
    if victim.process.exitcode != FENCED:
        problems.append(f"the frozen node ended with status {victim.process.exitcode} and not {FENCED}")
    problems += await pair.until_ended(ids)
    query = "SELECT place, COUNT(*) AS times FROM storm_writer WHERE who = :who AND at > :at GROUP BY place"
    written = await pair.rows(query, who=victim.name, at=asleep)
    query = "SELECT COUNT(*) AS times FROM storm_writer WHERE who = :who AND at <= :at"
    before = await pair.rows(query, who=victim.name, at=asleep)
    if not before[0]["times"]:
        problems.append("the triggers have not seen the frozen node before it froze")
    problems += [
        f"the frozen node wrote to {row['place']} {row['times']} times after it woke" for row in written
    ]
    moments = [moment for events in seen.values() for moment in events.values()]
    figures = {
        "writes before it froze": before[0]["times"],
        "writes after it woke": sum(row["times"] for row in written),
        "asleep, s": f"{(woken - at).total_seconds():.1f}",
        "its runs went on after its lease's end, s, at most": f"{max((m - expiry).total_seconds() for m in moments):.2f}",
        "ended after it woke, s": f"{ended_s:.2f}",
    }
    return figures, problems


@contextlib.asynccontextmanager
async def opened(site: Site) -> AsyncIterator[Pair]:
    url = str(site.settings["storage"]["url"])
    with psycopg.connect(url, autocommit=True) as connection:

        def settings_of(node: str) -> dict[str, Any]:
            connection.execute(f"CREATE ROLE {node} SUPERUSER LOGIN")
            parts = urlsplit(url)
            own = urlunsplit(parts._replace(netloc=f"{node}@{parts.netloc.rpartition('@')[2]}"))
            return {**site.settings, "storage": {"url": own}}

        fleet = Fleet(settings_of, site.folder)
        async with site.observe() as application, fleet.open():
            pair = Pair(site, application, fleet)
            await pair.two()  # the first start makes DBOS' tables
            connection.execute(_NOTE_WRITERS)
            yield pair


def show(name: str, seconds: list[float]) -> None:
    print(f"  {name:<58} median {statistics.median(seconds):.2f}, at most {max(seconds):.2f}")


async def main(options: argparse.Namespace) -> int:
    problems: list[str] = []
    with open_sites("postgres") as sites:
        site = sites.make("pair", heartbeat_s=1.0, lease_ttl_s=LEASE_S)
        async with opened(site) as pair:
            expired: list[float] = []
            since_kill: list[float] = []
            for number in range(options.rounds):
                print(f"kill {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
                from_expiry, from_kill, bad = await killed(pair, options.runs)
                expired += from_expiry
                since_kill += from_kill
                problems += bad
            print("freezing", file=sys.stderr, flush=True)
            figures, bad = await frozen(pair, options.runs)
            problems += bad
            for member in list(pair.fleet.members):
                await member.ready.wait()
                await pair.fleet.stop(member)
            problems += await broken_rules(pair.application)
            print(
                f"node loss on postgres: {options.rounds} kills of 1 of 2 nodes with {options.runs} runs, lease {LEASE_S:g} s"
            )
            show("from the lease's end until a run goes on, s", expired)
            show("from the kill until a run goes on, s", since_kill)
            print("a frozen node:")
            for name, value in figures.items():
                print(f"  {name:<58} {value}")
            if max(expired) > BOUND_S:
                problems.append(
                    f"a run went on {max(expired):.2f} s after the lease's end; the bound is {BOUND_S:g} s"
                )
            if problems and pair.fleet.log.exists():
                print(pair.fleet.log.read_text(errors="replace")[-3000:], file=sys.stderr)
    for problem in problems:
        print(f"FAILED {problem}")
    print("FAILED" if problems else "passed")
    return 1 if problems else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="nodes to kill")
    parser.add_argument("--runs", type=int, default=6, help="runs that a lost node has")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parsed())))
