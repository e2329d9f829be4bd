"""Kills, slows, rate-limits and garbles what stands behind the gateway, under load, and compares everybody's books.

Four scripted endpoints (three that speak OpenAI's protocol, one Anthropic's) and `mosaic up` run as processes of their
own, clients in another. In turn:

1. storm: calls of both protocols, whole and streamed, some cut off by their clients, while endpoints fail in fourteen
   ways at random moments of a seed; one of those that a route needs is always well.
2. blackout: everything fails for a while; then everything is well again, and every endpoint must get calls again.
3. budget: thousands of calls at the same moment on keys with a budget under a project with a smaller one, while
   endpoints fail in ways that may cost something.
4. hardships: clients that do not read, streams and headers without end, bodies of 30 MB, quotas after cut calls.
5. the gateway is told to stop while clients call.

    python benchmarks/gateway_chaos.py [--database sqlite|postgres] [--requests 100000] [--aborts 10000] [--at-once 10000]
        [--seed 1] [--seconds 900] [--check]

With --check it exits with status 1 when: fewer than 99.5 % of the calls that some target of their route could answer
were answered; a call was sent again after it was answered or its answer began; what endpoints billed passes a budget by
a nano or the ledger differs from their count by one; a call is missing in the ledger; memory has grown by more than 15 %
after the warm-up; a call, connection, quota, lease or hold is left open.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos import hardships
from chaos.books import read_calls, read_records
from chaos.checks import (
    Findings,
    check_aborts,
    check_budgets,
    check_failover,
    check_ledger,
    check_repeats,
)
from chaos.fleet import Fleet
from chaos.site import PROVIDERS, Plan, Site, open_folder
from gateway_rig.processes import free_port

_HERE = Path(__file__).parent
_GROUPS = (("alpha", "beta", "gamma"),)
_ATTEMPTS = 4
_WARM_SHARE = 0.05
_GROWTH = 1.15
_NOISE_MB = 8.0
_KINDS = (
    {"route": "three", "anthropic": False, "stream": False, "weight": 40},
    {"route": "three", "anthropic": False, "stream": True, "weight": 20},
    {"route": "hedged", "anthropic": False, "stream": False, "weight": 8},
    {"route": "hedged", "anthropic": False, "stream": True, "weight": 4},
    {"route": "cross", "anthropic": False, "stream": False, "weight": 8},
    {"route": "cross", "anthropic": False, "stream": True, "weight": 6},
    {"route": "claude", "anthropic": True, "stream": False, "weight": 8},
    {"route": "claude", "anthropic": True, "stream": True, "weight": 6},
)
_WHOLE = (
    {"route": "three", "anthropic": False, "stream": False, "weight": 4},
    {"route": "three", "anthropic": False, "stream": True, "weight": 1},
)
# The budget's share of a call that may cost 1 million nanos.
_CALL_NANOS = 450_000


class Run:
    """One installation and its way through all phases."""

    def __init__(self, options: argparse.Namespace, folder: Path, site: Site, fleet: Fleet) -> None:
        self.options = options
        self.folder = folder
        self.site = site
        self.fleet = fleet
        self.found = Findings()
        self.files: dict[str, Path] = {}
        self.ends_at = time.monotonic() + options.seconds

    async def load(
        self, prefix: str, calls: int, *, keys: Sequence[str], kinds: Sequence[Any] = _KINDS, aborts: int = 0,
        connections: int | None = None, seconds: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Have clients make calls; returns what they say of it."""
        out = self.files[prefix] = self.folder / f"{prefix}.calls"
        asked = {
            "prefix": prefix, "calls": calls, "aborts": aborts, "kinds": list(kinds), "port": self.site.port,
            "connections": connections or self.options.connections, "out": str(out),
            "stop": str(self.folder / f"{prefix}.stop"), "seed": random.randrange(10**9),
            "seconds": seconds or max(self.ends_at - time.monotonic(), 5.0),
            "keys": [[name, self.site.plan.keys[name]] for name in keys],
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_HERE / "chaos" / "load.py"),
            json.dumps(asked),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out_bytes, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        said: dict[str, Any] = json.loads(out_bytes) if out_bytes.strip() else {"made": 0, "hung": -1}
        if said["hung"]:
            self.found.wrong(f"{said['hung']} clients of the phase {prefix} never got an end")
        return said

    async def storm(self) -> None:
        options = self.options
        keys = ("w0", "w1", "w2", "w3")
        warm = max(int(options.requests * _WARM_SHARE), 200)
        began = time.monotonic()
        await self.load("warm", warm, keys=keys, aborts=int(options.aborts * _WARM_SHARE))
        before = self.site.memory_mb
        storming = asyncio.create_task(
            self.fleet.storm(_GROUPS, shortest_s=options.shortest, longest_s=options.longest)
        )
        loading = asyncio.create_task(self.load("storm", options.requests, keys=keys, aborts=options.aborts))
        await asyncio.wait((storming, loading), return_when=asyncio.FIRST_COMPLETED)
        storming.cancel()
        for ended in await asyncio.gather(storming, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        said = await loading
        await self.fleet.calm()
        after = await self._settled()
        found = self.found
        found.show("faults", ", ".join(f"{name} {n}" for name, n in sorted(self.fleet.faults.items())))
        found.show("calls in the storm", f"{said['made']} in {time.monotonic() - began:.0f} s")
        found.show("memory after the warm-up and at the end, MB", f"{before:.0f} {after:.0f}")
        if after > before * _GROWTH + _NOISE_MB:
            found.wrong(f"memory has grown from {before:.0f} to {after:.0f} MB")
        if said["made"] < options.requests:
            found.wrong(f"only {said['made']} of {options.requests} calls were made in time")
        await self.nothing_open("the storm")

    async def _settled(self) -> float:
        """The memory once nothing is open any more."""
        await hardships.until(self._quiet, 10)
        return self.site.memory_mb

    async def _quiet(self) -> bool:
        if (await asyncio.to_thread(self.site.metrics)).get("mosaic_model_calls_open", 0):
            return False
        return all([(await member.state())["open"] == 0 for member in self.fleet.members.values()])

    async def nothing_open(self, after: str) -> None:
        if await hardships.until(self._quiet, 10) is None:
            metrics = await asyncio.to_thread(self.site.metrics)
            shown = {name: (await member.state())["open"] for name, member in self.fleet.members.items()}
            self.found.wrong(
                f"after {after} {metrics.get('mosaic_model_calls_open')} calls are open, at the endpoints {shown}"
            )

    async def blackout(self) -> None:
        calls = max(self.options.requests // 100, 100)
        await self.fleet.all_tell("broken")
        sent = sum([(await member.state())["count"] for member in self.fleet.members.values()])
        await self.load("dark", calls, keys=("w0",), connections=32, seconds=20)
        sent = sum([(await member.state())["count"] for member in self.fleet.members.values()]) - sent
        self.found.show(f"requests that {calls} calls caused while everything failed", sent)
        if sent > calls * 1.25 + 150:
            self.found.wrong(f"{calls} calls became {sent} requests while everything failed")
        await self.fleet.calm()
        await hardships.breakers_close(self.site, self.found, limit_s=45)

    async def budget(self) -> None:
        options = self.options
        for name, mode, share in (("alpha", "half", 0.1), ("beta", "broken", 0.2), ("gamma", "cut", 0.3)):
            await self.fleet.members[name].tell(mode, share)
        keys = [name for name in self.site.plan.keys if name.startswith("c")]
        began = time.monotonic()
        await self.load("cap", options.at_once, keys=keys, kinds=_WHOLE, connections=options.at_once)
        await self.fleet.calm()
        self.found.show(
            f"{options.at_once} calls at once on a budget took, s", f"{time.monotonic() - began:.1f}"
        )
        await self.nothing_open("the calls on a budget")

    async def hardships(self) -> None:
        site, fleet, found = self.site, self.fleet, self.found
        await hardships.breakers_close(site, found, limit_s=45)
        await self.load(
            "quota", 60, keys=("quota",), kinds=[k for k in _WHOLE if k["stream"]], aborts=60, connections=6
        )
        await self.nothing_open("calls that were cut off")
        endless = asyncio.create_task(hardships.endless_stream(site, fleet, found))
        await hardships.quota_comes_back(site, fleet, found)
        await hardships.body_too_large(site, found)
        await hardships.header_flood(site, found)
        await endless
        await hardships.stalled_clients(site, fleet, found)
        await hardships.unread_answers(site, fleet, found)
        await hardships.large_bodies(site, fleet, found)
        await self.nothing_open("the hardships")

    async def stop(self) -> None:
        """End the gateway while clients call."""
        loading = asyncio.create_task(
            self.load("stop", 10**6, keys=("w0", "w1"), kinds=_WHOLE, connections=24, seconds=8)
        )
        await asyncio.sleep(2.0)
        began = time.monotonic()
        status = await self.site.stop()
        (self.folder / "stop.stop").touch()
        await loading
        self.found.show("the gateway stopped under load in, s", f"{time.monotonic() - began:.1f}")
        if status != 0:
            self.found.wrong(f"the gateway ended with status {status}")

    def compare(self) -> None:
        """Compare what everybody wrote down."""
        found = self.found
        records = read_records(member.record for member in self.fleet.members.values())
        calls = {name: read_calls([path]) for name, path in self.files.items() if path.exists()}
        check_failover(calls["storm"], self.fleet, found)
        check_repeats(self.site, calls["storm"] + calls["cap"], records, found, attempts=_ATTEMPTS)
        check_aborts(calls["storm"] + calls["quota"], records, found)
        check_budgets(self.site, self.site.plan, records, found)
        everything = [call for made in calls.values() for call in made]
        check_ledger(self.site, everything, records, found)
        refused = sum(call.status == 402 for call in calls["cap"])
        found.show(
            "calls on a budget: answered, refused for it",
            f"{sum(c.end == 'whole' for c in calls['cap'])}, {refused}",
        )
        if not refused:
            found.wrong("the budget refused nobody: it was not tried")
        log = self.site.log.read_text(errors="replace")
        if failures := [
            line for line in log.splitlines() if "Traceback" in line or "never retrieved" in line
        ]:
            found.wrong(f"the gateway's log holds {len(failures)} tracebacks, see {self.site.log}", failures)


async def main(options: argparse.Namespace) -> int:
    random.seed(options.seed)
    began = time.monotonic()
    with open_folder(options.database, keep=options.keep) as (folder, url):
        ports = {name: free_port() for name in PROVIDERS}
        whole = options.at_once * _CALL_NANOS // 3
        site = Site(folder / "home", url, Plan((whole, [whole * 2 // 5] * 4)))
        site.prepare(ports)
        await site.make_keys()
        async with Fleet.open(ports, folder, seed=options.seed) as fleet, site.up(folder / "mosaic.log"):
            run = Run(options, folder, site, fleet)
            slow = asyncio.create_task(hardships.slow_heads(site, run.found))
            for phase in (run.storm, run.blackout, run.budget, run.hardships, run.stop):
                note(f"{phase.__name__} ({time.monotonic() - began:.0f} s, {site.memory_mb:.0f} MB)")
                if phase == run.hardships:
                    await slow
                await phase()
        run.compare()
        if run.found.problems:
            note("--- the end of the gateway's log:\n" + site.log.read_text(errors="replace")[-3000:])
    print(f"\ngateway chaos on {options.database}, seed {options.seed}, {time.monotonic() - began:.0f} s")
    for name, value in run.found.figures.items():
        print(f"  {name:<72} {value}")
    for problem in run.found.problems:
        print(f"FAILED {problem}")
    print("FAILED" if run.found.problems else "passed")
    return 1 if run.found.problems and options.check else 0


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--requests", type=int, default=100_000, help="calls in the storm")
    parser.add_argument("--aborts", type=int, default=10_000, help="streams that clients cut off")
    parser.add_argument("--at-once", type=int, default=10_000, help="calls at the same moment on the budget")
    parser.add_argument("--connections", type=int, default=64, help="calls in flight in the storm")
    parser.add_argument("--seed", type=int, default=None, help="of moments and faults; random by default")
    parser.add_argument("--seconds", type=float, default=900.0, help="longest time for the storm")
    parser.add_argument("--shortest", type=float, default=0.05, help="shortest time between two faults")
    parser.add_argument("--longest", type=float, default=0.8, help="longest time between two faults")
    parser.add_argument(
        "--check", action="store_true", help="exit with status 1 when something does not hold"
    )
    parser.add_argument("--keep", action="store_true", help="leave the data behind")
    options = parser.parse_args()
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    return options


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(parsed())))
