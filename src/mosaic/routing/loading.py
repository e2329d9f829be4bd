"""Routes from a file: read, checked, and every problem told at its line and column."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.money import Money
from mosaic.core.values import JsonObject, JsonValue
from mosaic.expressions import CelError
from mosaic.routing.checking import cross_checks
from mosaic.routing.conditions import compile_condition
from mosaic.routing.patterns import pattern_problem
from mosaic.routing.schemas import NO_POLICY, RoutePolicy
from mosaic.routing.settings import (
    Canary,
    Match,
    Pick,
    Prefer,
    Profile,
    Require,
    Route,
    RouteChange,
    RoutingSettings,
    Rule,
    Scope,
    Shadow,
    Sticky,
    Window,
)
from mosaic.routing.source import Path, Source, read_source, schema_problems
from mosaic.routing.strategies import STRATEGIES

__all__ = ["load_routes", "routes_from"]

_DAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_PER_MTOK = 1_000


def load_routes(
    text: str, file: str = "", *, section: str | None = None, strategies: Collection[str] = STRATEGIES
) -> RoutingSettings:
    """Return the routes that a YAML or JSON text holds.

    Args:
        text: the file's content.
        file: its name, for messages.
        section: the key of the routes in a file that holds more; None when the whole file is routes.
        strategies: names that routes may use.

    Raises:
        InvalidInput: naming every problem with file, line, column and the next step.
    """
    source = read_source(text, file, section=section)
    problems = schema_problems(source)
    if not problems:
        loader = _Loader(source)
        settings = loader.settings()
        problems = [*loader.problems, *cross_checks(source, settings, strategies)]
        if not problems:
            return settings
    raise InvalidInput(
        f"{file or 'The routes'}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the routes.",
        problems=sorted(problems, key=lambda problem: (problem.line, problem.column)),
    )


def routes_from(value: JsonObject, *, strategies: Collection[str] = STRATEGIES) -> RoutingSettings:
    """Return the routes of a value that came from no file.

    Raises:
        InvalidInput: naming every problem with its path.
    """
    source = Source("", value)
    problems = schema_problems(source)
    if not problems:
        loader = _Loader(source)
        settings = loader.settings()
        problems = [*loader.problems, *cross_checks(source, settings, strategies)]
        if not problems:
            return settings
    raise InvalidInput("The routes have problems.", problems=problems)


class _Loader:
    """Makes settings of a value that fits the schema."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def settings(self) -> RoutingSettings:
        value = self.source.value
        return RoutingSettings(
            routes={name: self.route(name, item) for name, item in value.get("routes", {}).items()},
            rules=tuple(self.rule(item, ("rules", at)) for at, item in enumerate(value.get("rules", ()))),
            default=self.default(value.get("default")),
            default_strategy=value.get("default_strategy", "power-of-two"),
            unpriced=value.get("unpriced", "refuse"),
            facts={name: _facts(item) for name, item in value.get("targets", {}).items()},
            tenants={
                name: self.scope(item, ("tenants", name)) for name, item in value.get("tenants", {}).items()
            },
            profiles={name: self.profile(name, item) for name, item in value.get("profiles", {}).items()},
            profile=value.get("profile"),
            latencies_s={
                (here, there): milliseconds / 1000
                for here, row in value.get("regions", {}).items()
                for there, milliseconds in row.items()
            },
            file=self.source.file,
        )

    def complain(
        self, path: Path, message: str, suggestion: str | None = None, *, offset: int | None = None
    ) -> None:
        self.problems.append(self.source.problem(path, message, suggestion, offset=offset))

    def default(self, value: Any) -> Mapping[str, str]:
        """Return the default by kind; a name alone is the default of its route's kind."""
        if not isinstance(value, str):
            return value or {}
        return {self.source.value.get("routes", {}).get(value, {}).get("kind", "ai"): value}

    def route(self, name: str, value: JsonObject) -> Route:
        path: Path = ("routes", name)
        return Route(
            name,
            kind=value.get("kind", "ai"),
            description=value.get("description", ""),
            targets=_picks(value.get("targets")),
            strategy=_strategy(value.get("strategy")),
            prefer=_made(value.get("prefer"), _prefer) or Prefer(),
            require=_require(value.get("require", {})),
            fallback=_fallback(value.get("fallback")),
            sticky=_made(value.get("sticky"), _sticky),
            canary=_made(value.get("canary"), _canary),
            shadow=_made(value.get("shadow"), _shadow),
            windows=self.windows(value, path),
            policy=RoutePolicy(**_policy(value)) if _policy(value) else NO_POLICY,
            learned=value.get("learned", "off"),
        )

    def windows(self, value: JsonObject, path: Path) -> tuple[Window, ...]:
        return tuple(
            self.window(at, item, (*path, "windows", at)) for at, item in enumerate(value.get("windows", ()))
        )

    def window(self, number: int, value: JsonObject, path: Path) -> Window:
        zone = value.get("zone", "UTC")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.complain(
                (*path, "zone"), f"there is no time zone `{zone[:60]}`", "write it like Europe/Berlin"
            )
        return Window(
            value.get("name", f"{value['from']}-{value['to']} {zone} #{number}"),
            time.fromisoformat(value["from"]),
            time.fromisoformat(value["to"]),
            zone=zone,
            days=frozenset(_DAYS[day] for day in value.get("days", _DAYS)),
            targets=_picks(value.get("targets")),
            backup=_picks(value.get("backup")),
            strategy=_strategy(value.get("strategy")),
            prefer=_made(value.get("prefer"), _prefer),
        )

    def change(self, value: JsonObject, path: Path) -> RouteChange:
        return RouteChange(
            targets=_picks(value["targets"]) if "targets" in value else None,
            add=_picks(value.get("add")),
            strategy=_strategy(value.get("strategy")),
            prefer=_made(value.get("prefer"), _prefer),
            require=_require(value.get("require", {})),
            fallback=_fallback(value["fallback"]) if "fallback" in value else None,
            windows=self.windows(value, path) if "windows" in value else None,
            learned=value.get("learned"),
            policy=_policy(value),
        )

    def changes(self, value: JsonObject, path: Path) -> dict[str, RouteChange]:
        inner: Path = (*path, "routes")
        return {name: self.change(item, (*inner, name)) for name, item in value.get("routes", {}).items()}

    def scope(self, value: JsonObject, path: Path) -> Scope:
        return Scope(
            default=self.default(value.get("default")),
            require=_require(value.get("require", {})),
            routes=self.changes(value, path),
            projects={
                name: self.scope(item, (*path, "projects", name))
                for name, item in value.get("projects", {}).items()
            },
        )

    def profile(self, name: str, value: JsonObject) -> Profile:
        path: Path = ("profiles", name)
        return Profile(
            name,
            start=self.day(value.get("from"), (*path, "from")),
            end=self.day(value.get("to"), (*path, "to")),
            routes=self.changes(value, path),
            warm=_picks(value.get("warm")),
            warm_before_s=_seconds(value.get("warm_before", "1h")),
        )

    def day(self, text: str | None, path: Path) -> date | None:
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self.complain(path, f"there is no day `{text}`")
            return None

    def rule(self, value: JsonObject, path: Path) -> Rule:
        match = value.get("match", {})
        fields = {name: tuple(_listed(item)) for name, item in match.items() if name != "attributes"}
        attributes = {name: tuple(_listed(item)) for name, item in match.get("attributes", {}).items()}
        for name, patterns in fields.items():
            self.patterns(patterns, (*path, "match", name))
        for name, patterns in attributes.items():
            self.patterns(patterns, (*path, "match", "attributes", name))
        when = value.get("when")
        if when is not None:
            self.condition(when, (*path, "when"))
        return Rule(
            value["name"],
            priority=value.get("priority", 0),
            match=Match(fields, attributes),
            when=when,
            route=value.get("route"),
            targets=_picks(value.get("targets")),
            strategy=_strategy(value.get("strategy")),
            prefer=_made(value.get("prefer"), _prefer),
            require=_require(value.get("require", {})),
            reason=value.get("reason", ""),
        )

    def patterns(self, patterns: Iterable[JsonValue], path: Path) -> None:
        for pattern in patterns:
            problem = pattern_problem(pattern) if isinstance(pattern, str) else None
            if problem:
                self.complain(path, problem)

    def condition(self, text: str, path: Path) -> None:
        try:
            compile_condition(text)
        except CelError as error:
            self.complain(path, f"wrong expression: {error.message}", error.suggestion, offset=error.offset)


