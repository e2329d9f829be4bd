"""Features on trial are named in a header: it reaches a provider of the same protocol, and no other."""

import pytest

from tests.gateway.conftest import GatewaySite, message_reply

pytestmark = pytest.mark.anyio

BODY = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
BETA = {"anthropic-beta": "context-management-2025-06-27"}


async def test_a_beta_is_named_to_the_vendor_whose_it_is(gateway: GatewaySite) -> None:
    gateway.route("claude", "anthropic.messages", fallback=["openai:gpt-4o"])
    await gateway.post("/v1/messages", BODY, headers=BETA)
    assert gateway.anthropic.last.headers["anthropic-beta"] == BETA["anthropic-beta"]
    await gateway.post("/v1/messages", BODY, headers={"x-api-key": "sk-other", "x-secret": "s"})
    assert not {"anthropic-beta", "x-secret"} & set(gateway.anthropic.last.headers)
    assert gateway.anthropic.last.headers["x-api-key"] == "sk-ant-upstream"
    gateway.route("claude", "openai.chat")
    assert (await gateway.post("/v1/messages", BODY, headers=BETA)).status_code == 200
    assert "anthropic-beta" not in gateway.openai.last.headers


async def test_an_answer_is_kept_for_the_betas_it_was_asked_with(gateway: GatewaySite) -> None:
    gateway.route("claude", "anthropic.messages", cache={"ttl": "1h"})
    gateway.anthropic.will(message_reply("plain"), message_reply("beta"))
    texts = []
    for headers in ({}, BETA, {}, BETA):
        answer = await gateway.post("/v1/messages", BODY, headers=headers)
        texts.append(answer.json()["content"][0]["text"])
    assert texts == ["plain", "beta", "plain", "beta"]
    assert len(gateway.anthropic.requests) == 2
