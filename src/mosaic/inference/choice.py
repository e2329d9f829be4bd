"""Which model to use: the first candidate that can be used now."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from mosaic.core.errors import InvalidInput, MosaicError, NotFound
from mosaic.inference.reference import split_reference
from mosaic.inference.settings import InferenceSettings
from mosaic.inference.traffic import ROUTE, Traffic
from mosaic.providers import ModelCapabilities, ProviderHealth, ProviderRegistry

__all__ = ["ModelChoice"]

DEFAULT = "default"
_HOW = (
    "Set ANTHROPIC_API_KEY or OPENAI_API_KEY (with OPENAI_BASE_URL for a compatible server), or start Ollama; "
    "`scripted:<file>` plays a script without any model."
)


class ModelChoice:
    """Resolves candidates, and remembers for a moment who was healthy."""

    def __init__(
        self, registry: ProviderRegistry, settings: InferenceSettings, traffic: Traffic | None = None
    ) -> None:
        self._traffic = traffic
        self._registry = registry
        self._settings = settings
        self._known: dict[tuple[str, str | None], tuple[float, ProviderHealth]] = {}

    async def resolve(self, candidates: Sequence[str]) -> str:
        """See `Inference.resolve`."""
        tried: dict[str, ProviderHealth] = {}
        for candidate in self._expanded(candidates):
            if self._is_route(candidate):
                return f"{ROUTE}:{candidate.removeprefix(f'{ROUTE}:')}"
            provider, model = split_reference(candidate)
            health = await self._health(provider, model)
            if health.usable and model is None:
                model = await self._default_model(provider)
            if health.usable and model is not None:
                return f"{provider}:{model}"
            tried[candidate] = health
        raise _nothing_usable(tried)

    def of_route(self, route: str) -> ModelCapabilities:
        """Return what every target of a route can do.

        Raises:
            NotFound: if there is no such route.
        """
        traffic = self._traffic
        if traffic is None or not traffic.has_route(route):
            raise NotFound(f"There is no route {route!r}.", hint="`mosaic routes list` shows the routes.")
        able = [
            self._registry.ai(target.provider).capabilities(target.model or "")
            for target in traffic.targets_of(route)
        ]
        if not able:
            raise NotFound(f"The route {route!r} leads to no model that can be used.")
        weakest = min(able, key=lambda one: one.structured_output)
        return replace(weakest, tools=all(one.tools for one in able), images=all(one.images for one in able))

    def _is_route(self, candidate: str) -> bool:
        traffic = self._traffic
        if traffic is None:
            return False
        if candidate.startswith(f"{ROUTE}:"):
            return traffic.has_route(candidate.removeprefix(f"{ROUTE}:"))
        return (
            ":" not in candidate and candidate not in self._registry.names() and traffic.has_route(candidate)
        )

    def _expanded(self, candidates: Sequence[str]) -> list[str]:
        expanded: list[str] = []
        for candidate in candidates or (DEFAULT,):
            expanded += self._settings.defaults if candidate == DEFAULT else (candidate,)
        return list(dict.fromkeys(expanded))

    async def _health(self, provider: str, model: str | None) -> ProviderHealth:
        clock = asyncio.get_running_loop().time
        known = self._known.get((provider, model))
        if known is not None and clock() - known[0] < self._settings.check_ttl_s:
            return known[1]
        health = await self._registry.health(provider, model)
        self._known[provider, model] = (clock(), health)
        return health

    async def _default_model(self, provider: str) -> str | None:
        try:
            return await self._registry.ai(provider).default_model()
        except MosaicError:
            return None  # it went away since it was checked; the next candidate is asked


def _nothing_usable(tried: dict[str, ProviderHealth]) -> MosaicError:
    reasons = [f"{candidate}: {health.detail or health.status}" for candidate, health in tried.items()]
    hints = [health.hint for health in tried.values() if health.hint]
    hint = " ".join(dict.fromkeys([*hints, _HOW]))
    if not tried:
        return InvalidInput("No model is named and none is configured.", hint=hint)
    return NotFound(f"No model can be used. {' '.join(reasons)}", hint=hint, tried=list(tried))
