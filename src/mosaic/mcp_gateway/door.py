"""`/mcp/servers/<name>`: a registered MCP server as clients reach it through us, as raw ASGI.

A call passes quarantine, allow-list, policy and limits and is recorded; everything else passes. The list of tools is
answered here. What the policy wants a person to decide goes through the tool door, as every other call does.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    MosaicError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from mosaic.mcp_gateway.judging import CallJudge, Judged
from mosaic.mcp_gateway.messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    REFUSED,
    Message,
    encoded,
    error_body,
    read_call,
    read_message,
    result_body,
)
from mosaic.mcp_gateway.relaying import cleaned, events
from mosaic.mcp_gateway.schemas import GatewayCaller, McpGatewaySettings
from mosaic.mcp_gateway.sessions import SessionSeal
from mosaic.mcp_gateway.upstreams import Upstream, Upstreams
from mosaic.providers.upstream import UpstreamPool, UpstreamResponse, UpstreamTimeouts

__all__ = ["PREFIX", "McpGateway"]

PREFIX = "/mcp/servers/"

Scope = dict[str, Any]
Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Identify = Callable[[Headers], Awaitable[GatewayCaller]]

log = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")
_SESSION = b"mcp-session-id"
_ONWARD = frozenset(
    {b"accept", b"content-type", b"last-event-id", b"mcp-protocol-version", b"mcp-method", b"mcp-name"}
)
_BACK = frozenset({b"content-type", b"cache-control", b"mcp-protocol-version"})
_PARAMETER = b"mcp-param-"
_LISTENS = UpstreamTimeouts(first_byte_s=60.0, idle_s=86_400.0, total_s=86_400.0)
_CALLS = UpstreamTimeouts(first_byte_s=300.0, idle_s=300.0, total_s=900.0)
_WATCH_AFTER_S = 0.5


class _ClientLeft(Exception):
    """The client went away."""


class McpGateway:
    """Passes registered servers on.

    Args:
        identify: finds who calls by a request's headers.
        upstreams: the servers.
        judge: says what becomes of a call, makes those that a person decides, and records.
        pool: connections to servers; kept for the next request.
        seal: binds sessions to their holders.
        masked: masks secrets in a text.
        settings: bounds.
    """

    def __init__(
        self,
        identify: Identify,
        upstreams: Upstreams,
        judge: CallJudge,
        *,
        pool: UpstreamPool,
        seal: SessionSeal,
        masked: Callable[[str], str],
        settings: McpGatewaySettings,
    ) -> None:
        self._identify = identify
        self._upstreams = upstreams
        self._judge = judge
        self._pool = pool
        self._seal = seal
        self._masked = masked
        self._settings = settings
        self._ids = map(f"gtc_{secrets.token_hex(8)}{{:07x}}".format, itertools.count())

    @staticmethod
    def answers(path: str) -> bool:
        """Say whether a path is this door's."""
        return path.startswith(PREFIX)

    async def close(self) -> None:
        """Record what is left and close connections."""
        await self._upstreams.close()
        await self._judge.close()
        await self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        message: Message | None = None
        try:
            _check_origin(scope["headers"])
            caller = await self._identify(scope["headers"])
            upstream = await self._upstreams.get(caller.ctx, scope["path"][len(PREFIX) :])
            method = scope["method"]
            if method == "POST":
                message = read_message(await self._body(receive))
                await self._post(caller, upstream, message, scope["headers"], receive, send)
            elif method in ("GET", "DELETE"):
                await self._pass(caller, upstream, method, b"", scope["headers"], receive, send)
            else:
                await _answer(send, 405, encoded({"error": f"{method} is not taken here."}))
        except _ClientLeft:
            return
        except MosaicError as error:
            await _refuse(send, message, error)
        except Exception as error:  # a door: whatever happens, the client is told
            log.exception("a request to the MCP gateway failed", exc_info=error)
            await _refuse(
                send, message, MosaicError("The gateway made a mistake.", hint="Its log says more.")
            )

    # -- requests -----------------------------------------------------------------------------------------------

    async def _post(
        self,
        caller: GatewayCaller,
        upstream: Upstream,
        message: Message,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        if message.id is None or message.method not in ("tools/call", "tools/list"):
            await self._pass(caller, upstream, "POST", message.body, headers, receive, send)
            return
        await self._upstreams.current(caller.ctx, upstream)
        if message.method == "tools/list":
            await _answer(send, 200, result_body(message.id, upstream.listed))
            return
        call = read_call(message)
        call_id = next(self._ids)
        async with self._judge.judged(caller, upstream, call, call_id) as judged:
            if judged.answer is not None:
                await _answer(send, 200, result_body(message.id, judged.answer))
                return
            await self._pass(caller, upstream, "POST", call.body, headers, receive, send, judged=judged)

    async def _pass(
        self,
        caller: GatewayCaller,
        upstream: Upstream,
        method: str,
        body: bytes,
        headers: Headers,
        receive: Receive,
        send: Send,
        *,
        judged: Judged | None = None,
    ) -> None:
        holder = f"{caller.ctx.tenant}/{caller.principal}/{upstream.record.name}".encode()
        onward = self._onward(headers, holder)
        watch = _Watch(receive, at_once=method == "GET")
        try:
            response = await self._pool.send(
                upstream.endpoint,
                body,
                headers=onward,
                method=method,
                timeouts=_LISTENS if method == "GET" else _CALLS,
            )
            async with response:
                if judged is not None:
                    judged.status = response.status
                await self._relay(response, holder, send)
        except asyncio.CancelledError:
            if not watch.left:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            raise _ClientLeft from None
        finally:
            watch.end()

    async def _relay(self, response: UpstreamResponse, holder: bytes, send: Send) -> None:
        """Pass an answer on.

        Raises:
            Unavailable: if the server does not know us.
            ContractViolation: if what it answers is none.
        """
        status = response.status
        if status in (401, 403):
            raise Unavailable(
                f"The {response.provider} does not let us in ({status}).",
                hint="Check the headers that it was registered with.",
            )
        if 300 <= status < 400:  # redirects: where they lead was not registered
            raise ContractViolation(
                f"The {response.provider} sends us elsewhere ({status}); that is not followed."
            )
        back = [(name, value) for name, value in response.headers if name in _BACK]
        if (session := response.header(_SESSION)) is not None:
            back.append((_SESSION, self._seal.sealed(session, holder)))
        kind = (response.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind == b"text/event-stream":
            await self._relay_events(response, status, back, send)
            return
        data = await response.read(self._settings.max_answer_bytes)
        if kind == b"application/json" and data:
            data = cleaned(data, self._masked)
        elif data:
            # Nothing of MCP: a page of a proxy, an error of a framework.
            back, data = [_JSON], encoded({"error": f"The {response.provider} answered {status}."})
        await _answer(send, status, data, back)

    async def _relay_events(self, response: UpstreamResponse, status: int, back: Headers, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": back})
        stream: AsyncIterator[bytes] = events(
            response, self._masked, limit_bytes=self._settings.max_answer_bytes
        )
        try:
            async with aclosing(stream) as whole:  # type: ignore[type-var]  # it is a generator
                async for part in whole:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        except MosaicError as error:
            # The client sees a stream that ends without an answer, as when a server goes away.
            log.warning("a stream of the %s ended early: %s", response.provider, error)
        await send({"type": "http.response.body", "body": b""})

    def _onward(self, headers: Headers, holder: bytes) -> Headers:
        found = []
        for name, value in headers:
            if name in _ONWARD or name.startswith(_PARAMETER):
                found.append((name, value))
            elif name == _SESSION:
                found.append((name, self._seal.opened(value, holder)))
        return found

    async def _body(self, receive: Receive) -> bytes:
        """Return a request's body.

        Raises:
            InvalidInput: if it is too long.
            TimedOut: if it does not arrive in time.
        """
        parts: list[bytes] = []
        size, limit = 0, self._settings.max_body_bytes
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise _ClientLeft
                    part = event.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise InvalidInput(f"The request's body is larger than {limit} bytes.")
                    parts.append(part)
                    if not event.get("more_body"):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise TimedOut("The request's body did not arrive in time.") from None


class _Watch:
    """Cancels the running task when its client leaves; looks only at requests that take a while."""

    __slots__ = ("_loop", "_receive", "_start", "_task", "_watching", "left")

    def __init__(self, receive: Receive, *, at_once: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self.left = False
        self._start = self._loop.call_later(0.0 if at_once else _WATCH_AFTER_S, self._begin)

    def end(self) -> None:
        """Stop looking."""
        self._start.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _begin(self) -> None:
        self._watching = self._loop.create_task(self._look())

    async def _look(self) -> None:
        with suppress(asyncio.CancelledError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.left = True
            if self._task is not None:
                self._task.cancel()


def _check_origin(headers: Headers) -> None:
    """Refuse web pages of other places: a browser sends what it holds for us, whoever asks.

    Raises:
        PermissionDenied: if the request comes from a page that is not ours.
    """
    origin = host = b""
    for name, value in headers:
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    if origin and urlsplit(origin.decode("latin-1")).netloc.lower().encode() != host.lower():
        raise PermissionDenied("This door does not answer to web pages of other places.")


async def _answer(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    shown = [_JSON] if headers is None else headers
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*shown, length]})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, message: Message | None, error: MosaicError) -> None:
    """Tell of an error: as the answer to a message where there is one, else by the status."""
    if message is not None and message.id is not None and not isinstance(error, NotFound):
        if isinstance(error, InvalidInput):
            code = INVALID_PARAMS
        else:
            code = REFUSED if isinstance(error, PermissionDenied) else INTERNAL_ERROR
        await _answer(send, 200, error_body(message.id, error, code))
        return
    headers = [_JSON]
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    status = 400 if isinstance(error, InvalidInput) else error.http_status
    identifier = message.id if message is not None else None
    await _answer(send, status, error_body(identifier, error, INVALID_REQUEST), headers)
