"""How long does one routing decision take with 100 instances and 1,000 mixed rules?

Every strategy decides over all 100 instances, each of another price, region and load, one of them resting, under
1,000 rules of five sorts: exact, prefix glob, regular expression, attribute with a requirement, CEL. Requests differ
in tenant, project, model, size and attributes; one in ten has a project that was never seen. Half of them are limited
in cost. Every request is decided once in each round, the never seen project another one each time, and its figure is
its quickest round: a machine that is shared adds to the others. Processor time is what a decision takes; wall time has
in it whatever else ran.

    python benchmarks/routing_decision.py [--requests 4000] [--rounds 5] [--json] [--check]

`--check` exits with status 1 unless the 99th percentile of every strategy is under 100 microseconds of processor
time.
"""

import argparse
import gc
import json
import random
import sys
import time
from dataclasses import dataclass

from mosaic.routing import (
    STRATEGIES,
    LiveStats,
    Match,
    Outcome,
    Pick,
    Prefer,
    Require,
    Route,
    Router,
    RouteRequest,
    RoutingSettings,
    Rule,
    Target,
)

INSTANCES, RULES, LIMIT_US = 100, 1000, 100.0
REGIONS = ("eu-west", "us-east", "ap-south")


@dataclass
class Figures:
    """Microseconds of one decision, of the processor and by the wall; and decisions in a second of the processor."""

    p50_us: float
    p99_us: float
    wall_p50_us: float
    wall_p99_us: float
    per_s: float


def targets() -> list[Target]:
    return [
        Target(
            f"provider{i}:model{i % 7}",
            "ai",
            f"provider{i}",
            f"model{i % 7}",
            weight=1 + i % 3,
            region=REGIONS[i % 3],
            residency=frozenset({REGIONS[i % 3][:2]}),
            capabilities=frozenset({"tools", "vision"} if i % 2 else {"tools"}),
            context_tokens=200_000,
            input_nanos_per_token=100 + i,
            output_nanos_per_token=400 + 4 * i,
            quality=(i % 10) / 10,
            capacity=50,
        )
        for i in range(INSTANCES)
    ]


def rules() -> tuple[Rule, ...]:
    made = []
    for i in range(RULES):
        sort = i % 5
        match, when, require, route = Match(), None, Require(), "pool"
        if sort == 0:
            match = Match({"project": (f"project-{i}",), "operation": ("chat",)})
        elif sort == 1:
            match = Match({"model": (f"internal-{i}-*",)})
        elif sort == 2:
            match = Match({"tenant": (rf"/client-{i}-(red|blue)\d+/",)})
        elif sort == 3:
            match, route = Match(attributes={"team": (f"team-{i}",)}), None
            require = Require(residency=frozenset({"eu"}))
        else:
            tail = "'tools' in request.needs" if i % 2 else "request.needs.exists(need, need == 'tools')"
            when = f"${{request.input_tokens > 1000 && request.project == 'project-{i - 4}' && {tail}}}"
        made.append(Rule(f"rule-{i}", i % 17, match, when, route, require=require))
    return tuple(made)


def requests(count: int, number: int) -> list[RouteRequest]:
    chance = random.Random(7)
    return [
        RouteRequest(
            "ai",
            "pool",
            f"client-{chance.randrange(200)}-red{chance.randrange(3)}",
            f"new-{number}-{i}" if i % 10 == 0 else f"project-{chance.randrange(RULES)}",
            operation="chat",
            needs=frozenset({"tools"}),
            input_tokens=chance.randrange(20_000),
            max_output_tokens=1000,
            attributes={"team": f"team-{chance.randrange(RULES)}"},
            budget_left_nanos=10**10 if i % 2 else None,
            region=chance.choice(REGIONS),
            request_id=f"r{i}",
        )
        for i in range(count)
    ]


def router(strategy: str) -> Router:
    route = Route("pool", targets=(Pick("*"),), strategy=strategy, prefer=Prefer(1, 1, 1, 1))
    distances = {(a, b): 0.0 if a == b else 0.09 for a in REGIONS for b in REGIONS}
    breakers = {f"provider{i}:model{i % 7}": i == 50 for i in range(INSTANCES)}
    live = LiveStats(is_open=lambda name: breakers[name])
    settings = RoutingSettings(routes={"pool": route}, rules=rules(), latencies_s=distances)
    made = Router(settings, targets(), live=live)
    for i, target in enumerate(made.targets):
        for _ in range(i % 5 + 1):
            live.begin(target.id)
        live.end(target.id, Outcome(True, 0.2 + 0.01 * i))
    return made


def measure(made: Router, asked: list[RouteRequest]) -> tuple[list[int], list[int]]:
    """Return nanoseconds of each decision, of the processor and by the wall."""
    clock, wall, decide = time.thread_time_ns, time.perf_counter_ns, made.decide
    took, waited = [], []
    for request in asked:
        since, before = wall(), clock()
        decide(request)
        took.append(clock() - before)
        waited.append(wall() - since)
    return took, waited


def figures_of(rounds: list[tuple[list[int], list[int]]]) -> Figures:
    took, waited = ([min(each) for each in zip(*side, strict=True)] for side in zip(*rounds, strict=True))
    return Figures(
        percentile(took, 0.5),
        percentile(took, 0.99),
        percentile(waited, 0.5),
        percentile(waited, 0.99),
        len(took) / (sum(took) / 1e9),
    )


def percentile(nanos: list[int], share: float) -> float:
    return sorted(nanos)[int(len(nanos) * share)] / 1e3


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    routers = {name: router(name) for name in sorted(STRATEGIES)}
    for made in routers.values():  # what a server has met after a minute
        measure(made, requests(options.requests, 0))
    gc.collect()
    gc.freeze()
    rounds: dict[str, list[tuple[list[int], list[int]]]] = {name: [] for name in routers}
    for number in range(1, options.rounds + 1):
        asked = requests(options.requests, number)
        for name, made in routers.items():
            rounds[name].append(measure(made, asked))
    best = {name: figures_of(found) for name, found in rounds.items()}
    if options.json:
        print(json.dumps({name: vars(figures) for name, figures in best.items()}))
    else:
        print(f"{INSTANCES} instances, {RULES} rules")
        print(f"{'strategy':18} {'p50':>8} {'p99':>8} {'wall p50':>9} {'wall p99':>9}  decisions/s")
        for name, figures in best.items():
            times = f"{figures.p50_us:6.1f}us {figures.p99_us:6.1f}us {figures.wall_p50_us:7.1f}us {figures.wall_p99_us:7.1f}us"
            print(f"{name:18} {times}  {figures.per_s:,.0f}")
    slow = [name for name, figures in best.items() if figures.p99_us >= LIMIT_US]
    if options.check and slow:
        print(f"slower than {LIMIT_US:g} us: {', '.join(slow)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
