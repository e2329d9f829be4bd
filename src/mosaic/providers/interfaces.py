"""What an adapter of each provider kind must honour. Today: `ai`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from mosaic.core.values import JsonObject
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse

__all__ = [
    "AiProvider",
    "DeclaredPrice",
    "ModelCapabilities",
    "ModelInfo",
    "ProviderHealth",
    "Wire",
    "WireEndpoint",
    "WireSpeaker",
]

Wire = Literal[
    "openai.chat", "openai.responses", "openai.embeddings", "anthropic.messages", "anthropic.count_tokens"
]
"""A protocol that clients speak to the gateway, and that some providers speak themselves."""


@dataclass(frozen=True, slots=True)
class DeclaredPrice:
    """A price that a provider states for its own model, in US dollars for a million tokens."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What one model can do.

    Attributes:
        structured_output: honours `ModelRequest.output_schema` natively.
        idempotent: the provider answers a repeated idempotency key without doing the work again.
        max_output_tokens: the most it writes in one answer; None when unknown.
        price: a price the provider declares itself; None means look it up.
        price_source: whose price list holds the model: a provider's id such as `openai`, or the address of its
            API; None when nobody can know.
        local: runs on the user's own machine; tokens cost no money.
    """

    tools: bool = True
    structured_output: bool = True
    streaming: bool = True
    images: bool = False
    idempotent: bool = False
    max_output_tokens: int | None = None
    price: DeclaredPrice | None = None
    price_source: str | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model that a provider offers."""

    provider: str
    id: str
    name: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None

    @property
    def reference(self) -> str:
        """The name to write in a workflow: ``<provider>:<model>``."""
        return f"{self.provider}:{self.id}"

    def to_json(self) -> JsonObject:
        """Return the model as a JSON object."""
        return {
            "reference": self.reference,
            "provider": self.provider,
            "id": self.id,
            "name": self.name,
            "max_input_tokens": self.max_input_tokens,
            "max_output_tokens": self.max_output_tokens,
        }


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Whether a provider can be used now.

    Attributes:
        status: `ready`; `unconfigured` (a key or address is missing); `unreachable`; `refused` (a key is
            wrong); `broken` (the plugin itself failed).
        detail: one sentence for a person; never holds a key.
        hint: what to do about it.
    """

    provider: str
    status: Literal["ready", "unconfigured", "unreachable", "refused", "broken"]
    detail: str = ""
    hint: str | None = None

    @property
    def usable(self) -> bool:
        """Whether calls may be sent."""
        return self.status == "ready"

    def to_json(self) -> JsonObject:
        """Return the health as a JSON object."""
        return {"provider": self.provider, "status": self.status, "detail": self.detail, "hint": self.hint}


@runtime_checkable
class AiProvider(Protocol):
    """A source of model answers. One instance serves many concurrent calls on one event loop."""

    name: str

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer; one attempt, never retried here.

        Not idempotent unless `capabilities` says so. Malformed tool arguments are in the answer, marked.

        Raises:
            InvalidInput: the provider refused the request's shape or size.
            NotFound: it does not know the model.
            Unauthenticated, PermissionDenied: the key is missing, wrong or not allowed this model.
            LimitExceeded: too many requests; `data["retry_after_s"]` when the provider said.
            Unavailable: not reachable, overloaded, or the answer broke off.
            TimedOut: no whole answer within `request.timeout_s`; `data["sent"]` says whether it was sent.
            ModelRefused: it declined to answer.
            ContractViolation: it answered with something that is not its own protocol.
        """
        ...

    def stream(self, request: ModelRequest, *, idempotency_key: str) -> AsyncIterator[Delta | ModelResponse]:
        """Yield pieces as they arrive and, last, the whole response. Closing the iterator aborts the call.

        Raises:
            MosaicError: as `complete`; a stream that ends early raises Unavailable and yields no response.
        """
        ...

    async def models(self) -> list[ModelInfo]:
        """Return the models this account may use, in the provider's order."""
        ...

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Say whether calls (to `model`, when given) can be sent now. Never raises for an unhealthy provider.

        Spends no tokens. A remote provider looks only at its configuration unless `thorough` asks it to prove
        the key and the address with one small request.
        """
        ...

    async def default_model(self) -> str | None:
        """Return the model to use when nobody names one; None when there is none to choose.

        Raises:
            MosaicError: if the provider has to be asked and does not answer.
        """
        ...

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do; for an unknown model, what the provider's models usually can."""
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class WireEndpoint:
    """Where a request of one wire goes as it is.

    Attributes:
        provider: the instance it belongs to.
        origin: ``https://host:port``.
        path: with the query, if there is one.
        headers: what authenticates and identifies us, names in lower case; never shown.
    """

    provider: str
    origin: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)


@runtime_checkable
class WireSpeaker(Protocol):
    """A provider that speaks wires of the gateway's clients itself, so that bodies may pass as they are."""

    def endpoint(self, wire: Wire, model: str, *, stream: bool) -> WireEndpoint | None:
        """Return where a request of `wire` for `model` goes; None when this provider does not speak it. No I/O."""
        ...
