"""Decisions as records: explained in words, repeated from the record, and quick."""

import json
from typing import Any

import pytest

from mosaic.core.errors import InvalidInput
from mosaic.routing import MAX_CANDIDATES, STRATEGIES, Outcome
from tests.routing.desk import Desk, ask, target

ROUTES = """
regions: {{eu: {{eu: 5, us: 90}}}}
routes:
  r:
    targets: ["x:*"]
    strategy: {strategy}
    fallback: [y:last]
    sticky: session
    prefer: {{cost: 2, latency: 1, quality: 1, locality: 1}}
"""


def desk(strategy: str) -> Desk:
    made = Desk(
        ROUTES.format(strategy=strategy),
        [
            *(
                target(f"x:{i}", input_nanos_per_token=100 * (i % 4 + 1), quality=i / 12, weight=1 + i % 3,
                       capacity=4, region="eu" if i % 2 else "us")
                for i in range(12)
            ),
            target("y:last", input_nanos_per_token=1),
        ],
    )  # fmt: skip
    for i in range(11):
        made.busy(f"x:{i}", i * 5 % 7)
        made.served(
            f"x:{i}",
            0.2 + 0.1 * (i * 7 % 12),
            ok=i % 5 != 0,
            error_code="unavailable" if i % 5 == 0 else None,
        )
        made.seconds += 1
    made.open.add("x:4")
    return made


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_decision_is_repeated_from_its_record_whatever_happened_since(strategy: str) -> None:
    made = desk(strategy)
    fields: dict[str, Any] = {"region": "eu", "input_tokens": 1000, "max_output_tokens": 100}
    for number in range(8):
        session = f"s{number % 3}"
        decision = made.router.decide(ask(**fields, session=session))
        record = json.loads(json.dumps(decision.to_json()))
        made.busy(f"x:{number}", 9)
        made.served(f"x:{number + 1}", 8.0)
        made.open.symmetric_difference_update({f"x:{number}", "x:4"})
        again = made.router.replay(record)
        assert [entry.target.id for entry in again.candidates] == [
            entry.target.id for entry in decision.candidates
        ]
        assert [entry.score for entry in again.candidates] == pytest.approx(
            [entry.score for entry in decision.candidates]
        )
        assert again.sticky == decision.sticky
        assert {(entry.target.id, entry.constraint) for entry in again.rejected} == {
            (entry.target.id, entry.constraint) for entry in decision.rejected
        }
        assert len(decision.candidates) == MAX_CANDIDATES + 1


def test_a_repetition_by_other_routes_shows_what_they_would_have_done() -> None:
    made = Desk("routes: {r: {targets: [x:a, x:b], strategy: ordered}}", [target("x:a"), target("x:b")])
    record = made.router.decide(ask()).to_json()
    other = Desk("routes: {r: {targets: [x:b], strategy: ordered}}", [target("x:a"), target("x:b")])
    assert other.router.replay(record).target.id == "x:b"
    with pytest.raises(InvalidInput, match="not a decision record"):
        made.router.replay({"request": {}})


def test_an_explanation_changes_nothing() -> None:
    made = Desk(
        "routes: {r: {targets: [x:a, x:b], strategy: round-robin, sticky: session}}",
        [target("x:a"), target("x:b")],
    )
    for _ in range(3):
        assert made.router.explain(ask(session="s"))["decision"]["target"] == "x:a"
    assert made.router.decide(ask(session="s")).sticky is False
    assert made.first(session="s2") == "x:b"


def test_an_explanation_says_in_words_what_led_there() -> None:
    routes = """
    targets: {"eu:*": {residency: [eu]}}
    routes:
      r: {targets: ["us:m", "eu:m", "eu:n"], strategy: cheapest, cache: 60s}
    rules:
      - {name: europeans, match: {attributes: {customer: eu}}, require: {residency: [eu]}, reason: contract}
      - {name: broken, when: request.attributes.size > 3, route: r}
    tenants: {acme: {require: {max_cost_usd: 0.5}}}
    """
    models = [
        target(name, input_nanos_per_token=price)
        for name, price in (("us:m", 1), ("eu:m", 2000), ("eu:n", 9000))
    ]
    made = Desk(routes, models)
    told = made.router.explain(ask(attributes={"customer": "eu"}, input_tokens=1000))
    assert told["summary"] == [
        "eu:m takes this request.",
        "Route: r, because the request names it.",
        "Rule europeans: holds (contract).",
        "Rule broken: its condition cannot be evaluated: `request.attributes` has no field `size` (it has: customer).",
        "Required: at most $0.50 (tenant acme).",
        "Required: data stays in eu (rule europeans).",
        "Order: cheapest, the lowest estimated cost first.",
        "  1. eu:m  at most $0.002",
        "  2. eu:n  at most $0.009",
        "Not us:m: data must stay in eu, and nobody stated where it keeps data.",
        "Sent with: cache_ttl_s 60.",
    ]
    assert json.loads(json.dumps(told))["decision"]["target"] == "eu:m"
    made.open |= {"eu:m", "eu:n"}
    refused = made.router.explain(ask(attributes={"customer": "eu"}))
    assert refused["decision"] is None
    assert refused["error"]["code"] == "unavailable"
    assert refused["summary"][0].startswith("Nobody takes this request.")


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_an_explanation_of_every_strategy_shows_its_figures(strategy: str) -> None:
    told = desk(strategy).router.explain(ask(region="eu", input_tokens=10, request_id="x"))
    assert any(
        line.startswith(f"Order: {strategy}, ") and "of this installation" not in line
        for line in told["summary"]
    )
    assert sum(line.startswith("  ") for line in told["summary"]) == MAX_CANDIDATES + 1


def test_a_decision_looks_at_no_clock_but_the_routers_and_keeps_its_figures() -> None:
    made = desk("fastest")
    decision = made.router.decide(ask())
    assert decision.at == made.at
    before = decision.to_json()
    made.live.end(decision.target.id, Outcome(True, 99.0))
    assert decision.to_json() == before


def test_a_record_is_plain_json_even_when_a_price_is_unknown() -> None:
    made = Desk("routes: {r: {targets: [x:a, x:b], strategy: cheapest}}", [target("x:a"), target("x:b")])
    record = made.router.decide(ask()).to_json()
    assert record["candidates"][0]["parts"] == {"cost_nanos": None}
    assert made.router.replay(json.loads(json.dumps(record, allow_nan=False))).target.id == record["target"]
