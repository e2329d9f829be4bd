"""Connections to upstreams, kept for the next call: the client of the gateway's hot path."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

from mosaic.providers.interfaces import WireEndpoint
from mosaic.providers.upstream.limits import UpstreamLimits, UpstreamTimeouts
from mosaic.providers.upstream.origin import Origin, Resolve, resolved
from mosaic.providers.upstream.response import UpstreamResponse
from mosaic.providers.upstream.trust import system_trust

__all__ = ["OriginLoad", "UpstreamPool"]

_NO_HEADERS: tuple[tuple[bytes, bytes], ...] = ()
_MOST_ORIGINS = 1024


def _nowhere() -> None:
    """Stand for an event loop that is gone."""


@dataclass(frozen=True, slots=True)
class OriginLoad:
    """What one origin has open on this event loop."""

    origin: str
    open: int
    idle: int
    waiting: int


class UpstreamPool:
    """Sends requests over HTTP/1.1 and keeps connections alive, per origin and event loop.

    One attempt per call, never repeated here. No redirects, no proxies, no cookies, no decompression: bytes pass.
    """

    def __init__(
        self,
        *,
        limits: UpstreamLimits | None = None,
        timeouts: UpstreamTimeouts | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolved,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            limits: bounds on connections and on what upstreams send.
            timeouts: of calls that bring none.
            tls: what to trust instead of the system's certificates.
            resolve: finds the addresses of a host instead of the system.
        """
        self._limits = limits or UpstreamLimits()
        self._timeouts = timeouts or UpstreamTimeouts()
        self._tls = tls
        self._resolve = resolve
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Origin]] = WeakKeyDictionary()
        self._here: tuple[Callable[[], asyncio.AbstractEventLoop | None], dict[str, Origin]] = (_nowhere, {})

    async def send(
        self,
        endpoint: WireEndpoint,
        body: bytes,
        *,
        headers: Iterable[tuple[bytes, bytes]] = _NO_HEADERS,
        timeouts: UpstreamTimeouts | None = None,
        method: str = "POST",
    ) -> UpstreamResponse:
        """Send one request and return its answer as soon as its head has come, whatever the status.

        Cancelling closes the connection. So does leaving the answer before its end: use it in ``async with``, or
        `read` it.

        Args:
            endpoint: where to; its headers are sent first.
            body: sent with a content-length.
            headers: besides the endpoint's; not those that the connection sets itself (host, length, encodings).
            timeouts: instead of the pool's.
            method: in capitals.

        Raises:
            InvalidInput: if the address or a header cannot be sent.
            Unavailable: if the upstream cannot be reached or breaks off; `data["sent"]` says whether the request may
                have arrived, `data["reused"]` whether on a connection that the upstream may have been closing.
            TimedOut: if a phase takes too long; `data["phase"]` and `data["sent"]` say which and how far it got.
            ContractViolation: if what comes is not proper HTTP or above the bounds.
        """
        limits = self._limits
        allowed = timeouts or self._timeouts
        origin = self._origin(endpoint.origin)
        head = origin.heads.write(method, endpoint.path, endpoint.headers, headers, len(body))
        connection = origin.take()
        if connection is None:
            connection = await origin.wait(endpoint.provider, allowed.connect_s)
        response = UpstreamResponse(
            endpoint.provider, connection, body_limit=limits.body_bytes, buffer_limit=limits.buffer_bytes
        )
        connection.start(response, head, body, allowed)
        await response.started()
        return response

    def loads(self) -> list[OriginLoad]:
        """Return what is open to each origin on the running event loop."""
        origins = self._loops.get(asyncio.get_running_loop(), {})
        return [OriginLoad(name, at.open, at.idle, at.waiting) for name, at in origins.items()]

    async def close(self) -> None:
        """Close this event loop's connections; calls in progress fail. Connections of other loops stay theirs."""
        self._here = (_nowhere, {})
        for origin in self._loops.pop(asyncio.get_running_loop(), {}).values():
            origin.close()
        await asyncio.sleep(0)  # the transports say good-bye in the loop's next turn

    def _origin(self, name: str) -> Origin:
        loop = asyncio.get_running_loop()
        here, origins = self._here
        if here() is not loop:  # nearly always it is: most processes have one loop that calls
            known = self._loops.get(loop)
            origins = self._loops[loop] = {} if known is None else known
            self._here = (ref(loop), origins)
        origin = origins.get(name)
        if origin is None:
            if len(origins) >= _MOST_ORIGINS:
                for unused in [key for key, at in origins.items() if not at.open]:
                    del origins[unused]
            context = (self._tls or system_trust()) if name.startswith("https:") else None
            origin = origins[name] = Origin(
                name, loop, limits=self._limits, context=context, resolve=self._resolve
            )
        return origin
