"""JSON values have one canonical form and one hash."""

import json
from collections import UserDict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.page import Page
from mosaic.core.values import JsonValue, canonical_json, content_hash, to_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(json_values)
def test_the_canonical_form_reads_back_and_is_stable(value: JsonValue) -> None:
    form = canonical_json(value)
    assert json.loads(form) == value
    assert canonical_json(json.loads(form)) == form


def test_the_order_of_fields_does_not_change_the_hash() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})
    assert content_hash(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"value": value})


def test_anything_becomes_plain_json() -> None:
    value = {"t": (1, 2.5), 3: {"x": None}, "b": b"abc\xff", "d": Decimal("1.5"), "u": UserDict(a=[True])}
    assert to_json(value) == {
        "t": [1, 2.5],
        "3": {"x": None},
        "b": "abc\ufffd",
        "d": "1.5",
        "u": {"a": [True]},
    }


@given(json_values)
def test_plain_json_stays_as_it_is(value: JsonValue) -> None:
    assert to_json(value) == value


def test_the_last_page_has_no_cursor() -> None:
    assert Page(items=(1, 2)).next_cursor is None
