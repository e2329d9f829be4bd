"""HTTP requests reach the public internet and nothing else, and no answer is too much."""

import asyncio
import gzip
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mosaic.core.errors import (
    InvalidInput,
    OutcomeUnknown,
    PermissionDenied,
    PolicyDenied,
    TimedOut,
    Unavailable,
)
from mosaic.outbound import is_public
from mosaic.tools import Invocation, ToolSettings
from mosaic.tools.http_request import HttpRequestTool

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]
Answer = Callable[[str, dict[str, str], bytes], bytes]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server on loopback that answers each request line with what `answer` returns."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (header.partition(": ") for header in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        writer.write(answer(line, headers, body))
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # the client had enough

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def reply(body: bytes, *, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode()
        + body
    )


@pytest.fixture
def local() -> HttpRequestTool:
    return HttpRequestTool(ToolSettings(allow_private_hosts=("127.0.0.0/8",), http_body_bytes=10_000))


async def test_a_request_carries_what_was_asked_and_the_answer_comes_back(
    local: HttpRequestTool, invocation: Invocation
) -> None:
    seen: list[Any] = []

    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        seen.append((line, headers, body))
        return reply(b'{"ok": [1, 2]}', kind="application/json", more="x-secret: 1\r\netag: abc\r\n")

    async with serving(answer) as url:
        result = await local.call(
            invocation,
            {
                "url": f"{url}/a",
                "method": "POST",
                "query": {"q": "x y"},
                "json": {"n": 1},
                "headers": {"X-Mine": "m"},
            },
        )
    content: Any = result.content
    assert (content["status"], content["body"]) == (200, {"ok": [1, 2]})
    assert content["headers"]["etag"] == "abc"
    assert "x-secret" not in content["headers"]
    (line, headers, body) = seen[0]
    assert line == "POST /a?q=x+y HTTP/1.1" or line == "POST /a?q=x%20y HTTP/1.1"
    assert json.loads(body) == {"n": 1}
    assert headers["x-mine"] == "m"
    assert headers["idempotency-key"] == "key-1"


@pytest.mark.parametrize(
    ("method", "risk", "safety"),
    [
        ("GET", "external_api", "repeatable"),
        ("POST", "external_api", "unsafe"),
        ("DELETE", "destructive", "unsafe"),
    ],
)
def test_the_method_says_how_risky_a_request_is(
    local: HttpRequestTool, method: str, risk: str, safety: str
) -> None:
    spec = local.spec_for({"url": "http://x", "method": method})
    assert (spec.risk, spec.safety) == (risk, safety)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3", "192.168.0.1", "172.16.0.1"),
        *("169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]"),
        *("2130706433", "0x7f.1", "127.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1"),
    ],
)
async def test_private_loopback_and_metadata_addresses_are_refused(invocation: Invocation, host: str) -> None:
    with pytest.raises((PolicyDenied, Unavailable, InvalidInput)) as caught:
        await HttpRequestTool(ToolSettings()).call(invocation, {"url": f"http://{host}:9/latest/meta-data"})
    assert not isinstance(caught.value, Unavailable) or "resolve" in caught.value.message


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_a_redirect_to_a_private_address_is_refused(invocation: Invocation) -> None:
    tool = HttpRequestTool(ToolSettings(allow_private_hosts=("127.0.0.1",)))

    def answer(*_: object) -> bytes:
        return reply(b"", status="302 Found", more="location: http://169.254.169.254/latest\r\n")

    async with serving(answer) as url:
        with pytest.raises(PolicyDenied, match=r"169\.254\.169\.254"):
            await tool.call(invocation, {"url": url})


async def test_redirects_end(local: HttpRequestTool, invocation: Invocation) -> None:
    async with serving(lambda *_: reply(b"", status="302 Found", more="location: /again\r\n")) as url:
        with pytest.raises(InvalidInput, match="more than 5 times"):
            await local.call(invocation, {"url": url})


async def test_a_long_answer_is_cut(local: HttpRequestTool, invocation: Invocation) -> None:
    async with serving(lambda *_: reply(b"a" * 5_000_000)) as url:
        result = await local.call(invocation, {"url": url})
    assert result.truncated
    assert len(result.content["body"]) == 10_000  # type: ignore[index,call-overload,arg-type]


async def test_a_compressed_bomb_is_not_unfolded(local: HttpRequestTool, invocation: Invocation) -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    async with serving(lambda *_: reply(bomb, more="content-encoding: gzip\r\n")) as url:
        result = await local.call(invocation, {"url": url})
    assert "compressed" in str(result.content)


async def test_an_error_status_is_a_failed_result(local: HttpRequestTool, invocation: Invocation) -> None:
    async with serving(lambda *_: reply(b"no", status="404 Not Found")) as url:
        result = await local.call(invocation, {"url": url})
    assert result.is_error
    assert (result.content["status"], result.content["body"]) == (404, "no")  # type: ignore[index,call-overload]


async def test_json_that_is_none_and_binary_bodies_are_shown_as_what_they_are(
    local: HttpRequestTool, invocation: Invocation
) -> None:
    async with serving(lambda *_: reply(b"{broken", kind="application/json")) as url:
        assert (await local.call(invocation, {"url": url})).content["body"] == "{broken"  # type: ignore[index,call-overload]
    async with serving(lambda *_: reply(b"\x89PNG\0\0", kind="image/png")) as url:
        assert (await local.call(invocation, {"url": url})).content["body"] == "[6 bytes of image/png]"  # type: ignore[index,call-overload]


async def test_a_lost_answer_is_unknown_for_a_change_and_unavailable_for_a_read(
    local: HttpRequestTool, invocation: Invocation
) -> None:
    async with serving(lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf") as url:
        with pytest.raises(OutcomeUnknown, match="POST was lost"):
            await local.call(invocation, {"url": url, "method": "POST"})
        with pytest.raises(Unavailable, match="broke off"):
            await local.call(invocation, {"url": url})
    with pytest.raises(Unavailable, match="cannot be reached"):
        await local.call(invocation, {"url": url, "method": "POST"})


async def test_a_server_that_does_not_answer_times_out(local: HttpRequestTool, invoked: Invoked) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(TimedOut):
        await local.call(invoked(timeout_s=0.2), {"url": url})
    with pytest.raises(OutcomeUnknown):
        await local.call(invoked(timeout_s=0.2), {"url": url, "method": "PUT"})
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url": "file:///etc/passwd"}, InvalidInput),
        ({"url": "http://user:pass@example.com"}, InvalidInput),
        ({"url": "http://"}, InvalidInput),
        ({"url": "gopher://x"}, InvalidInput),
        ({"url": "http://example.com", "headers": {"Host": "internal"}}, PermissionDenied),
        ({"url": "http://example.com", "headers": {"Transfer-Encoding": "chunked"}}, PermissionDenied),
        ({"url": "http://example.com", "headers": {"X": "a\r\nY: b"}}, InvalidInput),
        ({"url": "http://example.com", "json": 1, "body": "x"}, InvalidInput),
    ],
)
async def test_what_must_not_be_sent_is_refused(
    local: HttpRequestTool, invocation: Invocation, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await local.call(invocation, arguments)
