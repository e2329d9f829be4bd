"""Versions are numbers with dots; ranges choose among them; shares divide requests by weight."""

from collections import Counter

import pytest

from mosaic.core.errors import InvalidInput
from mosaic.providers.versions import Share, VersionRange, checked_weights, newest, version_key


@pytest.mark.parametrize(
    ("wanted", "fits", "not_"),
    [
        ("*", ["0", "1.2.3", "99"], []),
        ("1", ["1", "1.0", "1.9.9"], ["10", "2", "0.1"]),
        ("1.2", ["1.2", "1.2.9"], ["1.20", "1.3", "1"]),
        ("1.2.*", ["1.2.7"], ["1.3"]),
        ("==1.2", ["1.2", "1.2.0"], ["1.2.1"]),
        (">=1.2,<2", ["1.2", "1.10", "1.99.1"], ["1.1.9", "2", "2.0"]),
        ("!=1.5, >1", ["1.4", "2"], ["1.5", "1", "1.0"]),
        ("<=2", ["2.0", "1"], ["2.0.1"]),
    ],
)
def test_a_range_holds_what_it_says(wanted, fits, not_):
    found = VersionRange.parse(wanted)
    assert [version for version in fits if version not in found] == []
    assert [version for version in not_ if version in found] == []


@pytest.mark.parametrize("text", ["", "a", "1.2.3.4.5", "~=1", ">=", "1,,2", ">=1.*", "-1"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InvalidInput):
        VersionRange.parse(text)


def test_a_version_is_compared_by_its_numbers():
    assert sorted(["1.10", "1.9", "1", "0.99.1"], key=version_key) == ["0.99.1", "1", "1.9", "1.10"]
    with pytest.raises(InvalidInput):
        version_key("1.x")


def test_the_newest_that_fits_is_chosen():
    assert newest(["1.2", "1.10", "2.0"], "1") == "1.10"
    assert newest(["1.2"], "3") is None


def test_a_share_follows_the_weights_and_keeps_a_request_where_it_was():
    share = Share.of([90, 10], seed="openai")
    ids = [f"request-{number}" for number in range(20_000)]
    chosen = [share.choose(id_) for id_ in ids]
    assert [share.choose(id_) for id_ in ids] == chosen
    assert 0.08 < Counter(chosen)[1] / len(ids) < 0.12
    assert [Share.of([90, 10], seed="other").choose(id_) for id_ in ids] != chosen


def test_weights_without_any_above_zero_are_refused():
    assert list(checked_weights({"1": 10, "2": 90, "3": 0}, name="x")) == ["2", "1"]
    for weights in ({"1": 0}, {}, {"x": 1}):
        with pytest.raises(InvalidInput):
            checked_weights(weights, name="x")
