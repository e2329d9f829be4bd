"""The adapter for Cohere."""

from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode, urlsplit

from mosaic.core.errors import ContractViolation, MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.plugins.cohere.request import write_request
from mosaic.plugins.cohere.response import Events, read_response
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

__all__ = ["CohereProvider", "provider"]

_ID = "cohere"
_BASE_URL = "https://api.cohere.com"
_CHECK_TIMEOUT_S = 10.0
_MODELS_PER_PAGE = 1000
_MOST_PAGES = 100
_INPUTS_AT_ONCE = 96
_INPUT_TYPES = {
    "document": "search_document",
    "query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
    "similarity": "clustering",
}


class CohereProvider(HttpAdapter):
    """/v2/chat and /v2/embed over HTTP."""

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
        key = check_secret(api_key, name="COHERE_API_KEY") if api_key else None
        self._has_key = key is not None
        self._official = urlsplit(base_url).hostname in ("api.cohere.com", "api.cohere.ai")
        self._base_url = base_url
        self._model = model
        self._declared = dict(models or {})
        super().__init__(
            ProviderHttp(
                _ID,
                base_url,
                headers={"authorization": f"Bearer {key}"} if key else {},
                secrets=[key] if key else [],
                unreachable_hint="Check the network, and COHERE_BASE_URL when it is set.",
            )
        )

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        body = await self._http.post(
            "/v2/chat", self._body(request, names, stream=False), timeout_s=request.timeout_s
        )
        return read_response(body, request, provider=self.name, names=names, seed=idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names = ToolNames(request)
        events = Events(names, seed=idempotency_key)
        async with self._http.send(
            "POST", "/v2/chat", body=self._body(request, names, stream=True), timeout_s=request.timeout_s
        ) as answer:
            async for delta in self._deltas(answer, events):
                yield delta
        if not events.finished:
            raise Unavailable(
                f"{self.name} broke off its answer before the end.", provider=self.name, sent=True
            )
        yield read_response(events.body(), request, provider=self.name, names=names, seed=idempotency_key)

    async def _deltas(self, answer: Answer, events: Events) -> AsyncIterator[Delta]:
        async for event in answer.events():
            if event.data.strip() == "[DONE]":
                return
            chunk = self._http.read_json(event.data)
            if "type" not in chunk and chunk.get("message"):
                raise error_for(self._http.fault(chunk), provider=self.name)
            with reading(self.name):
                deltas = events.add(chunk)
            if events.error:
                raise error_for(self._http.fault({"message": events.error}), provider=self.name)
            for delta in deltas:
                yield delta

    def _body(self, request: ModelRequest, names: ToolNames, *, stream: bool) -> JsonObject:
        return write_request(request, names=names, facts=self._facts(request.model)[0], stream=stream)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Return one vector for each text, in order; a text longer than the model's context is an error."""
        return await joined_embeddings(request, self._embed_some, at_once=_INPUTS_AT_ONCE)

    async def _embed_some(self, request: EmbeddingRequest, timeout_s: float) -> EmbeddingResponse:
        body: JsonObject = {
            "model": request.model,
            "texts": list(request.inputs),
            "input_type": _INPUT_TYPES[request.purpose or "document"],
            "embedding_types": ["float"],
            "truncate": "NONE",
        }
        if request.dimensions is not None:
            body["output_dimension"] = request.dimensions
        answer = await self._http.post("/v2/embed", body, timeout_s=timeout_s)
        with reading(self.name):
            billed = ((answer.get("meta") or {}).get("billed_units") or {}).get("input_tokens")
            vectors = answer["embeddings"]["float"]
            return EmbeddingResponse(
                vectors=tuple(tuple(float(number) for number in vector) for vector in vectors),
                model=request.model,
                provider=self.name,
                usage=Usage(input_tokens=int(billed or 0)),
                usage_estimated=billed is None,
            )

    async def models(self) -> list[ModelInfo]:
        """Return the models that the key may use."""
        found: list[ModelInfo] = []
        query = {"page_size": str(_MODELS_PER_PAGE)}
        for _ in range(_MOST_PAGES):
            body = await self._http.get(f"/v1/models?{urlencode(query)}", timeout_s=_CHECK_TIMEOUT_S)
            with reading(self.name):
                found += [self._info(entry) for entry in body["models"]]
            if not body.get("next_page_token"):
                return found
            query["page_token"] = str(body["next_page_token"])
        raise ContractViolation(f"{self.name} listed models without end.", provider=self.name)

    def _info(self, entry: JsonObject) -> ModelInfo:
        context = entry.get("context_length")
        return ModelInfo(self.name, str(entry["name"]), max_input_tokens=int(context) if context else None)

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Say whether a key is set; `thorough` lists the models."""
        if not self._has_key:
            detail = "COHERE_API_KEY is not set."
            return ProviderHealth(self.name, "unconfigured", detail, "Set COHERE_API_KEY.")
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
        source = _ID if self._official else self._base_url
        return capabilities_of(facts, price=price, price_source=source)

    def _facts(self, model: str) -> tuple[ModelFacts, DeclaredPrice | None]:
        return declared_facts(self._declared, model, model_facts(_ID, model))


def _create(config: JsonObject) -> CohereProvider:
    return CohereProvider(**config)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id=_ID,
        kind="ai",
        name="Cohere",
        version="1",
        description="Cohere's chat and embeddings.",
        base_url=_BASE_URL,
        configuration={
            "type": "object",
            "properties": {
                "api_key": {"type": "string", "minLength": 1},
                "base_url": {"type": "string", "minLength": 1, "description": "without /v2"},
                "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
                "models": facts_schema(),
            },
            "additionalProperties": False,
        },
        environment={"api_key": "COHERE_API_KEY", "base_url": "COHERE_BASE_URL", "model": "COHERE_MODEL"},
        secrets=("api_key",),
        default_models=DEFAULT_MODELS[_ID],
        auth=(Auth("bearer", field="api_key", header="authorization", prefix="Bearer"),),
        operations={
            "vision": Support("partial", "depends on the model"),
            "count_tokens": Support("unsupported", "the vendor counts a text's tokens, not a request's"),
            "pass_through": Support("unsupported", "its own protocol is none that clients speak to us"),
        },
    ),
    create=_create,
)
