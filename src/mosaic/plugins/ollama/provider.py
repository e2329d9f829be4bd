"""The adapter for Ollama."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable, Unsupported
from mosaic.core.values import JsonObject
from mosaic.plugins.ollama.store import OllamaStore
from mosaic.plugins.ollama.wire import Pieces, read_response, write_request
from mosaic.providers.adapter import joined_embeddings, reading
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse, Usage
from mosaic.providers.catalog import (
    DEFAULT_MODELS,
    ModelFacts,
    capabilities_of,
    declared_facts,
    facts_schema,
    model_facts,
)
from mosaic.providers.embeddings import EmbeddingRequest, EmbeddingResponse
from mosaic.providers.faults import error_for
from mosaic.providers.http import ProviderHttp
from mosaic.providers.interfaces import (
    DeclaredPrice,
    ModelCapabilities,
    ModelInfo,
    ProviderHealth,
    Wire,
    WireEndpoint,
)
from mosaic.providers.manifest import Auth, ProviderManifest, ProviderPlugin, Support
from mosaic.providers.naming import ToolNames

__all__ = ["OllamaProvider", "address_of", "provider"]

_ID = "ollama"
_HOST = "http://127.0.0.1:11434"
_PORT = 11434
_CHECK_TIMEOUT_S = 2.0
_CONTEXT_TOKENS = 16_384
_INPUTS_AT_ONCE = 256
_START_HINT = "Start it with `ollama serve`, or set OLLAMA_HOST to where it runs."


def address_of(host: str) -> str:
    """Return the address that OLLAMA_HOST means: host, host:port or a URL; without a port, 11434.

    Raises:
        InvalidInput: if it is none of these.
    """
    text = host.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidInput("OLLAMA_HOST has a port that is not a number.") from error
    if not parts.hostname or parts.username or parts.password:
        raise InvalidInput("OLLAMA_HOST is not an address.", hint="Write it as host:port.")
    # What a server listens on is not an address to call.
    name = "127.0.0.1" if parts.hostname in ("0.0.0.0", "::") else parts.hostname  # noqa: S104  # replaced, not bound
    name = f"[{name}]" if ":" in name else name
    number = port or (_PORT if "://" not in text or parts.scheme == "http" else 443)
    return f"{parts.scheme}://{name}:{number}{parts.path.rstrip('/')}"


class OllamaProvider(OllamaStore):
    """/api/chat over HTTP, and Ollama's models."""

    wires: ClassVar[Mapping[Wire, str]] = {
        "openai.chat": "/v1/chat/completions",
        "openai.embeddings": "/v1/embeddings",
    }

    def __init__(
        self,
        *,
        base_url: str = _HOST,
        model: str | None = None,
        context_tokens: int | None = None,
        options: Mapping[str, Any] | None = None,
        keep_alive: str | int | None = None,
        models: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            InvalidInput: if the address cannot be one.
        """
        self._model = model
        self._context_tokens = context_tokens or _CONTEXT_TOKENS
        self._options = dict(options or {})
        self._keep_alive = keep_alive
        self._declared = dict(models or {})
        # What is configured here has no form on the other vendors' wires, so such requests are written by us.
        self._passes = context_tokens is None and not self._options and keep_alive is None
        super().__init__(ProviderHttp(_ID, address_of(base_url), unreachable_hint=_START_HINT))

    def endpoint(self, wire: Wire, model: str, *, stream: bool) -> WireEndpoint | None:
        """Return where a request of `wire` goes as it is; nowhere when models are to run in a configured way."""
        return super().endpoint(wire, model, stream=stream) if self._passes else None

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        try:
            body = await self._http.post(
                "/api/chat", self._body(request, names, stream=False), timeout_s=request.timeout_s
            )
        except MosaicError as error:
            raise self._explained(error, request.model) from error
        return read_response(body, request, provider=self.name, names=names, seed=idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names = ToolNames(request)
        pieces = Pieces(names, seed=idempotency_key)
        try:
            async for delta in self._deltas(
                self._body(request, names, stream=True), request.timeout_s, pieces
            ):
                yield delta
        except MosaicError as error:
            raise self._explained(error, request.model) from error
        if not pieces.finished:
            raise Unavailable(
                f"{self.name} broke off its answer before the end.", provider=self.name, sent=True
            )
        yield read_response(pieces.body(), request, provider=self.name, names=names, seed=idempotency_key)

    async def _deltas(self, body: JsonObject, timeout_s: float, pieces: Pieces) -> AsyncIterator[Delta]:
        async with self._http.send("POST", "/api/chat", body=body, timeout_s=timeout_s) as answer:
            async for line in answer.lines():
                if not line.strip():
                    continue
                chunk = self._http.read_json(line)
                if chunk.get("error"):
                    raise error_for(self._http.fault(chunk), provider=self.name)
                with reading(self.name):
                    deltas = pieces.add(chunk)
                for delta in deltas:
                    yield delta

    def _body(self, request: ModelRequest, names: ToolNames, *, stream: bool) -> JsonObject:
        return write_request(
            request,
            names=names,
            facts=self._facts(request.model)[0],
            context_tokens=self._context_tokens,
            options=self._options,
            keep_alive=self._keep_alive,
            stream=stream,
        )

    def _explained(self, error: MosaicError, model: str) -> MosaicError:
        """Return the error with what Ollama's users need to do, where its words are known."""
        if isinstance(error, NotFound):
            return NotFound(error.message, hint=f"Run `ollama pull {model}`.", **error.data)
        if isinstance(error, InvalidInput) and "does not support" in error.message:
            return Unsupported(error.message, hint="Choose a model that calls tools.", **error.data)
        return error

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each text, in order; a text longer than the model's context is an error."""
        try:
            return await joined_embeddings(request, self._embed_some, at_once=_INPUTS_AT_ONCE)
        except MosaicError as error:
            raise self._explained(error, request.model) from error

    async def _embed_some(self, request: EmbeddingRequest, timeout_s: float) -> EmbeddingResponse:
        body: JsonObject = {"model": request.model, "input": list(request.inputs), "truncate": False}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if self._options:
            body["options"] = self._options
        if self._keep_alive is not None:
            body["keep_alive"] = self._keep_alive
        answer = await self._http.post("/api/embed", body, timeout_s=timeout_s)
        with reading(self.name):
            read = answer.get("prompt_eval_count")
            return EmbeddingResponse(
                vectors=tuple(tuple(float(number) for number in vector) for vector in answer["embeddings"]),
                model=answer.get("model") or request.model,
                provider=self.name,
                usage=Usage(input_tokens=int(read or 0)),
                usage_estimated=read is None,
            )

    async def models(self) -> list[ModelInfo]:
        """Return the installed models."""
        body = await self._http.get("/api/tags", timeout_s=_CHECK_TIMEOUT_S)
        with reading(self.name):
            return [self._info(str(entry.get("model") or entry["name"])) for entry in body["models"]]

    def _info(self, model: str) -> ModelInfo:
        facts = self._facts(model)[0]
        return ModelInfo(self.name, model, max_input_tokens=facts.context_tokens)

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:  # noqa: ARG002  # always asks
        """Say whether Ollama answers, and has `model` when one is given."""
        try:
            installed = [info.id for info in await self.models()]
        except MosaicError as error:
            return ProviderHealth(self.name, "unreachable", error.message, error.hint or _START_HINT)
        if model and not any(name in (model, f"{model}:latest") for name in installed):
            detail = f"Ollama does not have the model {model!r}."
            return ProviderHealth(self.name, "unconfigured", detail, f"Run `ollama pull {model}`.")
        if not installed:
            detail = "Ollama runs, but has no model."
            hint = f"Run `ollama pull {DEFAULT_MODELS[_ID][0]}`."
            return ProviderHealth(self.name, "unconfigured", detail, hint)
        return ProviderHealth(self.name, "ready", f"{self._http.address} has {', '.join(installed[:5])}")

    async def default_model(self) -> str | None:
        """Return the configured model, the best installed one that we know, or the first."""
        if self._model:
            return self._model
        installed = [info.id for info in await self.models()]
        for wanted in DEFAULT_MODELS[_ID]:
            found = next((name for name in installed if name.partition(":")[0] == wanted), None)
            if found:
                return found
        return installed[0] if installed else None

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do; one that Ollama only passes on to its cloud is not free."""
        facts, price = self._facts(model)
        local = not model.endswith(("-cloud", ":cloud"))
        return capabilities_of(facts, price=price, local=local)

    def _facts(self, model: str) -> tuple[ModelFacts, DeclaredPrice | None]:
        return declared_facts(self._declared, model, model_facts(_ID, model.rpartition("/")[2]))


_OPTIONS: JsonObject = {
    "type": "object",
    "description": "how models run; Ollama's own names",
    "properties": {
        "num_gpu": {
            "type": "integer",
            "minimum": -1,
            "description": "layers on the GPU; -1 lets Ollama choose",
        },
        "main_gpu": {"type": "integer", "minimum": 0},
        "num_thread": {"type": "integer", "minimum": 1},
        "num_batch": {"type": "integer", "minimum": 1},
        "use_mmap": {"type": "boolean"},
        "top_k": {"type": "integer", "minimum": 0},
        "min_p": {"type": "number", "minimum": 0, "maximum": 1},
        "repeat_penalty": {"type": "number", "minimum": 0},
    },
    "additionalProperties": False,
}


def _create(config: JsonObject) -> OllamaProvider:
    return OllamaProvider(**config)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id="ollama",
        kind="ai",
        name="Ollama",
        version="1",
        description="Models on your own machine, run by Ollama.",
        base_url=_HOST,
        configuration={
            "type": "object",
            "properties": {
                "base_url": {"type": "string", "minLength": 1, "description": "host, host:port or a URL"},
                "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
                "context_tokens": {"type": "integer", "minimum": 2048, "maximum": 1_000_000},
                "options": _OPTIONS,
                "keep_alive": {
                    "type": ["string", "integer"],
                    "description": "how long a model stays in memory: seconds or `30m`; -1 keeps it, 0 drops it",
                },
                "models": facts_schema(),
            },
            "additionalProperties": False,
        },
        environment={"base_url": "OLLAMA_HOST", "model": "OLLAMA_MODEL"},
        default_models=DEFAULT_MODELS[_ID],
        auth=(Auth("none"),),
        operations={
            "vision": Support("partial", "depends on the model"),
            "pass_through": Support("partial", "not where models are configured to run in their own way"),
        },
    ),
    create=_create,
)
