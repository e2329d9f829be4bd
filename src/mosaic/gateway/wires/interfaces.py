"""What each wire offers the gateway."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mosaic.core.errors import MosaicError
from mosaic.gateway.wires.schemas import ErrorReply, Peek, Scanned
from mosaic.providers import Delta, ModelResponse, Wire

__all__ = ["Scanner", "ScannerFactory", "StreamWriter", "WireCodec"]


class StreamWriter(Protocol):
    """Writes one streamed answer in a vendor's event grammar. Call in this order; `fail` may stand for `finish`."""

    def start(self) -> bytes:
        """Return the events that open the stream."""
        ...

    def feed(self, delta: Delta) -> bytes:
        """Return the events for one piece; may be empty."""
        ...

    def finish(self, response: ModelResponse) -> bytes:
        """Return what is still missing of `response`, then the events that close the stream."""
        ...

    def fail(self, error: MosaicError) -> bytes:
        """Return the events that end a stream in an error."""
        ...


class Scanner(Protocol):
    """Watches a passed-through answer."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece from the provider; return what to pass on, usually `chunk` itself."""
        ...

    def rest(self) -> bytes:
        """Return what was held back, once the provider has closed the stream; usually empty."""
        ...

    def result(self) -> Scanned:
        """Return what was found; may be asked at any time, for a stream that broke off too."""
        ...


@dataclass(frozen=True, slots=True)
class WireCodec:
    """One wire: reads what clients send, writes what they expect, and watches what passes through.

    Attributes:
        name: the wire.
        peek: ``peek(body)``: what decides where a request goes.
        read_request: ``read_request(body)``: the whole request, for a provider that speaks another wire: an
            `Asked`, or an `AskedEmbeddings`.
        write_response: ``write_response(response, asked)``: a whole answer's body, of a `ModelResponse`, an
            `EmbeddingResponse` or, for counted tokens, their number.
        writer: ``writer(asked)``: for an answer in pieces; raises Unsupported where answers never are.
        error: ``error(error)``: status, headers and body.
        scanner: ``scanner(stream=..., strip_usage=...)``; `strip_usage` takes out the chunk that only
            `ensure_usage` asked for.

    `peek` and `read_request` raise InvalidInput, with the path of what is wrong, for anything a client may send
    that is not this wire; `read_request` raises Unsupported for what no other provider could be asked to do.
    """

    name: Wire
    peek: Callable[[bytes], Peek]
    read_request: Callable[[bytes], Any]
    write_response: Callable[[Any, Any], bytes]
    writer: Callable[[Any], StreamWriter]
    error: Callable[[MosaicError], ErrorReply]
    scanner: "ScannerFactory"


class ScannerFactory(Protocol):
    """Makes the scanner of one answer."""

    def __call__(self, *, stream: bool, strip_usage: bool = False) -> Scanner:
        """Return a scanner for a streamed or a whole answer."""
        ...
