"""A lasting yes holds for what the person saw, and for nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput
from mosaic.tools.approving.patterns import ArgumentPattern, like

WRITE: dict[str, Any] = {"path": "src/app/main.py", "content": "x = 1\n"}


def around(wanted: dict[str, Any], asked: dict[str, Any] = WRITE) -> ArgumentPattern:
    return ArgumentPattern.around(asked, wanted)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (
            "src/**",
            ["src/a", "src/a/b.py", "src/"],
            ["src", "lib/a", "xsrc/a", "src/../etc/passwd", "./src/a"],
        ),
        ("src/*.py", ["src/a.py"], ["src/a/b.py", "src/a.pyc"]),
        ("*.md", ["a.md", ".md"], ["a/b.md"]),
        ("a?c", ["abc"], ["ac", "a/c", "abbc"]),
        (
            "make **",
            ["make test", "make -C src/x test"],
            ["make test; rm -rf .", "make $(x)", "make a && b", "make a\nb"],
        ),
        ("make test; true", ["make test; true"], ["make test"]),
        ("a[b]", ["a[b]"], ["ab"]),
        ("**/x", ["a/x", "a/b/x"], ["x", "a/../x"]),
    ],
)
def test_a_wildcard_stands_for_what_it_should(pattern: str, fits: list[str], does_not: list[str]) -> None:
    assert [text for text in fits if not like(text, pattern)] == []
    assert [text for text in does_not if like(text, pattern)] == []


@given(st.text(alphabet="ab/*?.;", max_size=30))
def test_a_text_is_like_itself_without_wildcards_and_never_lets_a_separator_in(text: str) -> None:
    if not set(text) & set("*?"):
        assert like(text, text)
    assert not like(f"{text};x", "**")
    assert not like("x/../y", "**")


def test_no_pattern_takes_for_ever() -> None:
    # With backtracking this would take longer than the universe has existed.
    assert not like("a" * 4_000, "**a" * 100 + "b")


def test_a_yes_without_a_pattern_holds_for_the_same_arguments_only() -> None:
    pattern = around({})
    assert pattern.matches(WRITE)
    for other in ({**WRITE, "content": "y"}, {**WRITE, "mode": "append"}, {"path": WRITE["path"]}):
        assert not pattern.matches(other)


def test_arguments_that_are_not_named_may_be_anything_but_new_ones_may_not() -> None:
    pattern = around({"path": "src/**"})
    assert pattern.matches({"path": "src/b.py", "content": "anything"})
    assert not pattern.matches({"path": "lib/b.py", "content": "x"})
    assert not pattern.matches({"path": "src/b.py", "content": "x", "mode": "0777"}), "nobody saw that one"
    assert not pattern.matches({"path": "src/b.py"}), "its default was not seen either"
    assert str(pattern) == "path like src/**, content anything"
    assert ArgumentPattern.from_json(pattern.to_json()) == pattern


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"path": "lib/**"}, "path is 'src/app/main.py', which is not like lib/**"),
        ({"pth": "src/**"}, "did you mean path?"),
        ({"path": 3}, "which is not 3"),
        ({"path": "src/" + "a" * 600}, "longer than 500 characters"),
    ],
)
def test_a_pattern_that_does_not_hold_for_the_call_itself_is_refused(
    wanted: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        around(wanted)
    assert says in "; ".join(map(str, caught.value.problems))


def test_one_is_not_true() -> None:
    assert not ArgumentPattern.exactly({"n": 1}).matches({"n": True})
    assert not ArgumentPattern.exactly({"n": [1, {"a": 0}]}).matches({"n": [1, {"a": False}]})
    assert ArgumentPattern.exactly({"n": [1, {"a": 0}]}).matches({"n": [1, {"a": 0}]})


@pytest.mark.parametrize(
    "shown", [{"n": 3}, {"n": {"regex": "x"}}, {"n": {"equals": 1, "any": True}}, {"n": None}]
)
def test_what_is_no_pattern_is_refused(shown: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is none"):
        ArgumentPattern.from_json(shown)
