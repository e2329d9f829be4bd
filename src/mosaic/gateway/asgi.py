"""The door for clients that speak a vendor's protocol: `/v1/...` as raw ASGI, because every request pays for it."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from time import monotonic
from typing import Any

from mosaic.core.errors import MosaicError, NotFound, PermissionDenied, TimedOut
from mosaic.gateway.adapting import adapted, stream_error
from mosaic.gateway.attendance import Attendance, Visit
from mosaic.gateway.callers import Caller, Callers
from mosaic.gateway.exchange import AsgiExchange, Exchange, Headers, Receive, Send
from mosaic.gateway.listing import ModelListing
from mosaic.gateway.reading import ClientLeft, header, read_body
from mosaic.gateway.settings import GatewaySettings
from mosaic.gateway.wires import WireCodec, codec
from mosaic.inference import OPERATIONS, Answer, DoorCall, ModelDoor
from mosaic.observability import get_logger
from mosaic.providers import Wire

__all__ = ["Gateway"]

Scope = dict[str, Any]

_log = get_logger(__name__)
_POSTS: dict[str, Wire] = {
    "/v1/chat/completions": "openai.chat",
    "/v1/responses": "openai.responses",
    "/v1/embeddings": "openai.embeddings",
    "/v1/messages": "anthropic.messages",
    "/v1/messages/count_tokens": "anthropic.count_tokens",
}
_JSON = (b"content-type", b"application/json")
_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_SESSION_HEADERS = (b"x-mosaic-session", b"x-session-id", b"session_id")
# Features on trial, named in a header: a vendor refuses the fields of a body that belong to one that is not named.
_ONWARD = frozenset({b"anthropic-beta", b"openai-beta"})


class _Wire:
    """A protocol, with what every call in it needs."""

    __slots__ = ("broken", "codec", "operation")

    def __init__(self, codec: WireCodec) -> None:
        self.codec = codec
        self.operation = OPERATIONS[codec.name]
        self.broken: Callable[[MosaicError], bytes] = partial(stream_error, codec)


class Gateway:
    """Answers `/v1/...`: who calls, what is asked, through the model door, back in the client's own grammar.

    Args:
        door: budget, route, cache, call, record.
        callers: finds the owner of a key.
        listing: answers `/v1/models`.
        settings: bounds.
    """

    def __init__(
        self, door: ModelDoor, callers: Callers, listing: ModelListing, settings: GatewaySettings
    ) -> None:
        self._door = door
        self._callers = callers
        self._listing = listing
        self._settings = settings
        self._wires = {path: _Wire(codec(wire)) for path, wire in _POSTS.items()}
        self._attendance = Attendance()
        # Unique without asking the system for random bytes each time: this process's own name, and a count.
        self._ids = map(f"req_{secrets.token_hex(8)}{{:07x}}".format, itertools.count())

    @property
    def open_requests(self) -> int:
        """How many requests are being answered."""
        return len(self._attendance)

    @property
    def direct(self) -> "Mapping[str, Callable[[Exchange], Coroutine[Any, Any, None]]]":
        """What answers a POST to each path, for a connection that can hand it over without ASGI."""
        return {path: partial(self._attend, wire) for path, wire in self._wires.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wire = self._wires.get(scope["path"])
        exchange = AsgiExchange(scope["headers"], receive, send)
        if wire is None or scope["method"] != "POST":
            await self._answer_rest(scope, exchange)
        else:
            await self._attend(wire, exchange)

    async def _attend(self, wire: "_Wire", exchange: Exchange) -> None:
        """Answer a call of a model, and notice when its client leaves."""
        request_id = next(self._ids)
        visit = self._attendance.enter(exchange.receive, exchange.task)
        try:
            answer = await self._answer(wire, request_id, visit, exchange)
            if answer is not None:
                await self._send(wire, answer, request_id, visit, exchange)
        except ClientLeft:
            return
        except asyncio.CancelledError:
            if not visit.left:
                raise
            visit.task.uncancel()
            if visit.late and not visit.body_read:
                late = TimedOut("The request's body did not arrive in time.", hint="Send it without pauses.")
                await _refuse(wire.codec, late, request_id, exchange)
        finally:
            self._attendance.leave(visit)

    async def close(self) -> None:
        """Stop watching clients."""
        await self._attendance.close()

    async def _answer(
        self, wire: "_Wire", request_id: str, visit: Visit, exchange: Exchange
    ) -> Answer | None:
        """Return the answer to a call; None when the client was told already what is wrong."""
        settings, headers = self._settings, exchange.headers
        try:
            caller = self._callers.identify(headers)
            body = exchange.body(settings.max_body_bytes)
            if body is None:
                visit.deadline = monotonic() + settings.body_timeout_s
                body = await read_body(headers, visit.receive, limit_bytes=settings.max_body_bytes)
                visit.deadline = 0.0
            visit.body_read = True
            return await self._door.open(
                _call(wire, caller, body, request_id, headers, traced=self._door.is_traced)
            )
        except MosaicError as error:
            await _refuse(wire.codec, error, request_id, exchange)
        except (ClientLeft, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001  # a door: whatever happens, the client gets an error of its vendor's form
            _log.exception("a gateway request failed", exc_info=error)
            await _refuse(wire.codec, _mistake(request_id), request_id, exchange)
        return None

    async def _send(
        self, wire: "_Wire", answer: Answer, request_id: str, visit: Visit, exchange: Exchange
    ) -> None:
        headers: Headers = [(b"x-request-id", request_id.encode()), *answer.headers]
        if answer.chunks is None:
            body = answer.body
            headers += (_JSON, (b"content-length", b"%d" % len(body)))
            if not exchange.at_once(200, headers, body):
                visit.deadline = monotonic() + self._settings.stalled_client_s
                await exchange.whole(200, headers, body)
            return
        async with aclosing(answer.chunks) as chunks:
            await exchange.begin([*headers, *_STREAM])
            try:
                async for chunk in chunks:
                    # Waits while the client does not read, and the upstream with it: nothing piles up here.
                    visit.deadline = monotonic() + self._settings.stalled_client_s
                    await exchange.write(chunk)
                    visit.deadline = 0.0
            except Exception as error:  # noqa: BLE001  # a door: the client is told in its own grammar
                _log.exception("a gateway stream failed", exc_info=error)
                await exchange.write(wire.broken(_mistake(request_id)))
        visit.deadline = monotonic() + self._settings.stalled_client_s
        await exchange.end()

    async def _answer_rest(self, scope: Scope, exchange: Exchange) -> None:
        """Answer what is not a call of a model: the list of models, and everything we do not have."""
        path, method, headers = scope["path"], scope["method"], scope["headers"]
        anthropic = header(headers, b"anthropic-version") is not None
        wire = self._wires["/v1/messages" if anthropic else "/v1/chat/completions"].codec
        request_id = next(self._ids)
        try:
            caller = self._callers.identify(headers)
            if method not in ("GET", "HEAD") or not (path == "/v1/models" or path.startswith("/v1/models/")):
                raise _nothing_here(path, method)
            body = self._listing.page(caller, path[len("/v1/models/") :], anthropic=anthropic)
        except MosaicError as error:
            await _refuse(wire, error, request_id, exchange)
            return
        shown: Headers = [
            (b"x-request-id", request_id.encode()),
            _JSON,
            (b"content-length", b"%d" % len(body)),
        ]
        await exchange.whole(200, shown, body)


def _call(
    wire: "_Wire", caller: Caller, body: bytes, request_id: str, headers: Headers, *, traced: bool
) -> DoorCall:
    codec = wire.codec
    peek = codec.peek(body)
    if not caller.may_use(peek.model, wire.operation):
        raise PermissionDenied(
            f"This key may not use the model {peek.model!r} for {codec.name}.",
            hint="Ask for a key whose models and scopes include it, or name another model.",
        )
    session = peek.session
    onward: tuple[tuple[bytes, bytes], ...] = ()
    for name, value in headers:
        if name in _SESSION_HEADERS:
            session = value.decode("latin-1") or session
            break
    for shown in headers:
        if shown[0] in _ONWARD:
            onward = (*onward, shown)
    return DoorCall(
        caller.payer,
        caller.key,
        codec,
        body,
        peek,
        request_id,
        adapted,
        wire.broken,
        session,
        onward,
        _traceparent(headers) if traced else None,
    )


def _traceparent(headers: Headers) -> str | None:
    found = header(headers, b"traceparent")
    return found.decode("latin-1") if found is not None else None


def _mistake(request_id: str) -> MosaicError:
    return MosaicError("The gateway made a mistake.", hint=f"Its log says more, under {request_id}.")


def _nothing_here(path: str, method: str) -> MosaicError:
    if path in _POSTS:
        return NotFound(f"{path} takes POST, not {method}.")
    if path.startswith("/v1/responses/"):
        return NotFound(
            "Responses are not stored here.",
            hint="Send the whole conversation as `input` with `store: false`.",
        )
    return NotFound(
        f"The gateway has no {method} {path}.", hint=f"It has GET /v1/models and POST {', '.join(_POSTS)}."
    )


async def _refuse(wire: WireCodec, error: MosaicError, request_id: str, exchange: Exchange) -> None:
    reply = wire.error(error)
    shown: Headers = [
        (b"x-request-id", request_id.encode()),
        *reply.headers,
        (b"content-length", b"%d" % len(reply.body)),
    ]
    await exchange.whole(reply.status, shown, reply.body)
