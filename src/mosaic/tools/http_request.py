"""The tool for plain HTTP requests, also behind a workflow's `http` step."""

import functools
import json
import ssl
from dataclasses import replace
from typing import Any

import httpx2

from mosaic.core.errors import InvalidInput, MosaicError, OutcomeUnknown, PolicyDenied, TimedOut, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.outbound import GuardedTransport
from mosaic.tools.interfaces import BaseTool, Invocation
from mosaic.tools.processes import plain_text
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult, ToolSpec
from mosaic.tools.settings import ToolSettings

__all__ = ["HttpRequestTool"]

_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_REDIRECTS = 5
_SHOWN_HEADERS = frozenset(
    {
        "content-type",
        "content-length",
        "location",
        "etag",
        "last-modified",
        "link",
        "retry-after",
        "x-request-id",
    }
)
# What decides where a request goes, or how it is framed, is not the caller's to set.
_OUR_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
)
_SCHEMA: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {
        "url": {"type": "string", "maxLength": 4_000, "description": "An http or https address."},
        "method": {"enum": list(_METHODS), "default": "GET"},
        "headers": {"type": "object", "maxProperties": 50, "additionalProperties": {"type": "string"}},
        "query": {
            "type": "object",
            "maxProperties": 100,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        "json": {"description": "A JSON body."},
        "body": {"type": "string", "description": "A text body."},
    },
}


class HttpRequestTool(BaseTool):
    """Sends one HTTP request; a private address is refused, a long answer is cut."""

    def __init__(self, settings: ToolSettings) -> None:
        super().__init__(
            ToolSpec(
                name="http.request",
                description="Send an HTTP request and return status, headers and body. Redirects are followed.",
                input_schema=_SCHEMA,
                risk=RiskClass.EXTERNAL_API,
                effects=frozenset({ToolEffect.NETWORK}),
            )
        )
        self._settings = settings

    def spec_for(self, arguments: JsonObject) -> ToolSpec:
        """Return the spec by method: reading may be repeated, deleting is destructive."""
        method = arguments.get("method", "GET")
        if method in _READING:
            return replace(self.spec, safety=Safety.REPEATABLE, retries=True)
        if method == "DELETE":
            effects = self.spec.effects | {ToolEffect.DESTRUCTIVE}
            return replace(self.spec, risk=RiskClass.DESTRUCTIVE, effects=effects)
        return self.spec

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Send the request.

        Raises:
            PolicyDenied: if the address is not public.
            Unavailable: if nobody answers there.
            OutcomeUnknown: if the answer to a request that changes something was lost.
        """
        method = str(arguments.get("method", "GET"))
        request = _request(arguments, method, invocation)
        transport = GuardedTransport(
            httpx2.AsyncHTTPTransport(verify=_trusted(), trust_env=False),
            allowed=self._settings.allow_private_hosts,
        )
        client = httpx2.AsyncClient(
            transport=transport,
            timeout=invocation.timeout_s,
            follow_redirects=True,
            max_redirects=_MOST_REDIRECTS,
            trust_env=False,
        )
        try:
            async with client, client.stream(**request) as response:
                body, more = await _body(response, self._settings.http_body_bytes)
                return _result(response, body, more=more)
        except httpx2.TooManyRedirects:
            raise InvalidInput(f"The request was redirected more than {_MOST_REDIRECTS} times.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _explained(error, method, str(arguments["url"])) from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the certificates to trust; reading them takes 16 ms of processor time, so it is done once."""
    return httpx2.create_ssl_context(trust_env=False)


def _request(arguments: JsonObject, method: str, invocation: Invocation) -> dict[str, Any]:
    try:
        url = httpx2.URL(str(arguments["url"]))
    except httpx2.InvalidURL as error:
        raise InvalidInput(f"The url is none: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput("The url must start with http:// or https:// and name a host.")
    if url.userinfo:
        raise InvalidInput("A url must not hold a user name or password.", hint="Use a header.")
    if "json" in arguments and "body" in arguments:
        raise InvalidInput("Give either json or body.")
    request: dict[str, Any] = {
        "method": method,
        "url": url,
        "headers": _headers(arguments, method, invocation),
    }
    if "query" in arguments:
        request["params"] = arguments["query"]
    if "json" in arguments:
        request["json"] = arguments["json"]
    elif "body" in arguments:
        request["content"] = str(arguments["body"]).encode()
    return request


def _headers(arguments: JsonObject, method: str, invocation: Invocation) -> dict[str, str]:
    headers = {"user-agent": "mosaic", "accept": "*/*", "accept-encoding": "identity"}
    for name, value in (arguments.get("headers") or {}).items():
        if name.lower() in _OUR_HEADERS or name.lower().startswith("proxy-"):
            raise PolicyDenied(f"The header {name} cannot be set.")
        if not name.isascii() or any(ord(character) < 32 for character in name + value):
            raise InvalidInput(f"The header {name!r} holds control characters.")
        headers[name.lower()] = value
    if method not in _READING:
        headers.setdefault("idempotency-key", invocation.idempotency_key)
    return headers


async def _body(response: httpx2.Response, limit_bytes: int) -> tuple[bytes, bool]:
    # Raw on purpose: what is compressed could unfold to any size, and we asked for no compression.
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > limit_bytes:
            return bytes(data[:limit_bytes]), True
    return bytes(data), False


def _result(response: httpx2.Response, body: bytes, *, more: bool) -> ToolResult:
    shown: JsonObject = {
        "status": response.status_code,
        "url": str(response.url),
        "headers": {name: value for name, value in response.headers.items() if name in _SHOWN_HEADERS},
        "body": _content(response, body, more=more),
    }
    return ToolResult(shown, is_error=response.status_code >= 400, truncated=more)


def _content(response: httpx2.Response, body: bytes, *, more: bool) -> JsonValue:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.headers.get("content-encoding", "identity") != "identity":
        return f"[{len(body)} bytes, compressed although that was not asked for]"
    if not more and (kind == "application/json" or kind.endswith("+json")):
        try:
            parsed: JsonValue = json.loads(body)
            return parsed
        except (ValueError, RecursionError):
            pass  # it is shown as the text it is
    if b"\0" in body[:8192]:
        return f"[{len(body)} bytes of {kind or 'binary data'}]"
    return plain_text(body)


def _explained(error: Exception, method: str, url: str) -> MosaicError:
    host = httpx2.URL(url).host
    reason = str(error)[:200] or type(error).__name__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Unavailable(f"{host} cannot be reached: {reason}.")
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return InvalidInput(f"A redirect of {host} leads nowhere: {reason}.")
    if method not in _READING:
        return OutcomeUnknown(
            f"The answer of {host} to {method} was lost: {reason}.", hint="Look there before you try again."
        )
    if isinstance(error, httpx2.TimeoutException):
        return TimedOut(f"{host} did not answer in time.", sent=True)
    return Unavailable(f"The answer of {host} broke off: {reason}.")
