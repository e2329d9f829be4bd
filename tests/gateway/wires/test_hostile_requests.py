"""Whatever a client sends is read, or refused with its place; nothing else ever happens."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput, Unsupported
from mosaic.core.values import canonical_json
from mosaic.gateway.wires import codec
from mosaic.providers import ReasoningPart, TextPart, ToolCallPart
from tests.gateway.wires.canonical import requests, values
from tests.gateway.wires.test_coding_agents import CLAUDE_CODE, CODEX
from tests.gateway.wires.vendor_forms import chat_body, messages_body, responses_body

CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"
EMBEDDINGS, COUNT = "openai.embeddings", "anthropic.count_tokens"
FORMS = {CHAT: chat_body, RESPONSES: responses_body, MESSAGES: messages_body, COUNT: messages_body}
every_wire = pytest.mark.parametrize("wire", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS, COUNT])
strange = (
    values
    | st.just("data:image/png;base64,")
    | st.just("data:;base64")
    | st.just([[]])
    | st.just({"type": "text"})
    | st.just({"type": "tool_result", "content": [{"type": "document", "source": {"type": "text"}}]})
    | st.sampled_from(
        ["system", "assistant", "tool", "input_image", "reasoning", "namespace", "custom", "allowed_tools"]
    )
    | st.integers(2**63, 2**70)
)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


@st.composite
def broken(draw, bodies):
    body = copy.deepcopy(draw(bodies))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(body))))
        if not path:
            continue
        parent = body
        for step in path[:-1]:
            parent = parent[step]
        action = draw(st.sampled_from(["replace", "remove", "copy"]))
        if action == "replace":
            parent[path[-1]] = copy.deepcopy(draw(strange))
        elif action == "remove":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
    return body


def read(wire, body):
    """The request; it must be one that can be journaled and sent on."""
    asked = codec(wire).read_request(body)
    if wire != EMBEDDINGS:
        canonical_json(asked.request.to_json())
    return asked


def refusal(action, *arguments):
    """Why something was refused; None when it was not. Any other error is a test's failure."""
    try:
        action(*arguments)
    except (InvalidInput, Unsupported) as error:
        return error
    return None


def attempt(wire, body):
    for error in (refusal(read, wire, body), refusal(codec(wire).peek, body)):
        assert error is None or len(error.message) < 400
        assert not isinstance(error, InvalidInput) or len(error.problems) == 1


@every_wire
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_broken_request_is_read_or_refused(wire, data):
    if wire == EMBEDDINGS:
        bodies = st.just(
            {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "float", "user": "u"}
        )
    else:
        agent = {RESPONSES: CODEX, MESSAGES: CLAUDE_CODE, COUNT: CLAUDE_CODE}.get(wire)
        drawn = requests(max_output_tokens=st.just(99)).map(FORMS[wire])
        bodies = drawn | st.just(agent) if agent else drawn
    attempt(wire, json.dumps(data.draw(broken(bodies)), allow_nan=True).encode())


SAMPLES = {
    RESPONSES: [CODEX],
    MESSAGES: [CLAUDE_CODE],
    COUNT: [CLAUDE_CODE],
    EMBEDDINGS: [{"model": "m", "input": ["a"], "dimensions": 3, "encoding_format": "float", "user": "u"}],
    CHAT: [
        {
            "model": "m",
            "n": 1,
            "stream_options": {"include_usage": True},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}},
            },
            "metadata": {"a": "b"},
            "stop": ["x"],
            "modalities": ["text"],
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}},
                {
                    "type": "custom",
                    "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"definition": "x"}}},
                },
            ],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "x"}]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,AA", "detail": "low"},
                        },
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": "no",
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "c2", "type": "custom", "custom": {"name": "c", "input": "x"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "x"}]},
            ],
        }
    ],
}


@every_wire
@pytest.mark.parametrize(
    "strange_value", [[], {}, [[]], [{}], {"type": []}, 7, -1.5, None, True, "", "x", 2**70]
)
def test_a_wrong_value_at_any_place_is_read_or_refused(wire, strange_value):
    for sample in SAMPLES[wire]:
        for path in list(places(sample))[1:]:
            body = copy.deepcopy(sample)
            parent = body
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = strange_value
            attempt(wire, json.dumps(body).encode())


