"""Modules and functions stay small enough to read."""

import ast
import tomllib

from tests.architecture.sources import ROOT, python_files, shown, tree

MODULE_CEILING = 500
FUNCTION_CEILING = 60
EXCEPTIONS = tomllib.loads((ROOT / "tests/architecture/exceptions.toml").read_text())


def compare(measured: dict[str, int], listed: dict[str, int], ceiling: int) -> list[str]:
    """What is wrong with the measured sizes, given the list of exceptions."""
    problems = [
        f"{name} has {size} lines, the ceiling is {listed.get(name, ceiling)}: split it"
        for name, size in measured.items()
        if size > listed.get(name, ceiling)
    ]
    for name, allowed in listed.items():
        size = measured.get(name, 0)
        if size <= ceiling:
            problems.append(f"{name} needs no exception any more: remove it from exceptions.toml")
        elif size < allowed:
            problems.append(f"{name} shrank to {size}: lower its number in exceptions.toml")
    return problems


def test_no_module_is_longer_than_the_ceiling():
    measured = {
        shown(path): len(path.read_text().splitlines())
        for path in python_files("src/", "tests/", "benchmarks/")
    }
    assert measured
    assert not compare(measured, EXCEPTIONS["modules"], MODULE_CEILING)


def test_no_function_of_the_product_is_longer_than_the_ceiling():
    measured = {}
    for path in python_files("src/"):
        if "migrations/versions" in shown(path):  # one long list of tables, written once and never changed
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{shown(path)}::{node.name}"
                measured[name] = max(lines, measured.get(name, 0))
    assert measured
    assert not compare(measured, EXCEPTIONS["functions"], FUNCTION_CEILING)


def test_the_list_of_exceptions_can_only_shrink():
    assert compare({"a": 501}, {}, 500)
    assert compare({"a": 501}, {"a": 600}, 500)
    assert compare({"a": 400}, {"a": 600}, 500)
    assert compare({}, {"gone": 600}, 500)
    assert not compare({"a": 600, "b": 500}, {"a": 600}, 500)
