"""Rules: which ones hold, whatever they match by, and what they change."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.expressions import CelError, compile_program
from mosaic.routing import Match, Require, Route, RouteRequest, RoutingSettings, Rule
from mosaic.routing.conditions import compile_condition
from mosaic.routing.rules import RuleBook
from tests.routing.desk import Desk, ask, target

ABLE = {"capabilities": ["vision"], "compliance": ["a", "b"]}
TWO = [target("x:one", **ABLE), target("x:two", **ABLE), target("x:three")]


def holds(rule: str, **fields: Any) -> bool:
    """Say whether one rule sends a request to the other route."""
    routes = f"""
    routes: {{r: {{targets: [x:one]}}, other: {{targets: [x:two]}}}}
    rules: [{{name: it, route: other, {rule}}}]
    """
    return Desk(routes, TWO).first(**fields) == "x:two"


@pytest.mark.parametrize(
    ("rule", "fields", "expected"),
    [
        ("match: {project: web}", {}, True),
        ("match: {project: web}", {"project": "web2"}, False),
        ("match: {project: [api, web]}", {}, True),
        ("match: {tenant: acme, project: web}", {}, True),
        ("match: {tenant: acme, project: api}", {}, False),
        ('match: {project: "internal-*"}', {"project": "internal-x"}, True),
        ('match: {project: "internal-*"}', {"project": "my-internal-x"}, False),
        ('match: {project: "*-site"}', {"project": "my-site"}, True),
        ('match: {project: "p?[ab]"}', {"project": "p1b"}, True),
        ('match: {project: "p?[ab]"}', {"project": "p1c"}, False),
        (r'match: {project: "/client-\\d+/"}', {"project": "client-42"}, True),
        (r'match: {project: "/client-\\d+/"}', {"project": "client-42-x"}, False),
        ("match: {model: r}", {}, True),
        ("match: {agent: coder}", {"agent": "coder"}, True),
        ("match: {agent: coder}", {}, False),
        ("match: {operation: embed}", {"operation": "embed"}, True),
        ("match: {key: vk1}", {"key_id": "vk1"}, True),
        ("match: {region: eu}", {"region": "eu"}, True),
        ("match: {privacy: strict}", {"privacy": "any"}, False),
        ("match: {kind: ai}", {}, True),
        ("match: {attributes: {visibility: public}}", {"attributes": {"visibility": "public"}}, True),
        ("match: {attributes: {visibility: public}}", {}, False),
        ('match: {attributes: {team: "red-*"}}', {"attributes": {"team": "red-1"}}, True),
        ("match: {attributes: {size: 3}}", {"attributes": {"size": 3}}, True),
        ("match: {attributes: {size: 3}}", {"attributes": {"size": "3"}}, False),
        ("match: {attributes: {urgent: true}}", {"attributes": {"urgent": True}}, True),
        ("match: {attributes: {urgent: true}}", {"attributes": {"urgent": 1}}, False),
        ("match: {attributes: {labels: [b]}}", {"attributes": {"labels": ["a", "b"]}}, True),
        ("when: request.input_tokens > 100", {"input_tokens": 101}, True),
        ("when: request.input_tokens > 100", {"input_tokens": 100}, False),
        ("when: \"${request.project == 'web' && 'vision' in request.needs}\"", {"needs": ["vision"]}, True),
        ("when: \"${request.project == 'web' && 'vision' in request.needs}\"", {}, False),
        ("when: \"request.project.startsWith('w') || request.tenant == 'x'\"", {}, True),
        ("when: \"request.attributes.size > 10 && request.attributes.kind == 'video'\"",
         {"attributes": {"size": 11, "kind": "video"}}, True),
        ("when: request.attributes.size > 10", {}, False),  # cannot be evaluated: does not hold
        ("when: \"request.needs.exists(n, n.startsWith('v'))\"", {"needs": ["vision"]}, True),
        ("match: {project: web}, when: \"size(request.compliance) > 1\"", {"compliance": ["a", "b"]}, True),
        ("match: {project: api}, when: \"size(request.compliance) > 1\"", {"compliance": ["a", "b"]}, False),
    ],
)  # fmt: skip
def test_a_rule_holds_when_all_that_it_names_fits(rule: str, fields: dict[str, Any], expected: bool) -> None:
    assert holds(rule, **fields) is expected
    assert holds(rule, **fields) is expected


def test_the_highest_priority_says_where_and_the_first_of_equals() -> None:
    routes = """
    routes: {r: {targets: [x:one]}, two: {targets: [x:two]}, three: {targets: [x:three]}}
    rules:
      - {name: low, match: {tenant: acme}, route: two}
      - {name: high, priority: 5, match: {tenant: acme}, route: three}
      - {name: equal, priority: 5, match: {tenant: acme}, route: two}
    """
    decision = Desk(routes, TWO).router.decide(ask())
    assert (decision.rule, decision.route, decision.target.id) == ("high", "three", "x:three")


def test_a_rule_may_name_targets_or_only_another_order() -> None:
    routes = """
    routes: {r: {targets: [x:one, x:two, x:three], strategy: ordered}}
    rules:
      - {name: direct, match: {project: a}, targets: [x:three, x:one], strategy: ordered}
      - {name: dear, match: {project: b}, prefer: {quality: 1}}
      - {name: turns, match: {project: c}, strategy: round-robin}
    """
    made = Desk(routes, [target("x:one"), target("x:two", quality=0.9), target("x:three")])
    assert made.order(project="a") == ["x:three", "x:one"]
    assert made.order(project="b")[0] == "x:two"
    assert [made.first(project="c") for _ in range(3)] == ["x:one", "x:two", "x:three"]
    assert made.order(project="d") == ["x:one", "x:two", "x:three"]


def test_a_rule_sends_even_a_named_model_elsewhere() -> None:
    routes = """
    routes: {ours: {targets: [x:two]}}
    rules: [{name: house, match: {model: "x:*"}, route: ours}]
    """
    assert Desk(routes, TWO).first("x:one") == "x:two"


VALUES = st.sampled_from(["a", "b", "ab", "abc", "internal-1", "", "x" * 400])
PATTERNS = st.sampled_from(
    ["a", "ab", "a*", "*b", "?", "internal-*", "[ab]*", "/a|b/", "/ab?c?/", "/.*/", "*"]
)


@given(
    rules=st.lists(
        st.tuples(
            st.integers(-2, 2),
            st.dictionaries(
                st.sampled_from(["tenant", "project", "model"]), st.lists(PATTERNS, min_size=1, max_size=2)
            ),
        ),
        max_size=12,
    ),
    asked=st.tuples(VALUES, VALUES, VALUES),
)
def test_the_index_finds_what_trying_every_rule_would_find(
    rules: list[tuple[int, dict[str, list[str]]]], asked: tuple[str, str, str]
) -> None:
    made = [
        Rule(f"r{place}", priority, Match({name: tuple(patterns) for name, patterns in match.items()}),
             require=Require(min_quality=0.1))
        for place, (priority, match) in enumerate(rules)
    ]  # fmt: skip
    request = RouteRequest("ai", *asked)
    values = {"model": asked[0], "tenant": asked[1], "project": asked[2]}
    expected = [
        rule.name
        for rule in sorted(made, key=lambda rule: -rule.priority)
        if all(
            any(fits(pattern, values[name]) for pattern in patterns)
            for name, patterns in rule.match.fields.items()
        )
    ]
    assert list(RuleBook(made).matching(request).names) == expected


def fits(pattern: str, value: str) -> bool:
    import re
    from fnmatch import fnmatchcase

    if pattern.startswith("/"):
        return len(value) <= 300 and re.fullmatch(pattern[1:-1], value) is not None
    if any(sign in pattern for sign in "*?["):
        return (len(value) <= 300 and fnmatchcase(value, pattern)) or pattern == value
    return pattern == value


PARTS = st.sampled_from(
    [
        "request.attributes.x == 5", "request.attributes.x != 'a'", "request.attributes.x < 5",
        "request.attributes.x >= -3", "request.attributes.x == true", "request.attributes.x.startsWith('a')",
        "'a' in request.attributes.x", "request.project == 'web'", "request.input_tokens > 10",
        "'tools' in request.needs", "size(request.needs) > 0", "(request.tenant == 'acme' || request.project == 'z')",
        "has(request.attributes.x)", "request.tenant == 'a && b'", "!('x' in request.needs)",
    ]
)  # fmt: skip


@given(
    parts=st.lists(PARTS, min_size=1, max_size=4),
    joint=st.sampled_from([" && ", " && ", " || "]),
    x=st.sampled_from([None, 5, 5.0, 5.5, -3, "a", "abc", "5", True, False, [], ["a"], {"a": 1}, {}]),
    needs=st.frozensets(st.sampled_from(["tools", "x"])),
)
def test_a_condition_taken_apart_means_what_the_whole_means(
    parts: list[str], joint: str, x: Any, needs: frozenset[str]
) -> None:
    source = joint.join(parts)
    request = ask(attributes={"x": x}, needs=needs, input_tokens=11)
    condition = compile_condition(source)
    scope = {
        "request": {
            "attributes": {"x": x},
            "needs": sorted(needs),
            "input_tokens": 11,
            "project": "web",
            "tenant": "acme",
        }
    }
    try:
        whole = compile_program(source).run(scope) is True
    except CelError:
        whole = False
        if joint == " || ":
            return  # an error beside a true alternative is the evaluator's affair
    assert condition.holds(request) is whole
    assert condition.holds(request) is whole


def test_a_condition_with_quotes_of_every_sort_is_left_whole() -> None:
    for source in (
        r"request.project == 'w\'&&' && true",
        "request.project != r'\\' && request.tenant == 'acme'",
    ):
        assert compile_condition(source).holds(ask()) is (
            compile_program(source).run({"request": {"project": "web", "tenant": "acme"}}) is True
        )


def test_a_thousand_rules_are_told_apart() -> None:
    rules = tuple(
        Rule(f"r{i}", match=Match({"project": (f"p{i}",)}), route=f"route{i % 10}") for i in range(1000)
    )
    book = RuleBook(rules)
    for i in (0, 1, 499, 999):
        place = book.matching(ask(project=f"p{i}")).place
        assert place is not None
        assert place.name == f"r{i}"
    assert book.matching(ask(project="p1000")).place is None


def test_settings_may_be_made_without_a_file() -> None:
    settings = RoutingSettings(routes={"r": Route("r")}, rules=(Rule("one", route="r"),))
    assert RuleBook(settings.rules).matching(ask()).names == ("one",)
