"""One choice: the candidates of a plan for one request, group by group."""

from collections.abc import Mapping
from dataclasses import dataclass

from mosaic.routing.field import MAX_CANDIDATES, Field, Pool
from mosaic.routing.plans import Plan
from mosaic.routing.schemas import Ranked, Rejected, RouteRequest, Target
from mosaic.routing.shares import in_share
from mosaic.routing.sticking import StickyTargets, shared_by
from mosaic.routing.strategies import Strategy

__all__ = ["Choosing", "Groups"]

_MOST = MAX_CANDIDATES + 4
"""Candidates of a decision, fallbacks included."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The pools of a plan under one set of requirements.

    Attributes:
        pools: the groups in their order, without those who may not take such requests.
        canary: the canary's targets; None without a canary.
        shadow: who gets a copy.
        rejected: who may not take such requests.
        limit_nanos: the most one request may cost; None for no limit.
    """

    pools: tuple[Pool, ...]
    canary: Pool | None
    shadow: tuple[Target, ...]
    rejected: tuple[Rejected, ...]
    limit_nanos: int | None


class Choosing:
    """Finds the candidates for one request; read the rest after `candidates`.

    Attributes:
        rejected: who may not take the request.
        basis: what relative scores refer to.
        is_canary, is_sticky: how the first candidate came there.
        own: how many of the candidates are the first group's; behind them are fallbacks.
    """

    __slots__ = (
        "_basis", "_groups", "_limit", "_plan", "_request", "_seed", "_sticky", "_strategy", "_unpriced",
        "basis", "is_canary", "is_sticky", "own", "rejected",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        groups: Groups,
        request: RouteRequest,
        *,
        strategy: Strategy | None,
        sticky: StickyTargets,
        seed: int,
        unpriced: bool,
        basis: Mapping[str, float] | None = None,
    ) -> None:
        self._plan = plan
        self._groups = groups
        self._request = request
        self._strategy = strategy
        self._sticky = sticky
        self._seed = seed
        self._unpriced = unpriced
        left, limit = request.budget_left_nanos, groups.limit_nanos
        self._limit = limit if left is None else left if limit is None else min(limit, left)
        self.rejected = list(groups.rejected)
        self._basis = basis
        self.basis: dict[str, float] = {}
        self.is_canary = False
        self.is_sticky = False
        self.own = 0

    def candidates(self) -> tuple[Ranked, ...]:
        """Return who may take the request, best first; empty when nobody may."""
        groups, route = self._groups, self._plan.route
        found: list[Ranked] = []
        if groups.canary is not None and self._in_canary():
            found = self._of(groups.canary)
            self.is_canary = bool(found)
        for place, pool in enumerate(groups.pools):
            if len(found) >= _MOST or (place == 0 and not pool.targets):
                continue
            field = self._field(pool)
            if field is None:
                continue
            ranked = self._ranked(field)
            if place == 0:
                self.basis = field.basis
                if route.sticky is not None and not self.is_canary:
                    ranked, self.is_sticky = self._sticky.apply(route, field, ranked)
            found += ranked
            self.own = self.own or (0 if self.is_canary else len(ranked))
        return tuple(found[:_MOST])

    def shadow(self) -> tuple[Target, ...]:
        """Return who gets a copy."""
        shadow = self._plan.route.shadow
        if shadow is None or not self._groups.shadow:
            return ()
        chosen = in_share(shadow.share, "shadow", self._plan.route.name, shared_by(self._request, "request"))
        return self._groups.shadow if chosen else ()

    def _in_canary(self) -> bool:
        canary, route = self._plan.route.canary, self._plan.route
        return canary is not None and in_share(
            canary.share, "canary", route.name, shared_by(self._request, canary.by)
        )

    def _of(self, pool: Pool) -> list[Ranked]:
        field = self._field(pool)
        return [] if field is None else self._ranked(field)

    def _field(self, pool: Pool) -> Field | None:
        positions = pool.fitting(
            self._request, limit_nanos=self._limit, unpriced=self._unpriced, rejected=self.rejected
        )
        if not positions:
            return None
        return Field(
            pool, positions, self._request, prefer=self._plan.prefer, seed=self._seed, basis=self._basis
        )

    def _ranked(self, field: Field) -> list[Ranked]:
        if len(field.positions) == 1 or self._strategy is None:
            return [field.ranked(at, 0.0, {}) for at in field.positions[: field.limit]]
        return self._strategy(field)
