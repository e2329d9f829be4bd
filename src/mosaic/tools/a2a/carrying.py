"""Requests of the protocol's library over our own HTTP: only where they may go, bounded, never redirected."""

from collections.abc import AsyncIterator

import httpx
import httpx2

from mosaic.outbound import GuardedTransport
from mosaic.tools.http_bounds import BoundedTransport

__all__ = ["GuardedCarrier"]

_ANSWER_BYTES = 8_000_000
# What the library tells apart; all else is an error of the connection to it.
_ERRORS: tuple[tuple[type[Exception], type[httpx.RequestError]], ...] = (
    (httpx2.ConnectError, httpx.ConnectError),
    (httpx2.ConnectTimeout, httpx.ConnectTimeout),
    (httpx2.TimeoutException, httpx.ReadTimeout),
)


class GuardedCarrier(httpx.AsyncBaseTransport):
    """Carries requests of `httpx` with `httpx2`.

    Args:
        allowed: networks that are no public ones, and may be reached all the same.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        bounded = BoundedTransport(httpx2.AsyncHTTPTransport(trust_env=False), limit_bytes=_ANSWER_BYTES)
        self._transport = GuardedTransport(bounded, allowed=allowed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request.

        Raises:
            PolicyDenied: if its address may not be reached.
        """
        carried = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.multi_items(),
            content=await request.aread(),
            extensions={"timeout": request.extensions.get("timeout", {})},
        )
        try:
            response = await self._transport.handle_async_request(carried)
        except httpx2.TransportError as error:
            raise _told(error) from error
        return httpx.Response(
            response.status_code, headers=response.headers.multi_items(), stream=_Carried(response)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class _Carried(httpx.AsyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.TransportError as error:
            raise _told(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _told(error: httpx2.TransportError) -> httpx.RequestError:
    for ours, theirs in _ERRORS:
        if isinstance(error, ours):
            return theirs(str(error))
    return httpx.ReadError(str(error))
