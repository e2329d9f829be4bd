"""Decisions that are remembered are the ones that would be made anew."""

import random
from datetime import timedelta
from typing import Any

import pytest

from mosaic.core.errors import MosaicError
from mosaic.routing import RouteRequest
from tests.routing.desk import Desk, ask, target

ROUTES = """
default: one
routes:
  one: {targets: ["a:m"]}
  many: {targets: ["a:m", "b:m"], strategy: ordered}
  behind: {targets: ["a:m"], fallback: ["b:m"]}
  nights: {targets: ["a:m"], windows: [{from: "22:00", to: "06:00", targets: ["b:m"]}]}
  kept: {targets: ["a:m"], sticky: {by: session}}
  copied: {targets: ["a:m"], shadow: {targets: ["b:m"], share: 0.5}}
  cheap: {targets: ["a:m"], require: {max_cost_usd: 0.00001}}
  turns: {targets: ["b:m"], strategy: round-robin}
rules:
  - {name: web, match: {project: web}, require: {compliance: [soc2]}}
  - {name: elsewhere, match: {attributes: {to: b}}, targets: ["b:m"]}
"""
MODELS = [
    target(
        "a:m", compliance=["soc2"], context_tokens=1_000, input_nanos_per_token=10, capabilities=["tools"]
    ),
    target("b:m", local=True, region="eu", residency=["eu"]),
]


def _some_request(chance: random.Random) -> RouteRequest:
    names = [
        "one",
        "many",
        "behind",
        "nights",
        "kept",
        "copied",
        "cheap",
        "turns",
        "a:m",
        "b:m",
        "m",
        "unknown",
    ]
    fields: dict[str, Any] = {
        "project": chance.choice(["web", "shop"]),
        "input_tokens": chance.choice([1, 900, 5_000]),
        "max_output_tokens": chance.choice([0, 200]),
        "needs": chance.choice([(), (), ("tools",)]),
        "privacy": chance.choice(["any", "any", "strict"]),
        "residency": chance.choice([(), (), ("eu",)]),
        "attributes": chance.choice([{}, {}, {"to": "b"}]),
        "session": chance.choice([None, "s"]),
        "budget_left_nanos": chance.choice([None, None, 100]),
        "request_id": str(chance.random()),
    }
    return ask(chance.choice(names), **fields)


def _told(desk: Desk, request: RouteRequest, seed: int) -> object:
    desk.seed = seed
    try:
        return desk.router.decide(request).to_json()
    except MosaicError as error:
        return type(error), error.message


@pytest.mark.parametrize("seed", range(5))
def test_a_router_that_remembers_decides_as_one_that_knows_nothing(seed: int) -> None:
    chance = random.Random(seed)
    old = Desk(ROUTES, MODELS)
    for number in range(400):
        if chance.random() < 0.1:
            old.open ^= {chance.choice(["a:m", "b:m"])}
        old.at += timedelta(hours=chance.choice([0, 0, 0, 5]))
        request = _some_request(chance)
        new = Desk(ROUTES, MODELS, at=old.at)
        new.open |= old.open
        for desk in (old, new):  # what counts on is not what this is about
            for plan in desk.router._table.plans.values():
                plan.turns = 0
            desk.router._sticky._kept.clear()
        assert _told(old, request, number) == _told(new, request, number)


def test_what_is_remembered_goes_with_the_routes() -> None:
    desk = Desk(ROUTES, MODELS)
    assert [desk.first("one", project="shop") for _ in range(3)] == ["a:m"] * 3
    desk.router.replace(
        Desk(ROUTES.replace('one: {targets: ["a:m"]}', 'one: {targets: ["b:m"]}'), []).router.settings, MODELS
    )
    assert desk.first("one", project="shop") == "b:m"


def test_a_season_changes_what_was_remembered() -> None:
    desk = Desk(
        ROUTES
        + 'profiles: {winter: {from: 2026-12-01, to: 2026-12-31, routes: {one: {targets: ["b:m"]}}}}\n',
        MODELS,
    )
    assert [desk.first("one", project="shop") for _ in range(3)] == ["a:m"] * 3
    desk.at += timedelta(days=20)
    assert desk.first("one", project="shop") == "b:m"


def test_a_target_that_asked_for_rest_is_not_remembered_as_awake() -> None:
    desk = Desk(ROUTES, MODELS)
    assert [desk.first("one", project="shop") for _ in range(3)] == ["a:m"] * 3
    desk.served("a:m", ok=False, error_code="limit_exceeded", retry_at=desk.seconds + 10)
    with pytest.raises(MosaicError, match=r"wait"):
        desk.first("one")
    desk.seconds += 11
    assert desk.first("one") == "a:m"
