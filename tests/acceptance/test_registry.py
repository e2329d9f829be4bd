"""The registry tells the truth: every requirement is there, and what is done is proved by a test."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance import registry
from tests.acceptance.table import table

MATRIX = Path(os.environ.get("MOSAIC_REQUIREMENTS", registry.ROOT.parent / "shared/mission/REQUIREMENTS.md"))
ROWS = registry.load()
ROW = registry.Row(id="ENT-01", theme="Data", area="data", kind="data", title="Something")
TEST = "tests/data/test_it.py::test_something"


def test_every_requirement_stands_in_the_registry_once():
    assert len(registry.expected_ids()) == 699
    assert Counter(row.id for row in ROWS) == Counter(registry.expected_ids())


def test_the_registry_agrees_with_the_requirements_matrix():
    if not MATRIX.exists():
        pytest.skip(f"{MATRIX} is not here; the ids are still checked against their counts")
    matrix = {row.id: (row.theme, row.area, row.kind) for row in registry.read_matrix(MATRIX.read_text())}
    assert set(matrix) == set(registry.expected_ids())
    assert {row.id: (row.theme, row.area, row.kind) for row in ROWS} == matrix


def test_what_is_done_is_proved_by_a_marked_test_and_every_mark_is_listed():
    assert not registry.problems(ROWS, registry.marks())


def test_the_file_is_written_the_way_it_is_read():
    assert registry.dump(ROWS) == registry.REGISTRY.read_text()
    odd = [replace(ROW, title='a "b": #c', status="partial", tests=(TEST,), note="no: d")]
    assert registry.load(registry.dump(odd)) == odd


@pytest.mark.parametrize(
    ("row", "marked", "complaint"),
    [
        (replace(ROW, status="done"), {}, "names no test"),
        (replace(ROW, status="partial", note="x"), {}, "names no test"),
        (replace(ROW, status="finished"), {}, "not one of"),
        (replace(ROW, status="done", tests=(TEST,)), {}, "does not exist"),
        (replace(ROW, status="done", tests=(TEST,)), {TEST: set()}, "lacks @pytest.mark.requirement"),
        (replace(ROW, status="partial", tests=(TEST,)), {TEST: {"ENT-01"}}, "what is missing"),
        (replace(ROW, tests=(TEST,)), {TEST: {"ENT-01"}}, "done or partial"),
        (ROW, {TEST: {"ENT-01"}}, "does not list it"),
        (ROW, {TEST: {"ENT-999"}}, "no requirement"),
    ],
)
def test_a_row_that_says_too_much_is_noticed(row, marked, complaint):
    assert complaint in " ".join(registry.problems([row], marked))


def test_a_proved_row_is_accepted():
    assert not registry.problems([replace(ROW, status="done", tests=(TEST,))], {TEST: {"ENT-01"}})


def test_marks_are_found_on_functions_classes_and_modules(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = [pytest.mark.anyio, pytest.mark.requirement('A-1')]\n"
        "@pytest.mark.requirement('A-2', 'A-3')\n"
        "async def test_one(): ...\n"
        "@pytest.mark.requirement('A-4')\n"
        "class TestMore:\n"
        "    def test_two(self): ...\n"
        "def test_three(): ...\n"
    )
    assert registry.marks(tmp_path) == {
        "test_it.py::test_one": {"A-1", "A-2", "A-3"},
        "test_it.py::TestMore::test_two": {"A-1", "A-4"},
        "test_it.py::test_three": {"A-1"},
    }


def test_sync_lists_exactly_the_marked_tests():
    stale = replace(ROW, status="done", tests=("tests/gone.py::test_gone",))
    assert registry.sync([stale], {TEST: {"ENT-01"}})[0].tests == (TEST,)


def test_the_table_ends_in_the_counts():
    lines = table([ROW, replace(ROW, id="ENT-02", status="done"), replace(ROW, id="ENT-03")]).splitlines()
    assert lines[-1] == "done 1 partial 0 gap 2"
    assert lines[1].split() == ["Data", "1", "0", "2", "3"]
