"""Routes: how names lead to targets, and what may change on the way: tenants, hours, seasons, shares, sessions."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from mosaic.core.errors import InvalidInput
from mosaic.routing import LiveStats, Router, RoutingSettings, Target, Targets, load_routes
from tests.routing.desk import NOON, Desk, ask, target

MODELS = [
    target("openai:gpt"),
    target("openai-eu:gpt"),
    target("anthropic:claude"),
    target("ollama:qwen", local=True),
]


@pytest.mark.parametrize(
    ("picks", "order"),
    [
        ("[openai:gpt, ollama:qwen]", ["openai:gpt", "ollama:qwen"]),
        ("['openai*:gpt']", ["openai:gpt", "openai-eu:gpt"]),
        ("anthropic", ["anthropic:claude"]),
        ("[{where: {local: true}}]", ["ollama:qwen"]),
        ("[{target: '*', where: {provider: [openai, anthropic]}}]", ["openai:gpt", "anthropic:claude"]),
        ("[{where: {owner: us}}]", ["openai-eu:gpt"]),
        ("[ollama, '*']", ["ollama:qwen", "openai:gpt", "openai-eu:gpt", "anthropic:claude"]),
    ],
)
def test_a_route_names_targets_one_by_one_by_pattern_or_by_what_they_are(
    picks: str, order: list[str]
) -> None:
    routes = f"""
    targets: {{"openai-eu:*": {{attributes: {{owner: us}}}}}}
    routes: {{r: {{targets: {picks}, strategy: ordered}}}}
    """
    assert Desk(routes, MODELS).order() == order


def test_a_name_is_a_route_a_target_a_model_or_the_default() -> None:
    made = Desk("default: r\nroutes: {r: {targets: [ollama:qwen]}}", MODELS)
    assert made.router.decide(ask("r")).route == "r"
    direct = made.router.decide(ask("anthropic:claude"))
    assert (direct.route, direct.strategy, direct.target.id) == ("", "direct", "anthropic:claude")
    assert sorted(made.order("gpt")) == ["openai-eu:gpt", "openai:gpt"]
    assert made.router.decide(ask("gpt-99")).route == "r"


def test_models_that_nobody_listed_are_asked_for_by_name() -> None:
    asked = []

    def resolve(provider: str, model: str | None) -> Target | None:
        asked.append((provider, model))
        return target(f"{provider}:{model}") if provider == "openai" and model else None

    router = Router(
        load_routes("targets: {'openai:*': {region: us}}"), Targets([], resolve=resolve), live=LiveStats()
    )
    for _ in range(2):
        assert router.decide(ask("openai:brand-new")).target.region == "us"
    assert asked == [("openai", "brand-new")]


def test_a_direct_name_keeps_to_the_requirements() -> None:
    with pytest.raises(Exception, match="strict privacy"):
        Desk("{}", MODELS).order("openai:gpt", privacy="strict")


@pytest.mark.requirement("ORC-104")
def test_fallbacks_come_last_and_each_target_once() -> None:
    routes = """
    default_strategy: ordered
    routes:
      r: {targets: [openai:gpt], fallback: [second, ollama:qwen]}
      second: {targets: [openai:gpt, anthropic:claude], fallback: [r, third]}
      third: {targets: [openai-eu:gpt]}
    """
    made = Desk(routes, MODELS)
    assert made.order() == ["openai:gpt", "anthropic:claude", "openai-eu:gpt", "ollama:qwen"]
    made.open.add("openai:gpt")
    assert made.first() == "anthropic:claude"
    assert made.order(privacy="strict") == ["ollama:qwen"]


def test_tenants_and_projects_have_routes_of_their_own() -> None:
    routes = """
    default: r
    routes:
      r: {targets: [openai:gpt, anthropic:claude], strategy: ordered, attempts: 2}
      own: {targets: [ollama:qwen]}
    tenants:
      globex:
        default: own
        routes: {r: {targets: [anthropic:claude], attempts: 5}}
        projects: {lab: {routes: {"*": {add: [ollama:qwen], strategy: ordered}}, require: {privacy: strict}}}
    """
    made = Desk(routes, MODELS)
    assert made.order() == ["openai:gpt", "anthropic:claude"]
    assert made.order(tenant="globex") == ["anthropic:claude"]
    assert made.order(tenant="globex", project="lab") == ["ollama:qwen"]
    assert made.first("unknown", tenant="globex") == "ollama:qwen"
    assert made.first("unknown") == "openai:gpt"
    assert [made.router.decide(ask(tenant=name)).policy.attempts for name in ("acme", "globex")] == [2, 5]


WINDOWS = """
routes:
  r:
    targets: [ollama:qwen]
    strategy: time-of-day
    windows:
      - {name: americas, from: "13:00", to: "05:00", targets: [openai:gpt], backup: [anthropic:claude]}
      - {name: europe, from: "06:00", to: "18:00", zone: Europe/Berlin, targets: [openai-eu:gpt], strategy: cheapest}
