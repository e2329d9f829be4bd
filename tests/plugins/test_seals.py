"""Thoughts that a vendor seals go back to that vendor as they came, and to no other."""

import pytest

from mosaic.providers import Message, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart
from tests.plugins import contracts
from tests.plugins.test_answers import answer
from tests.plugins.test_requests import TOOLS, sent
from tests.plugins.vendors import Said

pytestmark = pytest.mark.anyio

USER = Message.of("user", "go")
NO_SEAL = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


def turn(*parts):
    result = Message("tool", (ToolCallResponsePart("c1", "files.read", "text"),))
    return (USER, Message("assistant", parts), result)


CALL = ToolCallPart("c1", "files.read", {"path": "a"})
OPENAIS = ReasoningPart("hm", signature="openai:rs_1:sealed")
GEMINIS = ReasoningPart("", signature="gemini:c2VhbA==")
ANTHROPICS = ReasoningPart("hm", signature="sealed")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_what_gemini_seals_comes_back_on_the_part_that_it_came_with(endpoint, streamed):
    sealed = {"functionCall": {"name": "files_read", "args": {"path": "a"}}, "thoughtSignature": "c2VhbA=="}
    said = Said("Reading.", thought="Hm.", extra={"parts": [sealed]})
    response = await answer(endpoint, "gemini", said, streamed=streamed)
    assert [part.type for part in response.message.parts] == ["reasoning", "text", "reasoning", "tool_call"]
    assert response.message.parts[2] == GEMINIS
    result = Message("tool", (ToolCallResponsePart(response.message.tool_calls[0].id, "files.read", "text"),))
    body = await sent(endpoint, "gemini", messages=(USER, response.message, result), tools=TOOLS)
    own = body["contents"][1]["parts"]
    assert own == [{"text": "Reading."}, sealed]
    contracts.need("gemini")
    contracts.check("gemini", "request", body)


async def test_gemini_is_told_of_calls_that_another_model_made(endpoint):
    two = turn(ANTHROPICS, CALL, ToolCallPart("c2", "files.read", {"path": "b"}))
    body = await sent(endpoint, "gemini", messages=two, tools=TOOLS)
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == [NO_SEAL, None]
    older = await sent(endpoint, "gemini", messages=two, tools=TOOLS, model="gemini-2.5-flash")
    assert "thoughtSignature" not in str(older)


async def test_what_openai_encrypts_comes_back_whole(endpoint):
    response = await answer(
        endpoint, "responses", Said("x", thought="hm", calls=(("c1", "files_read", "{}"),)), streamed=True
    )
    assert response.message.parts[0] == OPENAIS
    body = await sent(endpoint, "responses", messages=turn(*response.message.parts), tools=TOOLS)
    assert body["input"][1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "sealed",
    }
    contracts.need("responses")
    contracts.check("responses", "request", body)


@pytest.mark.parametrize("vendor", ["anthropic", "gemini", "responses", "openai", "cohere", "ollama"])
async def test_no_vendor_is_sent_anothers_seal(endpoint, vendor):
    foreign = {
        "anthropic": [OPENAIS, GEMINIS],
        "gemini": [OPENAIS, ANTHROPICS],
        "responses": [ANTHROPICS, GEMINIS],
    }
    parts = foreign.get(vendor, [OPENAIS, ANTHROPICS, GEMINIS])
    body = str(await sent(endpoint, vendor, messages=turn(*parts, TextPart("so"), CALL), tools=TOOLS))
    assert "so" in body
    for part in parts:
        assert part.signature.rpartition(":")[2] not in body
