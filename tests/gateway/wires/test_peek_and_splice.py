"""What decides where a request goes is read right, and a body that passes is changed only where it has to be."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput
from mosaic.gateway.wires import codec, ensure_usage, splice_model
from tests.gateway.wires.canonical import names, requests, texts, values
from tests.gateway.wires.vendor_forms import chat_body, messages_body, responses_body

CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"
FORMS = {CHAT: chat_body, RESPONSES: responses_body, MESSAGES: messages_body}
every_wire = pytest.mark.parametrize("wire", [CHAT, RESPONSES, MESSAGES])
CHAT_BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def compact(body):
    return json.dumps(body, separators=(",", ":")).encode()


def peek(wire, body):
    return codec(wire).peek(compact(body))


@every_wire
@given(requests(max_output_tokens=st.integers(16, 9999)), st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=40, deadline=None)
def test_a_peek_agrees_with_the_whole_request(wire, request_, stream, indent):
    body = {**FORMS[wire](request_), "stream": stream}
    written = json.dumps(body, indent=indent, ensure_ascii=indent is None).encode()
    peeked = codec(wire).peek(written)
    parts = [part for message in request_.messages for part in message.parts]
    media = {getattr(part, "modality", None) for part in parts}
    needs = {
        "vision": "image" in media,
        "documents": "document" in media,
        "tools": bool(request_.tools),
        "structured_output": request_.output_schema is not None,
    }
    assert peeked.needs == {name for name, needed in needs.items() if needed}
    assert (peeked.model, peeked.stream) == (request_.model, stream)
    assert peeked.max_tokens == request_.max_output_tokens
    assert peeked.n_bytes == len(written)
    assert peeked.n == 1


def test_a_peek_finds_who_speaks_and_in_which_session():
    chat = peek(
        CHAT, {**CHAT_BODY, "user": "u1", "prompt_cache_key": "s1", "n": 3, "metadata": {"team": "a", "n": 1}}
    )
    assert (chat.user, chat.session, chat.n, chat.metadata) == ("u1", "s1", 3, {"team": "a"})
    response = peek(
        RESPONSES, {"model": "m", "input": "x", "safety_identifier": "u2", "prompt_cache_key": "s2"}
    )
    assert (response.user, response.session) == ("u2", "s2")


@pytest.mark.parametrize(
    ("user", "session"),
    [
        ("user_ab_account_cd_session_ef-01", "ef-01"),
        ('{"device_id":"d","account_uuid":"","session_id":"ef-02"}', "ef-02"),
        ("someone", None),
        ("{not json", None),
        ('{"session_id":7}', None),
    ],
)
def test_a_peek_finds_the_session_of_a_coding_agent(user, session):
    body = {"model": "m", "max_tokens": 5, "messages": [], "metadata": {"user_id": user}}
    peeked = peek(MESSAGES, body)
    assert (peeked.user, peeked.session) == (user, session)


def test_words_in_a_text_are_no_needs():
    text = '"image_url" "input_audio" {"type":"image"} {"type": "json_schema"}'
    assert peek(CHAT, {**CHAT_BODY, "messages": [{"role": "user", "content": text}]}).needs == frozenset()
    schema = {"type": "object", "properties": {"image_url": {"type": "string"}, "file": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert peek(CHAT, {**CHAT_BODY, "tools": [tool]}).needs == {"tools"}
    call = {
        "type": "tool_use",
        "id": "t",
        "name": "draw",
        "input": {"type": "image", "content": [{"type": "image"}]},
    }
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "assistant", "content": [call]}]}
    assert peek(MESSAGES, body).needs == frozenset()


def test_an_image_in_a_tools_result_needs_eyes():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [result]}]}
    assert peek(MESSAGES, body).needs == {"vision"}


@pytest.mark.parametrize(
    ("wire", "body", "path"),
    [
        (CHAT, b"", ""),
        (CHAT, b"[]", ""),
        (CHAT, b"nonsense", ""),
        (CHAT, b'{"model":"m","messages":[', ""),
        (CHAT, b'{"messages":[]}', "model"),
        (CHAT, b'{"model":7,"messages":[]}', "model"),
        (CHAT, b'{"model":"","messages":[]}', "model"),
        (CHAT, b'{"model":"' + b"x" * 600 + b'","messages":[]}', "model"),
        (CHAT, b'{"model":"\xff","messages":[]}', "model"),
        (CHAT, b'{"model":"m"}', "messages"),
        (CHAT, b'{"model":"m","messages":[],"stream":"yes"}', "stream"),
        (CHAT, b'{"model":"m","messages":[],"max_tokens":-1}', "max_tokens"),
        (CHAT, b'{"model":"m","messages":[],"max_tokens":1e9}', "max_tokens"),
        (CHAT, b'{"model":"m","messages":[],"max_tokens":' + b"9" * 5000 + b"}", "max_tokens"),
        (CHAT, b'{"model":"m","messages":[],"n":0}', "n"),
        (CHAT, b'{"model":"m","messages":[],"user":7}', "user"),
        (CHAT, b'{"model":"m","messages":[],"metadata":[]}', "metadata"),
        (CHAT, b'{"model":"m","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
        (CHAT, b'{"model":"m","model":"n","messages":[]}', "model"),
        (CHAT, b'{"model":"m","messages":[],"m\\u006fdel":"n"}', "model"),
        (CHAT, b'{"model":"m","messages":[],"stream":true,"stream":true}', "stream"),
        (CHAT, b'{"model":"m", "max_tokens": 1, "messages":[], "max_tokens": 12}', "max_tokens"),
        (CHAT, b'{"max_tokens":12,"model":"m","messages":[],"max_tokens":1}', "max_tokens"),
        (MESSAGES, b'{"model":"m","max_tokens":0,"messages":[]}', "max_tokens"),
        (RESPONSES, b'{"model":"m","input":"x","max_output_tokens":true}', "max_output_tokens"),
    ],
)
def test_a_hostile_body_is_refused_with_its_place(wire, body, path):
    with pytest.raises(InvalidInput) as caught:
        codec(wire).peek(body)
    assert caught.value.problems[0].path == path
    assert len(str(caught.value)) < 300


@given(
    st.dictionaries(
        st.sampled_from(["a", "model", "stream_options", "\u00e9", 'q"', "messages"]), values, max_size=5
    ),
    texts,
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_a_spliced_body_differs_in_its_model_only(fields, model, separators, ascii_):
    body = {**fields, "model": "before", "tools": [{"properties": {"model": {"type": "string"}}}]}
    spliced = splice_model(json.dumps(body, separators=separators, ensure_ascii=ascii_).encode(), model)
    assert json.loads(spliced) == {**body, "model": model}


def test_a_splice_leaves_every_other_byte():
    body = b'{ "model" :\t"a\\"b" , "messages": [ 1e2, "\\u00e9" ] }'
    assert splice_model(body, "n/x") == b'{ "model" :\t"n/x" , "messages": [ 1e2, "\\u00e9" ] }'


@pytest.mark.parametrize("hidden", [b'"m\\u006Fdel":"b"', b'"\\u006d\\u006f\\u0064\\u0065\\u006c":"b"'])
def test_a_hidden_model_is_no_way_around_the_splice(hidden):
    assert json.loads(splice_model(b"{" + hidden + b',"x":1}', "n")) == {"model": "n", "x": 1}
    with pytest.raises(InvalidInput):
        splice_model(b'{"model":"a",' + hidden + b"}", "n")


def test_a_model_in_a_tool_is_not_the_model():
    body = b'{"tools":[{"model":"inner"}],"model":"outer"}'
    assert json.loads(splice_model(body, "n")) == {"tools": [{"model": "inner"}], "model": "n"}
    with pytest.raises(InvalidInput):
        splice_model(b'{"x":"model"}', "n")


@pytest.mark.parametrize(
    ("options", "added"),
    [
        (..., True),
        (None, True),
        ({}, True),
        ({"include_usage": False, "include_obfuscation": False}, True),
        ({"include_usage": True}, False),
    ],
)
def test_usage_is_asked_for_once(options, added):
    body = {**CHAT_BODY, "stream": True}
    if options is not ...:
        body["stream_options"] = options
    written, was_added = ensure_usage(json.dumps(body).encode())
    assert was_added is added
    before = body.get("stream_options") or {}
    assert json.loads(written) == {**body, "stream_options": {**before, "include_usage": True}}
    assert codec(CHAT).peek(written).model == "m"


def test_usage_is_not_asked_for_in_nonsense():
    with pytest.raises(InvalidInput, match="stream_options"):
        ensure_usage(b'{"model":"m","stream_options":7}')


@given(names)
@settings(max_examples=20, deadline=None)
def test_a_peek_at_embeddings_finds_the_model(model):
    peeked = codec("openai.embeddings").peek(compact({"model": model, "input": ["a"]}))
    assert (peeked.model, peeked.stream, peeked.max_tokens) == (model, False, 0)
