"""Strategies: how the targets that may take a request are ordered.

A strategy is a function from a `Field` to candidates, best first. It knows no constraint: whoever is in the field may
take the request. It takes chance from `Field.seed` alone, so that a decision can be repeated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add

from mosaic.routing.field import Field
from mosaic.routing.schemas import Ranked

__all__ = ["COUNTING", "STRATEGIES", "Strategy"]

Strategy = Callable[[Field], list[Ranked]]

COUNTING = frozenset({"round-robin", "weighted"})
"""Strategies whose seed counts the route's requests instead of being random."""

_STEPS = 64
_UNTRIED_S = 1e6
_UNKNOWN_DISTANCE_S = 1e6
_MOMENT_S = 1e-6
_INFINITE = float("inf")


def ordered(field: Field) -> list[Ranked]:
    """The order of the route's list."""
    return [
        field.ranked(at, -place, {"place": float(place)})
        for place, at in enumerate(field.positions[: field.limit])
    ]


def round_robin(field: Field) -> list[Ranked]:
    """One after the other."""
    return [
        field.ranked(at, -place, {"turn": float(place)})
        for place, at in enumerate(_turned(field, field.seed))
    ]


def weighted(field: Field) -> list[Ranked]:
    """One after the other, each as often as its weight says; weight 0 only when nobody else is left."""
    wheel, weights = field.pool.wheel, field.pool.weights
    present = None if field.is_whole else frozenset(field.positions)
    found: dict[int, None] = {}
    start = field.seed % len(wheel)
    for step in range(min(len(wheel), max(_STEPS, field.limit))):
        at = wheel[(start + step) % len(wheel)]
        if present is None or at in present:
            found.setdefault(at)
            if len(found) == field.limit:
                break
    if len(found) < min(field.limit, len(field.positions)):
        rest = sorted(
            (at for at in field.positions if at not in found), key=weights.__getitem__, reverse=True
        )
        found.update(dict.fromkeys(rest[: field.limit - len(found)]))
    return [
        field.ranked(at, -place, {"weight": weights[at], "turn": float(place)})
        for place, at in enumerate(found)
    ]


