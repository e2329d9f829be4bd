"""The server's side of a client's connection, bounded: headers in size and time, and what a client leaves unread."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedConnection", "ConnectionBounds", "bounded_connections"]

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """What one connection may cost before anybody knows who is there.

    Attributes:
        head_bytes: of a request's line and headers that arrive in several pieces; one read more may come on top.
        head_s: from the connection, or a request's first byte, until its headers are whole.
        unread_s: how long bytes may wait for a client that takes none of them.
        look_s: how often that is looked at.
    """

    head_bytes: int = 64 * 1024
    head_s: float = 15.0
    unread_s: float = 60.0
    look_s: float = 2.0


class _Dropped(list[tuple[bytes, bytes]]):
    """Takes trailers, and keeps none."""

    def append(self, _header: tuple[bytes, bytes]) -> None:
        """Forget it."""


class BoundedConnection(HttpToolsProtocol):
    """Uvicorn's connection, which by itself takes headers without end and keeps what nobody reads for ever."""

    bounds: ClassVar[ConnectionBounds] = ConnectionBounds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._moved_at = self._head_since = self.loop.time()
        self._head_size = 0
        self._unread = 0
        self._timer = self.loop.call_later(self.bounds.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        super().data_received(data)
        if self._head_since:
            self._head_size += len(data)
            if self._head_size > self.bounds.head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_since = self.loop.time()
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """Its headers are whole; what comes after its body is dropped."""
        self._head_since = 0.0
        super().on_headers_complete()
        self.headers = _Dropped()

    def _look(self) -> None:
        now, bounds = self.loop.time(), self.bounds
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread or not unread:
            self._moved_at = now
        self._unread = unread
        # Not `close`: that would wait until the client has read everything.
        if now - self._moved_at > bounds.unread_s or (
            self._head_since and now - self._head_since > bounds.head_s
        ):
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(bounds.look_s, self._look)


def bounded_connections(bounds: ConnectionBounds) -> type[asyncio.Protocol]:
    """Return what `uvicorn.Config` takes as `http`."""
    made: Any = type("BoundedConnection", (BoundedConnection,), {"bounds": bounds})
    return cast("type[asyncio.Protocol]", made)
