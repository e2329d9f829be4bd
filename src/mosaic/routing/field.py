"""The field of a decision: the targets that may take one request, as strategies see them."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TypeVar

from mosaic.routing.constraints import Distances, too_dear, too_long
from mosaic.routing.live import LiveStats, LiveTarget
from mosaic.routing.schemas import ASSUMED_CONTEXT_TOKENS, Prefer, Ranked, Rejected, RouteRequest, Target
from mosaic.routing.shares import number_of

__all__ = ["MAX_CANDIDATES", "Field", "Pool"]

MAX_CANDIDATES = 6
"""How many candidates of a route a decision names; its fallbacks come on top."""

_WHEEL_SLOTS = 1000
_NEAR_S = 0.02
_UNKNOWN_DISTANCE_S = 0.2
_UNKNOWN = float("inf")
_Item = TypeVar("_Item")


class Pool:
    """Targets that fulfil the same requirements, with what about them does not change, side by side.

    Attributes:
        targets, live, ids: the targets, their figures and their ids.
        position: where a target stands, by its id.
        weights, latencies_s: as the targets state them.
        capacities: as stated; infinite for those that state none.
        distances_s: from the caller's region; None where nobody stated it.
        ways_s: the same, 0 where nobody stated it.
        is_spread: whether any of them is not 0.
        least_window: what every target takes, question and answer together.
    """

    def __init__(
        self, targets: Sequence[Target], stats: LiveStats, *, region: str | None = None, distances: Distances
    ) -> None:
        self.targets = tuple(targets)
        self.stats = stats
        self.live: tuple[LiveTarget, ...] = tuple(stats.of(target.id) for target in targets)
        self.ids = tuple(target.id for target in targets)
        self.everyone = range(len(self.targets))
        self.position = {target.id: place for place, target in enumerate(targets)}
        self.weights = tuple(target.weight for target in targets)
        self.capacities = tuple(target.capacity or _UNKNOWN for target in targets)
        self.latencies_s = tuple(target.latency_s for target in targets)
        self.distances_s = tuple(_distance(target, region, distances) for target in targets)
        self.ways_s = tuple(far or 0.0 for far in self.distances_s)
        self.is_spread = any(self.ways_s)
        self._windows = tuple(target.context_tokens or ASSUMED_CONTEXT_TOKENS for target in targets)
        self.least_window = min(self._windows, default=0)
        self._prices = tuple(_price(target) for target in targets)
        self._dearest = tuple(max(side, default=0) for side in zip(*self._prices, strict=True)) or (0, 0, 0)
        self._merits: dict[tuple[float, float], tuple[float, ...]] = {}

    @cached_property
    def locality(self) -> tuple[float, ...]:
        """How near each target is: 1 in the house or the region, towards 0 far away."""
        return tuple(
            1.0 if target.local else _NEAR_S / max(_UNKNOWN_DISTANCE_S if far is None else far, _NEAR_S)
            for target, far in zip(self.targets, self.distances_s, strict=True)
        )

    @cached_property
    def hashes(self) -> tuple[int, ...]:
        """A number for each target that is the same on every node."""
        return tuple(number_of(identifier) for identifier in self.ids)

    @cached_property
    def wheel(self) -> tuple[int, ...]:
        """Positions in smooth weighted order: as often as their weight says, and never all at once."""
        weights = [max(weight, 0.0) for weight in self.weights]
        total = sum(weights)
        if not total:
            return tuple(self.everyone)
        scale = _WHEEL_SLOTS / total
        whole = all(float(weight).is_integer() for weight in weights) and total <= _WHEEL_SLOTS
        shares = [int(each) if whole else (max(1, round(each * scale)) if each else 0) for each in weights]
        divisor = math.gcd(*shares)
        return _smooth([share // divisor for share in shares])

    def merits(self, by_quality: float, by_locality: float) -> tuple[float, ...]:
        """Return the part of each target's score that does not change from request to request."""
        found = self._merits.get((by_quality, by_locality))
        if found is None:
            found = tuple(
                by_quality * target.quality + by_locality * near
                for target, near in zip(self.targets, self.locality, strict=True)
            )
            self._merits[by_quality, by_locality] = found
        return found

    def costs(self, request: RouteRequest) -> list[float]:
        """Return what the request may cost at each target, in billionths of a dollar; infinite when unknown."""
        read, written = request.input_tokens, request.max_output_tokens
        return [
            fixed + read * per_input + written * per_output for fixed, per_input, per_output in self._prices
        ]

    def fitting(
        self, request: RouteRequest, *, limit_nanos: int | None, unpriced: bool, rejected: list[Rejected]
    ) -> Sequence[int]:
        """Return the positions that can take this very request now; the others are added to `rejected`."""
        chosen: Sequence[int] = self.everyone
        tokens = request.input_tokens + request.max_output_tokens
        if tokens > self.least_window:
            windows = self._windows
            rejected += [too_long(self.targets[at], tokens) for at in chosen if windows[at] < tokens]
            chosen = [at for at in chosen if windows[at] >= tokens]
        if limit_nanos is not None:
            chosen = self._affordable(chosen, request, limit_nanos, unpriced, rejected)
        return self._awake(chosen, rejected)

    def _affordable(
        self,
        chosen: Sequence[int],
        request: RouteRequest,
        limit: int,
        unpriced: bool,
        rejected: list[Rejected],
    ) -> Sequence[int]:
        fixed, per_input, per_output = self._dearest
        if fixed + request.input_tokens * per_input + request.max_output_tokens * per_output <= limit:
            return chosen
        costs = self.costs(request)
        within = [at for at in chosen if costs[at] <= limit or (unpriced and costs[at] == _UNKNOWN)]
        kept = set(within)
        rejected += [
            too_dear(self.targets[at], None if costs[at] == _UNKNOWN else int(costs[at]), limit)
            for at in chosen
            if at not in kept
        ]
        return within

    def _awake(self, chosen: Sequence[int], rejected: list[Rejected]) -> Sequence[int]:
        resting = self.stats.resting(self.ids, self.live)
        if not resting:
            return chosen
        asleep = {self.position[name]: reason for name, reason in resting.items()}
        rejected += [
            Rejected(self.targets[at], "resting", reason) for at, reason in asleep.items() if at in chosen
        ]
        return [at for at in chosen if at not in asleep]


