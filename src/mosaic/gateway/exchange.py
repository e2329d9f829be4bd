"""One request and its answer, as the gateway sees them; here over ASGI, in `direct` straight on the connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["AsgiExchange", "Exchange", "Headers"]

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Exchange(Protocol):
    """A request whose head has come. Answer it once: by `whole`, or by `begin`, any number of `write`, `end`.

    Each of these waits while the client does not read, and does nothing once the client has left.
    """

    @property
    def task(self) -> "asyncio.Task[Any] | None":
        """What answers it."""
        ...

    @property
    def headers(self) -> Headers:
        """Of the request, names in lower case."""
        ...

    @property
    def receive(self) -> Receive:
        """Gives the body piece by piece, then waits until the client leaves, as ASGI's `receive` does."""
        ...

    def body(self, limit_bytes: int) -> bytes | None:
        """Return the body if it is whole already and not longer than `limit_bytes`; else None, and `receive` has it."""
        ...

    def at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        """Do what `whole` does if that takes no waiting, and say so; else do nothing."""
        ...

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body whose length is among the headers."""
        ...

    async def begin(self, headers: Headers) -> None:
        """Begin an answer, status 200, whose length nobody knows."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of it."""
        ...

    async def end(self) -> None:
        """Say that there is no more."""
        ...


class AsgiExchange:
    """An exchange with an ASGI server."""

    __slots__ = ("_send", "headers", "receive")

    def __init__(self, headers: Headers, receive: Receive, send: Send) -> None:
        self.headers = headers
        self.receive = receive
        self._send = send

    @property
    def task(self) -> "asyncio.Task[Any] | None":
        """What answers it."""
        return asyncio.current_task()

    def body(self, limit_bytes: int) -> bytes | None:
        """Return None: one has to ask for it."""
        del limit_bytes
        return None

    def at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        """Do nothing: ASGI always waits."""
        del status, headers, body
        return False

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, headers: Headers) -> None:
        """Begin a stream."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End the stream."""
        await self._send({"type": "http.response.body", "body": b""})
