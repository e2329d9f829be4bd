"""The adapter for Google's Gemini API."""

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlencode, urlsplit

from mosaic.core.errors import ContractViolation, MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.plugins.gemini.request import write_request
from mosaic.plugins.gemini.response import Pieces, read_response
from mosaic.providers.adapter import HttpAdapter, health_of, joined_embeddings, reading
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse, Usage
from mosaic.providers.catalog import (
    DEFAULT_MODELS,
    ModelFacts,
    capabilities_of,
    declared_facts,
    facts_schema,
    model_facts,
)
from mosaic.providers.credentials import check_secret
from mosaic.providers.embeddings import EmbeddingRequest, EmbeddingResponse
from mosaic.providers.faults import error_for
from mosaic.providers.http import Answer, ProviderHttp
from mosaic.providers.interfaces import DeclaredPrice, ModelCapabilities, ModelInfo, ProviderHealth
from mosaic.providers.manifest import Auth, ProviderManifest, ProviderPlugin, Support
from mosaic.providers.naming import ToolNames

__all__ = ["GeminiProvider", "provider"]

_ID = "gemini"
_BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
_PRICES = "google"
_CHECK_TIMEOUT_S = 10.0
_MODELS_PER_PAGE = 1000
_MOST_PAGES = 100
_INPUTS_AT_ONCE = 100
_TASKS = {
    "document": "RETRIEVAL_DOCUMENT",
    "query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "similarity": "SEMANTIC_SIMILARITY",
}


