"""The door for other agents: `/a2a`, and the card that says so; raw ASGI, asked before any body is read."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError, Unauthenticated

__all__ = ["CARD_PATH", "PATH", "A2aDoor"]

PATH = "/a2a"
CARD_PATH = "/.well-known/agent-card.json"

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

# As the protocol writes its errors: `ContentTypeNotSupportedError`.
_NOT_JSON = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": -32005, "message": "Send the request as application/json."},
}


class A2aDoor:
    """Lets known agents in, and shows the card to everybody.

    Args:
        identify: finds who calls by the headers; raises what the caller is told.
        make: returns the ASGI application behind it; asked once, with the first request, beside the loop: what it
            imports takes a second.
        max_body_bytes: the largest request.
    """

    def __init__(
        self,
        identify: Callable[[Headers], Awaitable[Context]],
        make: Callable[[], Any],
        *,
        max_body_bytes: int,
    ) -> None:
        self._identify = identify
        self._make = make
        self._max_body_bytes = max_body_bytes
        self._made: Any = None
        self._making = asyncio.Lock()

    def answers(self, path: str) -> bool:
        """Say whether a path is this door's."""
        return path in (PATH, f"{PATH}/", CARD_PATH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if scope["path"] != CARD_PATH:
                # Clients that join addresses may add a slash.
                scope = {**scope, "path": PATH, "mosaic.caller": await self._identify(scope["headers"])}
                if not _is_json(scope["headers"]):
                    await _answer(send, 415, _NOT_JSON)
                    return
            answer = await self._opened()
            await answer(scope, self._bounded(receive), send)
        except Unauthenticated as error:
            await _refuse(send, 401, error, ((b"www-authenticate", b"Bearer"),))
        except MosaicError as error:
            await _refuse(send, error.http_status, error)

    async def _opened(self) -> Any:
        if self._made is None:
            async with self._making:
                if self._made is None:
                    self._made = await asyncio.to_thread(self._make)
        return self._made

    def _bounded(self, receive: Receive) -> Receive:
        size = 0

        async def bounded() -> dict[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body_bytes:
                raise InvalidInput(f"The request's body is larger than {self._max_body_bytes} bytes.")
            return message

        return bounded


def _is_json(headers: Headers) -> bool:
    kinds = [value.split(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
    return kinds == [b"application/json"]


async def _refuse(
    send: Send, status: int, error: MosaicError, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    await _answer(send, status, error.to_json(), headers)


async def _answer(send: Send, status: int, body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    data = json.dumps(body, default=str).encode()
    shown = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": shown})
    await send({"type": "http.response.body", "body": data})
