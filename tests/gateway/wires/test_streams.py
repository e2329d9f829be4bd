"""A streamed answer, read by the vendors' own accumulators, is the answer that was meant, however it was cut."""

import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as AnthropicMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai._models import construct_type
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from mosaic.core.errors import BudgetExceeded, ModelRefused, Unavailable
from mosaic.gateway.wires import codec
from mosaic.providers import Delta, Message, ModelResponse, ReasoningPart, TextPart, ToolCallPart, Usage
from tests.gateway.wires import judges
from tests.gateway.wires.canonical import deltas, responses

CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"
every_wire = pytest.mark.parametrize("wire", [CHAT, RESPONSES, MESSAGES])
EVENTS = {
    CHAT: (judges.OPENAI, "CreateChatCompletionStreamResponse"),
    RESPONSES: (judges.OPENAI, "ResponseStreamEvent"),
    MESSAGES: (judges.ANTHROPIC, "__StreamEvent"),
}
WHOLE = {
    CHAT: (judges.OPENAI, "CreateChatCompletionResponse"),
    RESPONSES: (judges.OPENAI, "Response"),
    MESSAGES: (judges.ANTHROPIC, "__Message"),
}
ANSWER = ModelResponse(
    Message(
        "assistant",
        (
            ReasoningPart("Hm. Let me", signature="c2VhbA=="),
            TextPart("I look: \u2603 \U0001f600"),
            ToolCallPart("call_0", "read", {"path": "a/b", "n": 3}),
            ToolCallPart("call_1", "list", {}),
        ),
    ),
    "tool_call",
    Usage(100, 20, 30, 5, 7),
    "m",
    "p",
    "up_1",
)


def asked(wire, **more):
    bodies = {
        CHAT: {
            "model": "route",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "x"}],
        },
        RESPONSES: {"model": "route", "input": "x", "include": ["reasoning.encrypted_content"]},
        MESSAGES: {
            "model": "route",
            "max_tokens": 9000,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "messages": [{"role": "user", "content": "x"}],
        },
    }
    return codec(wire).read_request(json.dumps({**bodies[wire], **more}).encode())


def written(wire, response, pieces, *, asked_=None):
    writer = codec(wire).writer(asked_ or asked(wire))
    return writer.start() + b"".join([writer.feed(piece) for piece in pieces]) + writer.finish(response)


def accumulated(wire, stream):
    """The answer that the vendor's own client makes of the stream."""
    if wire == CHAT:
        state = ChatCompletionStreamState()
        for chunk in judges.events(stream):
            state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=chunk))
        return state.current_completion_snapshot
    if wire == RESPONSES:
        state = ResponseStreamState(input_tools=omit, text_format=omit)
        last = None
        for event in judges.events(stream):
            last = construct_type(type_=ResponseStreamEvent, value=event)
            state.handle_event(last)
        return last.response
    snapshot, buffers = None, {}
    for event in judges.events(stream):
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


def whole(wire, response):
    body = codec(wire).write_response(response, asked(wire))
    return {CHAT: ChatCompletion, RESPONSES: Response, MESSAGES: AnthropicMessage}[wire].model_validate_json(
        body
    )


def essence(wire, answer):
    """What an answer says, apart from its ids and times."""
    if wire == CHAT:
        choice = answer.choices[0]
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or ()
        ]
        thought = getattr(choice.message, "reasoning_content", None)
        return choice.message.content or "", thought, calls, choice.finish_reason, answer.usage
    if wire == RESPONSES:
        items = []
        for item in answer.output:
            if item.type == "message":
                items.append(item.content[0].text)
            elif item.type == "reasoning":
                items.append(([piece.text for piece in item.summary], item.encrypted_content))
            else:
                items.append((item.call_id, item.name, json.loads(item.arguments)))
        return items, answer.status, answer.incomplete_details, answer.usage
    blocks = []
    for block in answer.content:
        if block.type == "text":
            blocks.append(block.text)
        elif block.type == "thinking":
            blocks.append((block.thinking, block.signature))
        else:
            blocks.append((block.id, block.name, block.input))
    return blocks, answer.stop_reason, answer.usage