"""


@pytest.mark.parametrize(
    ("hour", "minute", "window", "order"),
    [
        (13, 0, "americas", ["openai:gpt", "anthropic:claude"]),
        (23, 30, "americas", ["openai:gpt", "anthropic:claude"]),
        (4, 59, "americas", ["openai:gpt", "anthropic:claude"]),
        (5, 0, "europe", ["openai-eu:gpt"]),  # 06:00 in Berlin
        (12, 59, "europe", ["openai-eu:gpt"]),
    ],
)
def test_hours_of_the_day_have_their_own_targets(
    hour: int, minute: int, window: str, order: list[str]
) -> None:
    made = Desk(WINDOWS, MODELS, at=datetime(2026, 11, 18, hour, minute, tzinfo=UTC))
    decision = made.router.decide(ask())
    assert ([entry.target.id for entry in decision.candidates], decision.window) == (order, window)


def test_outside_of_every_window_the_route_is_itself() -> None:
    routes = WINDOWS.replace('to: "05:00"', 'to: "14:00"')
    made = Desk(routes, MODELS, at=datetime(2026, 11, 18, 22, 0, tzinfo=UTC))
    decision = made.router.decide(ask())
    assert (decision.target.id, decision.window) == ("ollama:qwen", None)


def test_summer_time_moves_a_window_with_its_zone() -> None:
    routes = 'routes: {r: {targets: [ollama:qwen], windows: [{from: "06:00", to: "18:00", zone: Europe/Berlin, targets: [openai:gpt]}]}}'
    made = Desk(routes, MODELS, at=datetime(2026, 7, 1, 4, 30, tzinfo=UTC))
    assert made.first() == "openai:gpt"
    made.at = datetime(2026, 12, 1, 4, 30, tzinfo=UTC)
    assert made.first() == "ollama:qwen"


def test_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    routes = 'routes: {r: {targets: [ollama:qwen], windows: [{from: "22:00", to: "06:00", days: [fri], targets: [openai:gpt]}]}}'
    moments = {
        (20, 23): True,
        (21, 5): True,
        (21, 7): False,
        (21, 23): False,
        (20, 5): False,
    }  # 20 November is a Friday
    made = Desk(routes, MODELS)
    for (day, hour), is_open in moments.items():
        made.at = datetime(2026, 11, day, hour, tzinfo=UTC)
        assert (made.first() == "openai:gpt") is is_open, (day, hour)


SEASONS = """
routes: {r: {targets: [ollama:qwen], strategy: ordered}}
profiles:
  peak:
    from: 2026-11-20
    to: 2026-12-01
    routes: {"*": {add: [openai:gpt], strategy: round-robin}}
    warm: [openai:gpt]
  quiet: {routes: {r: {targets: [anthropic:claude]}}}
