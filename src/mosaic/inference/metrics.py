"""What the model door counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mosaic.providers import Usage
from mosaic.routing import Decision, Target

__all__ = ["DoorMetrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class _Children:
    """The counters of one route, target and outcome, looked up once."""

    __slots__ = ("calls", "cost", "input_tokens", "output_tokens", "seconds")

    def __init__(self, metrics: "DoorMetrics", route: str, target: Target, outcome: str, cached: str) -> None:
        labels = (route, target.provider, target.model or "")
        self.calls = metrics.calls.labels(*labels, outcome, cached)
        self.seconds = metrics.seconds.labels(*labels)
        self.input_tokens = metrics.tokens.labels(*labels, "input")
        self.output_tokens = metrics.tokens.labels(*labels, "output")
        self.cost = metrics.cost.labels(*labels)


class DoorMetrics:
    """Counters and histograms of calls. Labels hold routes and models, never what a caller may choose freely."""

    def __init__(self, registry: CollectorRegistry) -> None:
        where = ("route", "provider", "model")
        self.calls = Counter(
            "mosaic_model_calls", "Model calls by outcome.", (*where, "outcome", "cached"), registry=registry
        )
        self.seconds = Histogram(
            "mosaic_model_call_seconds",
            "Time to the end of the answer.",
            where,
            buckets=_SECONDS,
            registry=registry,
        )
        self.tokens = Counter("mosaic_model_tokens", "Tokens used.", (*where, "direction"), registry=registry)
        self.cost = Counter(
            "mosaic_model_cost_usd", "What was spent, in US dollars.", where, registry=registry
        )
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
        self._children: dict[tuple[str, str, str, bool], _Children] = {}

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
        children = self._children.get(key)
        if children is None:
            shown = "yes" if cached else "no"
            children = self._children[key] = _Children(self, decision.route, target, outcome, shown)
        children.calls.inc()
        children.seconds.observe(taken_s)
        children.input_tokens.inc(used.input_tokens)
        children.output_tokens.inc(used.output_tokens)
        if nanos:
            children.cost.inc(nanos / 1_000_000_000)

    def attempt_failed(self, target: Target, error_code: str) -> None:
        """Count an attempt that failed."""
        self.attempts.labels(target.provider, target.model or "", error_code).inc()

    def refusal(self, reason: str) -> None:
        """Count a call that was refused before anything was sent."""
        self.refused.labels(reason).inc()
