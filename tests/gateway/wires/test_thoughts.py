"""Thoughts that another vendor sealed do not pass through to the wire's own vendor; everything else does."""

import json

import pytest

from mosaic.gateway.wires import own_thoughts

OWN = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}
UNSEALED = {"type": "thinking", "thinking": "Hm.", "signature": ""}
OPENAIS = {"type": "thinking", "thinking": "Hm.", "signature": "openai:rs_1:gAAAAABo"}
CALL = {"type": "tool_use", "id": "c1", "name": "sign", "input": {"signature": "", "by": "openai:"}}
RESULT = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "c1", "content": '"signature":""'}],
}
USER = {"role": "user", "content": "go"}


def messages(*blocks, **more):
    return {
        "model": "m",
        "messages": [USER, {"role": "assistant", "content": [*blocks, CALL]}, RESULT],
        **more,
    }


def sent(body, wire="anthropic.messages"):
    return json.loads(own_thoughts(json.dumps(body).encode(), wire))


@pytest.mark.parametrize("wire", ["anthropic.messages", "anthropic.count_tokens"])
@pytest.mark.parametrize("foreign", [UNSEALED, OPENAIS])
def test_anthropic_gets_back_only_what_it_sealed(foreign, wire):
    assert sent(messages(OWN, foreign, REDACTED), wire) == messages(OWN, REDACTED)


def test_a_body_without_foreign_thoughts_passes_byte_for_byte():
    for body in (messages(OWN), messages(), {"model": "m", "messages": "not a list", "x": OPENAIS}):
        raw = json.dumps(body, indent=1).encode()
        assert own_thoughts(raw, "anthropic.messages") == raw


def test_the_arguments_of_a_call_are_left_alone():
    called = {**CALL, "input": {"type": "thinking", **OPENAIS}}
    body = {"model": "m", "messages": [USER, {"role": "assistant", "content": [called]}, RESULT]}
    assert sent(body) == body


def test_a_turn_of_nothing_but_foreign_thoughts_goes_whole():
    body = {"model": "m", "messages": [USER, {"role": "assistant", "content": [OPENAIS]}, USER]}
    assert sent(body)["messages"] == [USER, USER]


def test_a_budget_for_thoughts_is_dropped_where_the_turn_that_goes_on_lost_its_own():
    enabled = {"type": "enabled", "budget_tokens": 2_000}
    assert sent(messages(OPENAIS, thinking=enabled))["thinking"] == {"type": "disabled"}
    assert sent(messages(OWN, OPENAIS, thinking=enabled))["thinking"] == enabled
    assert sent(messages(OPENAIS, thinking={"type": "adaptive"}))["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ({"id": "rs_0af3", "encrypted_content": "gAAAAABo"}, True),
        ({"encrypted_content": "gAAAAABo"}, True),
        ({"id": "rs_0af3"}, True),  # stored by OpenAI
        ({"id": "rs_0af3", "encrypted_content": None}, True),
        ({"encrypted_content": None}, False),
        ({"id": "rs_0af3_0"}, False),  # the name is ours
        ({"id": "rs_0af3_0", "encrypted_content": "anthropic:EqQBCg"}, False),
        ({"id": "rs_0af3_0", "encrypted_content": "redacted:EmwKAhgB"}, False),
        ({"id": "rs_0af3_0", "encrypted_content": "openai:rs_1:gAAAAABo"}, False),
    ],
)
def test_openai_gets_back_only_what_it_sealed_or_stored(item, kept):
    thought = {"type": "reasoning", "summary": [], **item}
    said = {"role": "user", "content": '"encrypted_content":null'}
    body = {"model": "m", "input": [said, thought, said]}
    assert sent(body, "openai.responses")["input"] == ([said, thought, said] if kept else [said, said])


def test_other_wires_hold_no_sealed_thoughts():
    raw = json.dumps(messages(OPENAIS)).encode()
    assert own_thoughts(raw, "openai.chat") == raw
