"""Whatever goes wrong at a vendor becomes the right error; nothing hangs, nothing leaks a key."""

import asyncio
import traceback
from contextlib import aclosing

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    MosaicError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from mosaic.providers import Message, ModelRequest
from tests.plugins.vendors import KEY, MODEL_OF, VENDORS, Said, error_body, make_provider, reply, stream
from tests.providers.endpoint import Reply, event_reply, json_reply, line_reply, unused_url

pytestmark = pytest.mark.anyio

every_vendor = pytest.mark.parametrize("vendor", VENDORS)
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def request(vendor, **fields):
    return ModelRequest(MODEL_OF[vendor], (Message.of("user", "hi"),), **{"timeout_s": 10, **fields})


async def failure(vendor, url, *, streamed=False, timeout_s=10.0) -> MosaicError:
    provider = make_provider(vendor, url)
    asked = request(vendor, timeout_s=timeout_s)

    async def call() -> None:
        if streamed:
            [item async for item in provider.stream(asked, idempotency_key="k")]
        else:
            await provider.complete(asked, idempotency_key="k")

    try:
        with pytest.raises(MosaicError) as caught:
            await call()
    finally:
        await provider.close()
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.to_json()) + repr(provider)
    assert KEY not in shown
    return caught.value


@pytest.mark.requirement("ORC-102", "ORC-243")
@every_vendor
@both_ways
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, Unauthenticated),
        (403, PermissionDenied),
        (404, NotFound),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_a_status_becomes_the_error_it_means(endpoint, vendor, streamed, status, kind):
    endpoint.will(json_reply(error_body(vendor, f"no, not with {KEY}"), status=status))
    error = await failure(vendor, endpoint.url, streamed=streamed)
    assert type(error) is kind
    assert "no, not with" in error.message


@pytest.mark.requirement("ORC-102", "ORC-243")
@every_vendor
@both_ways
async def test_too_many_requests_say_how_long_to_wait(endpoint, vendor, streamed):
    endpoint.will(json_reply(error_body(vendor, "slow"), status=429, headers={"retry-after": "3"}))
    error = await failure(vendor, endpoint.url, streamed=streamed)
    assert isinstance(error, LimitExceeded)
    assert error.data["retry_after_s"] == 3


async def test_google_says_in_its_body_how_long_to_wait_and_why(endpoint):
    details = [{"@type": "type.test/RetryInfo", "retryDelay": "34.5s"}]
    body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details}}
    endpoint.will(json_reply(body, status=429))
    assert (await failure("gemini", endpoint.url)).data["retry_after_s"] == 34.5
    wrong = {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}
    endpoint.will(json_reply({"error": wrong}, status=400))
    assert type(await failure("gemini", endpoint.url)) is InvalidInput
    endpoint.will(json_reply({"error": {**wrong, "details": [{"reason": "API_KEY_INVALID"}]}}, status=400))
    assert type(await failure("gemini", endpoint.url)) is Unauthenticated


@every_vendor
@both_ways
async def test_nobody_listening_is_unavailable(vendor, streamed):
    error = await failure(vendor, await unused_url(), streamed=streamed)
    assert isinstance(error, Unavailable)
    assert error.data["sent"] is False
    assert error.hint


@every_vendor
@both_ways
async def test_a_model_that_never_answers_times_out(endpoint, vendor, streamed):
    endpoint.will(Reply(then="hang"))
    error = await failure(vendor, endpoint.url, streamed=streamed, timeout_s=3.0)
    assert isinstance(error, TimedOut)
    assert error.data["sent"] is True


@every_vendor
@pytest.mark.parametrize("then", ["end", "drop"])
@pytest.mark.parametrize("keep", [0, 1, 2])
async def test_a_stream_that_ends_early_is_no_answer(endpoint, vendor, then, keep):
    endpoint.will(stream(vendor, Said("one\ntwo\nthree\n"), then=then, keep=keep))
    error = await failure(vendor, endpoint.url, streamed=True)
    assert isinstance(error, Unavailable)
    assert error.data["sent"] is True


@every_vendor
async def test_a_stream_that_stalls_times_out(endpoint, vendor):
    endpoint.will(stream(vendor, Said("one\ntwo\n"), then="hang", keep=2))
    assert isinstance(await failure(vendor, endpoint.url, streamed=True, timeout_s=0.3), TimedOut)


