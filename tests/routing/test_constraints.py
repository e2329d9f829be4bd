"""Constraints: who may not take a request, whatever the strategy prefers, and what is said of it."""

from typing import Any

import pytest

from mosaic.core.errors import BudgetExceeded, NotFound, PolicyDenied, Unavailable, Unsupported
from mosaic.routing import ASSUMED_CONTEXT_TOKENS, Outcome
from tests.routing.desk import Desk, ask, target

ALL = "routes: {r: {targets: ['*'], strategy: ordered}}"
HOUSE = [
    target("cloud:big", residency=["us"], compliance=["soc2"], capabilities=["vision", "tools"], context_tokens=400_000,
           input_nanos_per_token=100, region="us", quality=0.9),
    target("cloud:eu", residency=["eu"], compliance=["gdpr", "soc2", "hipaa"], capabilities=["tools"],
           context_tokens=128_000, input_nanos_per_token=50, region="eu", quality=0.6),
    target("ollama:small", local=True, capabilities=["tools"], region="house", quality=0.2),
]  # fmt: skip


def house(routes: str = ALL) -> Desk:
    return Desk(routes, HOUSE)


@pytest.mark.parametrize(
    ("asked", "able"),
    [
        ({}, ["cloud:big", "cloud:eu", "ollama:small"]),
        ({"privacy": "strict"}, ["ollama:small"]),
        ({"residency": ["eu"]}, ["cloud:eu"]),
        ({"residency": ["eu", "us"]}, ["cloud:big", "cloud:eu"]),
        ({"compliance": ["soc2"]}, ["cloud:big", "cloud:eu"]),
        ({"compliance": ["gdpr", "hipaa"]}, ["cloud:eu"]),
        ({"needs": ["vision"]}, ["cloud:big"]),
        ({"input_tokens": 100_001}, ["cloud:big", "cloud:eu"]),
        ({"input_tokens": 120_000, "max_output_tokens": 10_000}, ["cloud:big"]),
        ({"input_tokens": 1000, "budget_left_nanos": 60_000}, ["cloud:eu", "ollama:small"]),
        ({"compliance": ["soc2"], "needs": ["tools"], "input_tokens": 200_000}, ["cloud:big"]),
    ],
)
def test_only_who_fulfils_everything_that_is_asked_takes_part(asked: dict[str, Any], able: list[str]) -> None:
    assert house().order(**asked) == able


@pytest.mark.parametrize(
    ("require", "able"),
    [
        ("privacy: strict", ["ollama:small"]),
        ("residency: [eu]", ["cloud:eu"]),
        ("compliance: [hipaa]", ["cloud:eu"]),
        ("capabilities: [vision]", ["cloud:big"]),
        ("regions: [us, house]", ["cloud:big", "ollama:small"]),
        ("max_latency: 100ms", ["cloud:eu"]),
        ("max_cost_usd: 0.00006", ["cloud:eu", "ollama:small"]),
        ("min_quality: 0.5", ["cloud:big", "cloud:eu"]),
        ("attributes: {owner: [us, them]}", ["cloud:eu"]),
    ],
)
def test_a_route_requires_of_every_request(require: str, able: list[str]) -> None:
    routes = f"""
    regions: {{eu: {{eu: 10, us: 140}}}}
    targets: {{"cloud:eu": {{attributes: {{owner: us}}}}}}
    routes: {{r: {{targets: ["*"], strategy: ordered, require: {{{require}}}}}}}
    """
    assert house(routes).order(region="eu", input_tokens=1000) == able


def test_requirements_of_request_route_rules_and_tenant_hold_together() -> None:
    routes = """
    routes: {r: {targets: ["*"], strategy: ordered, require: {compliance: [soc2]}}}
    rules:
      - {name: health data, match: {project: "clinic-*"}, require: {compliance: [hipaa]}}
      - {name: europeans, match: {attributes: {customer: eu}}, require: {residency: [eu]}}
    tenants: {acme: {require: {min_quality: 0.5}}}
    """
    made = house(routes)
    assert made.order() == ["cloud:big", "cloud:eu"]
    assert made.order(project="clinic-1") == ["cloud:eu"]
    decision = made.router.decide(ask(project="clinic-1", attributes={"customer": "eu"}, compliance=["gdpr"]))
    assert [entry.target.id for entry in decision.candidates] == ["cloud:eu"]
    assert decision.applied == ("health data", "europeans")
    with pytest.raises(PolicyDenied):
        made.order(project="clinic-1", privacy="strict")