class Field:
    """What a strategy orders: positions of a pool, for one request.

    Attributes:
        pool: targets and their figures; index it with `positions`.
        positions: who takes part.
        live: the figures of those who take part, in the order of `positions`.
        is_whole: everybody in the pool takes part.
        request: what is asked.
        prefer: how much cost, latency, quality and locality count.
        seed: the only source of chance, so that a decision can be repeated.
        limit: how many to name.
        basis: a strategy notes here what its relative figures refer to; in a repetition it finds it here.
    """

    __slots__ = (
        "_take",
        "basis",
        "is_whole",
        "limit",
        "live",
        "pool",
        "positions",
        "prefer",
        "request",
        "seed",
    )

    def __init__(
        self,
        pool: Pool,
        positions: Sequence[int],
        request: RouteRequest,
        *,
        prefer: Prefer,
        seed: int,
        limit: int = MAX_CANDIDATES,
        basis: Mapping[str, float] | None = None,
    ) -> None:
        self.pool = pool
        self.positions = positions
        self.is_whole = positions is pool.everyone
        self._take = (
            None if self.is_whole or len(positions) < 2 else itemgetter(*positions)
        )  # as fast as it gets
        self.live: Sequence[LiveTarget] = self.of(pool.live)
        self.request = request
        self.prefer = prefer
        self.seed = seed
        self.limit = limit
        self.basis: dict[str, float] = dict(basis or {})

    def of(self, values: Sequence[_Item]) -> Sequence[_Item]:
        """Return the values of those who take part, of one value for each target of the pool."""
        if self._take is not None:
            return self._take(values)  # type: ignore[no-any-return]  # a tuple of them
        return values if self.is_whole else [values[at] for at in self.positions]

    def ranked(self, position: int, score: float, parts: dict[str, float]) -> Ranked:
        """Return the entry of one target."""
        return Ranked(self.pool.targets[position], score, parts)


def _price(target: Target) -> tuple[float, int, int]:
    fixed = target.cost_nanos(0, 0)
    if fixed is None:
        return _UNKNOWN, 0, 0
    return fixed, target.input_nanos_per_token or 0, target.output_nanos_per_token or 0


def _distance(target: Target, region: str | None, distances: Distances) -> float | None:
    if region is None or target.region is None:
        return None
    return distances.get((region, target.region), 0.0 if region == target.region else None)


def _smooth(shares: list[int]) -> tuple[int, ...]:
    current = [0] * len(shares)
    total = sum(shares)
    wheel = []
    for _ in range(total):
        for place, share in enumerate(shares):
            current[place] += share
        best = max(range(len(shares)), key=current.__getitem__)
        current[best] -= total
        wheel.append(best)
    return tuple(wheel)
