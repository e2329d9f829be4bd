"""Routes files: read whole, and every mistake told at its line with the right spelling."""

import contextlib
import json
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mosaic.core.errors import InvalidInput
from mosaic.routing import load_routes, read_routes, routes_from, routes_schema


def problems(text: str, **options: str) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        load_routes(dedent(text), "r.yaml", **options)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("routes: {a: {targts: [x:y]}}", "r.yaml:1:14: unknown key `targts` (did you mean `targets`?)"),
        ("rotes: {}", "r.yaml:1:1: unknown key `rotes` (did you mean `routes`?)"),
        ("routes: [a]", "r.yaml:1:9: expected a mapping, not a list"),
        ("routes: {a: {targets: x:y, strategy: cheepest}}", "r.yaml:1:38: there is no strategy `cheepest` (did you mean `cheapest`?)"),
        ("routes: {a: {targets: x:y, strategy: time-of-day}}", "r.yaml:1:38: `time-of-day` needs `windows` (add `windows:` to the route)"),
        ("default: b\nroutes: {a: {targets: x:y}}", "r.yaml:1:10: there is no route `b` (known: a)"),
        ("routes: {a: {kind: git, targets: g}}\ndefault: {ai: a}", "r.yaml:2:15: `a` is a route for git, not for ai"),
        ("routes: {a: {targets: x:y, learned: maybe}}", "r.yaml:1:37: expected one of off, shadow, on, not `maybe`"),
        ("routes: {a: {targets: x:y, attempts: 0}}", "r.yaml:1:38: at least 1, not 0"),
        ("routes: {a: {targets: x:y, cache: soon}}",
         "r.yaml:1:35: `soon` does not fit here: Seconds as a number, or text such as 250ms, 30s, 5m, 1h30m."),
        ("routes: {a: {targets: x:y, canary: {share: 5}}}", "r.yaml:1:36: `targets` is missing here"),
        ("routes: {a: {targets: []}}", "r.yaml:1:23: this is empty"),
        ("routes: {a: {targets: x:y, require: {privacy: total}}}", "r.yaml:1:47: expected one of any, strict, not `total`"),
        ("routes: {a: {windows: [{from: '25:00', to: '06:00', targets: x:y}]}}", "r.yaml:1:31: `25:00` does not fit here: HH:MM"),
        ("routes: {a: {windows: [{from: '05:00', to: '06:00', zone: Mars/Base, targets: x:y}]}}",
         "r.yaml:1:59: there is no time zone `Mars/Base` (write it like Europe/Berlin)"),
        ("rules: [{name: r}]",
         "r.yaml:1:9: one of these is missing here: `route` or `targets` or `strategy` or `prefer` or `require`"),
        ("rules: [{name: r, route: a}]", "r.yaml:1:26: there is no route `a` (known: none yet)"),
        ("rules:\n- {name: r, strategy: ordered, when: '${request.inputs > 1}'}",
         "r.yaml:2:49: wrong expression: a request has no field `inputs` (did you mean `request.input_tokens`?)"),
        ("rules:\n- {name: r, strategy: ordered, when: 'now > 1'}",
         "r.yaml:2:39: wrong expression: unknown variable `now` (a rule sees `request` and nothing else)"),
        ("rules:\n- {name: r, strategy: ordered, when: 'request.project =='}", "r.yaml:2:57: wrong expression: the expression ends too early"),
        ("rules:\n- {name: r, strategy: ordered, match: {model: '/(/'}}",
         "r.yaml:2:47: not a regular expression: missing ), unterminated subpattern at position 0"),
        ("rules:\n- {name: r, strategy: ordered, match: {model: '/(a+)+b/'}}",
         "r.yaml:2:47: this regular expression repeats a group that repeats; some texts would take it for ever"),
        ("rules:\n- {name: r, strategy: ordered, match: {colour: x}}",
         "r.yaml:2:40: unknown key `colour` (known: agent, attributes, key, kind, model, operation, privacy, project, region, tenant)"),
        ("routes: {a: {targets: x:y}}\nrules:\n- {name: r, route: a}\n- {name: r, route: a}",
         "r.yaml:4:10: `r` names 2 rules (name each once)"),
        ("tenants: {t: {routes: {b: {strategy: ordered}}}}", "r.yaml:1:24: there is no route `b` (known: none yet)"),
        ("tenants: {t: {projects: {p: {default: b}}}}", "r.yaml:1:39: there is no route `b` (known: none yet)"),
        ("profile: peak", "r.yaml:1:10: there is no profile `peak` (known: none yet)"),
        ("profiles: {p: {from: 2026-12-02, to: 2026-12-01}}", "r.yaml:1:38: this profile ends before it starts"),
        ("profiles: {p: {from: 2026-13-02}}", "r.yaml:1:22: there is no day `2026-13-02`"),
        ("targets: {'x:y': {qality: 1}}", "r.yaml:1:19: unknown key `qality` (did you mean `quality`?)"),
        ("targets: {'x:y': {attributes: {note: sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789}}}",
         "r.yaml:1:38: this value looks like a secret (use the environment)"),
        ("a: [", "r.yaml:1:5: expected the node content, but found '<stream end>'"),
        ("routes: {a: {targets: x:y}, a: {targets: x:z}}", "r.yaml:1:29: the key `a` is given twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(text: str, expected: str) -> None:
    assert expected in problems(text)


def test_every_mistake_is_told_at_once_in_order() -> None:
    told = problems("""
        routes:
          a: {targets: x:y, strategy: fastets}
          b: {targets: x:y, strategy: chepaest}
        rules: [{name: r, route: c}]
        """)
    assert [line.split(": ")[0] for line in told] == ["r.yaml:3:31", "r.yaml:4:31", "r.yaml:5:26"]


def test_a_section_of_a_larger_file_keeps_its_places() -> None:
    text = "server: {port: 1}\nrouting:\n  routes:\n    a: {targets: x:y, learned: no}\n"
    assert problems(text, section="routing") == ["r.yaml:4:32: expected one of off, shadow, on, not `no`"]
    found = load_routes(text.replace("no}", "on}"), "r.yaml", section="routing")
    assert found.routes["a"].learned == "on"
    assert load_routes("server: {}", section="routing").routes == {}
    assert load_routes("").routes == {}


def test_json_is_read_like_yaml() -> None:
    value = {"routes": {"a": {"targets": ["x:y"], "cache": 30}}, "default": "a"}
    assert load_routes(json.dumps(value)) == routes_from(value)


def test_an_installation_keeps_its_routes_in_a_file_or_in_its_settings(tmp_path: Path) -> None:
    assert read_routes(tmp_path).routes == {}
    (tmp_path / "config.yaml").write_text("routing: {routes: {a: {targets: x:y}}}\n")
    assert list(read_routes(tmp_path).routes) == ["a"]
    (tmp_path / "routes.yaml").write_text("routes: {b: {targets: x:y}}\n")
    assert list(read_routes(tmp_path).routes) == ["b"]


def test_the_published_schema_is_one_and_describes_every_key() -> None:
    schema = routes_schema()
    Draft202012Validator.check_schema(schema)
    named = {ref.rpartition("/")[2] for ref in _references(schema)}
    assert named == set(schema["$defs"])


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return [*own, *(ref for item in value.values() for ref in _references(item))]
    return [ref for item in value for ref in _references(item)] if isinstance(value, list) else []


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.text(max_size=8) | st.sampled_from(["x:y", "5m", "a", "on"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["routes", "rules", "a", "targets", "name", "match", "when", "route", "require", "windows",
                         "from", "to", "default", "tenants", "profiles", "canary", "share", "sticky", "prefer"]),
        inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_no_value_makes_the_loader_raise_anything_else(value: object) -> None:
    with contextlib.suppress(InvalidInput):
        load_routes(json.dumps(value))


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_raise_anything_else(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        load_routes(text)


def test_lines_that_stand_for_billions_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
    )
    with pytest.raises(InvalidInput, match="too large"):
        load_routes(bomb)
