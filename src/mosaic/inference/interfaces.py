"""What a client's protocol is to the model door: the gateway's wires fit these."""

from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.providers import Delta, ModelResponse, Usage, Wire, WireEndpoint

__all__ = ["Adapt", "Codec", "Peeked", "Scanner", "Seen", "StreamWriter"]


class Peeked(Protocol):
    """The few fields of a request that routing, limits and budgets need.

    Attributes:
        model: what the client asked for: a route, a model, or ``provider:model``.
        max_tokens: the client's own limit of one answer; None when it named none.
        needs: capabilities without which no model can answer.
        session: what ties the requests of one conversation together.
        n_bytes: the size of the body.
        input_tokens: about how many tokens it is.
        most_input_tokens: more tokens than it can be.
        n: how many answers are asked for.
        acts: the provider itself may do something that cannot be taken back.
    """

    @property
    def model(self) -> str: ...  # noqa: D102  # the class says
    @property
    def stream(self) -> bool: ...  # noqa: D102
    @property
    def max_tokens(self) -> int | None: ...  # noqa: D102
    @property
    def needs(self) -> AbstractSet[str]: ...  # noqa: D102
    @property
    def session(self) -> str | None: ...  # noqa: D102
    @property
    def n_bytes(self) -> int: ...  # noqa: D102
    @property
    def input_tokens(self) -> int: ...  # noqa: D102
    @property
    def most_input_tokens(self) -> int: ...  # noqa: D102
    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def acts(self) -> bool: ...  # noqa: D102
    @property
    def metadata(self) -> dict[str, str]: ...  # noqa: D102


class Seen(Protocol):
    """What a passed-through answer said about itself so far.

    Attributes:
        usage: None until the provider said it.
        complete: the answer has come to its own end.
        error: the vendor's error object, when the answer is one or ended in one.
        events: how many events a stream had, about one for each token.
    """

    usage: Usage | None
    finish_reason: str | None
    response_id: str | None
    model: str | None
    complete: bool
    error: JsonObject | None
    events: int
    n_bytes: int


class Scanner(Protocol):
    """Reads along while an answer passes by."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return what goes on to the client."""
        ...

    def rest(self) -> bytes:
        """Return what was held back, once the provider has closed the stream."""
        ...

    def result(self) -> Seen:
        """Return what was found so far."""
        ...


class StreamWriter(Protocol):
    """Writes an answer's pieces as the client's event stream."""

    def start(self) -> bytes:
        """Return what comes before the first piece."""
        ...

    def feed(self, delta: Delta) -> bytes:
        """Return the events for one piece; may be empty."""
        ...

    def finish(self, response: ModelResponse) -> bytes:
        """Return the events after the last piece."""
        ...

    def fail(self, error: MosaicError) -> bytes:
        """Return the events that end the stream in an error."""
        ...


class Codec(Protocol):
    """One client protocol."""

    @property
    def name(self) -> Wire:
        """The protocol."""
        ...

    def read_request(self, body: bytes, /) -> Any:
        """Return the request in canonical form, as `request` of the result. Raises InvalidInput or Unsupported."""
        ...

    def write_response(self, response: Any, asked: Any, /) -> bytes:
        """Return a whole answer: of a `ModelResponse`, an `EmbeddingResponse` or a count of tokens, as the protocol has it."""
        ...

    def writer(self, asked: Any, /) -> StreamWriter:
        """Return a writer of a streamed answer."""
        ...

    def scanner(self, *, stream: bool, strip_usage: bool = False) -> Scanner:
        """Return a reader of a passed-through answer; `strip_usage` takes out what only we asked for."""
        ...

    def error(self, error: MosaicError, /) -> Any:
        """Return status, headers and body (`status`, `headers`, `body`) of an error."""
        ...


class Adapt(Protocol):
    """Changes a client's body for a provider that speaks the same protocol."""

    def __call__(
        self,
        body: bytes,
        wire: Wire,
        endpoint: WireEndpoint,
        *,
        asked: str,
        model: str,
        max_tokens: int | None,
        stream: bool,
    ) -> tuple[bytes, bool]:
        """Return the body to send, and whether it asks for usage that the client did not ask for."""
        ...
