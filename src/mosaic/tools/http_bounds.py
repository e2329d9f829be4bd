"""Keeps HTTP answers within a bound, whatever the other side sends."""

from collections.abc import AsyncIterator

import httpx2

__all__ = ["BoundedTransport"]


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Ends an answer that is longer than `limit_bytes` with a read error; event streams may go on for ever."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, *, limit_bytes: int) -> None:
        self._transport = transport
        self._limit_bytes = limit_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        response = await self._transport.handle_async_request(request)
        if response.headers.get("content-type", "").partition(";")[0].strip() != "text/event-stream":
            inner = response.stream
            if isinstance(inner, httpx2.AsyncByteStream):
                response.stream = _Bounded(inner, self._limit_bytes)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit_bytes: int) -> None:
        self._stream = stream
        self._left = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError("the answer is longer than allowed")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
