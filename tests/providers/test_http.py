"""The HTTP core: what goes wrong on the way, as errors of the core tree, without secrets."""

import asyncio
import traceback

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    ModelRefused,
    MosaicError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from mosaic.providers.credentials import check_secret
from mosaic.providers.http import ProviderHttp
from tests.providers.endpoint import Reply, json_reply, unused_url

pytestmark = pytest.mark.anyio

KEY = "sk-test-0123456789abcdefghij"


def client(url: str, **options) -> ProviderHttp:
    return ProviderHttp("acme", url, headers={"x-api-key": KEY}, secrets=[KEY], **options)


async def failure(http: ProviderHttp, *, timeout_s: float = 10) -> MosaicError:
    with pytest.raises(MosaicError) as caught:
        await http.post("/v1/x", {"a": 1}, timeout_s=timeout_s)
    await http.close()
    return caught.value


async def test_a_request_carries_its_headers_and_body_and_returns_the_object(endpoint):
    endpoint.will(json_reply({"ok": True}))
    http = client(endpoint.url + "/base/")
    assert await http.post("/v1/x", {"text": "grüß"}, timeout_s=5, headers={"extra": "1"}) == {"ok": True}
    await http.close()
    assert endpoint.last.path == "/base/v1/x"
    assert endpoint.last.json == {"text": "grüß"}
    assert endpoint.last.headers["x-api-key"] == KEY
    assert endpoint.last.headers["extra"] == "1"


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, {"error": {"message": "bad"}}, InvalidInput, False),
        (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, InvalidInput, False),
        (400, {"error": {"message": "no", "code": "content_filter"}}, ModelRefused, False),
        (401, {"error": {"message": "key", "type": "invalid_request_error"}}, Unauthenticated, False),
        (402, {"error": {"message": "pay"}}, PermissionDenied, False),
        (
            403,
            {"type": "error", "error": {"type": "permission_error", "message": "no"}},
            PermissionDenied,
            False,
        ),
        (404, {"error": "model not found"}, NotFound, False),
        (413, {"error": {"message": "large"}}, InvalidInput, False),
        (429, {"error": {"message": "slow down"}}, LimitExceeded, True),
        (429, {"error": {"message": "no credit", "code": "insufficient_quota"}}, PermissionDenied, False),
        (500, {"error": {"message": "oops", "type": "server_error"}}, Unavailable, True),
        (502, "<html>Bad gateway</html>", Unavailable, True),
        (504, "", TimedOut, True),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, Unavailable, True),
    ],
)
async def test_a_refusal_becomes_the_right_error(endpoint, status, body, kind, retryable):
    reply = (
        json_reply(body, status=status)
        if isinstance(body, dict)
        else Reply((body.encode(),) if body else (), status)
    )
    endpoint.will(reply)
    error = await failure(client(endpoint.url))
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.data["status"] == status
    assert error.data["provider"] == "acme"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
async def test_the_wait_that_a_provider_asks_for_is_kept(endpoint, headers, wait_s):
    endpoint.will(json_reply({"error": {"message": "x"}}, status=429, headers=headers))
    error = await failure(client(endpoint.url))
    assert error.data.get("retry_after_s") == wait_s


async def test_a_refused_connection_is_unavailable_and_was_not_sent():
    error = await failure(client(await unused_url(), unreachable_hint="start it"))
    assert isinstance(error, Unavailable)
    assert error.data["sent"] is False
    assert error.hint == "start it"


async def test_no_answer_in_time_says_that_the_request_was_sent(endpoint):
    endpoint.will(Reply((b'{"a":',), then="hang"))
    error = await failure(client(endpoint.url), timeout_s=0.3)
    assert isinstance(error, TimedOut)
    assert error.data["sent"] is True
    async with asyncio.timeout(5):
        await endpoint.gone.wait()


async def test_an_answer_that_breaks_off_is_unavailable_and_was_sent(endpoint):
    endpoint.will(Reply((b'{"a":',), headers={"content-type": "application/json"}, then="drop"))
    error = await failure(client(endpoint.url))
    assert isinstance(error, Unavailable)
    assert error.data["sent"] is True


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", b"\x00\x01garbage\r\n\r\n"]
)
async def test_garbage_on_the_line_is_unavailable(endpoint, raw):
    endpoint.will(Reply(raw=raw))
    assert isinstance(await failure(client(endpoint.url)), Unavailable)