@every_wire
@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_bytes_are_refused(wire, body):
    attempt(wire, body)


@every_wire
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("[" * 300 + "]" * 300, ""),
        ("[" * 90_000 + "]" * 90_000, ""),
        ('"\\ud800"', ""),
        ("1e999", ""),
        ("NaN", ""),
        ('"\\u0000\x01"', ""),
    ],
)
def test_what_json_should_not_hold_is_refused(wire, value, path):
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
        "input": "x",
        "extra": 0,
    }
    text = json.dumps(body).replace('"extra": 0', f'"extra": {value}')
    with pytest.raises(InvalidInput) as caught:
        read(wire, text.encode())
    assert caught.value.problems[0].path == path


@every_wire
def test_a_member_that_stands_twice_is_refused(wire):
    body = b'{"model":"a","max_tokens":9,"messages":[],"input":"x","model":"b"}'
    with pytest.raises(InvalidInput, match="twice"):
        read(wire, body)


@pytest.mark.parametrize(
    "written", ['{"a":1e999}', '{"a":"\\ud800"}', '{"a":NaN}', "{" * 5000, "[1]", "{'a':1}", '{"a":1}}', ""]
)
def test_arguments_that_a_model_once_wrote_badly_are_no_reason_to_refuse(written):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": written}}
    messages = [{"role": "assistant", "tool_calls": [call]}]
    asked = read(CHAT, json.dumps({"model": "m", "messages": messages}).encode())
    part = asked.request.messages[0].parts[0]
    assert isinstance(part, ToolCallPart)
    assert (part.malformed is None) is (written in ('{"a":1e999}', '{"a":"\\ud800"}', ""))