@every_wire
@given(responses(), st.integers(1, 30), st.sampled_from(["named", "late", "none"]))
@settings(max_examples=40, deadline=None)
def test_a_stream_says_what_the_whole_answer_says(wire, response, size, streamed):
    pieces = [] if streamed == "none" else deltas(response, size=size, late_names=streamed == "late")
    stream = written(wire, response, pieces)
    assert essence(wire, accumulated(wire, stream)) == essence(wire, whole(wire, response))


@every_wire
@pytest.mark.parametrize("streamed", [True, False])
def test_every_event_is_one_that_the_vendor_describes(wire, streamed):
    for event in judges.events(written(wire, ANSWER, deltas(ANSWER) if streamed else [])):
        judges.check(*EVENTS[wire], event)


@every_wire
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "error"])
def test_a_whole_answer_is_what_the_vendor_describes(wire, finish):
    body = codec(wire).write_response(ANSWER, asked(wire))
    judges.check(*WHOLE[wire], json.loads(body))
    ended = ModelResponse(Message.of("assistant", "Yes."), finish, Usage(1, 2), "m", "p")
    judges.check(*WHOLE[wire], json.loads(codec(wire).write_response(ended, asked(wire))))


def test_a_chat_stream_follows_the_grammar():
    stream = written(CHAT, ANSWER, deltas(ANSWER, size=100))
    shown = judges.events(stream)
    assert stream.endswith(b"data: [DONE]\n\n")
    assert len({event["id"] for event in shown}) == 1
    assert shown[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [event["usage"] for event in shown[:-1]] == [None] * (len(shown) - 1)
    assert shown[-1]["choices"] == []
    assert shown[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == 30
    assert [event["choices"][0]["finish_reason"] for event in shown[:-1]][-2:] == [None, "tool_calls"]
    assert {event["model"] for event in shown} == {"route"}


def test_a_chat_stream_shows_usage_only_to_those_who_ask():
    stream = written(CHAT, ANSWER, deltas(ANSWER), asked_=asked(CHAT, stream_options=None))
    assert b'"usage"' not in stream


def test_a_message_stream_opens_and_closes_one_block_at_a_time():
    shown = judges.events(written(MESSAGES, ANSWER, deltas(ANSWER, size=100)))
    order = [(event["type"], event.get("index")) for event in shown]
    assert order[0] == ("message_start", None)
    assert order[-2:] == [("message_delta", None), ("message_stop", None)]
    expected = []
    for index, number in enumerate([2, 1, 1, 1]):  # thoughts have a text and a seal
        expected.append(("content_block_start", index))
        expected += [("content_block_delta", index)] * number
        expected.append(("content_block_stop", index))
    assert order[1:-2] == expected
    assert shown[-2]["usage"] == {
        "input_tokens": 65,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 5,
        "output_tokens": 20,
    }


def test_a_seal_that_comes_only_with_the_whole_answer_still_closes_an_open_thought():
    thought = ModelResponse(
        Message("assistant", (ReasoningPart("Hm", signature="s"),)), "stop", Usage(), "m", "p"
    )
    message = accumulated(MESSAGES, written(MESSAGES, thought, [Delta("reasoning", "Hm")]))
    assert message.content[0].signature == "s"
    response = accumulated(RESPONSES, written(RESPONSES, thought, [Delta("reasoning", "Hm")]))
    assert response.output[0].encrypted_content == "anthropic:s"


def test_thoughts_reach_a_client_of_anthropic_only_when_it_asked_for_thinking():
    quiet = asked(MESSAGES, thinking=None)
    assert b"thinking" not in written(MESSAGES, ANSWER, deltas(ANSWER), asked_=quiet)
    assert b"thinking" not in codec(MESSAGES).write_response(ANSWER, quiet)


def test_events_of_a_response_are_numbered_without_gaps():
    shown = judges.events(written(RESPONSES, ANSWER, deltas(ANSWER)))
    assert [event["sequence_number"] for event in shown] == list(range(len(shown)))
    assert [event["type"] for event in shown[:2]] == ["response.created", "response.in_progress"]
    assert shown[-1]["type"] == "response.completed"
    done = [event["item"] for event in shown if event["type"] == "response.output_item.done"]
    assert shown[-1]["response"]["output"] == done


@every_wire
def test_a_call_that_got_another_id_at_the_end_is_not_told_twice(wire):
    calls = (ToolCallPart("c", "f", {"n": 1}), ToolCallPart("call_ab_1", "g", {"n": 2}))
    response = ModelResponse(Message("assistant", calls), "tool_call", Usage(1, 1), "m", "p")
    pieces = [
        Delta("tool_call", '{"n":1}', 0, id="c", name="f"),
        Delta("tool_call", '{"n":2}', 1, id="c", name="g"),
    ]
    assert written(wire, response, pieces).count(b'"name":"g"') == written(wire, response, []).count(
        b'"name":"g"'
    )


@every_wire
def test_half_a_surrogate_pair_from_a_provider_breaks_no_stream(wire):
    split = ModelResponse(Message.of("assistant", "\ud83d\ude00\ud800"), "stop", Usage(1, 1), "m", "p")
    stream = written(wire, split, [Delta("text", "\ud83d"), Delta("text", "\ude00"), Delta("text", "\ud800")])
    assert "\ufffd" in stream.decode()
    assert "\U0001f600" in codec(wire).write_response(split, asked(wire)).decode()


@every_wire
def test_numbers_of_any_size_from_a_provider_are_written(wire):
    call = ToolCallPart("c", "f", {"n": 2**80, "endless": float("inf"), "text": "\ud800"})
    response = ModelResponse(Message("assistant", (call,)), "tool_call", Usage(1, 1), "m", "p")
    assert str(2**80).encode() in codec(wire).write_response(response, asked(wire))
    stream = written(wire, response, [])
    assert str(2**80).encode() in stream
    judges.events(stream)


@every_wire
def test_a_failed_stream_ends_in_the_vendors_error(wire):
    writer = codec(wire).writer(asked(wire))
    stream = (
        writer.start() + writer.feed(Delta("text", "Half")) + writer.fail(Unavailable("The model is gone."))
    )
    last = judges.events(stream)[-1]
    if wire == CHAT:
        assert last["error"]["message"] == "The model is gone."
        assert not stream.endswith(b"[DONE]\n\n")
    elif wire == RESPONSES:
        judges.check(*EVENTS[wire], last)
        assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")
    else:
        judges.check(judges.ANTHROPIC, "__Error", last)
        assert last["error"]["type"] == "overloaded_error"


def test_a_budget_that_ends_a_response_tells_the_client_to_stop():
    shown = judges.events(codec(RESPONSES).writer(asked(RESPONSES)).fail(BudgetExceeded("No money.")))
    assert [event["type"] for event in shown] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]
    assert shown[-1]["response"]["error"]["code"] == "insufficient_quota"


@every_wire
def test_a_refusal_is_an_answer(wire):
    writer = codec(wire).writer(asked(wire))
    refused = ModelRefused("Not that.", usage={"input_tokens": 5, "output_tokens": 2})
    answer = accumulated(wire, writer.start() + writer.fail(refused))
    if wire == CHAT:
        assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == (
            "content_filter",
            "Not that.",
        )
        assert answer.usage.total_tokens == 7
    elif wire == RESPONSES:
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "content_filter")
    else:
        assert (answer.stop_reason, answer.content[0].text) == ("refusal", "Not that.")


