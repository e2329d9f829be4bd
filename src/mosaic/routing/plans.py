"""Plans: what a route comes to for one tenant and project, in one season and window, with its targets found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from zoneinfo import ZoneInfo

from mosaic.routing.schemas import Target
from mosaic.routing.settings import (
    NO_REQUIREMENT,
    Pick,
    Prefer,
    Profile,
    Require,
    Route,
    RouteChange,
    RoutingSettings,
    Rule,
    Scope,
    Window,
)
from mosaic.routing.targets import Targets

__all__ = ["Plan", "Planner", "open_window", "season_of"]

_serials = count()


@dataclass(slots=True, eq=False)
class Plan:
    """A route, ready for decisions.

    Attributes:
        groups: targets in the order in which whole groups are tried: the route's own, a window's backup, fallbacks.
        canary: targets of the canary; empty without one.
        turns: how many requests it has sent, for strategies that count.
    """

    route: Route
    strategy: str
    prefer: Prefer
    require: Require
    groups: tuple[tuple[Target, ...], ...]
    canary: tuple[Target, ...] = ()
    shadow: tuple[Target, ...] = ()
    window: Window | None = None
    profile: str | None = None
    turns: int = 0
    serial: int = field(default_factory=lambda: next(_serials))


class Planner:
    """Makes plans. Immutable: other settings or targets are another planner."""

    def __init__(self, settings: RoutingSettings, targets: Targets) -> None:
        self.settings = settings
        self.targets = targets

    def scopes(self, tenant: str, project: str) -> tuple[Scope, ...]:
        """Return what holds for a tenant and its project, the wider one first."""
        found = self.settings.tenants.get(tenant)
        if found is None:
            return ()
        inner = found.projects.get(project)
        return (found,) if inner is None else (found, inner)

    def payer(self, tenant: str, project: str) -> tuple[str, str]:
        """Return tenant and project as far as anything is said of them, so that plans serve all others together."""
        scope = self.settings.tenants.get(tenant)
        if scope is None:
            return "", ""
        return tenant, project if project in scope.projects else ""

    def route(self, name: str, tenant: str, project: str, profile: Profile | None) -> Route | None:
        """Return a route with everything that changes it; None when there is none of this name."""
        known = self.settings.routes.get(name)
        if known is None:
            return None
        if profile is not None:
            known = _changed(known, profile.routes.get(name) or profile.routes.get("*"))
        for scope in self.scopes(tenant, project):
            known = _changed(known, scope.routes.get(name) or scope.routes.get("*"))
        return known

    def required(self, tenant: str, project: str) -> Require:
        """Return what a tenant and its project require of every target."""
        found = NO_REQUIREMENT
        for scope in self.scopes(tenant, project):
            found = found.together(scope.require)
        return found

    def default(self, kind: str, tenant: str, project: str) -> str | None:
        """Return the route for a name that nobody knows."""
        name = self.settings.default.get(kind)
        for scope in self.scopes(tenant, project):
            name = scope.default.get(kind, name)
        return name

    def of_route(
        self,
        route: Route,
        tenant: str,
        project: str,
        *,
        profile: Profile | None,
        window: Window | None,
        rule: Rule | None,
    ) -> Plan:
        """Return the plan of a route; `rule` may say another order."""
        picks = window.targets if window is not None and window.targets else route.targets
        groups = [self.targets.picked(picks, route.kind)]
        if window is not None and window.backup:
            groups.append(self.targets.picked(window.backup, route.kind))
        seen = {route.name}
        payer = (tenant, project)
        groups += [self._behind(entry, route.kind, payer, profile, seen) for entry in route.fallback]
        strategy, prefer = self._order(route, window, rule)
        return Plan(
            route,
            strategy,
            prefer,
            route.require.together(self.required(tenant, project)),
            tuple(_each_once(groups)),
            canary=self.targets.picked(route.canary.targets, route.kind) if route.canary else (),
            shadow=self.targets.picked(route.shadow.targets, route.kind) if route.shadow else (),
            window=window,
            profile=profile.name if profile else None,
        )

    def of_targets(
        self, targets: Sequence[Target], kind: str, tenant: str, project: str, rule: Rule | None
    ) -> Plan:
        """Return the plan for targets that were named without a route."""
        route = Route("", kind)
        strategy, prefer = self._order(route, None, rule)
        if len(targets) == 1 and (rule is None or not rule.strategy):
            strategy = "direct"
        return Plan(route, strategy, prefer, self.required(tenant, project), (tuple(targets),))

    def _order(self, route: Route, window: Window | None, rule: Rule | None) -> tuple[str, Prefer]:
        strategy, prefer = route.strategy, route.prefer
        if window is not None:
            strategy, prefer = window.strategy or strategy, window.prefer or prefer
        if rule is not None:
            strategy, prefer = rule.strategy or strategy, rule.prefer or prefer
            if rule.prefer and not rule.strategy:
                strategy = "score"
        return strategy or self.settings.default_strategy, prefer

    def _behind(
        self, entry: str | Pick, kind: str, payer: tuple[str, str], profile: Profile | None, seen: set[str]
    ) -> tuple[Target, ...]:
        if isinstance(entry, Pick):
            return self.targets.picked((entry,), kind)
        route = self.route(entry, *payer, profile)
        if route is None:
            return self.targets.picked((Pick(entry),), kind)
        if entry in seen:
            return ()
        seen.add(entry)
        found = self.targets.picked(route.targets, route.kind)
        for inner in route.fallback:
            found += self._behind(inner, route.kind, payer, profile, seen)
        return found


def _each_once(groups: Iterable[tuple[Target, ...]]) -> Iterable[tuple[Target, ...]]:
    seen: set[str] = set()
    for group in groups:
        fresh = tuple(target for target in group if target.id not in seen)
        seen |= {target.id for target in fresh}
        yield fresh


def _changed(route: Route, change: RouteChange | None) -> Route:
    if change is None:
        return route
    return replace(
        route,
        targets=(route.targets if change.targets is None else change.targets) + change.add,
        strategy=change.strategy or route.strategy,
        prefer=change.prefer or route.prefer,
        require=route.require.together(change.require),
        fallback=route.fallback if change.fallback is None else change.fallback,
        windows=route.windows if change.windows is None else change.windows,
        learned=change.learned or route.learned,
        policy=replace(route.policy, **change.policy),
    )


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def open_window(windows: Sequence[Window], at: datetime) -> Window | None:
    """Return the first window that is open at a moment."""
    for window in windows:
        local = at.astimezone(_zone(window.zone))
        time, day = local.time(), local.weekday()
        if window.start <= window.end:
            if window.start <= time < window.end and day in window.days:
                return window
        elif (time >= window.start and day in window.days) or (
            time < window.end and (local - timedelta(days=1)).weekday() in window.days
        ):
            return window
    return None


def season_of(settings: RoutingSettings, at: datetime) -> Profile | None:
    """Return the season that is switched on, or else the first one that the calendar says."""
    if settings.profile is not None:
        return settings.profiles.get(settings.profile)
    today = at.astimezone(UTC).date()
    for profile in settings.profiles.values():
        if profile.start is not None and profile.start <= today <= (profile.end or profile.start):
            return profile
    return None
