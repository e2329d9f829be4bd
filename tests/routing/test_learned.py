"""The learned model: it finds who answers best for which request, only among those who may, and says what it knows."""

import json
import random

import pytest

from mosaic.core.errors import InvalidInput
from mosaic.routing import LearnedRoutes, LoadForecast, Outcome, RouteRequest, read_history, train
from tests.routing.desk import Desk, ask, target
from tests.routing.lessons import NAMES, ROUTE, asked, best, desk, live_through, outcome


def test_it_learns_whom_to_prefer_from_the_outcomes_alone() -> None:
    made, chance = desk("on"), random.Random(3)
    for _ in live_through(made, 2500, chance):
        pass
    later = list(live_through(made, 1000, chance))
    right = sum(decision.target.id == best(decision.request) for decision, _ in later) / len(later)
    assert right > 0.85
    assert sum(rating for _, rating in later) / len(later) > 0.78  # by turns it is about 0.62


def test_a_history_of_others_choices_trains_it_as_well() -> None:
    made, chance = desk("off"), random.Random(5)
    lines = []
    for _ in range(3000):
        request = asked(chance)
        decision = made.router.decide(request)
        result, rating = outcome(request, decision.target.id, chance)
        lines.append(json.dumps({
            "decision": decision.to_json(), "outcome": {"ok": result.ok, "latency_s": result.latency_s}, "rating": rating,
        }))  # fmt: skip
    trained = desk("on")
    assert train(trained.router.learned, read_history(lines)) == 3000
    fresh = [asked(chance) for _ in range(500)]
    right = sum(trained.first(**_fields(request)) == best(request) for request in fresh) / len(fresh)
    assert right > 0.85
    with pytest.raises(InvalidInput, match="history"):
        list(read_history(['{"decision": {}}']))


def _fields(request: RouteRequest) -> dict[str, object]:
    return {"operation": "chat", "attributes": request.attributes, "input_tokens": request.input_tokens}


def test_in_the_shadow_it_prefers_and_changes_nothing() -> None:
    made, chance = desk("shadow"), random.Random(7)
    decided = [decision for decision, _ in live_through(made, 300, chance)]
    assert [decision.target.id for decision in decided] == [NAMES[i % 3] for i in range(300)]
    assert all(decision.learned in NAMES for decision in decided[1:])
    told = made.router.learned.report()["r"]
    assert told["requests"] == 300
    assert 0.2 < told["agreement"] < 0.5
    assert told["mean_reward_when_agreed"] > told["mean_reward"]
    assert told["regret"] > 10
    assert sum(told["targets"].values()) == 300


def test_off_means_nothing_is_seen() -> None:
    made = desk("off")
    decision = made.router.decide(ask())
    assert (decision.learned, decision.features) == (None, ())
    assert made.router.learn(decision, decision.target, Outcome(True, 1.0)) is None
    assert made.router.learned.report() == {}


def test_it_admits_nobody_whom_a_constraint_keeps_out() -> None:
    made = Desk(
        ROUTE.format(learned="on"), [*(target(name) for name in NAMES), target("x:local", local=True)]
    )
    for _ in range(200):
        decision = made.router.decide(ask())
        made.router.learn(decision, decision.target, Outcome(decision.target.id == "x:code", 1.0), rating=1.0)
    assert made.first() == "x:code"
    assert made.order(privacy="strict") == ["x:local"]
    made.open.add("x:code")
    assert made.first() != "x:code"


def test_failures_cost_and_delay_make_a_reward_smaller() -> None:
    routes = "routes: {r: {targets: ['x:*'], strategy: round-robin, learned: shadow, prefer: {cost: 1, latency: 1}}}"
    made = Desk(routes, [target("x:a"), target("x:b")])
    decision = made.router.decide(ask())

    def reward(ok: bool, latency_s: float, cost: int) -> float:
        return made.router.learn(decision, decision.target, Outcome(ok, latency_s), cost_nanos=cost) or 0.0

    usual = [reward(True, 1.0, 1000) for _ in range(50)][-1]
    assert usual == pytest.approx(0.5)
    assert reward(False, 0.1, 0) == 0.0
    assert reward(True, 4.0, 1000) < usual < reward(True, 0.2, 1000)
    assert reward(True, 1.0, 9000) < usual < reward(True, 1.0, 100)


def test_what_was_learned_survives_a_restart_to_the_letter() -> None:
    made, chance = desk("on"), random.Random(9)
    for _ in live_through(made, 400, chance):
        pass
    state = json.loads(json.dumps(made.router.learned.to_json()))
    again = desk("on")
    again.router.learned.load(state)
    assert again.router.learned.to_json() == state
    assert again.router.learned.report() == made.router.learned.report()
    request = asked(chance)
    assert again.order(**_fields(request)) == made.order(**_fields(request))
    for damaged in ({}, {**state, "features": ["other"]}, {**state, "routes": {"r": {}}}):
        with pytest.raises(InvalidInput):
            again.router.learned.load(damaged)
    assert again.router.learned.to_json() == state


def test_a_thousand_kinds_of_task_do_not_fill_the_memory() -> None:
    learned = LearnedRoutes()
    made = desk("on")
    for number in range(1000):
        decision = made.router.decide(ask(operation=f"o{number}"))
        made.router.learn(decision, decision.target, Outcome(True, 1.0))
    assert len(made.router.learned.to_json()["routes"]["r"]["tasks"]) <= 65
    assert learned.report() == {}


def day(hour: int) -> float:
    return 100.0 + (80.0 if 9 <= hour % 24 < 18 else 0.0)


def test_a_forecast_knows_the_shape_of_the_day_and_its_growth() -> None:
    forecast, chance = LoadForecast(24), random.Random(1)
    for hour in range(24 * 14):
        forecast.observe(day(hour) + hour * 0.2 + chance.gauss(0, 3))
    expected = [day(hour) + (24 * 14 + hour) * 0.2 for hour in range(24)]
    errors = [abs(made - right) / right for made, right in zip(forecast.predict(24), expected, strict=True)]
    assert sum(errors) / len(errors) < 0.06


def test_an_anomaly_is_noticed_and_does_not_spoil_the_forecast() -> None:
    forecast, chance = LoadForecast(24), random.Random(2)
    for hour in range(24 * 10):
        assert forecast.observe(day(hour) + chance.gauss(0, 3)) is False
    before = forecast.predict(24)
    assert forecast.observe(5000.0) is True
    assert [at for at, _, _ in forecast.anomalies] == [240]
    after = forecast.predict(24)
    assert max(abs(a - b) for a, b in zip(after[:-1], before[1:], strict=True)) < 40


def test_a_forecast_above_the_capacity_says_when_and_whom_to_make_ready() -> None:
    forecast = LoadForecast(24)
    for hour in range(24 * 7 + 6):  # it is six in the morning
        forecast.observe(day(hour))
    spare = [("x:a", 50.0), ("x:b", 50.0), ("x:c", 50.0)]
    advice = forecast.advice(130.0, spare=spare, slots=6)
    assert advice.scale_up
    assert advice.in_slots == 4  # nine o'clock
    assert advice.targets == ("x:a", "x:b")
    assert advice.needed == pytest.approx(216, rel=0.05)
    calm = forecast.advice(300.0, spare=spare)
    assert (calm.scale_up, calm.in_slots, calm.targets) == (False, None, ())


def test_a_forecast_before_its_first_season_repeats_what_it_saw_last() -> None:
    forecast = LoadForecast(24)
    assert forecast.predict(2) == [0.0, 0.0]
    forecast.observe(7.0)
    assert forecast.predict(2) == [7.0, 7.0]
