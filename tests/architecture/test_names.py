"""What may not stand in this repository: names without a noun, unfinished marks, registries, traces of a workplace."""

import ast
import re

import pytest

from tests.architecture.sources import PACKAGE, checkout_files, exported, python_files, shown, tree

NOUNLESS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "stuff"}
# Written in two halves, so that this file passes its own test.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "yarnpkg" + ".com", "crates" + ".io",
              "golang" + ".org/"]  # fmt: skip
TRACES = re.compile(
    r"/work/" + r"(main|shared)"
    r"|co-" + r"authored-by"
    r"|as an ai (language )?" + r"model"
    r"|(written|generated|authored|made) (by|with) (an? )?(ai|llm|claude|chatgpt|gpt|copilot|codex|gemini)\b"
    r"(?! (plans?|agents?|models?))",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError|# *stub\b")


def text_files():
    for path in checkout_files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def findings(pattern, *, below=""):
    return [
        f"{shown(path)}:{number}: {line.strip()[:120]}"
        for path, text in text_files()
        if shown(path).startswith(below)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_module_and_class_is_named_for_a_noun():
    wrong = []
    for path in python_files("src/"):
        names = {*path.relative_to(PACKAGE).with_suffix("").parts}
        wrong += [f"{shown(path)}: {part}" for part in names if set(part.split("_")) & NOUNLESS]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                words = {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
                wrong += [f"{shown(path)}:{node.lineno}: {node.name}"] if words & NOUNLESS else []
    assert not wrong


def test_no_file_names_the_host_of_a_package_registry():
    assert not findings(re.compile("|".join(map(re.escape, REGISTRIES)), re.IGNORECASE))


def test_no_file_speaks_of_who_wrote_it_or_where():
    assert not findings(TRACES)


def test_the_product_holds_no_unfinished_marks():
    assert not findings(UNFINISHED, below="src/")


@pytest.mark.parametrize(
    "line",
    [
        "see /work" + "/main/x",
        "Co-" + "Authored-By: someone",
        "this was written by" + " an AI",
        "Generated with" + " Claude",
    ],
)
def test_the_search_for_traces_finds_them(line):
    assert TRACES.search(line)


def test_every_exported_class_and_function_has_a_docstring():
    missing = []
    for path in python_files("src/"):
        public = set(exported(tree(path)))
        missing += [
            f"{shown(path)}:{node.lineno}: {node.name}"
            for node in tree(path).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name in public
            and not ast.get_docstring(node)
        ]
    assert not missing


def test_every_room_says_what_it_is_and_what_it_offers():
    rooms = [
        path for path in python_files("src/") if path.name == "__init__.py" and path.parent.parent == PACKAGE
    ]
    assert rooms
    assert not [shown(path) for path in rooms if not ast.get_docstring(tree(path))]
    for path in rooms:
        names = exported(tree(path))
        assert names == sorted(set(names), key=names.index), f"{shown(path)} exports a name twice"