class GeminiProvider(HttpAdapter):
    """generateContent over HTTP."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = _BASE_URL,
        model: str | None = None,
        models: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            InvalidInput: if the key or the address cannot be one.
        """
        key = check_secret(api_key, name="GEMINI_API_KEY") if api_key else None
        self._has_key = key is not None
        self._official = urlsplit(base_url).hostname == urlsplit(_BASE_URL).hostname
        self._base_url = base_url
        self._model = model
        self._declared = dict(models or {})
        super().__init__(
            ProviderHttp(
                _ID,
                base_url,
                headers={"x-goog-api-key": key} if key else {},
                secrets=[key] if key else [],
                unreachable_hint="Check the network, and GEMINI_BASE_URL when it is set.",
            )
        )

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        body = await self._http.post(
            _path(request.model, "generateContent"),
            write_request(request, names=names, facts=self._facts(request.model)[0]),
            timeout_s=request.timeout_s,
        )
        return read_response(body, request, provider=self.name, names=names, seed=idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names = ToolNames(request)
        pieces = Pieces(names, seed=idempotency_key)
        async with self._http.send(
            "POST",
            _path(request.model, "streamGenerateContent") + "?alt=sse",
            body=write_request(request, names=names, facts=self._facts(request.model)[0]),
            timeout_s=request.timeout_s,
        ) as answer:
            async for delta in self._deltas(answer, pieces):
                yield delta
        if not pieces.finished:
            raise Unavailable(
                f"{self.name} broke off its answer before the end.", provider=self.name, sent=True
            )
        yield read_response(pieces.body(), request, provider=self.name, names=names, seed=idempotency_key)

    async def _deltas(self, answer: Answer, pieces: Pieces) -> AsyncIterator[Delta]:
        async for event in answer.events():
            chunk = self._http.read_json(event.data)
            if chunk.get("error"):
                raise error_for(self._http.fault(chunk), provider=self.name)
            with reading(self.name):
                deltas = pieces.add(chunk)
            for delta in deltas:
                yield delta

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return how many input tokens `request` takes, as the vendor counts them."""
        facts = self._facts(request.model)[0]
        body = write_request(request, names=ToolNames(request), facts=facts)
        asked = {"generateContentRequest": {"model": f"models/{request.model}", **body}}
        answer = await self._http.post(
            _path(request.model, "countTokens"), asked, timeout_s=request.timeout_s
        )
        with reading(self.name):
            return int(answer["totalTokens"])

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each text, in order."""
        return await joined_embeddings(request, self._embed_some, at_once=_INPUTS_AT_ONCE)

    async def _embed_some(self, request: EmbeddingRequest, timeout_s: float) -> EmbeddingResponse:
        options: JsonObject = {}
        if request.dimensions is not None:
            options["outputDimensionality"] = request.dimensions
        # The second generation reads its purpose from the text and refuses to be told it.
        if request.purpose is not None and not request.model.startswith("gemini-embedding-2"):
            options["taskType"] = _TASKS[request.purpose]
        asked = [
            {"model": f"models/{request.model}", "content": {"parts": [{"text": text}]}, **options}
            for text in request.inputs
        ]
        answer = await self._http.post(
            _path(request.model, "batchEmbedContents"), {"requests": asked}, timeout_s=timeout_s
        )
        with reading(self.name):
            read = (answer.get("usageMetadata") or {}).get("promptTokenCount")
            return EmbeddingResponse(
                vectors=tuple(tuple(float(n) for n in entry["values"]) for entry in answer["embeddings"]),
                model=request.model,
                provider=self.name,
                usage=Usage(input_tokens=int(read or 0)),
                usage_estimated=read is None,
            )

    async def models(self) -> list[ModelInfo]:
        """Return the models that the key may use."""
        found: list[ModelInfo] = []
        query = {"pageSize": str(_MODELS_PER_PAGE)}
        for _ in range(_MOST_PAGES):
            body = await self._http.get(f"/models?{urlencode(query)}", timeout_s=_CHECK_TIMEOUT_S)
            with reading(self.name):
                found += [self._info(entry) for entry in body["models"]]
            if not body.get("nextPageToken"):
                return found
            query["pageToken"] = str(body["nextPageToken"])
        raise ContractViolation(f"{self.name} listed models without end.", provider=self.name)

    def _info(self, entry: JsonObject) -> ModelInfo:
        return ModelInfo(
            self.name,
            str(entry["name"]).removeprefix("models/"),
            name=entry.get("displayName"),
            max_input_tokens=entry.get("inputTokenLimit"),
            max_output_tokens=entry.get("outputTokenLimit"),
        )

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Say whether a key is set; `thorough` lists the models."""
        if not self._has_key:
            detail = "GEMINI_API_KEY is not set."
            return ProviderHealth(self.name, "unconfigured", detail, "Set GEMINI_API_KEY.")
        if not thorough:
            return ProviderHealth(self.name, "ready", f"calls go to {self._http.address}")
        try:
            known = {info.id for info in await self.models()}
        except MosaicError as error:
            return health_of(error, self.name)
        if model and known and model not in known:
            detail = f"{self._http.address} does not offer the model {model!r}."
            return ProviderHealth(self.name, "unreachable", detail, "`mosaic doctor` lists what it offers.")
        return ProviderHealth(self.name, "ready", f"{self._http.address} offers {len(known)} models")

    async def default_model(self) -> str | None:
        """Return the configured model, or the vendor's one for daily work."""
        return self._model or DEFAULT_MODELS[_ID][0]

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do."""
        facts, price = self._facts(model)
        source = _PRICES if self._official else self._base_url
        return capabilities_of(facts, price=price, price_source=source)

    def _facts(self, model: str) -> tuple[ModelFacts, DeclaredPrice | None]:
        return declared_facts(self._declared, model, model_facts(_ID, model))


def _path(model: str, method: str) -> str:
    return f"/models/{quote(model.removeprefix('models/'), safe='')}:{method}"


def _create(config: JsonObject) -> GeminiProvider:
    return GeminiProvider(**config)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id=_ID,
        kind="ai",
        name="Gemini",
        version="1",
        description="Google's Gemini API.",
        base_url=_BASE_URL,
        configuration={
            "type": "object",
            "properties": {
                "api_key": {"type": "string", "minLength": 1},
                "base_url": {"type": "string", "minLength": 1, "description": "ends in /v1beta as a rule"},
                "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
                "models": facts_schema(),
            },
            "additionalProperties": False,
        },
        environment={
            "api_key": "GEMINI_API_KEY",
            "base_url": "GEMINI_BASE_URL",
            "model": "GEMINI_MODEL",
        },
        secrets=("api_key",),
        default_models=DEFAULT_MODELS[_ID],
        auth=(Auth("key", field="api_key", header="x-goog-api-key"),),
        operations={
            "pass_through": Support("unsupported", "its own protocol is none that clients speak to us"),
        },
    ),
    create=_create,
)
