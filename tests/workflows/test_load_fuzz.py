"""Whatever a file holds, loading it gives a definition or tells what is wrong; nothing else, and soon."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mosaic.core.errors import InvalidDefinition
from mosaic.workflows import Bundle, load_bundle, render_problems
from tests.workflows.test_load_reference import SNIPPETS, TASKS, completed

FILES = {
    "schemas/plan.json": json.dumps(TASKS).encode(),
    "schemas/report.json": b'{"type": "object"}',
    "agents/coder.md": b"---\ndescription: Codes.\n---\nWrite code.\n",
    "prompts/planner.md": b"Plan.",
    "tools/release.py": b"def publish(): ...\n",
    "release.yaml": b"mosaic: v1\nkind: Workflow\nmetadata: {name: r}\ndo:\n  - a: {set: 1}\n",
}
TEXTS = [completed(text) for _, text in SNIPPETS]
TREES: list[Any] = [json.loads(json.dumps(YAML(typ="safe", pure=True).load(text))) for text in TEXTS]
STRANGE: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "${", "${x}", "${inputs.goal}", "$${", "1h", "2 hours", "file:x", "file:../x", "any",
    "default", "continue", [], {}, [[]], {"a": 1}, [{"a": {"set": 1}}], {"do": []}, "é\u2028", "a" * 5000, {"$ref": "#"},
    {"$ref": "schemas/plan.json"}, {"secret": "X"}, ["a", "a"], {"": ""}, "${[1].map(x, x)}", "\x85", "#/x",
]  # fmt: skip
WORDS = [
    "agent",
    "agnet",
    "catch",
    "do",
    "for",
    "fork",
    "if",
    "in",
    "needs",
    "on",
    "output",
    "run",
    "when",
    "with",
    "x",
]
MARKS = [*"{}[]:,-#&*!|>'\"%@`$()\\\t\n\0\x7f", "${", "*a", "&a ", "\n- ", "<<: ", "? ", "!!x ", "\n  ", ": "]
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(data: bytes) -> None:
    """Load a file that may be anything; every problem has a place, and what loads survives its bundle."""
    bundle = Bundle("workflow.yaml", {**FILES, "workflow.yaml": data})
    try:
        found = load_bundle(bundle, tools=())
    except InvalidDefinition as error:
        refused = error
    else:
        assert load_bundle(Bundle.from_bytes(found.bundle.to_bytes())) == found
        return
    assert refused.problems
    for problem in refused.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
    assert render_problems(refused.problems)


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in entries:
        found += places(item, (*path, key))
    return found


def at(node: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


@st.composite
def changed_trees(draw: st.DrawFn) -> bytes:
    tree = json.loads(json.dumps(draw(st.sampled_from(TREES))))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(tree)))
        if not path:
            continue
        outer, key = at(tree, path[:-1]), path[-1]
        change = draw(st.integers(0, 3))
        if change == 0:
            outer[key] = draw(st.sampled_from(STRANGE))
        elif change == 1 and isinstance(outer, dict):
            outer[draw(st.sampled_from(WORDS))] = outer.pop(key)
        elif change == 2:
            del outer[key]
        else:
            outer[key] = json.loads(json.dumps(at(tree, draw(st.sampled_from(places(tree))))))
    return json.dumps(tree, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def changed_texts(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 8))
        put = draw(st.one_of(st.sampled_from(MARKS), st.just(""), st.text(max_size=3)))
        text = text[:start] + put + text[end:]
    return text.encode("utf-8", "replace")


@FAST
@given(changed_trees())
def test_a_changed_tree_loads_or_is_refused(data: bytes) -> None:
    survives(data)


@FAST
@given(changed_texts())
def test_a_changed_text_loads_or_is_refused(data: bytes) -> None:
    survives(data)


@FAST
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    survives(data)


@FAST
@given(changed_texts(), st.sampled_from(sorted(FILES)))
def test_a_referenced_file_may_hold_anything(data: bytes, name: str) -> None:
    entry = next(text for text in TEXTS if "agents/coder.md" in text)
    files = {**FILES, "workflow.yaml": entry.encode(), name: data}
    with contextlib.suppress(InvalidDefinition):
        load_bundle(Bundle("workflow.yaml", files), tools=())


DEEP = "mosaic: v1\nkind: Workflow\nmetadata: {name: x}\ndo:\n"


@pytest.mark.parametrize(
    "text",
    [
        DEEP + '  - a: {set: "' + "${ " * 30_000 + '"}\n',
        DEEP + "  - a:\n      set: >\n        ${" + '""" ' * 20_000 + "\n",
        DEEP + '  - a: {set: "' + "${inputs.x} " * 8_000 + '"}\n',
        DEEP + '  - a: {set: "${' + "(" * 1900 + "1" + ")" * 1900 + '}"}\n',
        DEEP + '  - a: {set: "${' + "[1].map(x, " * 300 + "1" + ")" * 300 + '}"}\n',
        DEEP + '  - a: {run: "' + "\\\\" * 40_000 + '"}\n',
        DEEP + "".join(f"  - s{n}: {{sett: ${{x{n}}}}}\n" for n in range(900)),
        DEEP + "  - f:\n      fork:\n" + "".join(f"        b{n}: {{set: 1, needs: [b{n + 1}]}}\n" for n in range(999)),
        DEEP + "  - f: {for: {each: t, in: ["
        + ", ".join(f"{{id: i{n}, needs: [i{n + 1}]}}" for n in range(2000))
        + ']\n    , needs: "${t.needs}"}, do: [{x: {set: 1}}]}\n',
        "? " * 40_000, "- " * 40_000, "{" * 90_000, "!" * 90_000, "&a " * 30_000, ">\n" * 300_000, "a\n" * 300_000,
        "".join(f"k{n}:\n" for n in range(45_000)),
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_sizes_are_answered(text: str) -> None:
    survives(text.encode())
