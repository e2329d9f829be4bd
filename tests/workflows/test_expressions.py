"""Expressions: what they give, what they refuse, and how they say so."""

import contextlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import ExpressionFailed
from mosaic.workflows import expressions

SCOPE: dict[str, Any] = {
    "inputs": {"goal": "ship it", "count": 3, "rate": 1.5, "none": None, "in-put": 1},
    "plan": {"tasks": [{"title": "a", "risk": "high"}, {"title": "b"}], "meta": {"b": 1, "a": 2}},
    "skipped": None,
}


def evaluate(text: str) -> Any:
    return expressions.compile(text, file="w.yaml", line=7, column=11).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${plan.tasks}", SCOPE["plan"]["tasks"]),
        ("${plan.tasks[0].title}", "a"),
        ("${inputs['in-put']}", 1),
        ("${inputs.none}", None),
        ("${inputs.count}\n", 3),
        ("Fix ${plan.tasks[0].title}: ${inputs.count} ${inputs.rate} ${skipped} ${plan.tasks[1]}",
         'Fix a: 3 1.5 null {"title": "b"}'),
        ("$${HOME} ${inputs.count}", "${HOME} 3"),
        ("${inputs.count + 1}", 4),
        ("${inputs.count > 2 && inputs.goal.startsWith('ship')}", True),
        ("${plan.tasks.exists(t, has(t.risk) && t.risk == 'high')}", True),
        ("${plan.tasks.filter(t, has(t.risk)).map(t, t.title)}", ["a"]),
        ("${skipped == null ? 'none' : skipped.x}", "none"),
        ('${{"a": [1, 2.5], "b": {"c": true}}}', {"a": [1, 2.5], "b": {"c": True}}),
        ("${'}' + \"{\"}", "}{"),
        ("${[1, [2, 3]].flatten()}", [1, 2, 3]),
        ("${plan.tasks.map(t, t.title).join('+')}", "a+b"),
        ("${' A b '.trim().lowerAscii()}", "a b"),
        ("${'a,b'.split(',')}", ["a", "b"]),
        ("${'a\\nb'.lines()}", ["a", "b"]),
        ("${'aXb'.replace('X', '-').upperAscii().substring(0, 2)}", "A-"),
        ("${'abc'.indexOf('c')}", 2),
        ("${json(plan.meta)}", '{"a": 2, "b": 1}'),
        ("${parseJson('{\"a\": [1]}').a}", [1]),
        ("${distinct([1, 2, 1]).reverse()}", [2, 1]),
        ("${sort(['b', 'a']).first()}", "a"),
        ("${[].first()}", None),
        ("${[1, 2, 3].slice(1, 3).last()}", 3),
        ("${keys(plan.meta)}", ["a", "b"]),
        ("${values(plan.meta)}", [2, 1]),
        ("${merge(plan.meta, {'c': 3}).c}", 3),
        ("${min([3, 1]) + max(1, 2) + sum([1, 2])}", 6),
        ("${math.abs(-1.5) + math.ceil(0.1) + math.floor(1.9) + math.round(0.5)}", 4.5),
        ("${base64.encode(b'hi')}", "aGk="),
        ("${duration('1h30m')}", "5400s"),
        ("${timestamp('2024-01-01T00:00:00Z')}", "2024-01-01T00:00:00Z"),
        ("${type(1) == int}", True),
    ],
)  # fmt: skip
def test_an_expression_gives_its_value(text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${nothing}", "w.yaml:7:13: unknown variable `nothing`, in `nothing`", "known names: inputs, plan, skipped"),
        ("say ${plan.taks}", "w.yaml:7:22: `plan` has no field `taks` (it has: meta, tasks), in `plan.taks`",
         "did you mean `tasks`?"),
        ("${plan.x}", "w.yaml:7:18: `plan` has no field `x` (it has: meta, tasks), in `plan.x`",
         "test it first: `has(plan.x)`"),
        ("${plan.tasks[5]}", "w.yaml:7:24: `plan.tasks` has 2 items; there is no item 5, in `plan.tasks[5]`",
         "known names: inputs, plan, skipped"),
        ("${skipped.x + 1}", "w.yaml:7:21: `skipped` is null: it has no field `x`, in `skipped.x + 1`",
         "test it first: `skipped != null`"),
        ("${plan.tasks.all(t, t.risk == 'high')}",
         "w.yaml:7:33: `plan.tasks[1]` has no field `risk` (it has: title), in `plan.tasks.all(t, t.risk == 'high')`",
         "test it first: `has(plan.tasks[1].risk)`"),
        ("${inputs.rate + 1}",
         "w.yaml:7:13: `float + int` is not possible; nothing is converted by itself: use int(x), double(x) or string(x), in `inputs.rate + 1`",
         "known names: inputs, plan, skipped"),
        ("${size(inputs.count)}", "w.yaml:7:13: `size` does not take what it is given here, in `size(inputs.count)`",
         "known names: inputs, plan, skipped"),
        ("${1.0 / 0.0}", "w.yaml:7:13: the result is not a finite number, in `1.0 / 0.0`",
         "known names: inputs, plan, skipped"),
        ("${plan.meta.map(k, k)}",
         "w.yaml:7:23: `map` over an object has no order, so a resumed run could see another one, in `plan.meta.map(k, k)`",
         "walk `keys(x)` or `values(x)`, which are sorted"),
        ("${min([])}", "w.yaml:7:13: `min` failed: min() arg is an empty sequence, in `min([])`",
         "known names: inputs, plan, skipped"),
    ],
)  # fmt: skip
def test_a_failure_names_place_expression_and_what_is_known(text: str, message: str, hint: str) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        evaluate(text)
    assert (raised.value.message, raised.value.hint) == (message, hint)
    assert raised.value.data["file"] == "w.yaml"
    assert raised.value.data["line"] == 7
    assert raised.value.data["known"] == ["inputs", "plan", "skipped"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("${", 11, "this `${` has no closing `}`"),
        ("a ${}", 13, "this expression is empty"),
        ("${1 +}", 16, "the expression ends too early"),
        ("${a b}", 15, "did not expect `b` here"),
        ("${a.in}", 15, "did not expect `.in` here"),
        ("${for}", 13, "`for` is a reserved word"),
        ("${lenght(a)}", 13, "unknown function `lenght`"),
        ("${x.toUpper()}", 15, "unknown function `toUpper`"),
        ("${ {'a': 1}.map(k, k)}", 23, "`map` over an object has no order"),
        ("${[1].map(a, [1].map(b, [1].map(c, [1].map(d, d))))}", 50, "macros nest at most 3 deep"),
        ("${" + "(" * 1500 + "1" + ")" * 1500 + "}", 109, "this is nested too deeply"),
        ("${" + "1 + " * 1000 + "1}", 11, "this `${` has no closing `}`"),
        ("${x}" * 101, 411, "a text holds at most 100 expressions"),
    ],
)
def test_wrong_syntax_is_refused_when_it_is_compiled_at_its_place(
    text: str, column: int, message: str
) -> None:
    with pytest.raises(ExpressionFailed) as raised:
        expressions.compile(text, file="w.yaml", line=7, column=11)
    assert raised.value.message.startswith(f"w.yaml:7:{column}: {message}")


