"""The router: one decision for every provider kind, in memory, without waiting for anything."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mosaic.core.clock import Clock, now
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.routing.choosing import Choosing, Groups
from mosaic.routing.constraints import admitted, requested
from mosaic.routing.explaining import explanation
from mosaic.routing.field import Pool
from mosaic.routing.learned import LearnedRoutes, features_of, task_of
from mosaic.routing.live import LiveStats
from mosaic.routing.plans import Plan, Planner, open_window, season_of
from mosaic.routing.recorded import Recorded
from mosaic.routing.refusals import refused, unknown_name, unknown_strategies
from mosaic.routing.remembered import Remembered, place_of
from mosaic.routing.rules import Matched, RuleBook
from mosaic.routing.schemas import Decision, Outcome, Ranked, Rejected, RouteRequest, Target
from mosaic.routing.settings import Profile, RoutingSettings, Window
from mosaic.routing.sticking import StickyTargets
from mosaic.routing.strategies import COUNTING, STRATEGIES, Strategy
from mosaic.routing.targets import Targets

__all__ = ["Router"]

_MEMORY = 4096


@dataclass(slots=True, eq=False)
class _Table:
    """Everything that one set of settings and targets comes to; swapped as a whole."""

    planner: Planner
    book: RuleBook
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)
    groups: dict[tuple[object, ...], Groups] = field(default_factory=dict)
    remembered: dict[tuple[object, ...], Remembered] = field(default_factory=dict)


class Router:
    """Decides where requests go. It belongs to one event loop; `replace` swaps what it decides by at once."""

    def __init__(
        self,
        routes: RoutingSettings,
        targets: Targets | Iterable[Target],
        *,
        live: LiveStats,
        clock: Clock = now,
        strategies: Mapping[str, Strategy] | None = None,
        seeds: Callable[[int], int] = random.getrandbits,
    ) -> None:
        """Make a router.

        Args:
            routes: what `load_routes` read.
            targets: where requests can go.
            live: figures of the targets; whoever sends requests keeps them.
            clock: the time for windows and seasons.
            strategies: more strategies by name, or others in place of ours.
            seeds: gives so many random bits.

        Raises:
            InvalidInput: if a route names a strategy that there is not.
        """
        self.live = live
        self._clock = clock
        self._seeds = seeds
        self._strategies: dict[str, Strategy] = {**STRATEGIES, **(strategies or {})}
        self._sticky = StickyTargets(live.clock)
        self.learned = LearnedRoutes()
        self._table = self._made_table(routes, targets)

    def replace(self, routes: RoutingSettings, targets: Targets | Iterable[Target]) -> None:
        """Decide by other routes and targets from now on; what is known of targets and sessions stays.

        Raises:
            InvalidInput: if a route names a strategy that there is not; the old routes stay.
        """
        self._table = self._made_table(routes, targets)

    def _made_table(self, routes: RoutingSettings, targets: Targets | Iterable[Target]) -> _Table:
        problem = unknown_strategies(routes, self._strategies)
        if problem is not None:
            raise problem
        known = targets if isinstance(targets, Targets) else Targets(targets)
        planner = Planner(routes, known.with_facts(routes.facts) if routes.facts else known)
        return _Table(planner, RuleBook(routes.rules))

    @property
    def settings(self) -> RoutingSettings:
        """The routes and rules in force."""
        return self._table.planner.settings

    @property
    def targets(self) -> Targets:
        """The targets that it knows."""
        return self._table.planner.targets

    def decide(self, request: RouteRequest) -> Decision:
        """Return where a request goes: no I/O, tens of microseconds.

        Raises:
            NotFound: no route, target or default has this name.
            Unsupported: every target breaks a constraint; the message says which.
            BudgetExceeded: only the cost stands in the way.
            Unavailable: only targets that rest after failures are left.
        """
        at, table = self._clock(), self._table
        matched = table.book.matching(request)
        known = table.remembered.get(place_of(request, matched))
        settled = known is not None and known.holds(request)
        plan = known.plan if known is not None and settled else self._plan(request, matched, at)
        seed = plan.turns if plan.strategy in COUNTING else self._seeds(48)
        plan.turns += 1
        if known is not None and settled:
            return known.decision(request, matched, at=at, seed=seed)
        return self._decided(request, matched, plan, at=at, seed=seed)

    def to_warm(self) -> tuple[Target, ...]:
        """Return the targets that the season wants ready: the one in force, or one that is about to start."""
        at, settings = self._clock(), self.settings
        found = season_of(settings, at)
        for profile in () if found is not None else settings.profiles.values():
            if season_of(settings, at + timedelta(seconds=profile.warm_before_s)) is profile:
                found = profile
                break
        if found is None:
            return ()
        kinds = dict.fromkeys(route.kind for route in settings.routes.values())
        return tuple(target for kind in kinds for target in self.targets.picked(found.warm, kind))

    def explain(self, request: RouteRequest) -> JsonObject:
        """Return where a request would go and why, in JSON and (under `summary`) in sentences; nothing changes.

        A request that goes nowhere is explained too: then `error` says why and `decision` is null.
        """
        at, book = self._clock(), self._table.book
        matched = book.matching(request)
        decision, error, plan = None, None, None
        try:
            plan = self._plan(request, matched, at)
            seed = plan.turns if plan.strategy in COUNTING else self._seeds(48)
            decision = self._decided(request, matched, plan, at=at, seed=seed, sticky=self._sticky.looking())
        except MosaicError as refusal:
            error = refusal
        scopes = self._table.planner.scopes(request.tenant, request.project)
        return explanation(
            request, matched, plan, decision, error, looked_at=book.looked_at(request), scopes=scopes
        )

    def replay(self, record: JsonObject) -> Decision:
        """Return what today's routes decide for the request, moment, chance and figures of a decision record.

        With the routes of then it is the same decision. Two things are taken from the record as they are: where the
        session was, and how the learned model ordered the candidates.

        Raises:
            InvalidInput: if it is no decision record.
            MosaicError: as `decide`.
        """
        then = Recorded(record)
        past = Router(
            self.settings, self.targets, live=then.live(), clock=lambda: then.at, strategies=self._strategies
        )
        matched = past._table.book.matching(then.request)
        plan = past._plan(then.request, matched, then.at)
        if plan.route.sticky is not None and then.sticky:
            past._sticky.put(plan.route.name, then.request, plan.route.sticky.by, then.target)
        made = past._decided(then.request, matched, plan, at=then.at, seed=then.seed, basis=then.basis)
        return then.in_learned_order(made) if plan.route.learned == "on" else made

    def _decided(
        self,
        request: RouteRequest,
        matched: Matched,
        plan: Plan,
        *,
        at: datetime,
        seed: int,
        sticky: StickyTargets | None = None,
        basis: Mapping[str, float] | None = None,
    ) -> Decision:
        groups = self._group(request, matched, plan)
        choosing = Choosing(
            plan,
            groups,
            request,
            strategy=self._strategies.get(plan.strategy),
            sticky=sticky or self._sticky,
            seed=seed,
            basis=basis,
            unpriced=self.settings.unpriced == "allow",
        )
        candidates = choosing.candidates()
        rejected = tuple(choosing.rejected)
        if not candidates:
            raise refused(request, plan.route.name, rejected)
        features: tuple[float, ...] = ()
        learned = None
        if plan.route.learned != "off":
            features = features_of(request, at)
            fixed = choosing.is_canary or choosing.is_sticky
            learned, candidates = self._by_learning(
                plan, request, features, candidates, own=0 if fixed else choosing.own
            )
        rule = matched.place or matched.order
        return Decision(
            request,
            plan.route.name,
            rule.name if rule is not None else None,
            plan.strategy,
            candidates,
            rejected,
            plan.route.policy,
            applied=matched.names,
            canary=choosing.is_canary,
            shadow=choosing.shadow(),
            sticky=choosing.is_sticky,
            seed=seed,
            at=at,
            basis=choosing.basis,
            window=plan.window.name if plan.window else None,
            profile=plan.profile,
            learned=learned,
            features=features,
            prefer=plan.prefer,
            live=tuple(self.live.of(entry.target.id).figures() for entry in candidates),
        )

    def _by_learning(
        self,
        plan: Plan,
        request: RouteRequest,
        features: tuple[float, ...],
        candidates: tuple[Ranked, ...],
        *,
        own: int,
    ) -> tuple[str | None, tuple[Ranked, ...]]:
        """Return whom the learned model prefers, and the candidates: in its order when it is on."""
        if not own or not self.learned.knows(plan.route.name):
            return None, candidates
        names = [entry.target.id for entry in candidates[:own]]
        order = self.learned.order(plan.route.name, task_of(request), features, names)
        if plan.route.learned == "on":
            candidates = (*(candidates[at] for at in order), *candidates[own:])
        return names[order[0]], candidates

    def learn(
        self,
        decision: Decision,
        target: Target,
        outcome: Outcome,
        *,
        cost_nanos: int | None = None,
        rating: float | None = None,
    ) -> float | None:
        """Learn from how a request ended, and return its reward; None on a route that does not learn.

        Args:
            decision: where it was sent.
            target: the candidate that took it.
            outcome: how it ended.
            cost_nanos: what it cost, when that is known.
            rating: how good the answer was, 0 to 1, by whoever can say.
        """
        if not decision.features:
            return None
        return self.learned.learn(
            decision.route,
            task_of(decision.request),
            decision.features,
            target.id,
            outcome,
            preferred=decision.learned,
            cost_nanos=cost_nanos,
            rating=target.quality if rating is None else rating,
            prefer=decision.prefer,
            others=[entry.target.id for entry in decision.candidates],
        )

    def _group(self, request: RouteRequest, matched: Matched, plan: Plan) -> Groups:
        known = self._table.groups
        key = (
            plan.serial,
            self.live.generation,
            matched.number,
            request.privacy,
            request.residency,
            request.compliance,
            request.needs,
            request.region,
        )
        found = known.get(key)
        if found is None:
            found = self._made_groups(request, matched, plan)
            if len(known) >= _MEMORY:
                known.clear()
                self._table.remembered.clear()
            known[key] = found
            # A season may change the plan from one moment to the next.
            if not self.settings.profiles and Remembered.is_possible(plan, found):
                place = place_of(request, matched)
                self._table.remembered[place] = Remembered(plan, found, matched, self.live)
        return found

    def _made_groups(self, request: RouteRequest, matched: Matched, plan: Plan) -> Groups:
        require = plan.require.together(requested(request)).together(matched.require)
        distances = self.settings.latencies_s
        rejected: list[Rejected] = []

        def pool(targets: Sequence[Target]) -> Pool:
            able, unable = admitted(targets, require, region=request.region, distances=distances)
            rejected.extend(unable)
            return Pool(able, self.live, region=request.region, distances=distances)

        pools = tuple(pool(group) for group in plan.groups)
        canary = pool(plan.canary) if plan.canary else None
        # A copy leaves the house like the request itself: it may go only where that may go.
        shadow, _ = admitted(plan.shadow, require, region=request.region, distances=distances)
        return Groups(pools, canary, tuple(shadow), tuple(rejected), require.max_cost_nanos)

    def _plan(self, request: RouteRequest, matched: Matched, at: datetime) -> Plan:
        settings, known, planner = self.settings, self._table.plans, self._table.planner
        profile = season_of(settings, at) if settings.profiles else None
        name, targets = self._destination(request, matched)
        key: tuple[object, ...] = (
            name or (request.name if matched.place is None else None),
            name is None,
            request.kind,
            planner.payer(request.tenant, request.project),
            profile and profile.name,
            id(matched.place),  # rules live as long as the table that holds this key
            id(matched.order),
        )
        found = known.get(key)
        if found is None:
            found = self._kept(key, self._made_plan(request, matched, profile, name, targets))
        if not found.route.windows:
            return found
        window = open_window(found.route.windows, at)
        if window is None:
            return found
        key = (*key, window.name)
        found = known.get(key)
        return found or self._kept(
            key, self._made_plan(request, matched, profile, name, targets, window=window)
        )

    def _destination(self, request: RouteRequest, matched: Matched) -> tuple[str | None, tuple[Target, ...]]:
        """Return the route that a request goes to, or the targets that it or a rule names without one."""
        planner, rule = self._table.planner, matched.place
        if rule is not None:
            return (
                (rule.route, ()) if rule.route else (None, planner.targets.picked(rule.targets, request.kind))
            )
        routes, name = planner.settings.routes, request.name
        if name in routes:
            return name, ()
        if name:
            exact = planner.targets.get(name)
            if exact is not None and exact.kind == request.kind:
                return None, (exact,)
            same = planner.targets.of_model(request.kind, name)
            if same:
                return None, same
        default = planner.default(request.kind, request.tenant, request.project)
        if default is None or default not in routes:
            raise unknown_name(request, self.settings, self.targets)
        return default, ()  # every name that nobody knows shares the default's plan

    def _kept(self, key: tuple[object, ...], plan: Plan) -> Plan:
        known = self._table.plans
        if len(known) >= _MEMORY:
            known.clear()
        known[key] = plan
        return plan

    def _made_plan(
        self,
        request: RouteRequest,
        matched: Matched,
        profile: Profile | None,
        name: str | None,
        targets: tuple[Target, ...],
        *,
        window: Window | None = None,
    ) -> Plan:
        planner, tenant, project = self._table.planner, request.tenant, request.project
        if name is None:
            return planner.of_targets(targets, request.kind, tenant, project, matched.order)
        route = planner.route(name, tenant, project, profile)
        if route is None or route.kind != request.kind:
            raise unknown_name(request, self.settings, self.targets)
        return planner.of_route(route, tenant, project, profile=profile, window=window, rule=matched.order)