CUSTOM = {
    CHAT: {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
    RESPONSES: {
        "type": "custom",
        "name": "patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
    },
}
PATCHED = ModelResponse(
    Message("assistant", (ToolCallPart("call_0", "patch", {"input": '*** "x"\n'}),)),
    "tool_call",
    Usage(1, 1),
    "m",
    "p",
)


def test_a_custom_tool_of_a_chat_gets_its_text():
    request = asked(CHAT, tools=[CUSTOM[CHAT]])
    body = codec(CHAT).write_response(PATCHED, request)
    call = ChatCompletion.model_validate_json(body).choices[0].message.tool_calls[0]
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "patch", '*** "x"\n')


@pytest.mark.parametrize("streamed", [True, False])
def test_a_custom_tool_of_a_response_gets_its_text(streamed):
    request = asked(RESPONSES, tools=[CUSTOM[RESPONSES]])
    stream = written(RESPONSES, PATCHED, deltas(PATCHED) if streamed else [], asked_=request)
    for event in judges.events(stream):
        judges.check(*EVENTS[RESPONSES], event)
    item = accumulated(RESPONSES, stream).output[0]
    assert (item.type, item.name, item.input) == ("custom_tool_call", "patch", '*** "x"\n')
    kinds = [event["type"] for event in judges.events(stream)]
    assert "response.custom_tool_call_input.done" in kinds
    assert "response.function_call_arguments.delta" not in kinds