def _made(value: Any, make: Callable[[Any], Any]) -> Any:
    return None if value is None else make(value)


def _strategy(name: str | None) -> str | None:
    """Return a strategy's name; the windows of a route are what `time-of-day` does."""
    return None if name == "time-of-day" else name


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pick(value: Any) -> Pick:
    if isinstance(value, str):
        return Pick(value)
    return Pick(value.get("target", "*"), value.get("weight"), value.get("where", {}))


def _picks(value: Any) -> tuple[Pick, ...]:
    return () if value is None else tuple(_pick(item) for item in _listed(value))


def _fallback(value: Any) -> tuple[str | Pick, ...]:
    """Return fallbacks; a bare name is a route, or a provider's targets when there is no such route."""
    if value is None:
        return ()
    return tuple(
        item if isinstance(item, str) and ":" not in item and "*" not in item else _pick(item)
        for item in _listed(value)
    )


def _prefer(value: JsonObject) -> Prefer:
    return Prefer(*(float(value.get(name, 0.0)) for name in ("cost", "latency", "quality", "locality")))


def _require(value: JsonObject) -> Require:
    residency, regions = value.get("residency"), value.get("regions")
    cost = value.get("max_cost_usd")
    return Require(
        privacy=value.get("privacy", "any"),
        residency=frozenset(residency) if residency else None,
        compliance=frozenset(value.get("compliance", ())),
        capabilities=frozenset(value.get("capabilities", ())),
        regions=frozenset(regions) if regions else None,
        max_latency_s=_seconds(value["max_latency"]) if "max_latency" in value else None,
        max_cost_nanos=None if cost is None else Money.usd(cost).nanos,
        min_quality=value.get("min_quality", 0.0),
        attributes=tuple((name, tuple(_listed(item))) for name, item in value.get("attributes", {}).items()),
    )


