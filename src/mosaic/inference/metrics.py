"""What the model door counts, for Prometheus."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mosaic.providers import Usage
from mosaic.routing import Decision, Target

__all__ = ["DoorMetrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_WHERE = ("route", "provider", "model")
_NANOS_PER_USD = 1_000_000_000


class _Sums:
    """What the calls of one route at one target come to.

    Attributes:
        taken: how many calls took at most each of `_SECONDS`, and not less; the last ones took longer.
    """

    __slots__ = ("input_tokens", "labels", "nanos", "output_tokens", "seconds", "taken")

    def __init__(self, route: str, target: Target) -> None:
        self.labels = (route, target.provider, target.model or "")
        self.taken = [0] * (len(_SECONDS) + 1)
        self.seconds = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self.nanos = 0


class _Ended:
    """How many of these calls ended in one way."""

    __slots__ = ("count", "labels", "sums")

    def __init__(self, sums: _Sums, outcome: str, cached: str) -> None:
        self.sums = sums
        self.labels = (*sums.labels, outcome, cached)
        self.count = 0


class DoorMetrics(Collector):
    """Counters and histograms of calls. Labels hold routes and models, never what a caller may choose freely.

    What every call adds to is kept in plain numbers and takes its form when somebody asks: the library's own counters
    each take a lock, six times for a call. For one event loop.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "mosaic_model_attempts",
            "Attempts at a target that failed.",
            ("provider", "model", "error"),
            registry=registry,
        )
        self.refused = Counter(
            "mosaic_model_refusals", "Calls refused before they were sent.", ("reason",), registry=registry
        )
        self.open = Gauge("mosaic_model_calls_open", "Calls that are being answered.", registry=registry)
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._ended: dict[tuple[str, str, str, bool], _Ended] = {}
        registry.register(self)

    def call(
        self,
        decision: Decision,
        target: Target,
        used: Usage,
        nanos: int | None,
        taken_s: float,
        outcome: str,
        *,
        cached: bool = False,
    ) -> None:
        """Count a call that ended."""
        key = (decision.route, target.id, outcome, cached)
        ended = self._ended.get(key)
        if ended is None:
            ended = self._ended[key] = self._first(decision.route, target, outcome, cached=cached)
        ended.count += 1
        sums = ended.sums
        sums.taken[bisect_left(_SECONDS, taken_s)] += 1
        sums.seconds += taken_s
        sums.input_tokens += used.input_tokens
        sums.output_tokens += used.output_tokens
        if nanos:
            sums.nanos += nanos

    def attempt_failed(self, target: Target, error_code: str) -> None:
        """Count an attempt that failed."""
        self.attempts.labels(target.provider, target.model or "", error_code).inc()

    def refusal(self, reason: str) -> None:
        """Count a call that was refused before anything was sent."""
        self.refused.labels(reason).inc()

    def collect(self) -> Iterator[Metric]:
        """Return the sums as Prometheus reads them."""
        calls = CounterMetricFamily(
            "mosaic_model_calls", "Model calls by outcome.", labels=(*_WHERE, "outcome", "cached")
        )
        for ended in self._ended.values():
            calls.add_metric(ended.labels, ended.count)
        seconds = HistogramMetricFamily(
            "mosaic_model_call_seconds", "Time to the end of the answer.", labels=_WHERE
        )
        tokens = CounterMetricFamily("mosaic_model_tokens", "Tokens used.", labels=(*_WHERE, "direction"))
        cost = CounterMetricFamily("mosaic_model_cost_usd", "What was spent, in US dollars.", labels=_WHERE)
        bounds = [*(str(float(bound)) for bound in _SECONDS), "+Inf"]
        for sums in self._sums.values():
            seconds.add_metric(
                sums.labels, list(zip(bounds, accumulate(sums.taken), strict=True)), sums.seconds
            )
            tokens.add_metric((*sums.labels, "input"), sums.input_tokens)
            tokens.add_metric((*sums.labels, "output"), sums.output_tokens)
            cost.add_metric(sums.labels, sums.nanos / _NANOS_PER_USD)
        yield from (calls, seconds, tokens, cost)

    def _first(self, route: str, target: Target, outcome: str, *, cached: bool) -> _Ended:
        sums = self._sums.get((route, target.id))
        if sums is None:
            sums = self._sums[route, target.id] = _Sums(route, target)
        return _Ended(sums, outcome, "yes" if cached else "no")
