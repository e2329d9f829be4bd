"""Asks providers how they are, now and then, so that one that is gone gets no request before anyone has failed."""

import asyncio

from mosaic.inference.guards import Guards
from mosaic.observability import get_logger
from mosaic.providers import ProviderHealth, ProviderRegistry

__all__ = ["HealthWatch"]

_log = get_logger(__name__)
_GONE = frozenset({"unreachable", "refused", "broken"})


class HealthWatch:
    """The active health checks of one process.

    A check is one small request that spends no tokens. A provider that does not answer, or refuses our key, is left
    out of routes until a check, or a call to it that had no other place to go, succeeds.
    """

    def __init__(self, providers: ProviderRegistry, guards: Guards, *, every_s: float) -> None:
        self._providers = providers
        self._guards = guards
        self._every_s = every_s
        self._known: dict[str, ProviderHealth] = {}

    @property
    def known(self) -> dict[str, ProviderHealth]:
        """The last answer of each provider that was asked."""
        return dict(self._known)

    def forget(self, name: str) -> None:
        """Drop what is known of a provider that is another one now, its failures too."""
        self._known.pop(name, None)
        self._guards.forget(name)

    async def check(self, name: str, model: str | None = None) -> ProviderHealth:
        """Ask one provider now, and heed what was found.

        Raises:
            NotFound: if there is no such instance.
        """
        asked = self._providers.instance(name).seats
        health = await self._providers.health(name, model)
        if health.usable:
            health = await self._providers.health(name, model, thorough=True)
        now = self._providers.snapshot.instances.get(name)
        if now is None or now.seats != asked:
            return health  # a reload replaced it meanwhile: this is not true of the new one
        if model is not None and not health.usable:
            return health  # the model may be what is missing
        before = self._known.get(name)
        self._known[name] = health
        gone = health.status in _GONE
        self._guards.set_gone(name, gone=gone)
        if before is None or (before.status in _GONE) != gone:
            _log.info("the provider %s is %s: %s", name, health.status, health.detail)
        return health

    async def run(self) -> None:
        """Check for ever; cancel to stop."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.check_all()

    async def check_all(self) -> None:
        """Ask every provider that is configured."""
        names = [name for name in self._providers.names("ai") if name != "scripted"]
        await asyncio.gather(*(self._check(name) for name in names))

    async def _check(self, name: str) -> None:
        try:
            await self.check(name)
        except Exception as error:  # noqa: BLE001  # a plugin is anyone's code; it must not end the checks of others
            _log.warning("the health check of %s failed: %s", name, type(error).__name__)
