"""One call from outside and its answer, as the model door sees them."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from mosaic.core.errors import MosaicError
from mosaic.cost import Payer
from mosaic.inference.interfaces import Adapt, Codec, Peeked
from mosaic.security import VirtualKey

__all__ = ["Answer", "DoorCall", "begun"]


@dataclass(slots=True)
class DoorCall:
    """A request in a client's protocol.

    Attributes:
        payer: whose budgets and quotas it draws on.
        key: the virtual key it came with; None for the owner.
        session: ties requests together for sticky routing.
        onward: headers of the client that a provider of the same protocol gets too.
        traceparent: the client's span, where spans are made.
        adapt: changes the body for a provider of the same protocol.
        broken: writes an error into a stream that has begun.
    """

    payer: Payer
    key: VirtualKey | None
    codec: Codec
    body: bytes
    peek: Peeked
    request_id: str
    adapt: Adapt
    broken: Callable[[MosaicError], bytes]
    session: str | None = None
    onward: tuple[tuple[bytes, bytes], ...] = ()
    traceparent: str | None = None


@dataclass(slots=True)
class Answer:
    """An answer in the client's protocol: a whole `body`, or `chunks` to pass on as they come.

    Attributes:
        headers: what the client may want to know: the model that answered, the route, the cost.
        chunks: close it when done, whatever happened: that settles the call.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    chunks: AsyncGenerator[bytes, None] | None = None


async def begun(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Return `chunks`, whose first piece is empty, with that piece taken.

    A generator that was never entered does not run its `finally` when it is closed, and with it would lose what
    settles the call.
    """
    await anext(chunks)
    return chunks