"""


def test_a_season_adds_targets_and_switches_the_strategy_by_the_calendar() -> None:
    made = Desk(SEASONS, MODELS)
    assert (made.order(), made.router.decide(ask()).profile) == (["ollama:qwen"], None)
    made.at = datetime(2026, 12, 1, 23, tzinfo=UTC)
    assert [made.first() for _ in range(4)] == ["ollama:qwen", "openai:gpt"] * 2
    assert made.router.decide(ask()).profile == "peak"
    made.at = datetime(2026, 12, 2, tzinfo=UTC)
    assert made.router.decide(ask()).profile is None


def test_a_season_is_switched_on_by_hand_and_the_next_one_is_warmed_in_time() -> None:
    assert Desk("profile: quiet\n" + SEASONS, MODELS).first() == "anthropic:claude"
    made = Desk(SEASONS, MODELS)
    assert made.router.to_warm() == ()
    made.at = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    assert [each.id for each in made.router.to_warm()] == ["openai:gpt"]


def test_a_canary_takes_its_share_and_the_same_request_always_falls_the_same_way() -> None:
    routes = """
    routes:
      r: {targets: [openai:gpt], canary: {targets: [anthropic:claude], share: 20}}
      s: {targets: [openai:gpt], canary: {targets: [anthropic:claude], share: 50, by: session}}
    """
    made = Desk(routes, MODELS)
    first = {f"r{i}": made.router.decide(ask(request_id=f"r{i}")) for i in range(2000)}
    share = sum(decision.canary for decision in first.values()) / len(first)
    assert 0.17 < share < 0.23
    for name, decision in list(first.items())[:50]:
        again = made.router.decide(ask(request_id=name))
        assert (again.target.id, again.canary) == (decision.target.id, decision.canary)
        if decision.canary:
            assert [entry.target.id for entry in decision.candidates] == ["anthropic:claude", "openai:gpt"]
    sessions = {made.first("s", session="one", request_id=f"r{i}") for i in range(20)}
    assert len(sessions) == 1
    made.open.add("anthropic:claude")
    assert not any(made.router.decide(ask(request_id=name)).canary for name in list(first)[:50])


def test_a_canary_keeps_to_the_requirements() -> None:
    routes = "routes: {r: {targets: [ollama:qwen], canary: {targets: [openai:gpt], share: 100}}}"
    assert Desk(routes, MODELS).order(privacy="strict") == ["ollama:qwen"]


def test_a_shadow_gets_copies_of_a_share_and_only_what_it_may_see() -> None:
    routes = "routes: {r: {targets: [ollama:qwen], shadow: {targets: [openai:gpt], share: 25}}}"
    made = Desk(routes, MODELS)
    decided = [made.router.decide(ask(request_id=f"r{i}")) for i in range(1000)]
    assert 200 < sum(bool(decision.shadow) for decision in decided) < 300
    assert {entry.target.id for decision in decided for entry in decision.candidates} == {"ollama:qwen"}
    private = [made.router.decide(ask(request_id=f"r{i}", privacy="strict")) for i in range(100)]
    assert not any(decision.shadow for decision in private)


def test_a_session_stays_where_it_was_for_as_long_as_it_goes_on() -> None:
    routes = "routes: {r: {targets: ['openai*', anthropic:claude], strategy: round-robin, sticky: {by: session, ttl: 60s}}}"
    made = Desk(routes, MODELS)
    first = made.router.decide(ask(session="s"))
    assert first.sticky is False
    for _ in range(5):
        made.seconds += 50
        again = made.router.decide(ask(session="s"))
        assert (again.target.id, again.sticky) == (first.target.id, True)
    assert len({made.first() for _ in range(3)}) == 3  # who has no session is not kept anywhere
    assert (
        made.first(session="s", tenant="other") != first.target.id
        or made.first(session="t") != first.target.id
    )
    made.open.add(first.target.id)
    assert made.first(session="s") != first.target.id
    made.open.clear()
    made.seconds += 61
    assert made.router.decide(ask(session="s")).sticky is False


def test_a_hashed_session_is_at_the_same_target_on_every_node_and_few_move_when_one_goes() -> None:
    routes = "routes: {r: {targets: ['x:*'], sticky: {by: session, how: hash}}}"
    targets = [target(f"x:{i}") for i in range(10)]
    here, there = Desk(routes, targets), Desk(routes, targets, seed=77)
    before = {f"s{i}": here.first(session=f"s{i}") for i in range(500)}
    assert before == {name: there.first(session=name) for name in before}
    assert min(Counter(before.values()).values()) > 20
    here.open.add("x:3")
    moved = [name for name, at in before.items() if here.first(session=name) != at]
    assert moved == [name for name, at in before.items() if at == "x:3"]


def test_a_policy_says_how_a_request_is_sent() -> None:
    routes = """
    routes:
      r:
        targets: [openai:gpt]
        timeouts: {connect: 2s, first_byte: 800ms, idle: 30, total: 1m30s}
        hedge: 400ms
        attempts: 3
        cache: {ttl: 5m, semantic: true}
      bare: {targets: [openai:gpt], hedge: auto, cache: 1h}
    """
    made = Desk(routes, MODELS)
    assert made.router.decide(ask()).policy.to_json() == {
        "connect_s": 2.0, "first_byte_s": 0.8, "idle_s": 30.0, "total_s": 90.0, "attempts": 3, "hedge_after_s": 0.4,
        "cache_ttl_s": 300.0, "semantic_cache": True,
    }  # fmt: skip
    bare = made.router.decide(ask("bare")).policy
    assert (bare.hedge_after_s, bare.cache_ttl_s, bare.attempts, bare.total_s) == (0.0, 3600.0, None, None)


def test_one_router_serves_every_kind_of_provider() -> None:
    routes = """
    default: {git: repositories, ci: builds}
    targets:
      github: {kind: git, attributes: {hosted: true}}
      gitea: {kind: git, local: true}
      woodpecker: {kind: ci, local: true, request_usd: 0}
      actions: {kind: ci, request_usd: 0.05}
    routes:
      repositories: {kind: git, targets: [github, gitea], strategy: ordered}
      builds: {kind: ci, targets: [actions, woodpecker], strategy: cheapest}
    rules:
      - {name: private code, match: {kind: git, attributes: {visibility: private}}, require: {privacy: strict}}
    """
    made = Desk(routes, MODELS)
    assert made.first("", kind="git") == "github"
    assert made.first("", kind="git", attributes={"visibility": "private"}) == "gitea"
    assert made.first("", kind="ci") == "woodpecker"
    assert made.first("gitea", kind="git") == "gitea"
    made.open.add("github")  # an outage
    assert made.first("", kind="git") == "gitea"


def test_other_routes_take_over_at_once_and_wrong_ones_change_nothing() -> None:
    made = Desk("routes: {r: {targets: [openai:gpt]}}", MODELS)
    made.busy("openai:gpt", 3)
    made.router.replace(load_routes("routes: {r: {targets: [anthropic:claude]}}"), MODELS)
    assert made.first() == "anthropic:claude"
    assert made.live.of("openai:gpt").active == 3
    with pytest.raises(InvalidInput, match="strategy"):
        made.router.replace(RoutingSettings(default_strategy="nonsense"), MODELS)
    assert made.first() == "anthropic:claude"
    assert made.at == NOON


def test_names_that_are_made_up_do_not_fill_the_memory() -> None:
    router = Router(
        load_routes("default: r\nroutes: {r: {targets: [openai:gpt]}}"),
        Targets(MODELS, resolve=lambda provider, model: target(f"{provider}:{model}") if model else None),
        live=LiveStats(),
    )
    router.live.begin("openai:gpt")
    for number in range(25_000):
        assert router.decide(ask(f"nobody{number}")).target.id == "openai:gpt"
        router.decide(ask(f"openai:nobody{number}"))
    assert len(router.live.to_json()) <= 20_000
    assert router.decide(ask()).to_json()["candidates"][0]["live"][0] == 1
    router.live.begin("openai:gpt")
    assert router.decide(ask()).to_json()["candidates"][0]["live"][0] == 2
