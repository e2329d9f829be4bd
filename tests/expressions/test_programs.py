"""Programs: what they refer to, what they refuse, and that they stay inside their bounds."""

import logging
import random
import time

import pytest

from mosaic.expressions import (
    FAMILIAR,
    FUNCTIONS,
    MACROS,
    MAX_EXPRESSION,
    NATIVE_FUNCTIONS,
    CelError,
    compile_program,
    scan,
)


def test_what_other_languages_call_a_function_is_recognised() -> None:
    for foreign, ours in FAMILIAR.items():
        assert ours in FUNCTIONS or ours in NATIVE_FUNCTIONS or ours in MACROS
        with pytest.raises(CelError) as raised:
            compile_program(f"{foreign}(x)")
        assert raised.value.suggestion == f"did you mean `{ours}`?"


def test_objects_have_one_order_whatever_the_library_makes() -> None:
    pairs = ", ".join(f"'k{number}': {number}" for number in random.Random(1).sample(range(50), 50))
    made = compile_program(f"{{{pairs}}}").run({})
    assert list(made) == sorted(made)  # type: ignore[arg-type, type-var]


def test_work_is_bounded_before_it_starts() -> None:
    items = list(range(3000))
    scope = {"xs": items, "text": "a," * 50_000, "wide": [[0] * 1000] * 1000}
    assert compile_program("xs.all(x, x >= 0)").run(scope) is True
    for source in (
        "xs.map(x, xs.map(y, y))",
        "xs.all(x, xs.all(y, xs.all(z, true)))",
        "text.split(',').map(x, x)",
        "wide.flatten().map(x, x)",
        f"[{', '.join(['wide'] * 20)}]",
    ):
        started = time.perf_counter()
        with pytest.raises(CelError, match=r"too (much work|large)"):
            compile_program(source).run(scope)
        assert time.perf_counter() - started < 30  # it would be minutes


def test_functions_cannot_make_endless_text() -> None:
    source = "x" + ".replace('a', 'aaaaaaaaaa')" * 20
    with pytest.raises(CelError, match="`replace` failed: the text would be longer than 1000000 characters"):
        compile_program(source).run({"x": "a"})


def test_values_never_reach_a_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(CelError):
        compile_program("parseJson(x)").run({"x": "not-json-but-private"})
    assert "private" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_only_the_variables_of_an_expression_are_converted() -> None:
    assert compile_program("inputs.count + 1").run({"inputs": {"count": 3}, "odd": object()}) == 4  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("a.b + c", {"a", "c"}),
        ("xs.map(x, x + y)", {"xs", "y"}),
        ("xs.exists(x, ys.all(y, y == x))", {"xs", "ys"}),
        ("size(a) + math.abs(b)", {"a", "b"}),
        ("{'k': v, w: 1}", {"v", "w"}),
        ("'a.b' + \"c\" + r'\\' + d // e", {"d"}),
        ("has(a.b) ? a.b : null", {"a"}),
        ("a[b.c][0]", {"a", "b"}),
        ("true && x in [1, y]", {"x", "y"}),
        ("a.size() + (b.c).d", {"a", "b"}),
    ],
)
def test_free_variables_are_found_and_bound_ones_are_not(source: str, variables: set[str]) -> None:
    assert scan(source).variables == variables


def test_the_longest_expression_is_compiled() -> None:
    source = "1" + " + 1" * ((MAX_EXPRESSION - 1) // 4)
    assert compile_program(source).run({}) == (MAX_EXPRESSION - 1) // 4 + 1
