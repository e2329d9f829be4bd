"""Streams are read however the network cuts them, and never without bound."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import ContractViolation
from mosaic.core.redaction import Redactor
from mosaic.providers.wire import LINE_LIMIT_BYTES, ServerEvent, read_events, read_json, read_lines

pytestmark = pytest.mark.anyio

STREAM = ': hello\r\n\r\nevent: a\r\ndata: {"x":\r\ndata: 1}\r\n\r\ndata:ü\n\nid: 7\n\nevent: b\rdata: last\r\rdata: cut off'
EVENTS = [ServerEvent("a", '{"x":\n1}'), ServerEvent("message", "ü"), ServerEvent("b", "last")]


async def chunks(*pieces):
    for piece in pieces:
        yield piece


async def events(*pieces):
    return [event async for event in read_events(chunks(*pieces), provider="x")]


async def test_events_are_read_with_any_line_end_and_the_cut_off_one_is_not():
    assert await events(STREAM.encode()) == EVENTS


async def test_events_are_the_same_when_every_byte_comes_alone():
    assert await events(*(bytes([byte]) for byte in STREAM.encode())) == EVENTS


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=8))
async def test_events_are_the_same_wherever_the_network_cuts(cuts):
    data, places = STREAM.encode(), sorted({0, *cuts, len(STREAM.encode())})
    assert await events(*(data[a:b] for a, b in pairwise(places))) == EVENTS


async def test_an_event_without_end_is_refused_before_it_fills_the_memory():
    async def endless():
        while True:
            yield b"x" * 65_536

    with pytest.raises(ContractViolation, match="line of more than"):
        [line async for line in read_lines(endless(), provider="x")]


async def test_an_event_of_endless_lines_is_refused():
    async def endless():
        while True:
            yield b"data: " + b"x" * 65_536 + b"\n"

    with pytest.raises(ContractViolation, match="event of more than"):
        [event async for event in read_events(endless(), provider="x")]


async def test_a_long_line_within_the_limit_is_read():
    line = b"x" * (LINE_LIMIT_BYTES - 1)
    assert [len(line) async for line in read_lines(chunks(line, b"\n"), provider="x")] == [
        LINE_LIMIT_BYTES - 1
    ]


@pytest.mark.parametrize("text", ["<html>", "[1]", '"x"', "", '{"a":', "[" * 100_000])
def test_what_is_not_a_json_object_is_shown_by_its_beginning(text):
    with pytest.raises(ContractViolation) as caught:
        read_json(text, provider="x", redactor=Redactor())
    assert len(str(caught.value)) < 300


def test_a_secret_in_garbage_is_masked():
    with pytest.raises(ContractViolation) as caught:
        read_json("<p>your key is very-secret-key</p>", provider="x", redactor=Redactor(["very-secret-key"]))
    assert "very-secret-key" not in str(caught.value)
