"""Tool names on the wire are allowed names, and lead back to ours."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mosaic.providers import Message, ModelRequest, ToolCallPart, ToolDefinition
from mosaic.providers.naming import ToolNames


def request(*names, history=()):
    messages = tuple(Message("assistant", (ToolCallPart("c", name, {}),)) for name in history)
    return ModelRequest("m", messages, tools=tuple(ToolDefinition(name, "", {}) for name in names))


def test_a_dotted_name_becomes_an_allowed_one_and_comes_back():
    names = ToolNames(request("files.read"))
    assert names.wire("files.read") == "files_read"
    assert names.ours("files_read") == "files.read"


def test_two_names_never_share_one_on_the_wire():
    names = ToolNames(request("a.b", "a_b", "a-b", "a:b"))
    assert len({names.wire(name) for name in ("a.b", "a_b", "a-b", "a:b")}) == 4
    assert names.ours(names.wire("a_b")) == "a_b"


def test_names_of_the_history_keep_their_form():
    names = ToolNames(request(history=["gone.tool"]))
    assert names.ours("gone_tool") == "gone.tool"


def test_a_name_that_we_never_gave_out_is_passed_on_as_it_is():
    assert ToolNames(request("a")).ours("invented") == "invented"


@given(st.lists(st.text(min_size=1, max_size=100), unique=True, max_size=30))
def test_every_name_is_allowed_short_enough_and_unique(given_names):
    names = ToolNames(request(*given_names))
    wires = [names.wire(name) for name in given_names]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", wire) for wire in wires)
    assert [names.ours(wire) for wire in wires] == given_names
