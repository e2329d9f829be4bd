"""The connections of one event loop to one origin: idle ones, a bound, and a queue in order of arrival."""

import asyncio
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from mosaic.core.errors import InvalidInput
from mosaic.providers.upstream.connection import Connection
from mosaic.providers.upstream.failures import exhausted, out_of_time, unreachable
from mosaic.providers.upstream.limits import UpstreamLimits
from mosaic.providers.upstream.requests import HeadWriter

__all__ = ["Origin", "Resolve", "resolved"]

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Finds the addresses of a host, the best first."""

# An address that does not answer, as IPv6 on many a network, must not use up the time for the others.
_ONE_ADDRESS_S = 2.0


async def resolved(host: str, port: int) -> list[str]:
    """Return the system's addresses for `host`, in its order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Origin:
    """Where connections to one origin are taken from and come back to.

    Attributes:
        origin: ``https://host:port``.
        heads: writes the heads of its requests.
        open: connections that are open or being opened.
    """

    __slots__ = (
        "_all",
        "_context",
        "_good",
        "_host",
        "_idle",
        "_limits",
        "_literal",
        "_loop",
        "_port",
        "_resolve",
        "_waiting",
        "heads",
        "open",
        "origin",
    )

    def __init__(
        self,
        origin: str,
        loop: asyncio.AbstractEventLoop,
        *,
        limits: UpstreamLimits,
        context: ssl.SSLContext | None,
        resolve: Resolve = resolved,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            origin: ``http://host:port`` or ``https://host:port``.
            loop: whose connections these are.
            limits: how many, and what each may hold.
            context: for TLS; used when the origin asks for it.
            resolve: finds its addresses.

        Raises:
            InvalidInput: if `origin` is not one.
        """
        self.origin = origin
        self._host, self._port, secure = _parsed(origin)
        self._literal = _is_address(self._host)
        self._resolve = resolve
        self._good = ""
        self._context = context if secure else None
        self._loop = loop
        self._limits = limits
        self.heads = HeadWriter(origin.partition("://")[2].encode())
        self.open = 0
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def idle(self) -> int:
        """How many connections nobody uses."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many calls wait for a connection."""
        return len(self._waiting)

    def take(self) -> Connection | None:
        """Return an idle connection that is alive, the one used last; None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.abort()
        return None

    async def wait(self, provider: str, timeout_s: float) -> Connection:
        """Return a connection when there is one, opening it where the bound allows.

        Raises:
            Unavailable: if the origin cannot be reached, or too many wait already.
            TimedOut: if there is none in `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self.open >= self._limits.connections:
                    connection = await self._turn(provider)
                    if connection is None:
                        return await self._connect()  # the place of one that is gone
                    if connection.fresh:
                        return connection
                    connection.abort()
                self.open += 1
                return await self._connect()
        except TimeoutError as error:
            raise out_of_time(provider, self.origin, phase="connect", sent=False) from error
        except OSError as error:  # TLS errors are among them
            raise unreachable(provider, self.origin, error) from error

    def release(self, connection: Connection) -> None:
        """A connection's call is over: the call that waits longest gets it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)
        connection.idle()

    def lost(self, connection: Connection) -> None:
        """A connection is gone: the call that waits longest may open another in its place."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._give_up_place()

    def close(self) -> None:
        """Close everything; calls in progress and calls that wait fail."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(ConnectionAbortedError("the pool was closed"))
        self._waiting.clear()
        for connection in tuple(self._all):
            connection.stop()
        self._idle.clear()

    async def _turn(self, provider: str) -> Connection | None:
        """Wait in order for a connection, or for None: a place to open one, already counted in `open`."""
        if len(self._waiting) >= self._limits.waiting:
            raise exhausted(provider, self.origin, len(self._waiting))
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                given = turn.result()
                if given is None:
                    self._give_up_place()
                else:
                    self.release(given)
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def _connect(self) -> Connection:
        """Open a connection in a place that is counted already."""
        try:
            return await self._dial()
        except BaseException:
            self._give_up_place()
            raise

    async def _dial(self) -> Connection:
        """Open a connection to the address that worked last, or to the first that does."""
        addresses = [self._host] if self._literal else await self._resolve(self._host, self._port)
        if self._good in addresses:
            addresses = [self._good, *(other for other in addresses if other != self._good)]
        failure: OSError = OSError(f"the name {self._host} has no address")
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            try:
                # The last one may take all the time there is.
                async with asyncio.timeout(_ONE_ADDRESS_S if left else None):
                    connection = await self._open(address)
            except OSError as error:  # a timeout is one too
                failure = error
                continue
            self._good = address
            if not connection.closed:  # if it is, its place is given up already
                self._all.add(connection)
            return connection
        raise failure

    async def _open(self, address: str) -> Connection:
        connection = Connection(self, self._loop, self._limits)
        try:
            await self._loop.create_connection(
                lambda: connection,
                address,
                self._port,
                ssl=self._context,
                server_hostname=self._host if self._context else None,
            )
        except BaseException:
            connection.disown()
            raise
        return connection

    def _give_up_place(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.open -= 1


def _parsed(origin: str) -> tuple[str, int, bool]:
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError:
        port = 0
    wrong = parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or wrong:
        raise InvalidInput(
            "An upstream's origin is not one.", hint="Write it as https://host or http://host:port."
        )
    secure = parts.scheme == "https"
    return parts.hostname, port or (443 if secure else 80), secure


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