def power_of_two(field: Field) -> list[Ranked]:
    """The less loaded of two drawn by chance: latency (peak EWMA) times open requests; the rest in turn."""
    positions, live, count = field.positions, field.pool.live, len(field.positions)
    first = field.seed % count
    second = (first + 1 + (field.seed // count) % (count - 1)) % count if count > 1 else first
    one, two = positions[first], positions[second]
    if live[two].load_s < live[one].load_s:
        one, two = two, one
    found = [one, two] if count > 1 else [one]
    for at in _turned(field, first + 1, field.limit + 2):
        if at != one and at != two and len(found) < field.limit:
            found.append(at)
    return [field.ranked(at, -live[at].load_s, {"load_s": live[at].load_s}) for at in found]


def least_connections(field: Field) -> list[Ranked]:
    """The fewest open requests for its weight."""
    weights = field.of(field.pool.weights)
    return _least(
        field,
        [live.active / (weight or 0.001) for live, weight in zip(field.live, weights, strict=True)],
        "active",
    )


def cheapest(field: Field) -> list[Ranked]:
    """The lowest estimated cost; who has no known price comes last."""
    return _least(field, field.of(field.pool.costs(field.request)), "cost_nanos")


def fastest(field: Field) -> list[Ranked]:
    """The lowest latency, the way to its region included; one at a time tries a target that never answered."""
    return _least(field, _latencies(field), "latency_s")


def nearest(field: Field) -> list[Ranked]:
    """The nearest region, then the lowest latency; who is at an unknown distance comes last."""
    far = field.of(field.pool.distances_s)
    return _least(
        field,
        [
            (_UNKNOWN_DISTANCE_S if distance is None else distance) + live.latency_s * 1e-6
            for distance, live in zip(far, field.live, strict=True)
        ],
        "distance_s",
    )


def health(field: Field) -> list[Ranked]:
    """The healthiest, in steps of a tenth; among equals by turns."""
    return _least(field, [int(live.error_rate * 10.0 + 0.5) / 10.0 for live in field.live], "failing")


def adaptive(field: Field) -> list[Ranked]:
    """The shortest expected wait: latency, open requests and where they are heading, failures, room that is left."""
    capacities = field.of(field.pool.capacities)
    known = [
        live.expected_s * (1.0 + live.active / capacity) if live.active >= capacity else live.expected_s
        for live, capacity in zip(field.live, capacities, strict=True)
    ]
    return _least(field, known, "wait_s")


def overflow(field: Field) -> list[Ranked]:
    """The order of the route's list, where whoever is full steps back until it has room again."""
    capacities = field.of(field.pool.capacities)
    full = len(field.positions)
    known = [
        place + full if live.active >= capacity else place
        for place, (live, capacity) in enumerate(zip(field.live, capacities, strict=True))
    ]
    return _first(field, range(full), known, "place")


def score(field: Field) -> list[Ranked]:
    """The highest weighted sum of cost, latency, quality and locality, each as a share of the best in the field."""
    pool, prefer = field.pool, field.prefer
    total = prefer.cost + prefer.latency + prefer.quality + prefer.locality or 1.0
    by_cost, by_latency = prefer.cost / total, prefer.latency / total
    fixed = field.of(pool.merits(prefer.quality / total, prefer.locality / total))
    costs, latencies = field.of(pool.costs(field.request)), _latencies(field)
    lowest, quickest = min(costs), field.basis.get("latency_s") or min(latencies)
    offset = 0.0
    if lowest == 0.0:  # beside what is free, the cheapest of the others counts half
        lowest = offset = min((cost for cost in costs if 0.0 < cost < _INFINITE), default=1.0)
        costs = [cost + offset for cost in costs]
    if lowest == _INFINITE:
        lowest = 1.0
    field.basis.update(cost_nanos=float(lowest), latency_s=quickest)
    by_cost, by_latency = by_cost * lowest, by_latency * quickest
    scores = [
        merit + by_cost / cost + by_latency / latency
        for merit, cost, latency in zip(fixed, costs, latencies, strict=True)
    ]
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: field.limit]
    ranked = []
    for place in order:
        at, cost, latency = field.positions[place], costs[place], latencies[place]
        parts = {
            "cost": lowest / cost,
            "latency": quickest / latency,
            "quality": pool.targets[at].quality,
            "locality": pool.locality[at],
            "cost_nanos": float(cost - offset),
            "latency_s": latency,
        }
        ranked.append(field.ranked(at, scores[place], parts))
    return ranked


def _latencies(field: Field) -> Sequence[float]:
    """Return how long each takes, the way to its region included; a moment for one that may be tried now."""
    pool = field.pool
    known: Sequence[float] = [live.latency_s for live in field.live]
    if 0.0 in known:
        known = [
            latency or stated or (_UNTRIED_S if live.active else _MOMENT_S)
            for latency, stated, live in zip(known, field.of(pool.latencies_s), field.live, strict=True)
        ]
    return list(map(add, known, field.of(pool.ways_s))) if pool.is_spread else known


def _turned(field: Field, start: int, limit: int | None = None) -> Iterable[int]:
    positions, count = field.positions, len(field.positions)
    for step in range(min(limit or field.limit, count)):
        yield positions[(start + step) % count]


def _least(field: Field, known: Sequence[float], part: str) -> list[Ranked]:
    """Return the lowest first; equals in an order that chance turns."""
    count = len(known)
    start = field.seed % count
    return _first(field, [*range(start, count), *range(start)], known, part)


def _first(field: Field, places: Iterable[int], known: Sequence[float], part: str) -> list[Ranked]:
    positions = field.positions
    return [
        field.ranked(positions[place], -known[place], {part: float(known[place])})
        for place in sorted(places, key=known.__getitem__)[: field.limit]
    ]


STRATEGIES: Mapping[str, Strategy] = {
    "adaptive": adaptive,
    "cheapest": cheapest,
    "fastest": fastest,
    "health": health,
    "least-connections": least_connections,
    "nearest": nearest,
    "ordered": ordered,
    "overflow": overflow,
    "power-of-two": power_of_two,
    "round-robin": round_robin,
    "score": score,
    "weighted": weighted,
}
"""Strategies by name. `Router` takes more."""
