"""What a model says arrives the same, whichever vendor it comes from, whole or in pieces."""

import json

import pytest

from mosaic.core.errors import ContractViolation, ModelRefused
from mosaic.providers import (
    Delta,
    Message,
    ModelRequest,
    ModelResponse,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolDefinition,
    Usage,
)
from tests.plugins.vendors import MODEL_OF, VENDORS, Said, make_provider, reply, stream
from tests.providers.endpoint import event_reply, json_reply

pytestmark = pytest.mark.anyio

TOOL = ToolDefinition(
    "files.read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}}
)
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
every_vendor = pytest.mark.parametrize("vendor", VENDORS)


def request(vendor, **fields):
    given = {"messages": (Message.of("user", "hi"),), "tools": (TOOL,), "timeout_s": 10}
    return ModelRequest(MODEL_OF[vendor], **{**given, **fields})


async def ask(endpoint, vendor, *, streamed, deltas=None, asked=None):
    provider = make_provider(vendor, endpoint.url)
    asked = asked or request(vendor)
    try:
        if not streamed:
            return await provider.complete(asked, idempotency_key="k1")
        items = [item async for item in provider.stream(asked, idempotency_key="k1")]
        assert isinstance(items[-1], ModelResponse)
        assert all(isinstance(item, Delta) for item in items[:-1])
        if deltas is not None:
            deltas += items[:-1]
        return items[-1]
    finally:
        await provider.close()


async def answer(endpoint, vendor, said, *, streamed, **options):
    endpoint.will(stream(vendor, said) if streamed else reply(vendor, said))
    return await ask(endpoint, vendor, streamed=streamed, **options)


@pytest.mark.requirement("ORC-196", "ORC-197", "ORC-202", "ORC-207", "ORC-101", "ORC-199")
@every_vendor
@both_ways
async def test_text_arrives(endpoint, vendor, streamed):
    deltas = []
    response = await answer(endpoint, vendor, Said("one\ntwo\n"), streamed=streamed, deltas=deltas)
    assert response.message == Message("assistant", (TextPart("one\ntwo\n"),))
    assert response.finish_reason == "stop"
    assert response.provider == vendor
    if streamed:
        assert [delta.text for delta in deltas if delta.kind == "text"] == ["one\n", "two\n"]


@pytest.mark.requirement("ORC-199", "ORC-197")
@every_vendor
@both_ways
async def test_a_tool_call_arrives_under_our_name(endpoint, vendor, streamed):
    said = Said("I will read.", calls=(("c1", "files_read", '{"path": "a.py"}'),))
    response = await answer(endpoint, vendor, said, streamed=streamed)
    (call,) = response.message.tool_calls
    assert (call.name, call.arguments) == ("files.read", {"path": "a.py"})
    assert call.id
    assert response.message.text == "I will read."
    assert response.finish_reason == "tool_call"


@every_vendor
@both_ways
async def test_a_call_begins_with_a_piece_that_names_it_as_the_whole_answer_does(endpoint, vendor, streamed):
    said = Said(calls=tuple((f"c{n}", "files_read", f'{{"path": "{n}"}}') for n in range(2)))
    deltas = []
    response = await answer(endpoint, vendor, said, streamed=streamed, deltas=deltas)
    if not streamed:
        return
    begun = [delta for delta in deltas if delta.id is not None]
    assert [(delta.id, delta.name) for delta in begun] == [
        (call.id, call.name) for call in response.message.tool_calls
    ]
    for begin in begun:
        pieces = [delta for delta in deltas if delta.index == begin.index]
        assert pieces[0] is begin
        arguments = json.loads("".join(piece.text for piece in pieces))
        (call,) = [call for call in response.message.tool_calls if call.id == begin.id]
        assert arguments == call.arguments


@pytest.mark.parametrize("vendor", ["openai", "ollama", "gemini", "cohere"])
async def test_calls_that_a_server_gives_no_ids_are_named_alike_in_pieces_and_whole(endpoint, vendor):
    said = Said("x", calls=(("", "files_read", "{}"), ("", "files_read", "{}")))
    deltas = []
    streamed = await answer(endpoint, vendor, said, streamed=True, deltas=deltas)
    whole = await answer(endpoint, vendor, said, streamed=False)
    assert [delta.id for delta in deltas if delta.id] == [call.id for call in streamed.message.tool_calls]
    assert [call.id for call in whole.message.tool_calls] == [call.id for call in streamed.message.tool_calls]


