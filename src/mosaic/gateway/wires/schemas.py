"""What the wires read from clients and from passed-through answers."""

from dataclasses import dataclass, field

import msgspec

from mosaic.core.values import JsonObject
from mosaic.providers import EmbeddingRequest, ModelRequest, Usage, Wire

__all__ = ["Asked", "AskedEmbeddings", "ErrorReply", "Peek", "Scanned"]


_BYTES_PER_TOKEN = 4
# Bytes are never fewer than tokens, so a body's size bounds what its text can cost; an image is bounded by the most that
# vendors count for one, wherever it comes from.
_TOKENS_PER_IMAGE = 1_000
_MOST_TOKENS_PER_IMAGE = 8_000


class Peek(msgspec.Struct, frozen=True):
    """The few things of a request's body that decide where it goes, read without reading the conversation.

    Attributes:
        model: the name the client wrote; a route, or ``provider:model``.
        max_tokens: the most the answer may take, as the client asked; None when it did not say.
        needs: of `vision`, `tools`, `structured_output`, `audio`, `documents`.
        session: what ties the requests of one conversation together, where the client says.
        user: the client's name for its own user.
        n_bytes: the size of the body.
        n: how many answers are asked for; each may take `max_tokens`.
        metadata: the client's own labels; values that are not text are left out.
        images: how many pictures it holds or names.
        image_bytes: the part of the body that is pictures; it says nothing about tokens.
        acts: the provider itself may do something that cannot be taken back: run code, call a tool server, work on
            after the answer.
    """

    model: str
    stream: bool
    max_tokens: int | None
    needs: frozenset[str]
    session: str | None
    user: str | None
    n_bytes: int
    n: int = 1
    metadata: dict[str, str] = {}
    images: int = 0
    image_bytes: int = 0
    acts: bool = False

    @property
    def input_tokens(self) -> int:
        """About how many tokens it is."""
        return (self.n_bytes - self.image_bytes) // _BYTES_PER_TOKEN + self.images * _TOKENS_PER_IMAGE

    @property
    def most_input_tokens(self) -> int:
        """More tokens than it can be."""
        return self.n_bytes - self.image_bytes + self.images * _MOST_TOKENS_PER_IMAGE


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's request, translated.

    Attributes:
        wire: the protocol it came in.
        model: the name the client wrote, given back in the answer.
        request: the same in our own words; `request.model` is still the client's name.
        id: this request's own name without a prefix; each wire puts its own before it.
        created: seconds since 1970.
        extras: what only this wire's writers need.
        ignored: what the client asked for and nobody can give it here, for a log or a header.
    """

    wire: Wire
    model: str
    stream: bool
    request: ModelRequest
    id: str
    created: int
    extras: JsonObject = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedEmbeddings:
    """A client's request for embeddings, translated.

    Attributes:
        model: the name the client wrote, given back in the answer.
        base64: vectors are wanted as base64 of little-endian 32-bit floats, not as numbers.
        user: the client's name for its own user.
    """

    wire: Wire
    model: str
    request: EmbeddingRequest
    base64: bool = False
    user: str | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error as one vendor would send it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(slots=True)
class Scanned:
    """What a passed-through answer said about itself.

    Attributes:
        usage: None when the answer did not say, or broke off before it did.
        finish_reason: the vendor's own word.
        complete: the answer came to its own end; a stream that did not has broken off.
        error: the vendor's error object, when the answer is or ended in one.
        events: how many events a stream had; about one for each token written. 0 for a whole body.
        n_bytes: how much was passed through.
    """

    usage: Usage | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    model: str | None = None
    complete: bool = False
    error: JsonObject | None = None
    events: int = 0
    n_bytes: int = 0