@every_vendor
@both_ways
async def test_garbage_breaks_the_contract(endpoint, vendor, streamed):
    kind = {"content-type": "application/x-ndjson" if vendor == "ollama" else "text/event-stream"}
    endpoint.will(Reply((b"data: not json at all\n\n",), headers=kind if streamed else {}))
    assert isinstance(await failure(vendor, endpoint.url, streamed=streamed), ContractViolation)


@pytest.mark.parametrize(
    ("vendor", "body", "kind"),
    [
        ("openai", error_body("openai", "busy", "server_error"), Unavailable),
        ("openai", error_body("openai", "slow", "rate_limit_exceeded"), LimitExceeded),
        ("anthropic", error_body("anthropic", "busy", "overloaded_error"), Unavailable),
        ("anthropic", error_body("anthropic", "no", "permission_error"), PermissionDenied),
        ("ollama", error_body("ollama", "the model runner has stopped"), Unavailable),
        ("responses", {"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, LimitExceeded),
        ("gemini", error_body("gemini", "busy", "UNAVAILABLE"), Unavailable),
        ("gemini", error_body("gemini", "slow", "RESOURCE_EXHAUSTED"), LimitExceeded),
        ("cohere", error_body("cohere", "busy"), Unavailable),
        ("openai", {"error": {"message": "slow", "code": 429}}, LimitExceeded),
    ],
)
async def test_an_error_inside_a_stream_is_told_apart(endpoint, vendor, body, kind):
    endpoint.will(line_reply([body]) if vendor == "ollama" else event_reply([("error", body)]))
    assert type(await failure(vendor, endpoint.url, streamed=True)) is kind


async def test_an_error_with_a_success_status_is_an_error(endpoint):
    endpoint.will(json_reply(error_body("openai", "upstream is busy", "server_error")))
    assert isinstance(await failure("openai", endpoint.url), Unavailable)


@every_vendor
async def test_closing_a_stream_aborts_the_call(endpoint, vendor):
    endpoint.will(stream(vendor, Said("one\ntwo\n"), then="hang", keep=4))
    provider = make_provider(vendor, endpoint.url)
    async with asyncio.timeout(5):
        async with aclosing(provider.stream(request(vendor, timeout_s=60), idempotency_key="k")) as items:
            async for _ in items:
                break
        await endpoint.gone.wait()
    await provider.close()


@every_vendor
@both_ways
async def test_cancelling_the_caller_aborts_the_call(endpoint, vendor, streamed):
    endpoint.will(Reply(then="hang"))
    provider = make_provider(vendor, endpoint.url)

    async def call() -> None:
        if streamed:
            [item async for item in provider.stream(request(vendor, timeout_s=60), idempotency_key="k")]
        else:
            await provider.complete(request(vendor, timeout_s=60), idempotency_key="k")

    task = asyncio.create_task(call())
    async with asyncio.timeout(5):
        await endpoint.received.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await endpoint.gone.wait()
    assert task.cancelled()
    await provider.close()


@every_vendor
async def test_a_failure_does_not_spoil_the_next_call(endpoint, vendor):
    endpoint.will(json_reply(error_body(vendor, "oops"), status=500), reply(vendor, Said("fine")))
    provider = make_provider(vendor, endpoint.url)
    with pytest.raises(Unavailable):
        await provider.complete(request(vendor), idempotency_key="k")
    assert (await provider.complete(request(vendor), idempotency_key="k")).message.text == "fine"
    await provider.close()


@both_ways
async def test_a_model_that_ollama_does_not_have_comes_with_the_command_to_get_it(endpoint, streamed):
    endpoint.will(json_reply({"error": "model 'qwen3:8b' not found"}, status=404))
    error = await failure("ollama", endpoint.url, streamed=streamed)
    assert isinstance(error, NotFound)
    assert error.hint == "Run `ollama pull qwen3:8b`."


async def test_a_model_that_cannot_call_tools_is_unsupported(endpoint):
    endpoint.will(json_reply({"error": "gemma does not support tools"}, status=400))
    assert isinstance(await failure("ollama", endpoint.url), Unsupported)