async def test_a_call_whose_name_comes_late_begins_when_it_comes(endpoint):
    def chunk(call):
        return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}}]}

    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    late = {"id": "c9", "function": {"name": "files_read", "arguments": '"a"}'}}
    endpoint.will(event_reply([chunk({"function": {"arguments": '{"path": '}}), chunk(late), end, "[DONE]"]))
    deltas = []
    await ask(endpoint, "openai", streamed=True, deltas=deltas)
    assert deltas == [Delta("tool_call", '{"path": "a"}', 0, id="c9", name="files.read")]


async def test_a_structured_answer_asked_for_as_a_tool_streams_as_text(endpoint):
    asked = ModelRequest(
        "claude-haiku-4-5", (Message.of("user", "hi"),), output_schema={"type": "object"}, timeout_s=10
    )
    deltas = []
    said = Said(calls=(("c", "output", '{"a": 1}'),))
    endpoint.will(stream("anthropic", said))
    response = await ask(endpoint, "anthropic", streamed=True, deltas=deltas, asked=asked)
    assert {delta.kind for delta in deltas} == {"text"}
    assert "".join(delta.text for delta in deltas) == response.message.text == '{"a": 1}'


@every_vendor
@both_ways
async def test_parallel_calls_keep_their_order_and_have_ids_of_their_own(endpoint, vendor, streamed):
    said = Said(calls=tuple((f"c{n}", "files_read", f'{{"path": "{n}"}}') for n in range(3)))
    response = await answer(endpoint, vendor, said, streamed=streamed)
    assert [call.arguments["path"] for call in response.message.tool_calls] == ["0", "1", "2"]
    assert len({call.id for call in response.message.tool_calls}) == 3


@every_vendor
@both_ways
async def test_a_call_to_a_tool_that_does_not_exist_is_passed_on(endpoint, vendor, streamed):
    response = await answer(endpoint, vendor, Said(calls=(("c", "made_up", "{}"),)), streamed=streamed)
    assert response.message.tool_calls[0].name == "made_up"


@every_vendor
@both_ways
async def test_thoughts_come_before_the_text(endpoint, vendor, streamed):
    deltas = []
    response = await answer(endpoint, vendor, Said("So.", thought="Hm."), streamed=streamed, deltas=deltas)
    seal = {"anthropic": "sealed", "responses": "openai:rs_1:sealed"}.get(vendor)
    assert response.message.parts == (ReasoningPart("Hm.", signature=seal), TextPart("So."))
    if streamed:
        thought = [("reasoning", "Hm.", 0, None)] + ([("reasoning", "", 0, seal)] if seal else [])
        told = [(delta.kind, delta.text, delta.index, delta.id) for delta in deltas]
        assert told == [*thought, ("text", "So.", 1, None)]


@every_vendor
@both_ways
async def test_an_answer_cut_by_its_limit_says_so(endpoint, vendor, streamed):
    finish = {"anthropic": "max_tokens", "gemini": "MAX_TOKENS", "cohere": "MAX_TOKENS"}.get(vendor, "length")
    response = await answer(endpoint, vendor, Said("cut o", finish=finish), streamed=streamed)
    assert response.finish_reason == "length"


@every_vendor
@both_ways
async def test_an_empty_answer_is_an_answer(endpoint, vendor, streamed):
    response = await answer(endpoint, vendor, Said(), streamed=streamed)
    assert response.message.parts == ()
    assert response.finish_reason == "stop"


@pytest.mark.parametrize(
    ("vendor", "usage"),
    [
        ("openai", Usage(11, 7, 4, 0, 2)),
        ("anthropic", Usage(11, 7, 3, 1, 2)),
        ("ollama", Usage(11, 7)),
        ("responses", Usage(11, 7, 4, 1, 2)),
        ("gemini", Usage(11, 7, 4, 0, 2)),
        ("cohere", Usage(11, 7, 4)),
    ],
)
@both_ways
async def test_usage_is_counted_with_its_parts(endpoint, vendor, usage, streamed):
    response = await answer(endpoint, vendor, Said("x"), streamed=streamed)
    assert response.usage == usage
    assert not response.usage_estimated


@pytest.mark.parametrize("vendor", ["openai", "ollama", "responses", "gemini", "cohere"])
async def test_usage_that_a_server_does_not_tell_is_estimated_and_marked(endpoint, vendor):
    body = reply(vendor, Said("some words of an answer"))
    shown = {
        k: v
        for k, v in json.loads(body.pieces[0]).items()
        if k not in ("usage", "eval_count", "usageMetadata")
    }
    endpoint.will(json_reply(shown))
    response = await ask(endpoint, vendor, streamed=False)
    assert response.usage_estimated
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0


