"""The acceptance registry: every requirement, whether it is met, and the tests that would fail if it were not.

`registry.yaml` is edited by hand: set `status` to `done` or `partial` (with a `note` that says what is missing) when
tests marked ``@pytest.mark.requirement("ENT-01")`` prove it. The lists of tests need no typing:

    python -m tests.acceptance.registry --sync     write every row's `tests` from the marks in tests/
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = Path(__file__).with_name("registry.yaml")
STATUSES = ("done", "partial", "gap")
# How many requirements each part of the matrix has; their ids count from 1.
PARTS = {"ENT": 84, "ORC": 246, "STK": 187, "MOZ": 132, "MAOS": 50}
KINDS = {"F": "behaviour", "I": "interface", "D": "data", "T": "target", "C": "content", "P": "process"}

_ROW = re.compile(r"\| ((?:ENT|ORC|STK|MOZ|MAOS)-\d+) \|")
_GROUP = re.compile(r"### \w+: (?P<area>.*?)  \(seed.*theme: (?P<theme>.*)\)")
_ASIDE = re.compile(r"\s*\((?:L\d|seed)[^()]*\)")


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement and where it stands.

    Attributes:
        id: such as ``ENT-01``.
        theme: the heading it counts under.
        area: the narrower group.
        kind: behaviour, interface, data, target (a number to measure), content or process.
        title: what is asked.
        status: done, partial or gap.
        tests: node ids of the tests that prove it.
        note: for a partial row, what is missing.
    """

    id: str
    theme: str
    area: str
    kind: str
    title: str
    status: str = "gap"
    tests: tuple[str, ...] = field(default=())
    note: str = ""


def expected_ids() -> list[str]:
    """Every id there is."""
    return [f"{part}-{number:02d}" for part, count in PARTS.items() for number in range(1, count + 1)]


def load(text: str | None = None) -> list[Row]:
    """The rows of the registry file, in its order."""
    themes = YAML(typ="safe").load(REGISTRY.read_text(encoding="utf-8") if text is None else text)
    rows = []
    for theme, entries in themes.items():
        for identifier, entry in entries.items():
            known = {**entry, "tests": tuple(entry.get("tests", ()))}
            rows.append(Row(id=identifier, theme=theme, **known))
    return rows


def dump(rows: list[Row]) -> str:
    """The text of the registry file that holds `rows`."""
    lines = ["# Every requirement; tests/acceptance/registry.py says how this file is kept."]
    theme = None
    for row in rows:
        if row.theme != theme:
            theme = row.theme
            lines += ["", f"{json.dumps(theme)}:"]
        lines.append(f"  {row.id}:")
        lines.append(f"    title: {json.dumps(row.title, ensure_ascii=False)}")
        lines.append(f"    area: {json.dumps(row.area)}")
        lines.append(f"    kind: {row.kind}")
        lines.append(f"    status: {row.status}")
        if row.note:
            lines.append(f"    note: {json.dumps(row.note, ensure_ascii=False)}")
        if row.tests:
            lines.append("    tests:")
            lines += [f"      - {json.dumps(test)}" for test in row.tests]
    return "\n".join(lines) + "\n"


def read_matrix(text: str) -> list[Row]:
    """The rows of the requirements matrix, all of them gaps, grouped by theme."""
    rows: list[Row] = []
    area = theme = ""
    for line in text.splitlines():
        if group := _GROUP.match(line):
            area, theme = group["area"], group["theme"]
        elif found := _ROW.match(line):
            _, kind, title, number, *_ = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            title = _ASIDE.sub("", title).replace("\\|", "|")
            if kind == "T" and number:
                title += f": {_ASIDE.sub('', number)}"
            rows.append(Row(id=found[1], theme=theme, area=area, kind=KINDS[kind], title=title))
    order = list(dict.fromkeys(row.theme for row in rows))
    return sorted(rows, key=lambda row: order.index(row.theme))


def marks(folder: Path = ROOT / "tests") -> dict[str, set[str]]:
    """The requirement ids each test is marked with, by node id; a test without a mark is there with none."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        found.update(
            _marked(module, path.relative_to(ROOT if path.is_relative_to(ROOT) else folder).as_posix())
        )
    return found


def _marked(module: ast.Module, file: str) -> Iterator[tuple[str, set[str]]]:
    everywhere = _assigned(module)
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            inherited = everywhere | _assigned(node) | _named(node.decorator_list)
            for inner in node.body:
                if _is_test(inner):
                    yield f"{file}::{node.name}::{inner.name}", inherited | _named(inner.decorator_list)
        elif _is_test(node):
            yield f"{file}::{node.name}", everywhere | _named(node.decorator_list)


def _is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def _assigned(scope: ast.Module | ast.ClassDef) -> set[str]:
    """Ids in a `pytestmark` of a module or class."""
    found: set[str] = set()
    for node in scope.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            found |= _named(node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value])
    return found


def _named(expressions: list[ast.expr]) -> set[str]:
    """Ids in `pytest.mark.requirement("...")` expressions."""
    return {
        str(ast.literal_eval(argument))
        for call in expressions
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.requirement"
        for argument in call.args
    }


def problems(rows: list[Row], marked: Mapping[str, set[str]]) -> list[str]:
    """What is wrong between the registry and the tests, one sentence each."""
    listed = {row.id: row for row in rows}
    wrong = [problem for row in rows for problem in [*_status_problems(row), *_test_problems(row, marked)]]
    for test, ids in marked.items():
        for identifier in sorted(ids):
            if identifier not in listed:
                wrong.append(f"{test} is marked with {identifier}, which is no requirement")
            elif test not in listed[identifier].tests:
                wrong.append(
                    f"{test} is marked with {identifier}, which does not list it: run registry --sync"
                )
    return wrong


def _status_problems(row: Row) -> Iterator[str]:
    if row.status not in STATUSES:
        yield f"{row.id}: the status is {row.status!r}, not one of {', '.join(STATUSES)}"
    if row.status in ("done", "partial") and not row.tests:
        yield f"{row.id} is {row.status} and names no test"
    if row.status == "gap" and row.tests:
        yield f"{row.id} is a gap and names tests: decide whether it is done or partial"
    if row.status == "partial" and not row.note:
        yield f"{row.id} is partial and does not say what is missing"


def _test_problems(row: Row, marked: Mapping[str, set[str]]) -> Iterator[str]:
    for test in row.tests:
        if test not in marked:
            yield f"{row.id} names {test}, which does not exist"
        elif row.id not in marked[test]:
            yield f'{test} lacks @pytest.mark.requirement("{row.id}")'


def sync(rows: list[Row], marked: Mapping[str, set[str]]) -> list[Row]:
    """The rows with the tests that are marked with them."""
    proofs: dict[str, list[str]] = {}
    for test, ids in marked.items():
        for identifier in ids:
            proofs.setdefault(identifier, []).append(test)
    return [replace(row, tests=tuple(sorted(proofs.get(row.id, ())))) for row in rows]


if __name__ == "__main__":
    if sys.argv[1:] != ["--sync"]:
        sys.exit(__doc__)
    found = marks()
    written = sync(load(), found)
    REGISTRY.write_text(dump(written), encoding="utf-8")
    sys.exit("\n".join(problems(written, found)) or None)
