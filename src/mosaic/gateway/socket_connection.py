"""The server's side of a client's WebSocket, bounded: what waits for a client that reads nothing, and for how long."""

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["LARGEST_MESSAGE_BYTES", "BoundedSocket", "SocketBounds", "bounded_sockets"]

# Uvicorn notes each address with all that is in it, and tickets are.
_log = logging.getLogger("uvicorn.error.sockets")
_log.setLevel(logging.WARNING)
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

LARGEST_MESSAGE_BYTES = 64 * 1024
"""The largest message that a client may send."""


@dataclass(frozen=True, slots=True)
class SocketBounds:
    """What one WebSocket may cost.

    Attributes:
        unread_bytes: how much may wait for the client before `send` waits, here and in the kernel; one message more
            may come on top.
        close_s: how long a client that reads nothing may take to read why it is dropped.
        unread_s: how long bytes may wait for a client that takes none of them, whoever sent them.
        look_s: how often that is looked at.
    """

    unread_bytes: int = 16 * 1024
    close_s: float = 5.0
    unread_s: float = 60.0
    look_s: float = 5.0


class BoundedSocket(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket, which by itself waits for ever for a client that reads nothing, even to close it."""

    bounds: ClassVar[SocketBounds] = SocketBounds()

    def connection_made(self, transport: Any) -> None:
        """A client has asked for a WebSocket."""
        self.logger, self.conn.debug = _log, False
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self.bounds.unread_bytes)
        line = transport.get_extra_info("socket")
        if line is not None:  # what the kernel keeps is ours, too
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.bounds.unread_bytes)
        self._unread, self._moved_at = 0, self.loop.time()
        self._timer = self.loop.call_later(self.bounds.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: what is no handshake is refused, or the connection would stay open with nobody behind it."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            if not self.transport.is_closing():
                self.transport.write(b"".join(self.conn.data_to_send()) or _REFUSED)
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message once there is room; a close at once, since who does not read is not waited for."""
        if message["type"] != "websocket.close" or self.writable.is_set():
            await super().send(message)
            if message["type"] == "websocket.http.response.body" and self.close_sent:
                self.handshake_complete = True  # or it would be logged as a failure of ours
            return
        self.writable.set()
        await super().send(message)
        self.loop.call_later(self.bounds.close_s, self.transport.abort)

    def _look(self) -> None:
        now, unread = self.loop.time(), self.transport.get_write_buffer_size()
        if unread < self._unread or not unread:
            self._moved_at = now
        self._unread = unread
        if now - self._moved_at > self.bounds.unread_s:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(self.bounds.look_s, self._look)


def bounded_sockets(bounds: SocketBounds | None = None) -> type[asyncio.Protocol]:
    """Return what `uvicorn.Config` takes as `ws`. Compression is for the caller to turn off: it costs 36 KB each."""
    made: Any = type("BoundedSocket", (BoundedSocket,), {"bounds": bounds or SocketBounds()})
    return cast("type[asyncio.Protocol]", made)