@pytest.mark.requirement("ORC-199")
@pytest.mark.parametrize("vendor", ["openai", "anthropic", "cohere"])
async def test_malformed_arguments_are_kept_for_repair(endpoint, vendor):
    said = Said(calls=(("c1", "files_read", '{"path": "a.py"}'),))
    reply_ = stream(vendor, said)
    broken = tuple(piece.replace(b'a.py\\"}', b"a.py") for piece in reply_.pieces)
    assert broken != reply_.pieces
    endpoint.will(type(reply_)(broken, reply_.status, reply_.headers))
    response = await ask(endpoint, vendor, streamed=True)
    assert response.message.tool_calls[0].malformed == '{"path": "a.py'
    assert response.finish_reason == "tool_call"


async def test_malformed_arguments_are_kept_in_a_whole_answer_too(endpoint):
    response = await answer(
        endpoint, "openai", Said(calls=(("c", "files_read", "{path: a}"),)), streamed=False
    )
    assert response.message.tool_calls[0].malformed == "{path: a}"


@pytest.mark.parametrize("vendor", ["openai", "responses"])
@both_ways
async def test_a_refusal_is_an_error_that_carries_what_it_cost(endpoint, vendor, streamed):
    with pytest.raises(ModelRefused, match="I cannot help") as caught:
        await answer(endpoint, vendor, Said(extra={"refusal": "I cannot help."}), streamed=streamed)
    assert Usage.from_json(caught.value.data["usage"]).output_tokens == 7


@both_ways
async def test_anthropics_refusal_is_the_same_error(endpoint, streamed):
    with pytest.raises(ModelRefused, match="Not this") as caught:
        await answer(endpoint, "anthropic", Said("Not this.", finish="refusal"), streamed=streamed)
    assert Usage.from_json(caught.value.data["usage"]).output_tokens == 7


@pytest.mark.parametrize("vendor", ["openai", "responses", "gemini"])
@both_ways
async def test_a_content_filter_that_leaves_nothing_is_a_refusal(endpoint, vendor, streamed):
    finish = "SAFETY" if vendor == "gemini" else "content_filter"
    with pytest.raises(ModelRefused, match="filter"):
        await answer(endpoint, vendor, Said(finish=finish), streamed=streamed)


@both_ways
async def test_a_content_filter_that_leaves_some_text_says_so(endpoint, streamed):
    response = await answer(endpoint, "openai", Said("half a", finish="content_filter"), streamed=streamed)
    assert (response.finish_reason, response.message.text) == ("content_filter", "half a")


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_a_server_that_does_not_stream_is_understood(endpoint, vendor):
    endpoint.will(reply(vendor, Said("whole")))
    response = await ask(endpoint, vendor, streamed=True)
    assert response.message.text == "whole"


async def test_redacted_thoughts_are_kept_for_the_next_request(endpoint):
    said = Said("x", extra={"blocks": [{"type": "redacted_thinking", "data": "opaque"}]})
    response = await answer(endpoint, "anthropic", said, streamed=False)
    assert response.message.parts[-1] == ReasoningPart("", redacted="opaque")


async def test_a_server_that_gives_every_streamed_call_the_same_index_is_understood(endpoint):
    said = Said(calls=(("c1", "files_read", '{"path": "1"}'), ("c2", "files_read", '{"path": "2"}')))
    reply_ = stream("openai", said)
    pieces = tuple(piece.replace(b'"index": 1', b'"index": 0') for piece in reply_.pieces)
    endpoint.will(type(reply_)(pieces, reply_.status, reply_.headers))
    response = await ask(endpoint, "openai", streamed=True)
    assert [call.arguments for call in response.message.tool_calls] == [{"path": "1"}, {"path": "2"}]


async def test_calls_without_ids_get_the_same_ids_whenever_they_are_read(endpoint):
    said = Said(calls=(("", "files_read", "{}"), ("", "files_read", "{}")))
    first = await answer(endpoint, "openai", said, streamed=False)
    second = await answer(endpoint, "openai", said, streamed=False)
    assert first == second
    assert all(isinstance(part, ToolCallPart) and part.id for part in first.message.parts)


@every_vendor
@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"content": 1, "message": 1, "choices": 1}, {"choices": [{"message": []}]}]
)
async def test_a_body_that_is_not_the_vendors_breaks_the_contract(endpoint, vendor, body):
    endpoint.will(json_reply(body))
    with pytest.raises(ContractViolation) as caught:
        await ask(endpoint, vendor, streamed=False)
    assert vendor in caught.value.message
