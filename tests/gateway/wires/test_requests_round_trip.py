"""What a client of any vendor writes is what we read: nothing lost, nothing added."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.gateway.wires import codec
from mosaic.providers import ReasoningPart
from tests.gateway.wires import judges
from tests.gateway.wires.canonical import names, requests, texts
from tests.gateway.wires.vendor_forms import chat_body, messages_body, responses_body

limits = st.integers(16, 100_000)
efforts = st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"])
labels = st.dictionaries(names, texts, max_size=2)
stops = st.lists(texts, max_size=2).map(tuple)
anthropic_thoughts = st.builds(ReasoningPart, texts, signature=st.just("c2VhbA==")) | st.builds(
    ReasoningPart, st.just(""), redacted=st.just("aGlkZGVu")
)
openai_thoughts = st.builds(ReasoningPart, texts, signature=st.just("openai:rs_1:gAAAAAB"))


def read(wire, body):
    return codec(wire).read_request(json.dumps(body).encode())


chat_requests = requests(
    audio=True,
    max_output_tokens=st.none() | limits,
    stop=stops,
    seed=st.none() | st.integers(-(2**53), 2**53),
    reasoning_effort=st.none() | st.sampled_from(["none", "minimal", "low", "max"]),
    metadata=labels,
)
messages_requests = requests(
    thoughts=anthropic_thoughts,
    errors=True,
    max_output_tokens=limits,
    stop=stops,
    reasoning_effort=efforts,
    metadata=st.just({}) | st.fixed_dictionaries({"user_id": texts}),
).filter(lambda request: request.tool_choice != "none" or request.parallel_tool_calls is None)
responses_requests = requests(
    thoughts=openai_thoughts, max_output_tokens=st.none() | limits, reasoning_effort=efforts, metadata=labels
)
many = settings(max_examples=60, deadline=None)
few = settings(max_examples=12, deadline=None)


@given(chat_requests)
@many
def test_a_chat_completion_request_keeps_its_meaning(request_):
    asked = read("openai.chat", chat_body(request_))
    assert asked.request == request_
    assert asked.model == request_.model
    assert not asked.ignored


@given(messages_requests)
@many
def test_an_anthropic_message_request_keeps_its_meaning(request_):
    asked = read("anthropic.messages", messages_body(request_))
    assert asked.request == request_
    assert not asked.ignored


@given(responses_requests)
@many
def test_a_request_for_a_response_keeps_its_meaning(request_):
    asked = read("openai.responses", responses_body(request_))
    assert asked.request == request_
    assert not asked.ignored


@given(chat_requests, messages_requests, responses_requests)
@few
def test_the_requests_of_these_tests_are_what_the_vendors_describe(chat, messages, responses):
    judges.check(judges.OPENAI, "CreateChatCompletionRequest", chat_body(chat))
    judges.check(judges.ANTHROPIC, "__CreateMessageRequest", {**messages_body(messages), "stream": False})
    judges.check(judges.OPENAI, "CreateResponse", responses_body(responses))
