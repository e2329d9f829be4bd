"""A client's side of a WebSocket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, Site


def address(site: Site, path: str = "/api/v1/ws") -> str:
    assert site.address is not None
    return site.address.replace("http://", "ws://") + path


@contextlib.asynccontextmanager
async def opened(
    site: Site, token: str | None, path: str = "/api/v1/ws", **options: Any
) -> AsyncIterator["Talk"]:
    """A socket of the owner, or of nobody."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with connect(
        address(site, path),
        additional_headers={**headers, **options.pop("headers", {})},
        proxy=None,
        open_timeout=WAIT_S,
        close_timeout=0.05,
        max_size=None,
        **options,
    ) as socket:
        yield Talk(socket)


class Talk:
    """Messages as JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._kept: list[JsonObject] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, *kinds: str, answers: str | None = None) -> JsonObject:
        """The next message, of one of these types if any are given; others are kept for later."""

        def fits(message: JsonObject) -> bool:
            return (not kinds or message["type"] in kinds) and answers in (None, message.get("id"))

        for place, message in enumerate(self._kept):
            if fits(message):
                return self._kept.pop(place)
        async with asyncio.timeout(WAIT_S):
            while True:
                message = json.loads(await self.socket.recv())
                if fits(message):
                    return message
                self._kept.append(message)

    async def ask(self, *kinds: str, **message: Any) -> JsonObject:
        """Say something and return the answer to it."""
        await self.say(**message)
        return await self.hear(*(kinds or ("result", "error")), answers=message.get("id"))

    async def closed(self) -> int | None:
        """Read on until the server closes the socket; return its code."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None
