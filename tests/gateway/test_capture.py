"""Captured requests and answers: off by default, bounded, without secrets however they are written or cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.redaction import MASK, Redactor
from mosaic.core.values import JsonObject
from mosaic.inference import Captures
from mosaic.providers.testing.endpoint import json_reply
from mosaic.storage import MemoryBlobs
from tests.app.site import WAIT_S, database
from tests.gateway.conftest import GatewaySite, chat_reply, chat_stream, message_stream, open_gateway

pytestmark = pytest.mark.anyio

OURS = "sk-upstream-openai"  # the key that the gateway has for the vendor
SAID = f"the key is {OURS}, hush"


@pytest.fixture
async def capturing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[GatewaySite]]]:
    """Opens a gateway that captures."""
    with database(request, "sqlite", tmp_path) as url:
        async with asyncio.timeout(2 * WAIT_S), AsyncExitStack() as stack:

            async def make(mode: str, **more: Any) -> GatewaySite:
                section = {"capture": mode, "health_check_s": 0, **more}
                return await stack.enter_async_context(open_gateway(tmp_path / "home", url, gateway=section))

            yield make


async def kept(site: GatewaySite, event: JsonObject) -> tuple[str, str]:
    """The request and the answer of a call as they were kept."""
    await site.application.model.model_door.close()  # waits for what is being written
    found = event["capture"]
    blobs = site.application.blobs
    answer = (await blobs.get(found["answer"])).decode() if found["answer"] else ""
    return (await blobs.get(found["request"])).decode(), answer


async def test_nothing_is_kept_unless_it_is_asked_for(
    capturing: Callable[..., Awaitable[GatewaySite]],
) -> None:
    site = await capturing("off")
    await site.chat()
    (event,) = await site.recorded(1)
    assert "capture" not in event


async def test_a_request_and_its_answer_are_kept_without_keys(
    capturing: Callable[..., Awaitable[GatewaySite]],
) -> None:
    site = await capturing("all")
    site.openai.will(chat_reply(SAID))
    asked = f"mine is {site.key} and {OURS}"
    await site.chat(messages=[{"role": "user", "content": asked}], metadata={"api_key": "p"})
    (event,) = await site.recorded(1)
    request, answer = await kept(site, event)
    assert MASK in request
    assert "mine is" in request
    assert "hush" in answer
    for secret in (site.key, OURS):
        assert secret not in request + answer + str(event)


async def test_a_streamed_answer_is_kept_joined_so_that_a_key_in_pieces_is_seen(
    capturing: Callable[..., Awaitable[GatewaySite]],
) -> None:
    site = await capturing("all")
    site.openai.will(chat_stream("the key is sk-up", "stream-", "openai", ", hush"))
    assert OURS not in (await site.chat(stream=True)).text
    (event,) = await site.recorded(1)
    _, answer = await kept(site, event)
    assert f"the key is {MASK}, hush" in answer
    assert "sk-up" not in answer


async def test_a_translated_stream_is_kept_too(capturing: Callable[..., Awaitable[GatewaySite]]) -> None:
    site = await capturing("all")
    site.route("other", "anthropic.messages")
    site.anthropic.will(message_stream("the key is sk-up", "stream-openai", ", hush"))
    await site.chat("other", stream=True)
    (event,) = await site.recorded(1)
    _, answer = await kept(site, event)
    assert f"the key is {MASK}, hush" in answer


async def test_only_failures_are_kept_when_that_is_said(
    capturing: Callable[..., Awaitable[GatewaySite]],
) -> None:
    site = await capturing("errors")
    await site.chat()
    site.openai.will(json_reply({"error": {"message": "no"}}, status=500))
    await site.chat()
    good, bad = await site.recorded(2)
    assert "capture" not in good
    request, answer = await kept(site, bad)
    assert ('"fast"' in request, answer) == (True, "")


@pytest.mark.parametrize("at", [940, 985, 999, 1_000, 1_010])
async def test_what_is_kept_is_bounded_and_a_key_on_the_bound_is_masked_whole(at: int) -> None:
    blobs, redactor = MemoryBlobs(), Redactor([OURS])
    captures = Captures(blobs, redactor, "all", max_bytes=1_000)
    body = b"x" * at + OURS.encode() + b"y" * 20_000
    heard = bytearray()
    for _ in range(100):
        captures.hear(heard, body)
    assert len(heard) < 20_000
    found = captures.keep(body, bytes(heard), "ok", stream=False)
    await captures.close()
    assert found is not None
    for digest in found.values():
        data = await blobs.get(digest)
        assert len(data) <= 1_000
        assert b"sk-" not in data


async def test_tokens_with_their_probabilities_are_left_out() -> None:
    blobs = MemoryBlobs()
    captures = Captures(blobs, Redactor([OURS]), "all", max_bytes=10_000)
    answer = b'{"choices": [{"logprobs": {"content": [{"token": "sk-up"}, {"token": "stream-openai"}]}}]}'
    found = captures.keep(b"{}", answer, "ok", stream=False)
    await captures.close()
    assert found is not None
    assert b"token" not in await blobs.get(found["answer"])
    cut = captures.keep(answer[:80], b"", "ok", stream=False)
    await captures.close()
    assert cut is not None
    assert b"sk-up" not in await blobs.get(cut["request"])
