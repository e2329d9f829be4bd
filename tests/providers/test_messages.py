"""Canonical messages turn to JSON and back, and keep what a model wrote wrongly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput
from mosaic.providers import (
    BlobPart,
    Message,
    ModelRequest,
    ModelResponse,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    UriPart,
    Usage,
    tool_arguments,
)

EVERY_PART = (
    TextPart("hello"),
    ReasoningPart("so", signature="sealed"),
    ReasoningPart("", redacted="secret thought"),
    ToolCallPart("c1", "files.read", {"path": "a"}),
    ToolCallResponsePart("c1", "files.read", {"text": "x"}, is_error=True),
    BlobPart("image", "image/png", "aGk="),
    UriPart("image", None, "https://example.test/a.png"),
)


@pytest.mark.requirement("ORC-103")
def test_a_message_of_every_part_comes_back_equal_through_json():
    message = Message("assistant", EVERY_PART)
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_a_response_comes_back_equal_through_json():
    response = ModelResponse(
        Message("assistant", EVERY_PART[:4]),
        "tool_call",
        Usage(5, 4, 3, 2, 1),
        "m",
        "p",
        "id",
        usage_estimated=True,
    )
    assert ModelResponse.from_json(json.loads(json.dumps(response.to_json()))) == response


@pytest.mark.requirement("ORC-103")
@pytest.mark.parametrize(
    "shown",
    [
        {"role": "robot", "parts": []},
        {"role": "user", "parts": [{"type": "smell"}]},
        {"role": "user", "parts": [{"type": "text"}]},
    ],
)
def test_what_is_not_a_message_is_refused(shown):
    with pytest.raises(InvalidInput):
        Message.from_json(shown)


def test_arguments_that_are_an_object_are_read():
    assert tool_arguments('{"a": [1]}') == {"a": [1]}
    assert tool_arguments({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("text", ["", "  ", None])
def test_no_arguments_mean_a_call_without_arguments(text):
    assert tool_arguments(text) == {}


@pytest.mark.parametrize("text", ['{"a": ', "[1]", "null", '{"a": NaN}', "[" * 100_000, "do it"])
def test_malformed_arguments_are_kept_and_marked(text):
    part = ToolCallPart("c", "t", tool_arguments(text))
    assert part.malformed == text[:2000]
    assert part.arguments["$error"]
    json.dumps(part.to_json(), allow_nan=False)


@given(st.text())
def test_any_arguments_become_a_json_object(text):
    json.dumps(tool_arguments(text), allow_nan=False)


def test_a_good_call_is_not_malformed():
    assert ToolCallPart("c", "t", {"path": "a"}).malformed is None


def test_usage_adds_up_figure_by_figure():
    assert Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50) == Usage(11, 22, 33, 44, 55)


def test_a_request_is_told_apart_by_what_decides_the_answer_only():
    def request(**changes):
        fields = {
            "model": "m",
            "messages": (Message.of("user", "hi"),),
            "tools": (ToolDefinition("t", "d", {}),),
        }
        return ModelRequest(**{**fields, **changes})

    assert request().to_json() == request(timeout_s=1, metadata={"agent": "a"}).to_json()
    assert request().to_json() != request(temperature=0.5).to_json()
