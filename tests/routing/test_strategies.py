"""Strategies: whom each one prefers, and that every one of them can be repeated."""

import math
from collections import Counter

import pytest

from mosaic.routing import STRATEGIES, Field, Outcome, Ranked
from tests.routing.desk import Desk, ask, target

THREE = "routes: {{r: {{targets: ['x:a', 'x:b', 'x:c'], strategy: {strategy}}}}}"


def desk(strategy: str, **facts: dict[str, object]) -> Desk:
    return Desk(
        THREE.format(strategy=strategy), [target(f"x:{name}", **facts.get(name, {})) for name in "abc"]
    )


def test_round_robin_takes_one_after_the_other() -> None:
    made = desk("round-robin")
    assert [made.first() for _ in range(6)] == ["x:a", "x:b", "x:c"] * 2


def test_weighted_gives_each_its_share_and_never_all_at_once() -> None:
    made = desk("weighted", a={"weight": 5}, b={"weight": 1}, c={"weight": 1})
    taken = [made.first() for _ in range(70)]
    assert Counter(taken) == {"x:a": 50, "x:b": 10, "x:c": 10}
    assert "aaaaa" not in "".join(name[-1] for name in taken)


def test_weights_of_a_route_win_and_weight_nothing_is_a_last_resort() -> None:
    routes = "routes: {r: {targets: [{target: 'x:a', weight: 0}, {target: 'x:b', weight: 0.5}], strategy: weighted}}"
    made = Desk(routes, [target("x:a", weight=9), target("x:b")])
    assert {tuple(made.order()) for _ in range(20)} == {("x:b", "x:a")}
    made.open.add("x:b")
    assert made.order() == ["x:a"]


def test_weighted_shares_hold_while_a_target_rests() -> None:
    made = desk("weighted", a={"weight": 2}, b={"weight": 1}, c={"weight": 1})
    made.open.add("x:c")
    taken = Counter(made.first() for _ in range(40))
    assert taken["x:c"] == 0
    assert taken["x:a"] >= taken["x:b"] >= 10


def test_least_connections_counts_open_requests_for_their_weight() -> None:
    made = desk("least-connections", c={"weight": 4})
    made.busy("x:a", 1)
    made.busy("x:b", 2)
    made.busy("x:c", 3)
    assert made.order() == ["x:c", "x:a", "x:b"]


def test_power_of_two_takes_the_less_loaded_of_two_and_never_the_worst() -> None:
    made = desk("power-of-two")
    for name, latency in (("x:a", 0.1), ("x:b", 0.2), ("x:c", 5.0)):
        made.served(name, latency)
    taken = Counter(made.first() for _ in range(300))
    assert taken["x:c"] == 0
    assert taken["x:a"] > taken["x:b"] > 0


def test_power_of_two_sees_open_requests_before_any_answer_comes() -> None:
    made = desk("power-of-two")
    for _ in range(30):
        made.live.begin(made.first())
    assert max(made.live.of(f"x:{name}").active for name in "abc") <= 12


def test_cheapest_reckons_with_the_size_of_question_and_answer() -> None:
    made = desk(
        "cheapest",
        a={"input_nanos_per_token": 100, "output_nanos_per_token": 1000},
        b={"input_nanos_per_token": 300, "output_nanos_per_token": 300},
    )
    assert made.order(input_tokens=1000, max_output_tokens=10) == ["x:a", "x:b", "x:c"]  # no price comes last
    assert made.order(input_tokens=10, max_output_tokens=1000) == ["x:b", "x:a", "x:c"]


def test_fastest_goes_by_what_was_seen_and_tries_what_was_not_one_at_a_time() -> None:
    made = desk("fastest")
    made.served("x:a", 0.5)
    made.served("x:b", 0.2)
    assert made.first() == "x:c"
    made.live.begin("x:c")
    assert made.order() == ["x:b", "x:a", "x:c"]
    made.live.end("x:c", Outcome(True, 0.1))
    assert made.first() == "x:c"


def test_a_slow_answer_is_felt_at_once_and_forgotten_slowly() -> None:
    made = desk("fastest")
    for name in "abc":
        made.served(f"x:{name}", 0.2 if name == "a" else 0.3)
    made.served("x:a", 4.0)
    assert made.order()[-1] == "x:a"
    made.served("x:a", 0.2)
    assert made.order()[-1] == "x:a"
    made.seconds += 120
    made.served("x:a", 0.2)
    assert made.first() == "x:a"


def test_health_prefers_who_does_not_fail_and_takes_turns_among_equals() -> None:
    made = desk("health")
    for _ in range(5):
        made.served("x:b", ok=False, error_code="unavailable")
    taken = Counter(made.first() for _ in range(20))
    assert set(taken) == {"x:a", "x:c"}
    assert made.order()[-1] == "x:b"
    made.seconds += 600
    for _ in range(40):
        made.served("x:b")
    assert "x:b" in {made.first() for _ in range(10)}


def test_a_callers_own_mistake_is_nothing_against_a_target() -> None:
    made = desk("health")
    for code in ("invalid_input", "cancelled", None):
        made.served("x:a", ok=False, error_code=code)
    assert made.live.of("x:a").error_rate == 0
    assert made.live.of("x:a").active == 0


def test_nearest_takes_the_callers_region_first() -> None:
    routes = """
    regions: {eu: {eu: 5, us: 90, asia: 200}}
    routes: {r: {targets: [x:a, x:b, x:c], strategy: nearest}}
    """
    made = Desk(
        routes, [target("x:a", region="us"), target("x:b", region="eu"), target("x:c", region="mars")]
    )
    assert made.order(region="eu") == ["x:b", "x:a", "x:c"]


