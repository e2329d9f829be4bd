"""What each component of this process counts, for Prometheus, beside what the model door counts of every call."""

from collections.abc import Iterator

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mosaic.app.door import Door
from mosaic.engine import Engine
from mosaic.tools import ToolDoor

__all__ = ["ComponentMetrics"]

_TOOL = ("source", "risk", "outcome")
_CACHE = ("memory", "redis", "objects", "joined", "similar", "fetched")


class ComponentMetrics(Collector):
    """Tools, engine, cache, providers and the process itself.

    Labels hold kinds, routes and providers, never a tenant or a name that a caller may choose. The sums are kept by the
    components and read when somebody asks.

    Args:
        door: counts in its registry; its cache and providers are shown.
        tools: whose calls are counted.
        engine: whose executions are counted.
    """

    def __init__(self, door: Door, tools: ToolDoor, engine: Engine) -> None:
        self._door = door
        self._tools = tools
        self._engine = engine
        ProcessCollector(registry=door.registry)
        PlatformCollector(registry=door.registry)
        door.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the sums as Prometheus reads them."""
        yield from self._of_tools()
        yield from self._of_the_engine()
        lookups = CounterMetricFamily(
            "mosaic_cache_lookups", "Look-ups in the cache by what answered.", labels=("route", "source")
        )
        for route, tally in self._door.cache.counts.by_route().items():
            for source in _CACHE:
                lookups.add_metric((route, source), getattr(tally, source))
        up = GaugeMetricFamily(
            "mosaic_provider_up",
            "Whether the last health check found a provider usable.",
            labels=("provider",),
        )
        for name, health in self._door.health.latest.items():
            up.add_metric((name,), float(health.usable))
        yield from (lookups, up)

    def _of_tools(self) -> Iterator[Metric]:
        calls = CounterMetricFamily("mosaic_tool_calls", "Calls of tools by outcome.", labels=_TOOL)
        seconds = CounterMetricFamily("mosaic_tool_call_seconds", "Time spent in tools.", labels=_TOOL)
        for figure in self._tools.figures:
            labels = (figure.source, figure.risk, figure.outcome)
            calls.add_metric(labels, figure.calls)
            seconds.add_metric(labels, figure.seconds)
        yield from (calls, seconds)

    def _of_the_engine(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "mosaic_executions", "Executions that ended here.", labels=("handler", "status")
        )
        for (handler, status), count in self._engine.ended_executions.items():
            ended.add_metric((handler, status), count)
        running = GaugeMetricFamily("mosaic_executions_open", "Executions that run here now.")
        running.add_metric((), self._engine.open_executions)
        yield from (ended, running)