@pytest.mark.parametrize(
    ("wire", "body", "path"),
    [
        (CHAT, {"messages": [{"role": "pope", "content": "x"}]}, "messages[0].role"),
        (CHAT, {"messages": []}, "messages"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0].type",
        ),
        (
            CHAT,
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]}
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        (CHAT, {"messages": [{"role": "user", "content": "x"}], "temperature": 3}, "temperature"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
            "tools[0].function",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": "x"}], "reasoning_effort": "huge"},
            "reasoning_effort",
        ),
        (CHAT, {"messages": [{"role": "user", "content": "x"}], "functions": []}, "functions"),
        (
            CHAT,
            {
                "messages": [{"role": "user", "content": "x"}],
                "response_format": {"type": "json_schema", "json_schema": 1},
            },
            "response_format.json_schema",
        ),
        (MESSAGES, {"messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        (MESSAGES, {"max_tokens": 1, "messages": [{"role": "user"}]}, "messages[0].content"),
        (
            MESSAGES,
            {
                "max_tokens": 1,
                "messages": [{"role": "user", "content": [{"type": "tool_result", "content": 7}]}],
            },
            "messages[0].content[0].tool_use_id",
        ),
        (
            MESSAGES,
            {
                "max_tokens": 1,
                "messages": [{"role": "user", "content": "x"}],
                "thinking": {"type": "enabled"},
            },
            "thinking.budget_tokens",
        ),
        (
            CHAT,
            {
                "messages": [{"role": "user", "content": "x"}],
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            "tool_choice.function.name",
        ),
        (
            MESSAGES,
            {
                "max_tokens": 1,
                "messages": [{"role": "user", "content": "x"}],
                "tools": [{"name": "f"}],
                "tool_choice": {"type": "tool", "name": "web_search"},
            },
            "tool_choice.name",
        ),
        (
            RESPONSES,
            {
                "input": "x",
                "tools": [{"type": "function", "name": "f"}],
                "tool_choice": {"type": "function", "name": "g"},
            },
            "tool_choice.name",
        ),
        (RESPONSES, {"input": []}, "input"),
        (RESPONSES, {"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        (RESPONSES, {"input": "x", "tools": [{"type": "function", "parameters": {}}]}, "tools[0].name"),
        (EMBEDDINGS, {"input": [7.5]}, "input[0]"),
        (EMBEDDINGS, {"input": []}, "input"),
        (EMBEDDINGS, {"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_a_mistake_is_named_with_its_place(wire, body, path):
    with pytest.raises(InvalidInput) as caught:
        read(wire, json.dumps({"model": "m", **body}).encode())
    assert caught.value.problems[0].path == path
    assert caught.value.message.startswith(path)


@pytest.mark.parametrize(
    ("wire", "body", "said"),
    [
        (CHAT, {"n": 2}, "n:"),
        (CHAT, {"modalities": ["text", "audio"]}, "modalities:"),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "file_id",
        ),
        (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (RESPONSES, {"conversation": "c"}, "conversation"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "rs_1"}]}, "item_reference"),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, "web_search"),
        (RESPONSES, {"tools": [{"type": "local_shell"}]}, "local_shell"),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash_20250124"),
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            "stores",
        ),
        (EMBEDDINGS, {"input": [1, 2]}, "Tokens"),
    ],
)
def test_what_only_one_vendor_can_do_is_refused_in_words(wire, body, said):
    base = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "input": "x"}
    with pytest.raises(Unsupported, match=said):
        read(wire, json.dumps({**base, **body}).encode())


def test_tools_that_only_the_vendor_runs_are_left_out_beside_others_and_reported():
    function = {"name": "f", "input_schema": {"type": "object"}}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "top_k": 5}
    asked = read(
        MESSAGES, json.dumps({**body, "tools": [{"type": "web_search_20250305"}, function]}).encode()
    )
    assert [tool.name for tool in asked.request.tools] == ["f"]
    assert asked.ignored == ("top_k", "web_search_20250305")
    body = {"model": "m", "input": "x", "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}]}
    asked = read(RESPONSES, json.dumps(body).encode())
    assert [tool.name for tool in asked.request.tools] == ["f"]
    assert asked.ignored == ("web_search",)


@pytest.mark.parametrize(
    "sealed", ["gAAAAAB", "openai:rs_1:gAAAAAB", "anthropic:c2VhbA==", "gemini:abc", "redacted:xyz"]
)
def test_a_seal_goes_out_as_it_came_in(sealed):
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}
    body = {"model": "m", "input": [item], "include": ["reasoning.encrypted_content"]}
    part = read(RESPONSES, json.dumps(body).encode()).request.messages[0].parts[0]
    assert isinstance(part, ReasoningPart)
    expected = {"gAAAAAB": "openai:rs_1:gAAAAAB", "anthropic:c2VhbA==": "c2VhbA==", "redacted:xyz": None}
    assert part.signature == expected.get(sealed, sealed)
    assert part.redacted == ("xyz" if sealed == "redacted:xyz" else None)


def test_only_allowed_tools_are_offered():
    chat = [{"type": "function", "function": {"name": name}} for name in "abc"]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": chat[:2]}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "tools": chat,
        "tool_choice": choice,
    }
    request = read(CHAT, json.dumps(body).encode()).request
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["a", "b"], "required")
    tools = [{"type": "function", "name": name} for name in "abc"]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": tools[1:]}
    body = {"model": "m", "input": "x", "tools": tools, "tool_choice": choice}
    request = read(RESPONSES, json.dumps(body).encode()).request
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["b", "c"], "auto")


def test_the_texts_of_a_tools_result_are_told_apart():
    content = [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two"},
        {"type": "tool_reference", "tool_name": "f"},
    ]
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [result]}]}
    part = read(MESSAGES, json.dumps(body).encode()).request.messages[0].parts[0]
    assert part.response == 'one\ntwo\n{"type":"tool_reference","tool_name":"f"}'


def test_documents_and_search_results_of_anthropic_are_read():
    content = [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
        {
            "type": "search_result",
            "title": "T",
            "source": "S",
            "content": [{"type": "text", "text": "found"}],
        },
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    asked = read(MESSAGES, json.dumps(body).encode())
    parts = asked.request.messages[0].parts
    assert [part.type for part in parts] == ["blob", "uri", "text", "text", "text"]
    assert parts[1].mime_type == "application/pdf"
    assert [part.content for part in parts if isinstance(part, TextPart)] == ["inner", "T\nS", "found"]
    assert asked.ignored == ("server_tool_use",)