def _sticky(value: Any) -> Sticky:
    if isinstance(value, str):
        return Sticky(value)  # type: ignore[arg-type]  # the schema names what it may be
    return Sticky(value.get("by", "session"), _seconds(value.get("ttl", "30m")), value.get("how", "first"))


def _canary(value: JsonObject) -> Canary:
    return Canary(_picks(value["targets"]), value["share"] / 100, value.get("by", "request"))


def _shadow(value: JsonObject) -> Shadow:
    return Shadow(_picks(value["targets"]), value.get("share", 100) / 100)


def _policy(value: JsonObject) -> JsonObject:
    made: JsonObject = {f"{name}_s": _seconds(item) for name, item in value.get("timeouts", {}).items()}
    cache = value.get("cache")
    if isinstance(cache, dict):
        made |= {"cache_ttl_s": _seconds(cache["ttl"]), "semantic_cache": cache.get("semantic", False)}
    elif cache is not None:
        made["cache_ttl_s"] = _seconds(cache)
    if "hedge" in value:
        made["hedge_after_s"] = 0.0 if value["hedge"] == "auto" else _seconds(value["hedge"])
    if "attempts" in value:
        made["attempts"] = value["attempts"]
    return made


def _facts(value: JsonObject) -> JsonObject:
    made = {name: item for name, item in value.items() if not name.endswith("_per_mtok")}
    for name, known in (("input", "input_nanos_per_token"), ("output", "output_nanos_per_token")):
        price = value.get(f"{name}_usd_per_mtok")
        if price is not None:
            made[known] = round(price * _PER_MTOK)
    if "request_usd" in made:
        made["request_nanos"] = Money.usd(made.pop("request_usd")).nanos
    if "latency" in made:
        made["latency_s"] = _seconds(made.pop("latency"))
    return made


def _seconds(value: float | str) -> float:
    if not isinstance(value, str):
        return float(value)
    return round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)), 3)
