"""Errors carry a stable code and data, and survive being written down."""

import re

import pytest

from mosaic.core import errors
from mosaic.core.errors import (
    InvalidDefinition,
    InvalidInput,
    MosaicError,
    NotFound,
    Problem,
    error_from_json,
)


def leaves(root: type[MosaicError]) -> list[type[MosaicError]]:
    children = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(leaf for child in children for leaf in leaves(child))]


def test_every_error_is_in_the_drawn_tree_with_its_status() -> None:
    drawn = dict(re.findall(r"── (\w+)\s+(\d{3})", str(errors.__doc__)))
    declared = {kind.__name__: str(kind.http_status) for kind in leaves(MosaicError)[1:]}
    assert declared == drawn
    assert set(declared) <= set(errors.__all__)


def test_every_code_names_one_error() -> None:
    codes = [kind.code for kind in leaves(MosaicError)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", leaves(MosaicError), ids=lambda kind: kind.__name__)
def test_an_error_is_read_back_as_what_it_was(kind: type[MosaicError]) -> None:
    error = kind("It went wrong.", hint="Try again.", retry_after_s=3, path="do[1]")
    back = error_from_json(error.to_json())
    assert type(back) is kind
    assert (back.message, back.hint, back.data, str(back)) == (
        error.message,
        error.hint,
        error.data,
        str(error),
    )
    assert back.to_json() == error.to_json()


def test_the_problems_of_a_bad_file_are_kept() -> None:
    problem = Problem(
        "unknown key 'agnet'", path="do[2]", file="a.yaml", line=3, column=5, suggestion="agent?"
    )
    back = error_from_json(InvalidDefinition("1 problem", problems=[problem]).to_json())
    assert isinstance(back, InvalidInput)
    assert back.problems == (problem,)
    assert str(problem) == "a.yaml:3:5: unknown key 'agnet' (agent?)"
    assert str(Problem("must be a number", path="inputs.n")) == "inputs.n: must be a number"


@pytest.mark.parametrize("shown", [{}, {"code": "invented"}, {"code": None, "data": None}])
def test_an_unknown_error_is_still_an_error(shown: dict[str, object]) -> None:
    assert type(error_from_json(shown)) is MosaicError


def test_data_cannot_overwrite_the_message() -> None:
    shown = {"code": "not_found", "message": "No run.", "data": {"message": "x", "hint": "y", "id": "run_1"}}
    back = error_from_json(shown)
    assert isinstance(back, NotFound)
    assert (back.message, back.hint, back.data) == ("No run.", None, {"id": "run_1"})
