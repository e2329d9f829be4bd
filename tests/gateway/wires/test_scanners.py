"""What an answer says about itself is found while it passes, however it is cut, and nothing else counts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.gateway.wires import codec, scan_usage
from mosaic.providers import Message, ModelResponse, TextPart, ToolCallPart, Usage
from tests.gateway.wires.canonical import deltas, responses
from tests.gateway.wires.test_streams import asked, written

CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"
every_wire = pytest.mark.parametrize("wire", [CHAT, RESPONSES, MESSAGES])
REASONS = {
    CHAT: {"stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter"},
    RESPONSES: {
        "stop": "completed",
        "length": "max_output_tokens",
        "tool_call": "completed",
        "content_filter": "content_filter",
    },
    MESSAGES: {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_call": "tool_use",
        "content_filter": "refusal",
    },
}
# Everything that a scanner looks for, written by a model to be counted.
SPOOF = (
    '"usage":{"prompt_tokens":1,"completion_tokens":9999999} "finish_reason":"stop" data: [DONE]\n\ndata: '
    '{"choices":[],"usage":{"prompt_tokens":1}}\n\nevent: message_delta\ndata: {"type":"message_delta","usage":'
    '{"output_tokens":9}}\n\n"response.completed" "error":{"message":"no"}'
)


def cut(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def scanned(wire, chunks, *, stream=True, strip=False):
    scanner = scan_usage(wire, stream=stream, strip_usage=strip)
    passed = b"".join([scanner.feed(chunk) for chunk in chunks]) + scanner.rest()
    return scanner.result(), passed


def known(wire, usage):
    """Anthropic does not say how much of an answer was thought."""
    if wire != MESSAGES:
        return usage
    return Usage(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens)


@every_wire
@given(responses(), st.integers(1, 400), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_stream_is_passed_on_unchanged_and_understood(wire, response, size, windows):
    stream = written(wire, response, deltas(response))
    if windows:
        stream = stream.replace(b"\n", b"\r\n")
    found, passed = scanned(wire, cut(stream, size))
    assert passed == stream
    assert found.usage == known(wire, response.usage)
    assert found.finish_reason == REASONS[wire][response.finish_reason]
    assert (found.model, found.complete, found.error) == ("route", True, None)
    assert found.response_id
    assert found.n_bytes == len(stream)


@every_wire
@given(responses(), st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_a_whole_body_is_understood(wire, response, size):
    body = codec(wire).write_response(response, asked(wire))
    found, passed = scanned(wire, cut(body, size), stream=False)
    assert passed == body
    assert found.usage == known(wire, response.usage)
    assert found.finish_reason == REASONS[wire][response.finish_reason]
    assert (found.model, found.complete, found.error) == ("route", True, None)


@every_wire
@pytest.mark.parametrize("stream", [True, False])
def test_a_model_cannot_write_its_own_bill(wire, stream):
    parts = (
        TextPart(SPOOF),
        ToolCallPart("c", "f", {"usage": {"output_tokens": 9, "total": SPOOF}, "error": {}}),
    )
    response = ModelResponse(Message("assistant", parts), "tool_call", Usage(7, 3), "m", "p")
    if stream:
        found, _ = scanned(wire, cut(written(wire, response, deltas(response, size=500)), 100))
    else:
        found, _ = scanned(wire, [codec(wire).write_response(response, asked(wire))], stream=False)
    assert (found.usage, found.error) == (Usage(7, 3), None)
    assert found.finish_reason == REASONS[wire]["tool_call"]


@every_wire
def test_a_stream_that_breaks_off_says_so(wire):
    response = ModelResponse(Message.of("assistant", "A long story. " * 9), "stop", Usage(7, 3), "m", "p")
    stream = written(wire, response, deltas(response))
    found, _ = scanned(wire, [stream[: len(stream) // 2]])
    assert not found.complete
    assert found.finish_reason is None
    assert found.events > 10
    if wire != MESSAGES:  # which says what it read at the beginning
        assert found.usage is None


@given(responses(), st.integers(1, 300), st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_chunk_that_nobody_asked_for_is_taken_out(response, size, windows):
    plain = written(CHAT, response, deltas(response))
    stream = plain.replace(b"\n", b"\r\n") if windows else plain
    found, passed = scanned(CHAT, cut(stream, size), strip=True)
    assert found.usage == response.usage
    objects = [json.loads(line[6:]) for line in passed.splitlines() if line.startswith(b"data: {")]
    before = [json.loads(line[6:]) for line in plain.splitlines() if line.startswith(b"data: {")]
    assert objects == before[:-1]
    assert passed.rstrip().endswith(b"data: [DONE]")


def test_a_first_chunk_without_choices_stays():
    first = b'data: {"id":"a","choices":[],"prompt_filter_results":[]}\n\n'
    _, passed = scanned(CHAT, [first], strip=True)
    assert passed == first


def test_an_error_is_never_taken_out():
    event = b'data: {"error":{"message":"no"}}\n\n'
    found, passed = scanned(CHAT, [event], strip=True)
    assert passed == event
    assert found.error == {"message": "no"}


@pytest.mark.parametrize("last", [{"output_tokens": 40}, {"output_tokens": 40, "input_tokens": None}])
def test_the_end_of_a_message_adds_to_what_its_beginning_said(last):
    read = {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 3,
        "output_tokens": 1,
    }
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": read}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}
    stream = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (start, delta))
    found, _ = scanned(MESSAGES, cut(stream.encode(), 50))
    assert found.usage == Usage(33, 40, 20, 3)
    assert not found.complete


def test_usage_that_comes_with_the_last_choice_counts():
    event = {
        "id": "a",
        "model": "m",
        "choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4},
    }
    found, passed = scanned(CHAT, [f"data: {json.dumps(event)}\n\n".encode()], strip=True)
    assert (found.usage, found.complete) == (Usage(4), True)
    assert passed


@pytest.mark.parametrize(
    ("wire", "stream", "code"),
    [
        (CHAT, b'data: {"error":{"message":"no","code":"c"}}\n\n', "c"),
        (
            MESSAGES,
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
            None,
        ),
        (RESPONSES, b'event: error\ndata: {"type":"error","code":"c","message":"no","param":null}\n\n', "c"),
        (
            RESPONSES,
            b'data: {"type":"response.failed","response":{"id":"r","error":{"code":"c","message":"no"}}}\n\n',
            "c",
        ),
    ],
)
def test_an_error_in_a_stream_is_found(wire, stream, code):
    found, _ = scanned(wire, cut(stream, 5))
    assert found.error["message"] == "no"
    assert found.error.get("code") == code


@every_wire
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: {\n\n",
        b"data: [1]\n\ndata: 7\n\n",
        b'data: {"type":"message_delta","usage":7,"delta":[]}\n\n',
        b'data: {"type":"message_start","message":[]}\n\n',
        b'data: {"type":"response.completed","response":7}\n\n',
        b'data: {"usage":{"prompt_tokens":-5,"completion_tokens":true,"prompt_tokens_details":3}}\n\n',
        b'data: {"choices":{"a":1},"finish_reason":"x","usage":{"prompt_tokens":1e400}}\n\n',
        b'data: {"choices":[7,null],"usage":{}}\n\n',
        b'{"usage":[],"choices":7,"id":7,"model":{}}',
        b'{"usage":{"input_tokens":"5"},"error":"no"}',
        b"\xff\xfe\n\n" * 9,
        b'data: {"error":{"message":' + b"[" * 5000,
    ],
)
def test_a_providers_nonsense_passes_and_counts_nothing(wire, stream, data):
    found, passed = scanned(wire, cut(data, 7), stream=stream)
    assert passed == data
    assert found.usage is None or found.usage.total_tokens == 0


def test_a_line_without_end_is_not_kept_for_ever():
    scanner = scan_usage(CHAT, stream=True, strip_usage=True)
    chunk = b"x" * 1_000_000
    passed = b"".join([scanner.feed(chunk) for _ in range(20)])
    assert len(passed) >= 12_000_000
    assert len(passed) + len(scanner.rest()) == 20_000_000


def test_counted_tokens_and_embeddings_are_understood():
    found, _ = scanned("anthropic.count_tokens", [b'{"input_tokens":12}'], stream=False)
    assert found.usage == Usage(12)
    body = b'{"object":"list","model":"e","data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}'
    found, _ = scanned("openai.embeddings", [body], stream=False)
    assert (found.usage, found.model) == (Usage(5), "e")
