"""The model door of one process: keys, budgets, routes, cache and guards, wired, started and stopped together."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from mosaic.app.config_file import CONFIG_NAMES
from mosaic.app.healing import Healing
from mosaic.app.learned_file import LearnedFile
from mosaic.app.parts import make_quotas
from mosaic.app.popularity_file import PopularityFile
from mosaic.app.sections import CacheSection, GatewaySection
from mosaic.app.settings import Settings
from mosaic.app.targets import find_targets
from mosaic.cache import CachePolicy, CacheSettings, Warming, open_cache
from mosaic.core.errors import InvalidInput, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.cost import (
    Bookkeeper,
    BudgetLimits,
    Budgets,
    BudgetSettings,
    Cost,
    Ledger,
    OwnPrices,
    PriceBook,
    Quotas,
)
from mosaic.events import Bus, Journal
from mosaic.inference import (
    Captures,
    DoorMetrics,
    DoorRooms,
    DoorSettings,
    Guards,
    ModelDoor,
    SimilarSettings,
    Traffic,
)
from mosaic.observability import Telemetry, get_logger
from mosaic.providers import ProviderHealth, ProviderRegistry
from mosaic.providers.health import HealthMonitor
from mosaic.providers.upstream import UpstreamPool, UpstreamTimeouts
from mosaic.resilience import RetryBudget
from mosaic.routing import LiveStats, Router, RoutingSettings
from mosaic.routing.files import ROUTES_NAMES, read_routes
from mosaic.security import Keys
from mosaic.storage import BlobStore, Database

__all__ = ["Door"]

_Seen = tuple[tuple[str, int, int], ...]

_LOOK_AGAIN_S = 1.0

_log = get_logger(__name__)


class Door:
    """What calls of models pass.

    Attributes:
        model_door: for calls from outside.
        metrics: what it counts, for Prometheus.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        journal: Journal,
        bus: Bus,
        providers: ProviderRegistry,
        cost: Cost,
        redactor: Redactor,
        environ: Mapping[str, str],
        telemetry: Telemetry | None = None,
        blobs: BlobStore | None = None,
    ) -> None:
        self._home = settings.home
        self._providers = providers
        self.keys = Keys(database, journal, bus)
        books = Bookkeeper(database, journal, BudgetSettings(unpriced=settings.cost.unpriced))
        self.limits = BudgetLimits(database, journal, bus, books)
        self.quotas = Quotas(make_quotas(settings))
        self.budgets = Budgets(database, journal, bus, books, on_nodes=self.quotas.divide)
        cost.draw_on(self.budgets)
        self.ledger = Ledger(books)
        self.prices = PriceBook(cost.prices)
        cost.prefer(self.prices)
        self.own_prices = OwnPrices(database, journal, bus, self.prices)
        self.guards = Guards()
        self.healing = Healing(self.guards)
        self._health_check_s = settings.gateway.health_check_s
        self.health = HealthMonitor(providers, every_s=self._health_check_s, on_change=self._health_changed)
        self.live = LiveStats(is_open=self.guards.avoided)
        self.upstream = UpstreamPool()
        self.cache = open_cache(_cache_settings(settings.cache, environ))
        self.warming = Warming(self.cache)
        self._warms = settings.cache.warm and bool(self.cache.below)
        self._popular = PopularityFile(settings.home, self.warming)
        self.registry = CollectorRegistry()
        self.metrics = DoorMetrics(self.registry)
        self._routes_seen: _Seen = ()
        self.router = Router(RoutingSettings(), (), live=self.live)
        self.traffic = Traffic(self.router, self.guards)
        self._learned = LearnedFile(settings.home, self.router)
        self.model_door = ModelDoor(
            self._rooms(settings, providers, redactor=redactor, telemetry=telemetry, blobs=blobs)
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _rooms(
        self,
        settings: Settings,
        providers: ProviderRegistry,
        *,
        redactor: Redactor,
        telemetry: Telemetry | None,
        blobs: BlobStore | None,
    ) -> DoorRooms:
        """Return what calls from outside pass."""
        return DoorRooms(
            providers=providers,
            router=self.router,
            live=self.live,
            guards=self.guards,
            budgets=self.budgets,
            quotas=self.quotas,
            ledger=self.ledger,
            prices=self.prices,
            cache=self.cache,
            upstream=self.upstream,
            metrics=self.metrics,
            retries=RetryBudget(),
            redactor=redactor,
            telemetry=telemetry,
            captures=_captures(settings.gateway, blobs, redactor),
            similar=_similar(settings.cache),
            cache_limits=_limits(settings.cache),
            settings=_door_settings(settings.gateway, settings.inference.max_output_tokens),
        )

    async def start(self) -> None:
        """Read keys, limits and routes, and follow their changes.

        Raises:
            InvalidInput: if the routes file is wrong, with every problem in it.
        """
        await asyncio.to_thread(self.prices.list.load)
        self.load_routes()
        await self.own_prices.start()
        await self.keys.start()
        await self.budgets.start()
        self._tasks = [
            asyncio.create_task(self._watch(), name="routes"),
            asyncio.create_task(self.cache.listen(), name="cache purges"),
            asyncio.create_task(self._learned.keep(), name="learned routes"),
        ]
        if self._warms:  # without a tier below there is nothing to bring into memory
            self._popular.recall()
            self._tasks.append(asyncio.create_task(self.warming.run(), name="cache warming"))
        if self._health_check_s:
            self._tasks.append(asyncio.create_task(self._ask_for_health(), name="health checks"))

    def load_routes(self) -> None:
        """Decide by the routes file and the providers as they are now.

        Raises:
            InvalidInput: if the file is wrong; what was decided by stays.
        """
        self._routes_seen = _seen(self._home)
        self.router.replace(read_routes(self._home), find_targets(self._providers, self.prices.list))
        self.model_door.forget()

    def forget(self, provider: str) -> None:
        """Drop what is known of a provider that is another one now, its failures too."""
        self.health.forget(provider)
        self.guards.forget(provider)

    async def know(self) -> None:
        """Read prices and routes where this process only looks on; one that serves follows them anyway.

        Raises:
            InvalidInput: if the routes file is wrong.
        """
        if not self._tasks and not self._routes_seen:
            await asyncio.to_thread(self.prices.list.load)
            self.load_routes()

    async def close(self) -> None:
        """Stop following changes, write what was used, close connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.healing.close()
        await self.model_door.close()
        self._learned.save()
        if self._warms:
            self._popular.save()
        await self.upstream.close()
        await self.cache.close()
        await self.own_prices.close()
        await self.keys.close()
        await self.budgets.close()

    async def _ask_for_health(self) -> None:
        await asyncio.sleep(self._health_check_s)  # a start should not wait for vendors, nor bother them
        await self.health.run()

    async def _health_changed(self, changed: Sequence[ProviderHealth]) -> None:
        self.healing.heard(changed, self.health)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            if _seen(self._home) == self._routes_seen:
                continue
            try:
                self.load_routes()
                _log.info("the routes were read again")
            except (InvalidInput, Unavailable) as error:
                problems = "; ".join(map(str, getattr(error, "problems", ()))) or error.message
                _log.error("the changed routes are wrong, the old ones stay: %s", problems)


def _seen(home: Path) -> _Seen:
    """Return what tells one state of the files that hold routes from another."""
    found = []
    for name in (*ROUTES_NAMES, *CONFIG_NAMES):
        try:
            status = (home / name).stat()
        except OSError:
            continue
        found.append((name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _door_settings(section: GatewaySection, max_output_tokens: int) -> DoorSettings:
    return DoorSettings(
        attempts=section.attempts,
        max_concurrency=section.max_concurrency,
        max_output_tokens=max_output_tokens,
        timeouts=UpstreamTimeouts(
            connect_s=section.connect_s,
            first_byte_s=section.first_byte_s,
            idle_s=section.idle_s,
            total_s=section.total_s,
        ),
    )


def _captures(section: GatewaySection, blobs: BlobStore | None, redactor: Redactor) -> Captures | None:
    if section.capture == "off" or blobs is None:
        return None
    return Captures(blobs, redactor, section.capture, max_bytes=section.capture_max_bytes)


def _cache_settings(section: CacheSection, environ: Mapping[str, str]) -> CacheSettings:
    return CacheSettings(
        memory_bytes=section.memory_bytes,
        redis_url=section.redis_url or "",
        redis_password=environ.get("MOSAIC_REDIS_PASSWORD"),
        objects_url=section.objects_url or "",
    )


def _similar(section: CacheSection) -> SimilarSettings:
    own = section.semantic
    return SimilarSettings(own.embedder, own.tenants, own.similarity, own.timeout_s)


def _limits(section: CacheSection) -> dict[str, CachePolicy]:
    return {
        name: CachePolicy(
            ttl_s=own.ttl_s,
            max_bytes=own.max_bytes,
            tiers=frozenset(own.tiers) if own.tiers is not None else None,
            similarity=0.0,  # the route's own is the stricter one
        )
        for name, own in section.providers.items()
    }
