"""One answer of an upstream, while its body is still arriving."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from mosaic.core.errors import MosaicError
from mosaic.providers.upstream.failures import too_large

__all__ = ["UpstreamResponse"]


class _Source(Protocol):
    """The connection a body comes from."""

    def resume(self) -> None:
        """Read on from the network."""

    def abort(self) -> None:
        """Close at once."""


class UpstreamResponse:
    """The answer to one request.

    Read its body once, by `read` or by iterating; then, or by `close`, it is over. Leaving it early closes the
    connection, which tells the upstream to stop.

    Attributes:
        provider: who answers, for errors.
        status: the HTTP status; redirects come as they are.
        headers: as they came, names in lower case.
    """

    __slots__ = (
        "_body_limit",
        "_buffer_limit",
        "_chunks",
        "_done",
        "_error",
        "_held",
        "_source",
        "_waiter",
        "headers",
        "provider",
        "status",
    )

    def __init__(self, provider: str, source: _Source, *, body_limit: int, buffer_limit: int) -> None:
        self.provider = provider
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._source: _Source | None = source
        self._chunks: list[bytes] = []
        self._held = 0
        self._done = False
        self._error: MosaicError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._body_limit = body_limit
        self._buffer_limit = buffer_limit

    def __repr__(self) -> str:
        return f"UpstreamResponse({self.provider!r}, {self.status})"

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, given in lower case; None when it is absent."""
        for found, value in self.headers:
            if found == name:
                return value
        return None

    def header_map(self) -> Mapping[str, str]:
        """Return the headers as text, the last of each name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}

    def at_once(self, limit: int | None = None) -> bytes | None:
        """Return what `read` does if all of it has come already; None when it has to be waited for.

        Raises:
            MosaicError: as `read`.
        """
        if not self._done:
            return None
        if self._error is not None:
            raise self._error
        if self._held > (self._body_limit if limit is None else limit):
            self.close()
            raise too_large(self.provider, self._body_limit if limit is None else limit)
        chunks = self._take()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def read(self, limit: int | None = None) -> bytes:
        """Return the rest of the body.

        Args:
            limit: bytes; the pool's bound when None.

        Raises:
            ContractViolation: if it is larger than `limit`, or not proper HTTP.
            TimedOut: if it does not arrive in time.
            Unavailable: if the connection breaks off first.
        """
        bound = self._body_limit if limit is None else limit
        parts, size = [], 0
        while True:
            for chunk in self._take():
                size += len(chunk)
                parts.append(chunk)
            if size > bound:
                self.close()
                raise too_large(self.provider, bound)
            if self._done and not self._chunks:
                break
            await self._more()
        if self._error is not None:
            raise self._error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return what has arrived since the last piece, joined.

        Raises:
            MosaicError: as `read`; pieces that arrived before the failure come first.
        """
        while not self._chunks:
            if self._done:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._more()
        chunks = self._take()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """End the answer; a body still arriving closes its connection. Idempotent."""
        source, self._source = self._source, None
        self._chunks.clear()
        self._held = 0
        self._done = True
        if source is not None:
            source.abort()
        self._wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What follows is for the connection.

    async def started(self) -> None:
        """Wait for the head. Raises as `read`."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._more()

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The head has come."""
        self.status = status
        self.headers = headers
        self._wake()

    def feed(self, data: bytes) -> None:
        """A piece of the body has come."""
        self._chunks.append(data)
        self._held += len(data)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    @property
    def full(self) -> bool:
        """Whether more is held than the buffer's bound."""
        return self._held > self._buffer_limit

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._done

    def finish(self, error: MosaicError | None = None) -> None:
        """Nothing more comes from the connection."""
        if self._done:
            return
        self._source = None
        self._done = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        if self._held > self._buffer_limit and self._source is not None:
            self._source.resume()
        self._held = 0
        return chunks

    async def _more(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("Two tasks read one answer.")
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:  # the reader is gone (cancelled): so is the answer
            self._waiter = None
            self.close()
            raise
