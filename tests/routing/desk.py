"""A router over targets whose figures and clocks a test holds."""

from collections.abc import Iterable
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

from mosaic.routing import LiveStats, Outcome, Router, RouteRequest, Target, load_routes

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday


def target(identifier: str, **facts: Any) -> Target:
    """Return a target of the kind `ai` unless the facts say another."""
    provider, _, model = identifier.partition(":")
    for name in ("residency", "compliance", "capabilities"):
        facts[name] = frozenset(facts.get(name, ()))
    return Target(identifier, facts.pop("kind", "ai"), provider, model or None, **facts)


def ask(name: str = "r", **fields: Any) -> RouteRequest:
    """Return a request."""
    given: dict[str, Any] = {"kind": "ai", "tenant": "acme", "project": "web", "request_id": "one", **fields}
    for field in ("needs", "residency", "compliance"):
        given[field] = frozenset(given.get(field, ()))
    return RouteRequest(name=name, **given)


class Desk:
    """A router with a clock for the day, one for seconds, and breakers that a test opens."""

    def __init__(
        self, routes: str, targets: Iterable[Target], *, at: datetime = NOON, seed: int = 0, **more: Any
    ) -> None:
        self.at = at
        self.seconds = 100.0
        self.open: set[str] = set()
        self.seed = seed
        self.live = LiveStats(is_open=self.open.__contains__, clock=lambda: self.seconds)
        self.router = Router(
            load_routes(
                dedent(routes), "routes.yaml", **({"strategies": more["strategies"]} if more else {})
            ),
            list(targets),
            live=self.live,
            clock=lambda: self.at,
            seeds=self.next_seed,
            **more,
        )

    def next_seed(self, bits: int) -> int:
        """Return the seed that the test set; one more each time, so that chance is even."""
        self.seed += 1
        return self.seed % (1 << bits)

    def order(self, name: str = "r", **fields: Any) -> list[str]:
        """Return who may take a request, best first."""
        return [entry.target.id for entry in self.router.decide(ask(name, **fields)).candidates]

    def first(self, name: str = "r", **fields: Any) -> str:
        """Return who takes a request."""
        return self.router.decide(ask(name, **fields)).target.id

    def served(self, target_id: str, latency_s: float = 1.0, **outcome: Any) -> None:
        """Let a target take and end a request."""
        self.live.begin(target_id)
        self.live.end(target_id, Outcome(outcome.pop("ok", True), latency_s, **outcome))

    def busy(self, target_id: str, count: int) -> None:
        """Let a target have so many more open requests."""
        for _ in range(count):
            self.live.begin(target_id)
