"""An exchange straight on uvicorn's connection, for the paths that carry the load: no dictionaries in between.

It stands where uvicorn has its `RequestResponseCycle` and keeps its promises towards the connection: one answer after
the other, reading paused while a body waits, the same headers, the same end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from mosaic.gateway.exchange import Headers
from mosaic.observability import get_logger

__all__ = ["Direct", "DirectExchange"]

_log = get_logger(__name__)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOINED_BYTES = 64 * 1024

Direct = Callable[["DirectExchange"], Awaitable[None]]
"""Answers an exchange."""


class _Connection(Protocol):
    """The connection it is on."""

    tasks: set["asyncio.Task[None]"]
    flow: FlowControl
    transport: asyncio.Transport

    def on_response_complete(self) -> None:
        """The answer is whole."""


class DirectExchange:
    """See `Exchange`.

    Attributes:
        disconnected: the client has left.
        response_complete: the answer is whole.
        task: what answers it.
        keep_alive: another request may follow on the connection.
        more_body: the request is not whole yet.
        message_event: for uvicorn, which says `set` on it when the client leaves.
    """

    __slots__ = (
        "_connection", "_has_news", "_parts", "_size", "_started", "_waiter", "_wants_continue", "disconnected", "headers",
        "keep_alive", "more_body", "response_complete", "task",
    )  # fmt: skip

    def __init__(
        self, connection: _Connection, headers: Headers, *, keep_alive: bool, wants_continue: bool
    ) -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._started = False
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None
        self._wants_continue = wants_continue
        self.headers = headers
        self.keep_alive = keep_alive
        self.disconnected = False
        self.more_body = True
        self.response_complete = False
        self.task: asyncio.Task[None] | None = None

    # For the connection.

    async def run(self, answer: Direct) -> None:
        """Have the request answered; whatever happens, the connection is left in order."""
        try:
            await answer(self)
        except BaseException as error:  # noqa: BLE001  # the last to see it; uvicorn keeps them, too
            _log.error("a gateway request ended in an error", exc_info=error)
            if not self._started:
                self.keep_alive = False
                text = b"Internal Server Error"
                shown = [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(text)),
                ]
                await self.whole(500, shown, text)
        finally:
            # A callback of the task would do the same, in a turn of the event loop of its own.
            if self.task is not None:
                self._connection.tasks.discard(self.task)
        if not self.response_complete and not self.disconnected:
            self._connection.transport.close()

    def feed(self, data: bytes) -> None:
        """A piece of the body has come."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER_LIMIT:
            self._connection.flow.pause_reading()
        self.set()

    def set(self) -> None:
        """There is news for who waits in `receive`: a piece of the body, its end, the client's, or the answer's."""
        self._has_news = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def message_event(self) -> "DirectExchange":
        """What uvicorn sets."""
        return self

    # For the gateway.

    def body(self, limit_bytes: int) -> bytes | None:
        """Return the body if it is whole."""
        if self.more_body or self.disconnected or self._size > limit_bytes:
            return None
        self._has_news = False
        return self._taken()

    async def receive(self) -> dict[str, Any]:
        """Return what has come of the body; once all of it was taken, wait until the client leaves."""
        connection = self._connection
        if self._wants_continue and not connection.transport.is_closing():
            self._wants_continue = False
            connection.transport.write(_CONTINUE)
        if not (self.disconnected or self.response_complete):
            connection.flow.resume_reading()
            while not self._has_news:
                waiter = self._waiter = asyncio.get_running_loop().create_future()
                await waiter
            self._has_news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._taken(), "more_body": self.more_body}

    def _taken(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer, in one write."""
        while not self.at_once(status, headers, body):
            await self._connection.flow.drain()

    def at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        """Answer if the client takes what it gets."""
        connection = self._connection
        if self.disconnected:
            return True
        if connection.flow.write_paused:
            return False
        head = self._head(STATUS_LINE[status], headers, b"")
        if len(body) <= _JOINED_BYTES:
            connection.transport.write(head + body)
        else:
            connection.transport.write(head)
            connection.transport.write(body)
        self._complete()
        return True

    async def begin(self, headers: Headers) -> None:
        """Begin a stream."""
        await self._put(self._head(STATUS_LINE[200], headers, b"transfer-encoding: chunked\r\n"))

    async def write(self, data: bytes) -> None:
        """Send a piece."""
        if data:
            await self._put(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """End the stream."""
        await self._put(b"0\r\n\r\n")
        if not self.disconnected:
            self._complete()

    async def _put(self, data: bytes) -> None:
        connection = self._connection
        if connection.flow.write_paused and not self.disconnected:
            await connection.flow.drain()
        if not self.disconnected:
            connection.transport.write(data)

    def _head(self, status: bytes, headers: Headers, framing: bytes) -> bytes:
        """Return the head of the answer.

        Raises:
            RuntimeError: if a header cannot stand in one.
        """
        parts = [status]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (framing, b"\r\n")
        head = b"".join(parts)
        lines = len(headers) + 2 + (not self.keep_alive) + bool(framing)
        # As many ends of lines as lines, and nothing else that could be taken for one.
        if not head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n") == lines or b"\0" in head:
            raise RuntimeError("an answer's header holds a line break or a zero byte")
        self._started = True
        self._wants_continue = False
        return head

    def _complete(self) -> None:
        self.response_complete = True
        self.set()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()
