"""Tests wait for what happens, never for time to pass."""

import ast

from tests.architecture.sources import python_files, shown, tree


def sleeps(module: ast.Module) -> list[int]:
    """Lines that call or import `time.sleep`."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr == "sleep":
            if isinstance(node.value, ast.Name) and node.value.id == "time":
                found.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [node.lineno for name in node.names if name.name == "sleep"]
    return found


def test_no_test_sleeps():
    assert not {shown(path): lines for path in python_files("tests/") if (lines := sleeps(tree(path)))}


def test_a_sleep_is_noticed():
    assert sleeps(ast.parse("import time\ntime.sleep(1)")) == [2]
    assert sleeps(ast.parse("from time import sleep")) == [1]


def test_no_test_mocks_our_own_code():
    wrong = []
    for path in python_files("tests/"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("unittest.mock"):
                wrong.append(f"{shown(path)}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "unittest":
                wrong += [f"{shown(path)}:{node.lineno}" for name in node.names if name.name == "mock"]
    assert not wrong