async def test_an_answer_that_is_not_json_breaks_the_contract(endpoint):
    endpoint.will(Reply((b"<html>hello</html>",)))
    error = await failure(client(endpoint.url))
    assert isinstance(error, ContractViolation)
    assert "<html>hello" in error.message


async def test_an_answer_larger_than_the_limit_is_refused(endpoint):
    endpoint.will(Reply(tuple(b"x" * 65_536 for _ in range(40))))
    error = await failure(client(endpoint.url, response_limit_bytes=1_000_000))
    assert isinstance(error, ContractViolation)
    assert "1,000,000" in error.message


async def test_an_endless_error_body_is_cut(endpoint):
    endpoint.will(Reply(tuple(b"x" * 65_536 for _ in range(40)), 500))
    error = await failure(client(endpoint.url))
    assert isinstance(error, Unavailable)
    assert len(error.message) < 700


async def test_a_redirect_is_not_followed_so_that_the_key_stays_here(endpoint):
    endpoint.will(Reply((), 307, {"location": f"{endpoint.url}/elsewhere"}))
    error = await failure(client(endpoint.url))
    assert isinstance(error, ContractViolation)
    assert len(endpoint.requests) == 1


async def test_leaving_a_stream_ends_the_call(endpoint):
    endpoint.will(Reply((b"data: 1\n\n",), then="hang"))
    http = client(endpoint.url)
    async with asyncio.timeout(5):
        async with http.send("POST", "/x", body={}, timeout_s=60) as answer:
            async for event in answer.events():
                assert event.data == "1"
                break
        await endpoint.gone.wait()
    await http.close()


async def test_a_key_that_a_provider_echoes_is_in_no_error(endpoint):
    for reply in (
        json_reply({"error": {"message": f"Incorrect API key provided: {KEY}", "code": KEY}}, status=401),
        Reply((f"<p>{KEY}</p>".encode(),)),
        Reply((f"<p>{KEY}</p>".encode(),), 500),
    ):
        endpoint.will(reply)
        error = await failure(client(endpoint.url))
        shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.to_json())
        assert KEY not in shown


async def test_a_key_is_in_no_repr():
    assert KEY not in repr(client("http://127.0.0.1:1"))


@pytest.mark.parametrize("secret", ["", "   ", "two words", "line\nbreak-inside", "schlüssel-schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(secret):
    with pytest.raises(InvalidInput) as caught:
        check_secret(secret, name="ACME_KEY")
    assert "ACME_KEY" in str(caught.value)
    assert not secret.strip() or secret not in str(caught.value)


def test_white_space_around_a_key_is_taken_off():
    assert check_secret(" abc\n", name="K") == "abc"


@pytest.mark.parametrize(
    "url",
    ["", "host", "ftp://host", "https://", "http://host:port", "https://user:pass@host", "https://h?key=1"],
)
def test_what_is_not_an_address_is_refused_without_showing_it(url):
    with pytest.raises(InvalidInput) as caught:
        client(url)
    assert "pass" not in caught.value.message.replace("password", "")


async def test_text_that_utf8_has_no_form_for_is_sent_all_the_same(endpoint):
    endpoint.will(json_reply({}))
    http = client(endpoint.url)
    await http.post("/x", {"text": "a\udc80b"}, timeout_s=5)
    await http.close()
    assert endpoint.last.json == {"text": "a?b"}


async def test_a_body_that_is_not_json_is_refused_before_it_is_sent(endpoint):
    http = client(endpoint.url)
    with pytest.raises(InvalidInput):
        await http.post("/x", {"number": float("nan")}, timeout_s=5)
    assert not endpoint.requests


async def test_one_client_serves_several_event_loops(endpoint):
    endpoint.answer = lambda _: json_reply({"ok": True})
    http = client(endpoint.url)

    async def once() -> None:
        assert await http.get("/x", timeout_s=5) == {"ok": True}
        await http.close()

    await once()
    await asyncio.to_thread(asyncio.run, once())
    await once()
