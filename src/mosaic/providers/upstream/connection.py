"""One connection: an asyncio protocol around httptools, one call at a time, one lazy timer for all deadlines."""

import asyncio
import select
import socket
from math import inf
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from mosaic.core.errors import MosaicError
from mosaic.providers.upstream.failures import broke_off, misbehaved, out_of_time, unreachable
from mosaic.providers.upstream.limits import UpstreamLimits, UpstreamTimeouts
from mosaic.providers.upstream.response import UpstreamResponse

__all__ = ["Connection"]

_MOST_HEADERS = 256
_MOST_INTERIM = 16
_JOINED_BYTES = 64 * 1024
# A timer that is due later than the next deadline is left alone when it rings within this.
_TICK_S = 1.0


class _Home(Protocol):
    """Where a connection goes when its call is over."""

    origin: str

    def release(self, connection: "Connection") -> None:
        """The call is over and the connection can serve another."""

    def lost(self, connection: "Connection") -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """One connection to an origin.

    Attributes:
        calls: how many were sent on it.
    """

    __slots__ = (
        "_call",
        "_closed",
        "_due",
        "_framed",
        "_headers",
        "_home",
        "_idle_at",
        "_interim",
        "_keep_alive_s",
        "_limits",
        "_loop",
        "_made",
        "_parser",
        "_phase",
        "_poll",
        "_reading_paused",
        "_refused",
        "_reusable",
        "_silent",
        "_timeouts",
        "_timer",
        "_timer_at",
        "_total_due",
        "_transport",
        "_unsent",
        "_writing_paused",
        "calls",
    )

    def __init__(self, home: _Home, loop: asyncio.AbstractEventLoop, limits: UpstreamLimits) -> None:
        self.calls = 0
        self._home = home
        self._loop = loop
        self._limits = limits
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._call: UpstreamResponse | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._timeouts = UpstreamTimeouts()
        self._keep_alive_s = limits.keep_alive_s
        self._made = False
        self._idle_at = -inf  # it has not been idle yet
        self._closed = False
        self._framed = False  # the answer's end is marked by more than the end of the connection
        self._reusable = False
        self._reading_paused = False
        self._writing_paused = False
        self._interim = 0
        self._silent = 0
        self._unsent = 0
        self._refused = ""  # what is wrong with the answer, found inside the parser
        self._phase = "connect"
        self._due = inf
        self._total_due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    # A call, from its start to its end.

    def start(self, call: UpstreamResponse, head: bytes, body: bytes, timeouts: UpstreamTimeouts) -> None:
        """Send a request; `call` gets the answer. Only on a connection that is free."""
        transport = self._transport
        if transport is None or transport.is_closing():
            call.finish(
                unreachable(call.provider, self._home.origin, ConnectionError("the connection is closed"))
            )
            return
        self._call = call
        self._timeouts = timeouts
        self._framed = False
        self._interim = 0
        self._silent = 0
        self.calls += 1
        now = self._loop.time()
        self._total_due = now + timeouts.total_s
        if len(body) <= _JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        if self._writing_paused:
            self._unsent = transport.get_write_buffer_size()
            self._await("write", now + timeouts.write_s)
        else:
            self._await("first_byte", now + timeouts.first_byte_s)

    def resume(self) -> None:
        """Read on: the reader has taken what was held."""
        if self._reading_paused:
            self._reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            if self._call is not None:
                self._await("idle", self._loop.time() + self._timeouts.idle_s)

    def abort(self) -> None:
        """Close at once, whatever is under way; the call in progress learns nothing."""
        self._call = None
        self._close()

    def fail(self, error: MosaicError) -> None:
        """End the call in progress with `error` and close."""
        call, self._call = self._call, None
        self._close()
        if call is not None:
            call.finish(error)

    def stop(self) -> None:
        """Close at once; the call in progress fails."""
        call = self._call
        if call is None:
            self._close()
        else:
            self.fail(
                broke_off(
                    call.provider, self._home.origin, ConnectionAbortedError("closed here"), reused=False
                )
            )

    def disown(self) -> None:
        """Close at once without a word to its origin: opening it failed."""
        self._made = False
        self._close()

    @property
    def closed(self) -> bool:
        """Whether it can carry nothing any more."""
        return self._closed

    @property
    def fresh(self) -> bool:
        """Whether an idle connection can be used: it is open, and nothing has come that nobody asked for."""
        if self._closed or self._poll is None or self._transport is None or self._transport.is_closing():
            return False
        return self._loop.time() - self._idle_at < self._limits.trusted_s or not self._poll.poll(0)

    def idle(self) -> None:
        """Nobody needs the connection now: it closes by itself after a while."""
        self._idle_at = now = self._loop.time()
        self._total_due = inf
        self._await("idle", now + self._keep_alive_s)

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, TLS included."""
        self._made = True
        self._transport = made = cast("asyncio.Transport", transport)
        # Any byte that the system does not take at once counts: the time to the first byte starts when all are sent.
        made.set_write_buffer_limits(high=1, low=0)
        sock: Any = made.get_extra_info("socket")
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
        )  # a model may think for minutes without a byte
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._closed = True
        self._transport = None
        self._parser = None  # it holds this object
        self._poll = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        call, self._call = self._call, None
        if call is not None:
            if exc is None and call.status and not self._framed:
                call.finish()  # a body may end with its connection
            else:
                call.finish(broke_off(call.provider, self._home.origin, exc, reused=self.calls > 1))
        if self._made:  # a failed handshake ends here too
            self._home.lost(self)

    def pause_writing(self) -> None:
        """The system takes no more bytes now."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """All bytes are with the system."""
        self._writing_paused = False
        call = self._call
        if call is not None and not call.status:
            self._await("first_byte", self._loop.time() + self._timeouts.first_byte_s)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        call = self._call
        if call is None or self._parser is None:
            self._close()  # nobody asked for anything
            return
        self._silent += len(data)  # `on_body` puts it back to zero
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._reject("switches to another protocol")
            return
        except HttpParserError as error:
            self._reject(self._refused or f"sent what is not HTTP: {error}")
            return
        if self._call is not call:
            return  # it is whole
        if self._silent > self._limits.head_bytes:
            self._reject("sent more headers than an answer may have")
        elif call.status:
            if call.full and not self._reading_paused and self._transport is not None:
                self._reading_paused = True
                self._transport.pause_reading()
                self._await("idle", inf)  # it is the reader who is slow
            elif not self._reading_paused:
                # `_await`, written out: this runs for every event of every stream.
                due = self._loop.time() + self._timeouts.idle_s
                self._phase = "idle"
                self._due = due = min(due, self._total_due)
                if due < self._timer_at:
                    self._arm(due)

    # What the parser says.

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        if self._call is None:
            self._refuse("sent an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        headers, self._headers = self._headers, []
        call, parser = self._call, self._parser
        if call is None or parser is None:
            return
        status = parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > _MOST_INTERIM:
                self._refuse("answers with nothing but interim answers")
            return
        size, framed = 0, status == 204 or status == 304  # half the time of `in`
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == b"content-length" or name == b"transfer-encoding":
                framed = True
            elif name == b"keep-alive":
                self._keep_alive_s = min(self._limits.keep_alive_s, _promised_s(value))
        if size > self._limits.head_bytes or len(headers) > _MOST_HEADERS:
            self._refuse("sent more headers than an answer may have")
        self._framed = framed
        self._reusable = parser.should_keep_alive()
        self._silent = 0
        call.head(status, headers)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        call = self._call
        if call is not None:
            self._silent = 0
            call.feed(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        call = self._call
        self._headers.clear()  # trailers: nobody reads them
        if call is None or not call.status:
            return  # an interim answer
        self._call = None
        call.finish()
        if not self._reusable or self._writing_paused:
            self._close()  # also when the request is not sent whole: what comes next would be its rest
            return
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        self._home.release(self)

    def _refuse(self, what: str) -> None:
        self._refused = what
        raise ValueError(what)  # the parser stops, and `feed_data` raises

    def _reject(self, what: str) -> None:
        call = self._call
        if call is None:
            self._close()  # the answer was whole; what came behind it is not ours
        else:
            self.fail(misbehaved(call.provider, self._home.origin, what))

    def _close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    # Deadlines.

    def _await(self, phase: str, due: float) -> None:
        self._phase = phase
        self._due = due = min(due, self._total_due)
        if due < self._timer_at:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # The timer of the last deadline rings before most new ones: it is set again then, not at every call.
        self._timer_at = due if self._call is None else min(due, self._loop.time() + _TICK_S)
        self._timer = self._loop.call_at(self._timer_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._closed:
            return
        now = self._loop.time()
        if now < self._due:
            if self._due < inf:
                self._arm(self._due)
            return
        call = self._call
        if call is None:
            self._close()  # it was idle for long enough
            return
        if self._phase == "write" and now < self._total_due and self._transport is not None:
            left = self._transport.get_write_buffer_size()
            if left < self._unsent:
                self._unsent = left
                self._await("write", now + self._timeouts.write_s)
                return
        phase = "total" if now >= self._total_due else self._phase
        self.fail(out_of_time(call.provider, self._home.origin, phase=phase, sent=True))


def _promised_s(value: bytes) -> float:
    """Return how long the upstream keeps an idle connection (``timeout=5``), a second early."""
    for part in value.split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 7:
            return max(0.0, int(seconds) - 1.0)
    return inf