def test_requirements_that_share_no_region_admit_nobody() -> None:
    routes = 'routes: {r: {targets: ["*"], require: {residency: [us]}}}'
    with pytest.raises(PolicyDenied, match="regions that have nothing in common"):
        house(routes).order(residency=["eu"])


def test_a_strictly_private_image_goes_to_no_cloud_even_if_no_local_model_sees() -> None:
    with pytest.raises(PolicyDenied) as refused:
        house().order(privacy="strict", needs=["vision"])
    assert {(entry["target"], entry["constraint"]) for entry in refused.value.data["rejected"]} == {
        ("cloud:big", "privacy"), ("cloud:eu", "privacy"), ("ollama:small", "capability"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"needs": ["smell"]}, Unsupported, "cloud:big: it lacks smell"),
        ({"input_tokens": 900_000}, Unsupported, "may need 900,000 tokens, and it holds 400,000"),
        ({"residency": ["mars"]}, PolicyDenied, "data must stay in mars, and it keeps data in us"),
        ({"compliance": ["iso"]}, PolicyDenied, "not known to comply with iso"),
        ({"needs": ["vision"], "input_tokens": 1000, "budget_left_nanos": 5}, BudgetExceeded, "may cost"),
    ],
)
def test_a_refusal_says_which_constraint_stands_in_the_way(
    asked: dict[str, Any], error: type, words: str
) -> None:
    with pytest.raises(error) as refused:
        house().order(**asked)
    assert words in str(refused.value)
    assert refused.value.hint


def test_what_nobody_stated_is_not_taken_for_granted() -> None:
    made = Desk(ALL, [target("x:a")])
    assert made.order(input_tokens=ASSUMED_CONTEXT_TOKENS) == ["x:a"]
    for asked in (
        {"input_tokens": ASSUMED_CONTEXT_TOKENS + 1},
        {"residency": ["eu"]},
        {"compliance": ["gdpr"]},
    ):
        with pytest.raises((Unsupported, PolicyDenied)):
            made.order(**asked)


def test_an_unknown_price_is_refused_under_a_budget_unless_the_routes_allow_it() -> None:
    with pytest.raises(BudgetExceeded, match="nobody knows its price"):
        Desk(ALL, [target("x:a")]).order(budget_left_nanos=10**9)
    assert Desk("unpriced: allow\n" + ALL, [target("x:a")]).order(budget_left_nanos=10**9) == ["x:a"]


def test_a_target_rests_while_its_breaker_is_open_or_it_asked_to_wait() -> None:
    made = house()
    made.open.add("cloud:big")
    made.served("cloud:eu", ok=False, error_code="limit_exceeded", retry_at=130.0)
    decision = made.router.decide(ask())
    assert [entry.target.id for entry in decision.candidates] == ["ollama:small"]
    assert [(entry.target.id, entry.reason) for entry in decision.rejected] == [
        ("cloud:big", "its breaker is open after failures"), ("cloud:eu", "it asked to wait 30 s more"),
    ]  # fmt: skip
    made.open.add("ollama:small")
    with pytest.raises(Unavailable, match="its breaker is open"):
        made.order()
    made.seconds = 131.0
    assert made.order() == ["cloud:eu"]


def test_figures_count_what_is_open() -> None:
    made = house()
    made.live.begin("cloud:big")
    made.live.begin("cloud:big")
    made.live.end("cloud:big", Outcome(True, 2.0, first_byte_s=0.4))
    shown = made.live.to_json()["cloud:big"]
    assert (shown["active"], shown["latency_s"], shown["first_byte_s"], shown["finished"]) == (1, 2.0, 0.4, 1)


def test_a_route_that_leads_nowhere_says_so() -> None:
    with pytest.raises(Unavailable, match="No target is configured for route 'r'"):
        Desk("routes: {r: {targets: [y:a]}}", []).order()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="no route or model 'cloud:bgi'") as unknown:
        house().order("cloud:bgi")
    assert "cloud:big" in str(unknown.value.hint)
    with pytest.raises(NotFound, match="Nothing says where git requests go"):
        house().order("", kind="git")
