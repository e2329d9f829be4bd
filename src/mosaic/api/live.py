"""Live events over SSE: each client is a cursor over the journal, so a dropped client resumes and misses nothing.

A thousand clients cost little more than their connections: the journal is read once for all of them, an event's frame is
made once, and what a client has not taken yet is not kept for it but read again.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mosaic.api.feed import Entry, Feed, Feeds
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.observability import get_logger

__all__ = ["CONNECTION", "EventStream", "Streams", "resume_point"]

_log = get_logger(__name__)
CONNECTION = "mosaic.connection"
"""The ASGI extension that holds the transport of a request's connection."""
_KEEPALIVE_S = 15.0
_LOOK_S = 1.0
_LONGEST_SEQUENCE = 18
# What may wait for one client: in its transport, and as much again in the kernel.
_BUFFER_BYTES = 16 * 1024
_MOST_EVENTS = 50
_MOST_WRITES = 3
# A client that takes nothing while so many events pass is not reading: it comes back with Last-Event-ID when it is.
_MOST_MISSED = 1_000


def resume_point(last_event_id: str | None, after: int | None) -> int:
    """Return the journal sequence to continue after: `after`, else the Last-Event-ID header, else the beginning.

    Raises:
        InvalidInput: if the header is not a sequence number.
    """
    text = (last_event_id or "").strip()
    if after is not None or not text:
        return after or 0
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_SEQUENCE):
        raise InvalidInput("Last-Event-ID must be the id of an event of this stream.")
    return int(text)


class Streams:
    """The open streams of an installation, and what is looked after for all of them at once.

    Args:
        feeds: the newest events.
        stopping: set when the server stops; every stream ends then.
    """

    def __init__(self, feeds: Feeds, stopping: asyncio.Event) -> None:
        self._feeds = feeds
        self._stopping = stopping
        self._open: set[EventStream] = set()
        self._keeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def open(self, ctx: Context, *, run_id: str | None, after: int) -> "EventStream":
        """Return the response that sends events after `after`, in order, for as long as the client listens."""
        return EventStream(self, self._feeds.of(ctx), run_id=run_id, after=after)

    @property
    def stopping(self) -> bool:
        """Whether every stream is to end."""
        return self._stopping.is_set()

    def enter(self, stream: "EventStream") -> None:
        """Look after a stream from now on."""
        self._open.add(stream)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())

    def leave(self, stream: "EventStream") -> None:
        """Look after it no longer."""
        self._open.discard(stream)

    async def _keep(self) -> None:
        while self._open and not self.stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(_LOOK_S, _KEEPALIVE_S))
            now = asyncio.get_running_loop().time()
            for stream in tuple(self._open):
                stream.look(now)


class EventStream(Response):
    """A stream of server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, feed: Feed, *, run_id: str | None, after: int) -> None:
        self._streams = streams
        self._feed = feed
        self._run_id = run_id
        self._place = after
        self._wake = asyncio.Event()
        self._gone = False
        self._transport: Any = None
        self._spoke_at = 0.0
        # The journal's end when the write that has not ended began; None between writes.
        self._writing_since: int | None = None
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers; there is no length."""
        self.raw_headers = [
            (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
        ]
        self.raw_headers.append((b"content-type", b"text/event-stream; charset=utf-8"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves, reads nothing, or the server stops."""
        self._transport = (scope.get("extensions") or {}).get(CONNECTION)
        if self._transport is not None:
            _keep_little(self._transport)
        attendance = asyncio.create_task(self._attend(receive))
        self._streams.enter(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._write(send, b": connected\nretry: 1000\n\n")
            await self._follow(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except MosaicError as error:
            # The client comes back by itself and goes on after the last event it has seen.
            _log.warning("a stream of events ended: %s", error)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.leave(self)
            attendance.cancel()

    def look(self, now: float) -> None:
        """See to it that an idle client hears something, that one that does not read goes, and that all end."""
        if self._writing_since is None:
            if self._streams.stopping or now - self._spoke_at >= _KEEPALIVE_S:
                self._wake.set()
        elif self._transport is not None and (
            self._streams.stopping or self._feed.head - self._writing_since >= _MOST_MISSED
        ):
            _log.info("a client of the event stream reads nothing and is dropped")
            self._gone = True
            self._transport.abort()  # `close` would wait until it has read everything

    async def _attend(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._wake.set()

    async def _follow(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        async with self._feed.following(self._wake):
            while not (self._gone or self._streams.stopping):
                self._wake.clear()
                entries, reached = await self._feed.after(
                    self._place, run_id=self._run_id, limit=_MOST_EVENTS
                )
                if entries:
                    count, writes = _writes(entries)
                    self._place = reached if count == len(entries) else entries[count - 1].seq
                    del (
                        entries
                    )  # while the client does not read, what is to be sent is all that is kept for it
                    for frames in writes:
                        await self._write(send, frames)
                    self._spoke_at = loop.time()
                elif reached > self._place:
                    self._place = reached
                elif loop.time() - self._spoke_at >= _KEEPALIVE_S:
                    await self._write(send, b": keep-alive\n\n")
                    self._spoke_at = loop.time()
                else:
                    await self._wake.wait()

    async def _write(self, send: Send, body: bytes) -> None:
        self._writing_since = self._feed.head
        await send({"type": "http.response.body", "body": body, "more_body": True})
        self._writing_since = None


def _writes(entries: Sequence[Entry]) -> tuple[int, list[bytes]]:
    """Return how many events are sent now, and their frames in as many writes as they need."""
    if len(entries) == 1:
        return 1, [entries[0].frame]
    count, writes, size = 0, [], 0
    frames: list[bytes] = []
    for entry in entries:
        if size >= _BUFFER_BYTES:
            writes.append(b"".join(frames))
            frames, size = [], 0
            if len(writes) == _MOST_WRITES:
                return count, writes
        frames.append(entry.frame)
        size += len(entry.frame)
        count += 1
    writes.append(b"".join(frames))
    return count, writes


def _keep_little(transport: Any) -> None:
    """Bound what is kept for a client that does not read: there may be thousands of them."""
    transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if connection is not None and option is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, _BUFFER_BYTES)
