"""The routing section of the settings: routes, rules and who they hold for, as read from a file.

Every duration is in seconds, every amount in billionths of a dollar, every share between 0 and 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from types import MappingProxyType
from typing import Any, Literal

from mosaic.core.values import JsonValue
from mosaic.routing.schemas import EQUALLY, NO_POLICY, Prefer, Privacy, RoutePolicy

__all__ = [
    "NO_REQUIREMENT",
    "Canary",
    "Learning",
    "Match",
    "Pick",
    "Prefer",
    "Profile",
    "Require",
    "Route",
    "RouteChange",
    "RoutingSettings",
    "Rule",
    "Scope",
    "Shadow",
    "Sticky",
    "Window",
]

Learning = Literal["off", "shadow", "on"]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _EMPTY


@dataclass(frozen=True, slots=True)
class Require:
    """What a target must be. Requirements of a request, its route, its rules and its tenant hold together.

    Attributes:
        privacy: `strict` admits local targets only.
        residency: regions where data may be kept; None for anywhere, empty after two that share no region.
        compliance, capabilities: a target must have all of them.
        regions: where it may run; None for anywhere.
        max_latency_s: the most, from the caller's region or as observed.
        max_cost_nanos: the most one request may cost.
        min_quality: of a target, 0 to 1.
        attributes: for each name the values that are admitted.
    """

    privacy: Privacy = "any"
    residency: frozenset[str] | None = None
    compliance: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    regions: frozenset[str] | None = None
    max_latency_s: float | None = None
    max_cost_nanos: int | None = None
    min_quality: float = 0.0
    attributes: tuple[tuple[str, tuple[JsonValue, ...]], ...] = ()

    def together(self, other: "Require") -> "Require":
        """Return what holds when both must hold."""
        if other is NO_REQUIREMENT or other == NO_REQUIREMENT:
            return self
        if self == NO_REQUIREMENT:
            return other
        return Require(
            "strict" if "strict" in (self.privacy, other.privacy) else "any",
            _both(self.residency, other.residency),
            self.compliance | other.compliance,
            self.capabilities | other.capabilities,
            _both(self.regions, other.regions),
            _least(self.max_latency_s, other.max_latency_s),
            _least(self.max_cost_nanos, other.max_cost_nanos),
            max(self.min_quality, other.min_quality),
            (*self.attributes, *(item for item in other.attributes if item not in self.attributes)),
        )


def _both(one: frozenset[str] | None, two: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or two is None:
        return two if one is None else one
    return one & two


def _least(one: Any, two: Any) -> Any:
    known = [value for value in (one, two) if value is not None]
    return min(known) if known else None


NO_REQUIREMENT = Require()


@dataclass(frozen=True, slots=True)
class Pick:
    """Targets by id, by a pattern of ids such as ``openai:*``, or by what they are.

    Attributes:
        target: an id or a pattern.
        weight: in place of the targets' own.
        where: attributes that they must have, `local`, `region` and `provider` included.
    """

    target: str = "*"
    weight: float | None = None
    where: Mapping[str, JsonValue] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Sticky:
    """What keeps requests at one target.

    Attributes:
        by: the field of the request that they share.
        ttl_s: how long after the last request it is remembered.
        how: `first` keeps where the strategy sent the first; `hash` computes it from the field, so that every node
            of an installation agrees without a word.
    """

    by: Literal["session", "key", "agent", "tenant", "project"] = "session"
    ttl_s: float = 1800.0
    how: Literal["first", "hash"] = "first"


@dataclass(frozen=True, slots=True)
class Canary:
    """A share of requests that tries other targets first; the same request or session always falls the same way."""

    targets: tuple[Pick, ...]
    share: float
    by: Literal["request", "session", "key", "agent", "tenant", "project"] = "request"


@dataclass(frozen=True, slots=True)
class Shadow:
    """Targets that get a copy of a share of the requests; nobody sees their answers."""

    targets: tuple[Pick, ...]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day in which a route is another.

    Attributes:
        start, end: local times; an end before the start is on the next day.
        zone: an IANA time zone.
        days: 0 is Monday; a window past midnight belongs to the day it starts on.
        targets: primary targets in this window; empty keeps the route's.
        backup: tried after them.
        strategy, prefer: in place of the route's.
    """

    name: str
    start: time
    end: time
    zone: str = "UTC"
    days: frozenset[int] = frozenset(range(7))
    targets: tuple[Pick, ...] = ()
    backup: tuple[Pick, ...] = ()
    strategy: str | None = None
    prefer: Prefer | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A named way to targets.

    Attributes:
        kind: the provider kind of its targets.
        targets: where it leads.
        strategy: orders the targets that may take a request; None for the installation's default.
        fallback: routes by name, and targets, tried after all others.
        learned: whether the learned model is off, watches (`shadow`), or orders the candidates (`on`).
    """

    name: str
    kind: str = "ai"
    description: str = ""
    targets: tuple[Pick, ...] = ()
    strategy: str | None = None
    prefer: Prefer = EQUALLY
    require: Require = NO_REQUIREMENT
    fallback: tuple[str | Pick, ...] = ()
    sticky: Sticky | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    windows: tuple[Window, ...] = ()
    policy: RoutePolicy = NO_POLICY
    learned: Learning = "off"


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What a tenant, a project or a season changes of a route; None leaves it, requirements are added."""

    targets: tuple[Pick, ...] | None = None
    add: tuple[Pick, ...] = ()
    strategy: str | None = None
    prefer: Prefer | None = None
    require: Require = NO_REQUIREMENT
    fallback: tuple[str | Pick, ...] | None = None
    windows: tuple[Window, ...] | None = None
    learned: Learning | None = None
    policy: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Match:
    """When a rule holds: every field that it names must fit one of the field's patterns.

    Attributes:
        fields: by name of the request's field (`model` is the name that was asked for); patterns are exact texts,
            globs such as ``internal-*``, or regular expressions between slashes.
        attributes: by name of the attribute; a pattern, or a value that must be equal.
    """

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing)
    attributes: Mapping[str, tuple[JsonValue, ...]] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for requests that match: another route, or requirements on top, or both.

    Attributes:
        name: for decision records.
        priority: higher first; equal ones in the order of the file.
        match, when: both must hold; `when` is a CEL expression over `request`.
        route: the route that takes the request, whatever name it asked for.
        targets: in place of a route, the targets themselves.
        strategy, prefer: for these targets, or in place of the route's.
        require: added to everything else that is required.
        reason: why, for people.
    """

    name: str
    priority: int = 0
    match: Match = field(default_factory=Match)
    when: str | None = None
    route: str | None = None
    targets: tuple[Pick, ...] = ()
    strategy: str | None = None
    prefer: Prefer | None = None
    require: Require = NO_REQUIREMENT
    reason: str = ""

    @property
    def chooses(self) -> bool:
        """Whether it says where the request goes or how candidates are ordered."""
        return bool(self.route or self.targets or self.strategy or self.prefer)


@dataclass(frozen=True, slots=True)
class Scope:
    """What holds for one tenant, or for one project of it."""

    default: Mapping[str, str] = field(default_factory=_nothing)
    require: Require = NO_REQUIREMENT
    routes: Mapping[str, RouteChange] = field(default_factory=_nothing)
    projects: Mapping[str, "Scope"] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Profile:
    """A season: changes of routes that hold between two days, or for as long as someone says so.

    Attributes:
        start, end: first and last day, in UTC; None when it is only switched by hand.
        routes: changes by the route's name; ``*`` for all.
        warm: targets to be made ready before it starts.
        warm_before_s: how long before.
    """

    name: str
    start: date | None = None
    end: date | None = None
    routes: Mapping[str, RouteChange] = field(default_factory=_nothing)
    warm: tuple[Pick, ...] = ()
    warm_before_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """Everything that routing can be told.

    Attributes:
        routes: by name.
        rules: as in the file.
        default: the route for a name that nobody knows, by provider kind.
        default_strategy: for routes that name none.
        unpriced: whether a target whose price nobody knows may take a request with a bound on its cost.
        facts: what the operator says of targets, by id or pattern: fields of `Target`.
        tenants: what holds for a tenant.
        profiles: seasons by name.
        profile: the season that is switched on by hand; None goes by the calendar.
        latencies_s: from the caller's region to the target's, in seconds.
        file: where it was read; empty when it came from none.
    """

    routes: Mapping[str, Route] = field(default_factory=_nothing)
    rules: tuple[Rule, ...] = ()
    default: Mapping[str, str] = field(default_factory=_nothing)
    default_strategy: str = "power-of-two"
    unpriced: Literal["refuse", "allow"] = "refuse"
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing)
    tenants: Mapping[str, Scope] = field(default_factory=_nothing)
    profiles: Mapping[str, Profile] = field(default_factory=_nothing)
    profile: str | None = None
    latencies_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    file: str = ""
