"""Checks across a routes file: names that must exist, and combinations that mean nothing."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from mosaic.core.errors import Problem
from mosaic.core.values import JsonObject
from mosaic.routing.settings import RoutingSettings
from mosaic.routing.source import Path, Source

__all__ = ["cross_checks"]

_BY_WINDOWS = "time-of-day"


def cross_checks(source: Source, settings: RoutingSettings, strategies: Collection[str]) -> list[Problem]:
    """Return the problems that only show when everything in the file is known."""
    checks = _Checks(source, settings, strategies)
    return [*checks.names(), *checks.rules(), *checks.strategies(), *checks.seasons()]


class _Checks:
    def __init__(self, source: Source, settings: RoutingSettings, strategies: Collection[str]) -> None:
        self.source = source
        self.routes = set(settings.routes)
        self.settings = settings
        self.known = {*strategies, _BY_WINDOWS}

    def names(self) -> Iterator[Problem]:
        value = self.source.value
        yield from self.default(value, ())
        for tenant, scope in value.get("tenants", {}).items():
            yield from self.scope(scope, ("tenants", tenant))
            for project, inner in scope.get("projects", {}).items():
                yield from self.scope(inner, ("tenants", tenant, "projects", project))
        for name, profile in value.get("profiles", {}).items():
            yield from self.changed(profile, ("profiles", name))

    def scope(self, value: JsonObject, path: Path) -> Iterator[Problem]:
        yield from self.default(value, path)
        yield from self.changed(value, path)

    def default(self, value: JsonObject, path: Path) -> Iterator[Problem]:
        found = value.get("default")
        if isinstance(found, str):
            yield from self.exists(found, (*path, "default"))
        for kind, name in found.items() if isinstance(found, dict) else ():
            yield from self.exists(name, (*path, "default", kind))
            route = self.settings.routes.get(name)
            if route is not None and route.kind != kind:
                yield self.source.problem(
                    (*path, "default", kind), f"`{name}` is a route for {route.kind}, not for {kind}"
                )

    def changed(self, value: JsonObject, path: Path) -> Iterator[Problem]:
        for name in value.get("routes", {}):
            if name != "*":
                yield from self.exists(name, (*path, "routes", name), key=True)

    def exists(self, name: str, path: Path, *, key: bool = False) -> Iterator[Problem]:
        if name not in self.routes:
            yield self.source.problem(path, f"there is no route `{name}`", _near(name, self.routes), key=key)

    def rules(self) -> Iterator[Problem]:
        counted = Counter(rule.name for rule in self.settings.rules)
        for at, rule in enumerate(self.source.value.get("rules", ())):
            if counted[rule["name"]] > 1:
                yield self.source.problem(
                    ("rules", at, "name"),
                    f"`{rule['name']}` names {counted[rule['name']]} rules",
                    "name each once",
                )
            if "route" in rule:
                yield from self.exists(rule["route"], ("rules", at, "route"))
                if "targets" in rule:
                    yield self.source.problem(
                        ("rules", at, "targets"), "a rule names a route or targets, not both"
                    )

    def strategies(self) -> Iterator[Problem]:
        value = self.source.value
        for path, holder in self.holders(value):
            name = holder.get("strategy" if path else "default_strategy")
            where: Path = (*path, "strategy" if path else "default_strategy")
            if name is not None and name not in self.known:
                yield self.source.problem(where, f"there is no strategy `{name}`", _near(name, self.known))
            if name == _BY_WINDOWS and not holder.get("windows"):
                yield self.source.problem(
                    where, "`time-of-day` needs `windows`", "add `windows:` to the route"
                )

    def holders(self, value: JsonObject) -> Iterator[tuple[Path, JsonObject]]:
        yield (), value
        for at, rule in enumerate(value.get("rules", ())):
            yield ("rules", at), rule
        scopes: list[tuple[Path, JsonObject]] = [((), value)]
        for group in ("tenants", "profiles"):
            for name, scope in value.get(group, {}).items():
                scopes.append(((group, name), scope))
                scopes += [
                    ((group, name, "projects", inner), item)
                    for inner, item in scope.get("projects", {}).items()
                ]
        for path, scope in scopes:
            for name, route in scope.get("routes", {}).items():
                yield (*path, "routes", name), route
                for at, window in enumerate(route.get("windows", ())):
                    yield (*path, "routes", name, "windows", at), window

    def seasons(self) -> Iterator[Problem]:
        chosen = self.settings.profile
        if chosen is not None and chosen not in self.settings.profiles:
            yield self.source.problem(
                ("profile",), f"there is no profile `{chosen}`", _near(chosen, self.settings.profiles)
            )
        for name, profile in self.settings.profiles.items():
            if profile.start and profile.end and profile.end < profile.start:
                yield self.source.problem(("profiles", name, "to"), "this profile ends before it starts")


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(names) or 'none yet'}"
