"""Requests whose best target depends on what they ask, and outcomes that show it through noise."""

import random
from collections.abc import Iterator

from mosaic.routing import Decision, Outcome, RouteRequest
from tests.routing.desk import Desk, ask, target

NAMES = ["x:code", "x:long", "x:small"]
ROUTE = (
    "routes: {{r: {{targets: ['x:*'], strategy: round-robin, learned: {learned}, prefer: {{quality: 1}}}}}}"
)


def best(request: RouteRequest) -> str:
    """Say who answers this request best, which the router is not told."""
    if request.input_tokens > 20_000:
        return "x:long"
    return "x:code" if request.attributes["task"] == "code" else "x:small"


def outcome(request: RouteRequest, name: str, chance: random.Random) -> tuple[Outcome, float]:
    rating = chance.gauss(0.85 if name == best(request) else 0.5, 0.1)
    return Outcome(True, chance.uniform(0.5, 1.5)), min(max(rating, 0.0), 1.0)


def asked(chance: random.Random) -> RouteRequest:
    tokens = int(10 ** chance.uniform(1.5, 5))
    return ask(operation="chat", attributes={"task": chance.choice(["code", "chat"])}, input_tokens=tokens)


def desk(learned: str) -> Desk:
    return Desk(ROUTE.format(learned=learned), [target(name) for name in NAMES])


def live_through(made: Desk, count: int, chance: random.Random) -> Iterator[tuple[Decision, float]]:
    for _ in range(count):
        request = asked(chance)
        decision = made.router.decide(request)
        result, rating = outcome(request, decision.target.id, chance)
        made.router.learn(decision, decision.target, result, rating=rating)
        yield decision, rating
