"""What an adapter of the kind `ai` must honour, and what it may offer besides."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from mosaic.core.values import JsonObject
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse
from mosaic.providers.audio import Speech, SpeechRequest, Transcription, TranscriptionRequest
from mosaic.providers.embeddings import EmbeddingRequest, EmbeddingResponse
from mosaic.providers.fine_tuning import FineTune, FineTuneEvent, FineTuneRequest
from mosaic.providers.health import ProviderHealth
from mosaic.providers.model_store import LocalModel, ModelRecipe, StoreProgress
from mosaic.providers.moderation import ModerationRequest, ModerationVerdict
from mosaic.providers.stored_files import StoredFile

__all__ = [
    "AiProvider",
    "DeclaredPrice",
    "Embedder",
    "FileStore",
    "FineTuner",
    "ModelCapabilities",
    "ModelInfo",
    "ModelStore",
    "Moderator",
    "ProviderHealth",
    "Speaker",
    "TokenCounter",
    "Transcriber",
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
        images, audio, documents: reads them.
        reasoning: thinks before it answers, when asked to.
        embeddings: makes vectors of texts; such a model does not chat.
        context_tokens: the most that input and answer may hold together; None when unknown.
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
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    embeddings: bool = False
    context_tokens: int | None = None
    idempotent: bool = False
    max_output_tokens: int | None = None
    price: DeclaredPrice | None = None
    price_source: str | None = None
    local: bool = False

    @property
    def features(self) -> frozenset[str]:
        """What it can do, as names that a request's needs are compared with."""
        able = {
            "tools": self.tools,
            "structured_output": self.structured_output,
            "streaming": self.streaming,
            "vision": self.images,
            "audio": self.audio,
            "documents": self.documents,
            "reasoning": self.reasoning,
            "embeddings": self.embeddings,
        }
        return frozenset(name for name, is_able in able.items() if is_able)


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


@runtime_checkable
class Embedder(Protocol):
    """A provider that makes vectors of texts."""

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each text, in order; one attempt, never retried here.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """A provider that counts a request's tokens exactly, with its own tokenizer."""

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return how many input tokens `request` takes. Spends none.

        Raises:
            Unsupported: if the provider's API cannot count this request.
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class FineTuner(Protocol):
    """A provider that trains its models further."""

    async def start_fine_tune(self, request: FineTuneRequest) -> FineTune:
        """Start a training.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def fine_tune(self, fine_tune_id: str) -> FineTune:
        """Return how a training stands.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def fine_tunes(self) -> list[FineTune]:
        """Return the trainings of this account, newest first.

        Raises:
            MosaicError: as `AiProvider.complete`; a listing that breaks off is no listing.
        """
        ...

    async def fine_tune_events(self, fine_tune_id: str) -> list[FineTuneEvent]:
        """Return what a training reported, newest first.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def cancel_fine_tune(self, fine_tune_id: str) -> FineTune:
        """Stop a training.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class ModelStore(Protocol):
    """A provider that keeps models on its own machine."""

    def pull(self, model: str) -> AsyncIterator[StoreProgress]:
        """Download `model`, yielding how far it has come; it is there when the iterator ends in order.

        Raises:
            NotFound: if nobody offers it.
            MosaicError: as `AiProvider.stream`.
        """
        ...

    def create_model(self, recipe: ModelRecipe) -> AsyncIterator[StoreProgress]:
        """Make a model, yielding how far it has come; it is there when the iterator ends in order.

        Raises:
            Unsupported: if the provider does not import weights of that format.
            MosaicError: as `AiProvider.stream`.
        """
        ...

    async def delete_model(self, model: str) -> None:
        """Remove a model.

        Raises:
            NotFound: if it is not there.
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def local_model(self, model: str) -> LocalModel:
        """Return what the provider says about a model that it has.

        Raises:
            NotFound: if it is not there.
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class Transcriber(Protocol):
    """A provider that writes down what is said."""

    async def transcribe(self, request: TranscriptionRequest) -> Transcription:
        """Return what is said in the recording.

        Raises:
            Unsupported: if the model cannot answer in the format asked for.
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class Speaker(Protocol):
    """A provider that reads texts aloud."""

    async def speak(self, request: SpeechRequest) -> Speech:
        """Return the text as sound.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class Moderator(Protocol):
    """A provider that judges whether content is harmful."""

    async def moderate(self, request: ModerationRequest) -> list[ModerationVerdict]:
        """Return a verdict for each text, or one for the whole content.

        Raises:
            InvalidInput: if neither or both are given.
            MosaicError: as `AiProvider.complete`.
        """
        ...


@runtime_checkable
class FileStore(Protocol):
    """A provider that keeps files."""

    async def upload_file(self, filename: str, content: bytes, *, purpose: str) -> StoredFile:
        """Store a file; `purpose` is the provider's word for what it may be used for.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def stored_files(self, *, purpose: str | None = None) -> Sequence[StoredFile]:
        """Return the files of this account, all pages.

        Raises:
            MosaicError: as `AiProvider.complete`; a listing that breaks off is no listing.
        """
        ...

    async def stored_file(self, file_id: str) -> StoredFile:
        """Return a file's description.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def file_content(self, file_id: str) -> bytes:
        """Return what is in a file.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...

    async def delete_file(self, file_id: str) -> None:
        """Remove a file.

        Raises:
            MosaicError: as `AiProvider.complete`.
        """
        ...
