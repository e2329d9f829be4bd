"""Providers that a health check found gone are taken out of traffic, looked into, mended where that can be done, and seen to work."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

from mosaic.inference import Guards
from mosaic.observability import get_logger
from mosaic.providers import ProviderHealth
from mosaic.providers.health import HealthMonitor
from mosaic.resilience import Diagnosis, HealingReport, heal

__all__ = ["Healing"]

GONE = frozenset({"unreachable", "refused", "broken"})
_AGAIN_S = 300.0
_PAUSE_S = 1.0

_log = get_logger(__name__)


class Healing:
    """Heals providers, one task for each; a provider that stays gone is tried again every few minutes.

    Args:
        guards: keep traffic away from who is gone.
        pause_s: before a provider is asked again; what was an odd answer is over by then.
    """

    def __init__(self, guards: Guards, *, pause_s: float = _PAUSE_S) -> None:
        self._guards = guards
        self._pause_s = pause_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tried: dict[str, float] = {}
        self._reports: dict[str, HealingReport] = {}
        self.reload: Callable[[], Awaitable[object]] | None = None
        """Takes what settings, keys and plugin folders say now; set by whoever can."""

    @property
    def reports(self) -> Mapping[str, HealingReport]:
        """The last attempt at each provider."""
        return self._reports

    def heard(self, changed: Sequence[ProviderHealth], monitor: HealthMonitor) -> None:
        """Take note of what checks found, and begin to heal who is gone."""
        for health in changed:
            name, gone = health.provider, health.status in GONE
            if name in self._tasks and gone:
                continue  # it is being looked into
            self._guards.set_gone(name, gone=gone)
            _log.info("the provider %s is %s: %s", name, health.status, health.detail)
            if gone and monotonic() - self._tried.get(name, -_AGAIN_S) >= _AGAIN_S:
                self._tried[name] = monotonic()
                task = asyncio.create_task(self._heal(health, monitor), name=f"heal {name}")
                self._tasks[name] = task
                task.add_done_callback(functools.partial(self._done, name))

    def _done(self, name: str, _task: "asyncio.Task[None]") -> None:
        self._tasks.pop(name, None)

    async def ended(self) -> None:
        """Wait until nobody is being healed."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Stop what goes on."""
        for task in (tasks := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _heal(self, found: ProviderHealth, monitor: HealthMonitor) -> None:
        async def diagnose(name: str) -> Diagnosis:
            await asyncio.sleep(self._pause_s)
            health = await monitor.check(name)
            return Diagnosis(health.status if health.status in GONE else "", health.detail)

        async def again(_name: str) -> str:
            if self.reload is None:
                return "nothing can be reloaded here"
            await self.reload()
            return "settings, keys and plugins were read again"

        async def wait(_name: str) -> str:
            await asyncio.sleep(self._pause_s)
            return "it was given a moment; connections are made anew by themselves"

        async def verify(name: str) -> bool:
            return (await monitor.check(name)).usable

        report = await heal(
            found.provider,
            reroute=lambda name, out: self._guards.set_gone(name, gone=out),
            diagnose=diagnose,
            fixes={"refused": again, "broken": again, "unreachable": wait},
            verify=verify,
        )
        if not report.healed:
            self._guards.set_gone(found.provider, gone=True)  # a reload forgets what was known of it
        self._reports[found.provider] = report
        told = "; ".join(f"{step}: {outcome}" for step, outcome in report.steps)
        (_log.info if report.healed else _log.warning)("healing %s: %s", found.provider, told)
