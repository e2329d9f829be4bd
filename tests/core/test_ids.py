"""Ids name their noun, sort by time and do not repeat."""

import re
import time

import time_machine

from mosaic.core.ids import id_prefix, new_id


def test_an_id_is_its_noun_and_twenty_six_plain_characters() -> None:
    assert re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{26}", new_id("run"))


def test_ids_sort_by_the_time_they_were_made() -> None:
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False) as clock:
        ids = []
        for _ in range(100):
            ids.append(new_id("evt"))
            clock.shift(0.001)
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ() -> None:
    with time_machine.travel(time.time(), tick=False):
        assert len({new_id("evt") for _ in range(10_000)}) == 10_000


def test_the_noun_of_an_id_can_be_read_back() -> None:
    assert id_prefix(new_id("apr")) == "apr"
    assert id_prefix("nothing") == ""
