"""Keys of work items."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.planning import KINDS, is_key
from mosaic.planning.keys import child_kind, make_key, parse_key


@pytest.mark.requirement("STK-87")
def test_a_childs_digits_extend_its_parents() -> None:
    numbers = (55, 1, 2, 3, 4, 5)
    keys = [make_key(numbers[:depth]) for depth in range(1, 7)]
    assert keys == [
        "E.055", "F.055.01", "S.055.01.02", "T.055.01.02.03", "ST.055.01.02.03.04", "A.055.01.02.03.04.05",
    ]  # fmt: skip
    for parent, child in itertools.pairwise(keys):
        assert child.partition(".")[2].startswith(parent.partition(".")[2])
    assert [parse_key(key) for key in keys] == [numbers[:depth] for depth in range(1, 7)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E.55",
        "E.0555",
        "F.055",
        "E.055.01",
        "T.001.01.01.1",
        "e.001",
        "E.000",
        "F.001.00",
        "E.\u0660\u0660\u0661",
        "E.001\n",
    ],
)
def test_what_is_no_key_is_seen(text: str) -> None:
    assert not is_key(text)


@pytest.mark.parametrize("numbers", [(), (0,), (1000,), (1, 100), (1, 0), (1, 1, 1, 1, 1, 1, 1)])
def test_no_key_is_made_of_numbers_that_do_not_fit(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make_key(numbers)


@given(st.tuples(st.integers(1, 999)), st.lists(st.integers(1, 99), max_size=5))
def test_a_key_is_read_back_as_its_numbers(epic: tuple[int], rest: list[int]) -> None:
    numbers = (*epic, *rest)
    assert parse_key(make_key(numbers)) == numbers


def test_levels_follow_each_other() -> None:
    kind, found = None, []
    while (kind := child_kind(kind)) is not None:
        found.append(kind)
    assert tuple(found) == KINDS