def test_conditions_may_leave_out_the_braces_and_must_be_true_or_false() -> None:
    for text in ("inputs.count > 2", "${inputs.count > 2}", "  inputs.count > 2  ", "true"):
        assert expressions.compile_condition(text).evaluate_bool(SCOPE) is True
    with pytest.raises(ExpressionFailed) as raised:
        expressions.compile_condition("inputs.count", file="w.yaml", line=1, column=1).evaluate_bool(SCOPE)
    assert raised.value.message == (
        "w.yaml:1:1: a condition must be true or false; this is a number, in `inputs.count`"
    )
    for text in ("", "${inputs.count} > 2", "inputs.count >"):
        with pytest.raises(ExpressionFailed):
            expressions.compile_condition(text)


def test_a_value_in_a_script_is_a_variable_and_never_code() -> None:
    script = expressions.compile_shell(
        'git log ${inputs.goal} "--x=${inputs.count}" # don\'t\necho $HOME $${PATH}'
    )
    assert script.render({"inputs": {"goal": "; rm -rf / '\" $(x)", "count": 3}}) == (
        'git log "${MOSAIC_VALUE_1}" "--x=${MOSAIC_VALUE_2}" # don\'t\necho $HOME ${PATH}',
        {"MOSAIC_VALUE_1": "; rm -rf / '\" $(x)", "MOSAIC_VALUE_2": "3"},
    )
    assert script.variables == {"inputs"}


@pytest.mark.parametrize("text", ["echo '${inputs.goal}'", "echo \"it's\" 'a ${inputs.goal}'"])
def test_an_expression_in_single_quotes_of_a_script_is_refused(text: str) -> None:
    with pytest.raises(ExpressionFailed, match="single quotes"):
        expressions.compile_shell(text)


@given(st.text(max_size=60), st.text(max_size=40))
def test_a_script_is_the_same_whatever_the_value(value: str, around: str) -> None:
    try:
        script = expressions.compile_shell(around.replace("$", "") + "${inputs.goal}")
    except ExpressionFailed:
        return  # the text around it opened single quotes
    rendered, environment = script.render({"inputs": {"goal": value}})
    assert environment == {"MOSAIC_VALUE_1": value}
    assert rendered == script.render({"inputs": {"goal": "another"}})[0]


@pytest.mark.parametrize("value", ["; exit 3", "$(exit 3)", "`exit 3`", "' \" \\", "*", "a\nb", "-n"])
def test_a_shell_gets_exactly_the_value(value: str) -> None:
    script, environment = expressions.compile_shell('printf %s ${v}; printf %s "<${v}>"').render({"v": value})
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == f"{value}<{value}>"


def test_a_chain_is_answered_without_a_copy_and_programs_may_be_shared_by_threads() -> None:
    assert evaluate("${plan.tasks}") is SCOPE["plan"]["tasks"]
    template = expressions.compile("${plan.tasks.map(t, t.title).join('') + string(inputs.count)}")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: template.evaluate(SCOPE), range(200))) == {"ab3"}


@given(st.text(alphabet="ab.[](){}'\"0,+?: ${}\\", max_size=40))
def test_no_text_makes_the_compiler_raise_anything_else(text: str) -> None:
    with contextlib.suppress(ExpressionFailed):
        expressions.compile(text)
