"""The adapter for Ollama."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable, Unsupported
from mosaic.core.values import JsonObject
from mosaic.plugins.ollama.wire import Pieces, read_response, write_request
from mosaic.providers.adapter import reading
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse
from mosaic.providers.catalog import DEFAULT_MODELS, model_facts
from mosaic.providers.faults import error_for
from mosaic.providers.http import ProviderHttp
from mosaic.providers.interfaces import ModelCapabilities, ModelInfo, ProviderHealth
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin
from mosaic.providers.naming import ToolNames

__all__ = ["OllamaProvider", "address_of", "provider"]

_HOST = "http://127.0.0.1:11434"
_PORT = 11434
_CHECK_TIMEOUT_S = 2.0
_CONTEXT_TOKENS = 16_384
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


class OllamaProvider:
    """/api/chat over HTTP."""

    name = "ollama"

    def __init__(
        self, *, base_url: str = _HOST, model: str | None = None, context_tokens: int = _CONTEXT_TOKENS
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            InvalidInput: if the address cannot be one.
        """
        self._model = model
        self._context_tokens = context_tokens
        self._http = ProviderHttp(self.name, address_of(base_url), unreachable_hint=_START_HINT)

    def __repr__(self) -> str:
        return f"OllamaProvider({self._http.address!r})"

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        try:
            body = await self._http.post(
                "/api/chat", self._body(request, names, stream=False), timeout_s=request.timeout_s
            )
        except MosaicError as error:
            raise self._explained(error, request.model) from error
        return read_response(body, request, names=names, seed=idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names, pieces = ToolNames(request), Pieces()
        try:
            async for delta in self._deltas(
                self._body(request, names, stream=True), request.timeout_s, pieces
            ):
                yield delta
        except MosaicError as error:
            raise self._explained(error, request.model) from error
        if not pieces.finished:
            raise Unavailable("ollama broke off its answer before the end.", provider=self.name, sent=True)
        yield read_response(pieces.body(), request, names=names, seed=idempotency_key)

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
        return write_request(request, names=names, context_tokens=self._context_tokens, stream=stream)

    def _explained(self, error: MosaicError, model: str) -> MosaicError:
        """Return the error with what Ollama's users need to do, where its words are known."""
        if isinstance(error, NotFound):
            return NotFound(error.message, hint=f"Run `ollama pull {model}`.", **error.data)
        if isinstance(error, InvalidInput) and "does not support" in error.message:
            return Unsupported(error.message, hint="Choose a model that calls tools.", **error.data)
        return error

    async def models(self) -> list[ModelInfo]:
        """Return the installed models."""
        body = await self._http.get("/api/tags", timeout_s=_CHECK_TIMEOUT_S)
        with reading(self.name):
            return [
                ModelInfo(self.name, str(entry.get("model") or entry["name"])) for entry in body["models"]
            ]

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
            hint = f"Run `ollama pull {DEFAULT_MODELS[self.name][0]}`."
            return ProviderHealth(self.name, "unconfigured", detail, hint)
        return ProviderHealth(self.name, "ready", f"{self._http.address} has {', '.join(installed[:5])}")

    async def default_model(self) -> str | None:
        """Return the configured model, the best installed one that we know, or the first."""
        if self._model:
            return self._model
        installed = [info.id for info in await self.models()]
        for wanted in DEFAULT_MODELS[self.name]:
            found = next((name for name in installed if name.partition(":")[0] == wanted), None)
            if found:
                return found
        return installed[0] if installed else None

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do; one that Ollama only passes on to its cloud is not free."""
        facts = model_facts(self.name, model)
        return ModelCapabilities(
            images=facts.images,
            max_output_tokens=facts.max_output_tokens,
            local=not model.endswith(("-cloud", ":cloud")),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


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
            },
            "additionalProperties": False,
        },
        environment={"base_url": "OLLAMA_HOST", "model": "OLLAMA_MODEL"},
        default_models=DEFAULT_MODELS["ollama"],
    ),
    create=_create,
)