def test_ordered_keeps_the_list() -> None:
    assert desk("ordered").order() == ["x:a", "x:b", "x:c"]


def test_overflow_fills_the_first_before_the_next() -> None:
    made = desk("overflow", a={"capacity": 2}, b={"capacity": 1})
    taken = []
    for _ in range(5):
        taken.append(made.first())
        made.live.begin(taken[-1])
    assert taken == ["x:a", "x:a", "x:b", "x:c", "x:c"]
    made.live.end("x:a", Outcome(True, 1.0))
    assert made.first() == "x:a"


def test_adaptive_leaves_a_target_whose_load_is_growing_before_it_is_the_busiest() -> None:
    made = desk("adaptive")
    for name in "ab":
        made.served(f"x:{name}", 1.0)
    made.served("x:c", 9.0)
    made.busy("x:a", 3)
    made.seconds += 60
    made.busy("x:b", 3)  # as many as the other, but all of them just now
    made.live.begin("x:a")
    made.live.end("x:a", Outcome(True, 1.0))
    assert made.order()[:2] == ["x:a", "x:b"]


def test_adaptive_keeps_away_from_the_full_and_the_failing() -> None:
    made = desk("adaptive", a={"capacity": 2})
    for name in "abc":
        made.served(f"x:{name}", 1.0)
    made.busy("x:a", 2)
    made.busy("x:b", 3)
    made.seconds += 60
    made.served("x:a", 1.0)
    made.served("x:b", 1.0)
    assert made.order() == ["x:c", "x:b", "x:a"]
    for _ in range(10):
        made.served("x:c", ok=False, error_code="unavailable")
    assert made.first() == "x:b"


def scored(**prefer: float) -> Desk:
    listed = ", ".join(f"{side}: {weight}" for side, weight in prefer.items())
    made = Desk(
        f"routes: {{r: {{targets: ['x:*'], strategy: score, prefer: {{{listed}}}}}}}",
        [
            target("x:cheap", input_nanos_per_token=10, quality=0.3, region="us"),
            target("x:good", input_nanos_per_token=900, quality=1.0, region="us"),
            target("x:quick", input_nanos_per_token=400, quality=0.5, region="us"),
            target("x:near", input_nanos_per_token=900, quality=0.2, local=True),
        ],
    )
    for name, latency in (("cheap", 2.0), ("good", 3.0), ("quick", 0.2), ("near", 3.0)):
        made.served(f"x:{name}", latency)
    return made


@pytest.mark.parametrize(
    ("side", "best"), [("cost", "cheap"), ("latency", "quick"), ("quality", "good"), ("locality", "near")]
)
def test_score_follows_what_is_preferred(side: str, best: str) -> None:
    assert scored(**{side: 1}).first(input_tokens=1000) == f"x:{best}"


def test_a_score_is_made_of_its_parts() -> None:
    decision = scored(cost=2, latency=1, quality=1).router.decide(ask(input_tokens=1000))
    for entry in decision.candidates:
        parts = entry.parts
        assert entry.score == pytest.approx((2 * parts["cost"] + parts["latency"] + parts["quality"]) / 4)
    assert [entry.score for entry in decision.candidates] == sorted(
        (entry.score for entry in decision.candidates), reverse=True
    )


def test_beside_what_is_free_the_prices_of_the_others_still_count() -> None:
    routes = "routes: {r: {targets: ['x:*'], strategy: score, prefer: {cost: 1}}}"
    models = [
        target("x:free", local=True),
        target("x:a", input_nanos_per_token=100),
        target("x:b", input_nanos_per_token=300),
    ]
    ranked = Desk(routes, models).router.decide(ask(input_tokens=1000)).candidates
    assert [(entry.target.id, round(entry.score, 3)) for entry in ranked] == [
        ("x:free", 1.0),
        ("x:a", 0.5),
        ("x:b", 0.25),
    ]
    assert [entry.parts["cost_nanos"] for entry in ranked] == [0.0, 100_000.0, 300_000.0]


def test_beside_what_is_free_an_unknown_price_stays_unknown() -> None:
    routes = "routes: {r: {targets: ['x:*'], strategy: score, prefer: {cost: 1, quality: 1}}}"
    made = Desk(routes, [target("x:free", local=True), target("x:dark", quality=0.5)])
    ranked = made.router.decide(ask(input_tokens=1000)).candidates
    assert [entry.to_json()["parts"]["cost_nanos"] for entry in ranked] == [0.0, None]
    assert all(math.isfinite(entry.score) for entry in ranked)


def test_an_installation_adds_strategies_of_its_own() -> None:
    def last(field: Field) -> list[Ranked]:
        return [field.ranked(at, 0.0, {}) for at in reversed(field.positions)]

    names = {**STRATEGIES, "last": last}
    made = Desk(THREE.format(strategy="last"), [target(f"x:{name}") for name in "abc"], strategies=names)
    assert made.order() == ["x:c", "x:b", "x:a"]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_names_each_target_once_and_rests_nobody(strategy: str) -> None:
    made = desk(strategy, a={"input_nanos_per_token": 5}, b={"weight": 3, "capacity": 1}, c={"region": "eu"})
    made.served("x:a", 0.3)
    for _ in range(7):
        assert sorted(made.order(region="eu")) == ["x:a", "x:b", "x:c"]
    made.open.add("x:b")
    for _ in range(7):
        assert sorted(made.order(region="eu")) == ["x:a", "x:c"]
    made.open.add("x:a")
    assert made.order() == ["x:c"]
