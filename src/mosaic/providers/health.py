"""Whether a provider can be used: the answer, its parts, and the worker that asks again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

from mosaic.core.values import JsonObject

__all__ = ["HealthMonitor", "HealthPart", "HealthSource", "ProviderHealth", "with_parts"]

_log = logging.getLogger(__name__)

HealthPart = Literal["ok", "failing", "unknown"]


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Whether a provider can be used now.

    Attributes:
        status: `ready`; `unconfigured` (a key or address is missing); `unreachable`; `refused` (a key is
            wrong); `broken` (the plugin itself failed).
        detail: one sentence for a person; never holds a key.
        hint: what to do about it.
        connectivity: whether its address answers; `unknown` when nobody asked it.
        authentication: whether it takes the key.
        rate_limit: `failing` while it has told us to wait.
        dependencies: whether the plugins it requires are there.
        limited_until: when it takes requests again, while `rate_limit` is failing.
    """

    provider: str
    status: Literal["ready", "unconfigured", "unreachable", "refused", "broken"]
    detail: str = ""
    hint: str | None = None
    connectivity: HealthPart = "unknown"
    authentication: HealthPart = "unknown"
    rate_limit: HealthPart = "unknown"
    dependencies: HealthPart = "unknown"
    limited_until: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether calls may be sent."""
        return self.status == "ready"

    def to_json(self) -> JsonObject:
        """Return the health as a JSON object."""
        return {
            "provider": self.provider,
            "status": self.status,
            "detail": self.detail,
            "hint": self.hint,
            "parts": {
                "connectivity": self.connectivity,
                "authentication": self.authentication,
                "rate_limit": self.rate_limit,
                "dependencies": self.dependencies,
            },
            "limited_until": self.limited_until.isoformat() if self.limited_until else None,
        }


def with_parts(
    health: ProviderHealth,
    *,
    asked: bool,
    dependencies: HealthPart = "ok",
    limited_until: datetime | None = None,
) -> ProviderHealth:
    """Return the health with the parts that follow from its status.

    Args:
        health: what the provider said.
        asked: whether its address was really asked.
        dependencies: whether the plugins it requires are there.
        limited_until: when it takes requests again; None when it has not told us to wait.
    """
    follows: dict[str, tuple[HealthPart, HealthPart]] = {
        "ready": ("ok", "ok") if asked else ("unknown", "unknown"),
        "refused": ("ok", "failing"),
        "unreachable": ("failing", "unknown"),
    }
    connectivity, authentication = follows.get(health.status, ("unknown", "unknown"))
    return replace(
        health,
        connectivity=health.connectivity if health.connectivity != "unknown" else connectivity,
        authentication=health.authentication if health.authentication != "unknown" else authentication,
        rate_limit="failing" if limited_until is not None else "ok" if asked else "unknown",
        dependencies=dependencies,
        limited_until=limited_until,
    )


class HealthSource(Protocol):
    """What a monitor asks: the registry."""

    def names(self) -> list[str]:
        """Return the names of all instances."""
        ...

    async def health(self, name: str, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Return whether one can be used."""
        ...


class HealthMonitor:
    """Asks every provider at regular times whether it can be used, and remembers.

    Args:
        source: the registry.
        every_s: from the end of one round to the beginning of the next.
        timeout_s: for one provider.
        on_change: told after a round whose health changed: the new health of those, the first round's too; and after
            every `check`.
    """

    def __init__(
        self,
        source: HealthSource,
        *,
        every_s: float = 60.0,
        timeout_s: float = 15.0,
        on_change: Callable[[Sequence[ProviderHealth]], Awaitable[None]] | None = None,
    ) -> None:
        self._source = source
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._latest: dict[str, ProviderHealth] = {}
        self._forgotten: set[str] = set()

    @property
    def latest(self) -> Mapping[str, ProviderHealth]:
        """What the last round found, by instance."""
        return self._latest

    async def run(self) -> None:
        """Ask until cancelled; whatever one provider does, the next round comes."""
        while True:
            try:
                await self.round()
            except Exception:  # noqa: BLE001  # a worker: the next round comes
                _log.exception("a round of health checks failed")
            await asyncio.sleep(self._every_s)

    async def round(self) -> list[ProviderHealth]:
        """Ask every provider once, all at the same time; returns those whose health changed."""
        names = self._source.names()
        self._forgotten.clear()
        found = await asyncio.gather(*(self._ask(name) for name in names))
        latest = dict(zip(names, found, strict=True))
        for name in self._forgotten & latest.keys():  # what was asked is not there any more
            del latest[name]
        changed = [health for name, health in latest.items() if _differs(health, self._latest.get(name))]
        self._latest = latest
        if changed and self._on_change is not None:
            await self._on_change(changed)
        return changed

    async def check(self, name: str, model: str | None = None) -> ProviderHealth:
        """Ask one provider now and return its health.

        Args:
            name: of the instance.
            model: asked for, too; when it is missing, that is no news of the provider and not remembered.
        """
        self._forgotten.discard(name)
        health = await self._ask(name, model)
        if name in self._forgotten or (model is not None and not health.usable):
            return health
        self._latest = {**self._latest, name: health}
        if self._on_change is not None:
            await self._on_change((health,))
        return health

    def forget(self, name: str) -> None:
        """Drop what is known of a provider that is another one now."""
        self._forgotten.add(name)
        self._latest = {known: health for known, health in self._latest.items() if known != name}

    async def _ask(self, name: str, model: str | None = None) -> ProviderHealth:
        try:
            async with asyncio.timeout(self._timeout_s):
                configured = await self._source.health(name, model)
                if not configured.usable:
                    return configured
                return await self._source.health(name, model, thorough=True)
        except TimeoutError:
            return with_parts(
                ProviderHealth(name, "unreachable", f"{name} did not answer in {self._timeout_s:g} s."),
                asked=True,
            )
        except Exception as error:  # noqa: BLE001  # a plugin is anyone's code
            _log.exception("the health of %s could not be asked", name)
            return ProviderHealth(name, "broken", f"Its check failed: {type(error).__name__}.")


def _differs(new: ProviderHealth, old: ProviderHealth | None) -> bool:
    return old is None or (new.status, new.rate_limit) != (old.status, old.rate_limit)
