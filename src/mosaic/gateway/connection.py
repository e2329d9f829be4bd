"""The server's side of a client's connection, bounded: headers in size and time, and what a client leaves unread.

Some paths are answered without uvicorn's own cycle and its dictionaries, which cost as much as all the rest of it: see
`DirectExchange`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mosaic.gateway.direct import Direct, DirectExchange

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
    direct: ClassVar[Mapping[bytes, Direct]] = MappingProxyType({})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._moved_at = self._head_since = self.loop.time()
        self._head_size = 0
        self._unread = 0
        self._idle_since = 0.0
        self._timer = self.loop.call_later(self.bounds.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._idle_since = 0.0
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except HttpParserUpgrade:
            if self._should_upgrade():
                self._timer.cancel()  # the WebSocket has its own bounds
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        if self._head_since:
            self._head_size += len(data)
            if self._head_size > self.bounds.head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins. What uvicorn makes for each is made in `on_headers_complete`, where it is needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._head_since = self.loop.time()
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """Its headers are whole; what comes after its body is dropped."""
        self._head_since = 0.0
        answer = self.direct.get(self.url)
        if answer is None or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            self._usual()
        else:
            self._directly(answer)
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self.headers = _Dropped()

    def _should_upgrade(self) -> bool:
        # What the WebSocket library would stumble over is no WebSocket.
        is_plain = (
            self.parser.get_method() == b"GET"
            and self.url.isascii()
            and self.parser.get_http_version() == "1.1"
        )
        return is_plain and super()._should_upgrade()

    def _usual(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        # For streams that last: they bound what is kept for a client that does not read.
        cast("Any", self.scope)["extensions"] = {"mosaic.connection": self.transport}
        super().on_headers_complete()

    def _directly(self, answer: Direct) -> None:
        exchange = DirectExchange(
            self,
            self.headers,
            keep_alive=self.parser.should_keep_alive(),
            wants_continue=self.expect_100_continue,
        )
        before, self.cycle = self.cycle, cast("Any", exchange)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, cast("Any", answer))
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, cast("Any", answer)))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if type(cycle) is DirectExchange:
            cycle.task = task = self.loop.create_task(cycle.run(app))
            self.tasks.add(task)
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A piece of a request's body has come."""
        cycle: Any = self.cycle
        if type(cycle) is not DirectExchange:
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.feed(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        cycle: Any = self.cycle
        if type(cycle) is not DirectExchange:
            super().on_message_complete()
        elif not cycle.response_complete:
            cycle.more_body = False
            cycle.set()

    def on_response_complete(self) -> None:
        """An answer is whole: the next request of the pipeline has its turn, or the connection is idle.

        Uvicorn sets a timer for every idle connection, after every answer; `_look` comes by anyway.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._idle_since = self.loop.time()

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
            if self._idle_since and now - self._idle_since > self.timeout_keep_alive:
                self.transport.close()
            self._timer = self.loop.call_later(bounds.look_s, self._look)


def bounded_connections(
    bounds: ConnectionBounds, direct: Mapping[str, Direct] | None = None
) -> type[asyncio.Protocol]:
    """Return what `uvicorn.Config` takes as `http`.

    Args:
        bounds: of each connection.
        direct: what answers a POST to these very paths, past the application.
    """
    paths = {path.encode(): answer for path, answer in (direct or {}).items()}
    made: Any = type("BoundedConnection", (BoundedConnection,), {"bounds": bounds, "direct": paths})
    return cast("type[asyncio.Protocol]", made)
