"""What every door can ask about providers, their models and routes, as plain JSON: how they are, where requests go."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from mosaic.app.door import Door
from mosaic.app.parts import provider_settings
from mosaic.app.settings import Settings
from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.providers import ProviderHealth, ProviderKind, ProviderRegistry
from mosaic.routing import RouteRequest, Rule, Target, read_routes

__all__ = ["ProviderOperations"]

_NANOS_PER_USD = 1_000_000_000
_MTOK = 1_000_000
_ASK_S = 15.0
_SETS = ("needs", "residency", "compliance")
# From worst to best: a provider is shown by the worst of its models.
_STATES = ("open", "half_open", "closed")


class ProviderOperations:
    """Providers, models and routes of one process. Every result is JSON.

    Args:
        door: the process's model door; its figures are shown.
        providers: the instances.
        home_settings: reads the installation's settings anew; may take milliseconds of a disk.
    """

    def __init__(
        self, *, door: Door, providers: ProviderRegistry, home_settings: Callable[[], Settings]
    ) -> None:
        self._door = door
        self._providers = providers
        self._home_settings = home_settings

    async def providers(self, _ctx: Context, *, kind: ProviderKind | None = None) -> JsonObject:
        """Return every instance: plugin, versions, health, breaker, and the figures of its models since the start."""
        names = self._providers.names(kind)
        healths = await asyncio.gather(*(self._health(name) for name in names))
        figures = self._figures()
        return {"items": [self._row(health, figures) for health in healths]}

    async def provider(self, _ctx: Context, name: str) -> JsonObject:
        """Return one instance, with its plugin's manifest and what it can do.

        Raises:
            NotFound: if there is no such instance.
        """
        self._providers.instance(name)
        shown = self._row(await self._health(name), self._figures())
        shown |= {"manifest": None, "capabilities": None, "capabilities_error": None}
        try:
            shown["manifest"] = self._providers.manifest(name).to_json()
            able = self._providers.capabilities(name)
            shown["capabilities"] = {operation: support.to_json() for operation, support in able.items()}
        except MosaicError as error:  # without a configuration it cannot be made and asked
            shown["capabilities_error"] = error.message
        return shown

    async def check_provider(self, _ctx: Context, name: str, *, model: str | None = None) -> JsonObject:
        """Send one small request to a provider and return its health; routes heed what was found.

        Raises:
            NotFound: if there is no such instance.
        """
        self._providers.instance(name)
        return (await self._door.health.check(name, model)).to_json()

    async def reload_providers(self, _ctx: Context) -> JsonObject:
        """Take what the settings, plugin folders and routes say now, without a request failing.

        Calls that run finish on the provider they began with. What did not change keeps its connections.

        Raises:
            InvalidInput: if settings, routes or a provider are wrong; nothing is changed then, and `problems` says why.
        """
        settings = await asyncio.to_thread(self._home_settings)
        await asyncio.to_thread(read_routes, settings.home)
        given, disabled = provider_settings(settings)
        before = self._providers.snapshot
        report = await self._providers.reload(given, disabled=disabled, wait=False)
        for name in (*report.changed, *report.removed):
            self._door.forget(name)
        self._door.load_routes()
        kept = set(self._providers.snapshot.seats())
        shown = report.to_json()
        del shown["unfinished"]  # not known yet: they go on
        return shown | {"draining": sum(seat.in_flight for seat in before.seats() if seat not in kept)}

    async def models(self, _ctx: Context, *, provider: str | None = None, ask: bool = False) -> JsonObject:
        """Return the models that requests can name, with what they can do and cost.

        Args:
            provider: only of this instance.
            ask: ask the providers for those that the catalogue does not know, too.

        Raises:
            NotFound: if there is no such instance.
        """
        if provider is not None:
            self._providers.instance(provider)
        await self._door.know()
        names = [name for name in self._providers.names("ai") if provider in (None, name)]
        healths = await asyncio.gather(*(self._health(name) for name in names))
        ready = {health.provider for health in healths if health.usable}
        targets = self._door.router.targets
        found = {target.id: target for target in targets if target.kind == "ai" and target.provider in names}
        unanswered: list[str] = []
        if ask:
            asked = [name for name in names if name in ready]
            for name, listed in zip(asked, await asyncio.gather(*map(self._listed, asked)), strict=True):
                if listed is None:
                    unanswered.append(name)
                for model in listed or ():
                    target = targets.get(f"{name}:{model}")
                    if target is not None:
                        found.setdefault(target.id, target)
        items = [_model(target, ready=target.provider in ready) for target in found.values()]
        return {"items": sorted(items, key=lambda item: str(item["id"])), "unanswered": unanswered}

    async def routes(self, _ctx: Context) -> JsonObject:
        """Return the routes and rules in force, and where each route leads."""
        await self._door.know()
        settings = self._door.router.settings
        return {
            "items": [self._route(name) for name in settings.routes],
            "rules": [_rule(rule) for rule in sorted(settings.rules, key=lambda rule: -rule.priority)],
            "default": dict(settings.default),
        }

    async def explain_route(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Return where a request would go now and why, by this process's figures; nothing is sent or changed.

        Args:
            ctx: the tenant that asks, and its project where `wanted` names none.
            wanted: fields of `RouteRequest`, and perhaps `budget_usd`.
        """
        await self._door.know()
        given: dict[str, Any] = {"kind": "ai", "name": "", "operation": "chat", **wanted}
        usd = given.pop("budget_usd", None)
        for field in _SETS:
            given[field] = frozenset(given.get(field) or ())
        given["project"] = given.get("project") or ctx.project
        request = RouteRequest(
            **given,
            tenant=ctx.tenant,
            budget_left_nanos=None if usd is None else Money.usd(usd).nanos,
        )
        return self._door.router.explain(request)

    async def _health(self, name: str) -> ProviderHealth:
        """Return what is known: of the last check, else without asking the provider for more than it needs."""
        return self._door.health.latest.get(name) or await self._providers.health(name)

    async def _listed(self, name: str) -> list[str] | None:
        try:
            async with asyncio.timeout(_ASK_S):
                with self._providers.lease(name) as provider:
                    return [model.id for model in await provider.models()]
        except (MosaicError, TimeoutError):
            return None

    def _figures(self) -> dict[str, list[JsonObject]]:
        """Return the figures of each provider's targets that were asked since the start."""
        found: dict[str, list[JsonObject]] = {}
        guards = self._door.guards.to_json()
        for target, live in self._door.live.to_json().items():
            guard = guards.get(target)
            if guard is None and not live["finished"] and not live["active"]:
                continue
            breaker, outlook = (guard["breaker"], guard["outlook"]) if guard else ({}, {})
            found.setdefault(target.partition(":")[0], []).append(
                {
                    "id": target,
                    **live,
                    "breaker": breaker.get("state", "closed"),
                    "retry_in_s": breaker.get("retry_in_s"),
                    "opened": breaker.get("opened", 0),
                    "risk": outlook.get("risk", 0.0),
                    "rate_limit": guard["credential"] if guard else None,
                }
            )
        return found

    def _row(self, health: ProviderHealth, figures: dict[str, list[JsonObject]]) -> JsonObject:
        name = health.provider
        instance = self._providers.instance(name)
        targets = figures.get(name, [])
        source = instance.seats[0].source if instance.seats else None
        told = health.to_json()
        row: JsonObject = {
            "name": name,
            "plugin": instance.plugin,
            "version": None,
            "kinds": [],
            "origin": source.origin if source is not None else None,
            "attributes": dict(instance.attributes),
            **{part: told[part] for part in ("status", "detail", "hint", "parts", "limited_until")},
            "versions": [
                {
                    "pin": seat.pin,
                    "version": seat.version,
                    "weight": instance.settings.pins.get(seat.pin, 0),
                    "in_flight": seat.in_flight,
                }
                for seat in instance.seats
            ],
            "breaker": _worst(target["breaker"] for target in targets),
            "rate_limit": next((found for target in targets if (found := target["rate_limit"])), None),
            "targets": [{key: target[key] for key in target if key != "rate_limit"} for target in targets],
            "healing": report.to_json() if (report := self._door.healing.reports.get(name)) else None,
        }
        try:
            manifest = self._providers.manifest(name)
        except MosaicError:
            return row
        return row | {"version": manifest.version, "kinds": list(manifest.kinds)}

    def _route(self, name: str) -> JsonObject:
        router = self._door.router
        route, settings = router.settings.routes[name], router.settings
        windows = "time-of-day" if route.windows else settings.default_strategy
        return {
            "name": name,
            "kind": route.kind,
            "description": route.description,
            "strategy": route.strategy or windows,
            "targets": [target.id for target in router.targets.picked(route.targets, route.kind)],
            "fallback": [entry if isinstance(entry, str) else entry.target for entry in route.fallback],
            "learned": route.learned,
            "windows": [window.name for window in route.windows],
            "policy": route.policy.to_json(),
        }


def _worst(states: Iterable[str]) -> str | None:
    found = set(states)
    return next((state for state in _STATES if state in found), None)


def _model(target: Target, *, ready: bool) -> JsonObject:
    return {
        "id": target.id,
        "provider": target.provider,
        "model": target.model,
        "ready": ready,
        "capabilities": sorted(target.capabilities),
        "context_tokens": target.context_tokens,
        "input_usd_per_mtok": _usd(target.input_nanos_per_token),
        "output_usd_per_mtok": _usd(target.output_nanos_per_token),
        "local": target.local,
        "region": target.region,
        "residency": sorted(target.residency),
        "compliance": sorted(target.compliance),
        "quality": target.quality,
    }


def _usd(nanos_per_token: int | None) -> float | None:
    return None if nanos_per_token is None else nanos_per_token * _MTOK / _NANOS_PER_USD


def _rule(rule: Rule) -> JsonObject:
    return {
        "name": rule.name,
        "priority": rule.priority,
        "route": rule.route,
        "targets": [pick.target for pick in rule.targets],
        "strategy": rule.strategy,
        "reason": rule.reason,
    }
