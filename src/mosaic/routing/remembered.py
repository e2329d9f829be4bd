"""Decisions in which nothing varies: one target, and nothing that depends on chance, the time or other requests."""

from datetime import datetime

from mosaic.routing.choosing import Groups
from mosaic.routing.live import LiveStats
from mosaic.routing.plans import Plan
from mosaic.routing.rules import Matched
from mosaic.routing.schemas import Decision, Ranked, RouteRequest

__all__ = ["Remembered", "place_of"]


def place_of(request: RouteRequest, matched: Matched) -> tuple[object, ...]:
    """Return everything of a request on which its plan and who may take it depend, its size and the time left out."""
    return (
        request.name,
        matched,
        request.tenant,
        request.project,
        request.kind,
        request.needs,
        request.privacy,
        request.residency,
        request.compliance,
        request.region,
    )


class Remembered:
    """What such a decision comes to, for as long as its target is awake and the request fits it."""

    __slots__ = ("_candidates", "_generation", "_live", "_plan", "_rejected", "_rule", "_stats", "_window")

    def __init__(self, plan: Plan, groups: Groups, matched: Matched, stats: LiveStats) -> None:
        pool = next(pool for pool in groups.pools if pool.targets)
        rule = matched.place or matched.order
        self._plan = plan
        self._stats = stats
        self._generation = stats.generation
        self._live = pool.live[0]
        self._window = pool.least_window
        self._candidates = (Ranked(pool.targets[0], 0.0),)
        self._rejected = groups.rejected
        self._rule = rule.name if rule is not None else None

    @staticmethod
    def is_possible(plan: Plan, groups: Groups) -> bool:
        """Say whether nothing varies in the decisions of a plan, for requests at one place."""
        route = plan.route
        varies = route.windows or route.sticky or route.canary or route.shadow or route.learned != "off"
        return (
            not varies and groups.limit_nanos is None and sum(len(pool.targets) for pool in groups.pools) == 1
        )

    @property
    def plan(self) -> Plan:
        """Whose decision it is."""
        return self._plan

    def holds(self, request: RouteRequest) -> bool:
        """Say whether the request goes there now; if not, everything has to be looked at."""
        stats = self._stats
        return (
            request.input_tokens + request.max_output_tokens <= self._window
            and request.budget_left_nanos is None
            and self._generation == stats.generation
            and stats.is_awake(self._live)
        )

    def decision(self, request: RouteRequest, matched: Matched, *, at: datetime, seed: int) -> Decision:
        """Return the decision."""
        plan = self._plan
        route = plan.route
        return Decision(
            request,
            route.name,
            self._rule,
            plan.strategy,
            self._candidates,
            self._rejected,
            route.policy,
            applied=matched.names,
            seed=seed,
            at=at,
            profile=plan.profile,
            prefer=plan.prefer,
            live=(self._live.figures(),),
        )
