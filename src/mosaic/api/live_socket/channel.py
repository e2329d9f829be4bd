"""One client's WebSocket: messages in and out, bounded, and the codes with which it closes."""

import asyncio
import json
from enum import IntEnum
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject
from mosaic.observability import get_logger

__all__ = ["STALLED_S", "Channel", "CloseCode", "Gone", "deny", "end_tasks", "error_json"]

_log = get_logger(__name__)
STALLED_S = 20.0
"""How long a client may leave everything unread."""


class CloseCode(IntEnum):
    """Why the server closes a socket."""

    DONE = 1000
    GOING_AWAY = 1012
    BAD_MESSAGE = 4400
    UNAUTHENTICATED = 4401
    STALLED = 4008
    TRY_AGAIN = 1013
    SUBPROTOCOL = 4406


class Gone(Exception):
    """The client is gone, or was told to go."""


class Channel:
    """Reads and writes one WebSocket. Nothing is queued here: who writes waits until the client has read.

    So a client that reads nothing costs what the connection buffers and the one message that waits; after `STALLED_S`
    it is dropped with `CloseCode.STALLED`.
    """

    def __init__(self, receive: Receive, send: Send, *, stalled_s: float | None = None) -> None:
        self._receive = receive
        self._send = send
        self._turn = asyncio.Lock()
        self._stalled_s = STALLED_S if stalled_s is None else stalled_s
        self.closed = False

    async def accept(self, *, subprotocol: str | None = None) -> None:
        """Accept the connection.

        Raises:
            Gone: if it is gone already.
        """
        await self._next("websocket.connect")
        await self._put({"type": "websocket.accept", "subprotocol": subprotocol})

    async def receive(self) -> str:
        """Return the next message.

        Raises:
            Gone: if there is none any more.
            InvalidInput: if it is not text.
        """
        message = await self._next("websocket.receive")
        text = message.get("text")
        if text is None:
            raise InvalidInput("Messages are JSON texts, not bytes.")
        return str(text)

    async def _next(self, kind: str) -> Message:
        if self.closed:
            raise Gone
        message = await self._receive()
        if message["type"] != kind:
            self.closed = True
            raise Gone
        return message

    async def send(self, message: JsonObject) -> None:
        """Send a message.

        Raises:
            Gone: if the client is gone, or reads nothing.
        """
        await self.send_text(json.dumps(message, default=str))

    async def send_text(self, text: str) -> None:
        """Send JSON text.

        Raises:
            Gone: if the client is gone, or reads nothing.
        """
        try:
            async with asyncio.timeout(self._stalled_s), self._turn:
                await self._put({"type": "websocket.send", "text": text})
                # Writing alone waits for nothing: others have their turn, and a client that went is noticed.
                await asyncio.sleep(0)
        except TimeoutError:
            await self.close(CloseCode.STALLED, "nothing was read")
            raise Gone from None

    async def close(self, code: int, reason: str = "") -> None:
        """Close it, whatever waits; again does nothing."""
        if self.closed:
            return
        self.closed = True
        try:
            await self._send({"type": "websocket.close", "code": int(code), "reason": reason[:120]})
        except (OSError, RuntimeError):
            return  # it was gone before we could say so

    async def _put(self, message: dict[str, Any]) -> None:
        if self.closed:
            raise Gone
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # uvicorn's ClientDisconnected is an OSError
            self.closed = True
            raise Gone from None


async def deny(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Answer the request for a WebSocket with an HTTP response."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def error_json(error: MosaicError) -> JsonObject:
    """Return an error as a message shows it: like a problem document, without the address."""
    shown = error.to_json()
    return {"status": error.http_status, "detail": shown.pop("message"), **shown}


async def end_tasks(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel what is left of a conversation, and log what failed in it."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, MosaicError):
            _log.warning("a socket ended: %s", result)
        elif isinstance(result, Exception) and not isinstance(result, Gone):
            _log.exception("a socket failed", exc_info=result)
