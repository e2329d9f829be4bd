"""The adapter for OpenAI and compatible servers."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mosaic.core.errors import MosaicError, Unavailable, Unsupported
from mosaic.core.values import JsonObject
from mosaic.plugins.openai.audio import OpenAiAudio
from mosaic.plugins.openai.embeddings import OpenAiEmbeddings
from mosaic.plugins.openai.files import OpenAiFiles, OpenAiFineTuning
from mosaic.plugins.openai.moderation import OpenAiModeration
from mosaic.plugins.openai.request import write_request
from mosaic.plugins.openai.response import Pieces, read_response
from mosaic.plugins.openai.responses_request import write_count, write_responses
from mosaic.plugins.openai.responses_response import Events, read_responses
from mosaic.providers.adapter import health_of, reading
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse
from mosaic.providers.catalog import (
    DEFAULT_MODELS,
    ModelFacts,
    capabilities_of,
    declared_facts,
    facts_schema,
    model_facts,
)
from mosaic.providers.credentials import check_secret
from mosaic.providers.faults import error_for
from mosaic.providers.http import Answer, ProviderHttp
from mosaic.providers.interfaces import (
    DeclaredPrice,
    ModelCapabilities,
    ModelInfo,
    ProviderHealth,
    Wire,
    WireEndpoint,
)
from mosaic.providers.manifest import Auth, ProviderManifest, ProviderPlugin, RateLimitHeaders, Support
from mosaic.providers.naming import ToolNames

__all__ = ["OpenAiProvider", "provider"]

_ID = "openai"
_BASE_URL = "https://api.openai.com/v1"
_OWN_NAMES = ("gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "whisper-", "tts-", "omni-moderation")
_CHECK_TIMEOUT_S = 10.0


class OpenAiProvider(OpenAiEmbeddings, OpenAiAudio, OpenAiModeration, OpenAiFiles, OpenAiFineTuning):
    """Chat completions or responses over HTTP, and the vendor's other services."""

    wires: ClassVar[Mapping[Wire, str]] = {
        "openai.chat": "/chat/completions",
        "openai.responses": "/responses",
        "openai.embeddings": "/embeddings",
    }

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = _BASE_URL,
        model: str | None = None,
        organization: str | None = None,
        api: str | None = None,
        models: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            InvalidInput: if the key or the address cannot be one.
        """
        key = check_secret(api_key, name="OPENAI_API_KEY") if api_key else None
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if organization:
            headers["openai-organization"] = organization
        self._has_key = key is not None
        # The vendor has one address for each region too.
        self._official = f".{urlsplit(base_url).hostname}".endswith(".api.openai.com")
        self._base_url = base_url
        self._model = model
        self._declared = dict(models or {})
        self._asks_responses = api == "responses"
        # Other servers than OpenAI's own rarely know the responses API, unless someone says so.
        self._knows_responses = self._official or self._asks_responses
        super().__init__(
            ProviderHttp(
                _ID,
                base_url,
                headers=headers,
                secrets=[key] if key else [],
                unreachable_hint="Check the network, and OPENAI_BASE_URL when it is set.",
            )
        )

    def endpoint(self, wire: Wire, model: str, *, stream: bool) -> WireEndpoint | None:
        """Return where a request of `wire` goes as it is."""
        if wire == "openai.responses" and not self._knows_responses:
            return None
        return super().endpoint(wire, model, stream=stream)

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        body = await self._http.post(
            self._path,
            self._body(request, names, stream=False),
            timeout_s=request.timeout_s,
            headers={"idempotency-key": idempotency_key},
        )
        return self._read(body, request, names, idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names = ToolNames(request)
        async with self._http.send(
            "POST",
            self._path,
            body=self._body(request, names, stream=True),
            timeout_s=request.timeout_s,
            headers={"idempotency-key": idempotency_key},
        ) as answer:
            if answer.is_json:  # a server that does not stream
                yield self._read(await answer.json(), request, names, idempotency_key)
                return
            pieces = self._pieces(names, idempotency_key)
            async for delta in self._deltas(answer, pieces):
                yield delta
            body = _whole(pieces)
            if body is None:
                raise Unavailable(
                    f"{self.name} broke off its answer before the end.", provider=self.name, sent=True
                )
            yield self._read(body, request, names, idempotency_key)

    async def _deltas(self, answer: Answer, pieces: Pieces | Events) -> AsyncIterator[Delta]:
        async for event in answer.events():
            if event.data.strip() == "[DONE]":
                return
            chunk = self._http.read_json(event.data)
            if isinstance(pieces, Pieces):
                self._refuse_error(chunk)
            with reading(self.name):
                deltas = pieces.add(chunk)
            if isinstance(pieces, Events) and pieces.error:
                raise error_for(self._http.fault({"error": pieces.error}), provider=self.name)
            for delta in deltas:
                yield delta

    @property
    def _path(self) -> str:
        return "/responses" if self._asks_responses else "/chat/completions"

    def _pieces(self, names: ToolNames, seed: str) -> Pieces | Events:
        return Events(names, seed=seed) if self._asks_responses else Pieces(names, seed=seed)

    def _read(self, body: JsonObject, request: ModelRequest, names: ToolNames, seed: str) -> ModelResponse:
        self._refuse_error(body)
        read = read_responses if self._asks_responses else read_response
        return read(body, request, provider=self.name, names=names, seed=seed)

    def _refuse_error(self, body: JsonObject) -> None:
        """Raise for an error that came with a success status, as routers in front of several vendors send."""
        if body.get("error") and not body.get("choices"):
            raise error_for(self._http.fault(body), provider=self.name)

    def _body(self, request: ModelRequest, names: ToolNames, *, stream: bool) -> JsonObject:
        write = write_responses if self._asks_responses else write_request
        facts = self._facts(request.model)[0]
        return write(request, names=names, facts=facts, official=self._official, stream=stream)

    def _facts(self, model: str) -> tuple[ModelFacts, DeclaredPrice | None]:
        # Routers write the vendor before the model: `openai/gpt-...`.
        plain = model.removeprefix("openai/").removeprefix("ft:")
        ours = self._official or plain.startswith(_OWN_NAMES)
        return declared_facts(self._declared, model, model_facts(_ID if ours else "compatible", plain))

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return how many input tokens `request` takes as a response.

        Raises:
            Unsupported: if the server does not know the responses API.
            MosaicError: as the provider interface describes.
        """
        if not self._knows_responses:
            raise Unsupported(
                f"{self.name} at {self._http.address} does not count tokens.",
                hint="Estimates need no server; set `api: responses` if this one knows the responses API.",
            )
        names = ToolNames(request)
        body = write_count(request, names=names, facts=self._facts(request.model)[0])
        answer = await self._http.post("/responses/input_tokens", body, timeout_s=request.timeout_s)
        with reading(self.name):
            return int(answer["input_tokens"])

    async def models(self) -> list[ModelInfo]:
        """Return the models that the key may use."""
        body = await self._http.get("/models", timeout_s=_CHECK_TIMEOUT_S)
        with reading(self.name):
            return [self._info(entry) for entry in body["data"]]

    def _info(self, entry: JsonObject) -> ModelInfo:
        model = str(entry["id"])
        # Compatible servers say it under names of their own.
        said = entry.get("context_length") or entry.get("max_model_len") or entry.get("context_window")
        facts = self._facts(model)[0]
        known = self._official or facts.context_tokens
        return ModelInfo(
            self.name,
            model,
            max_input_tokens=said or facts.context_tokens,
            max_output_tokens=facts.max_output_tokens or None if known else None,
        )

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Say whether a key, or the address of another server, is set; `thorough` lists the models."""
        if self._official and not self._has_key:
            hint = "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server."
            return ProviderHealth(self.name, "unconfigured", "OPENAI_API_KEY is not set.", hint)
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
        """Return the configured model, OpenAI's own, or the first one that a compatible server offers."""
        if self._model:
            return self._model
        if self._official:
            return DEFAULT_MODELS[_ID][0]
        offered = await self.models()
        return offered[0].id if offered else None

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do."""
        facts, price = self._facts(model)
        source = _ID if self._official else self._base_url
        return capabilities_of(facts, price=price, price_source=source)


def _whole(pieces: Pieces | Events) -> JsonObject | None:
    """Return the whole answer's body, or None when the stream broke off."""
    if isinstance(pieces, Events):
        return pieces.body
    return pieces.body() if pieces.finished else None


def _create(config: JsonObject) -> OpenAiProvider:
    return OpenAiProvider(**config)


_CONFIGURATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "api_key": {"type": "string", "minLength": 1},
        "base_url": {"type": "string", "minLength": 1, "description": "ends in /v1 as a rule"},
        "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
        "organization": {"type": "string", "minLength": 1},
        "api": {
            "enum": ["chat", "responses"],
            "description": "which of the two ways to ask; chat by default",
        },
        "models": facts_schema(),
    },
    "additionalProperties": False,
}

provider = ProviderPlugin(
    manifest=ProviderManifest(
        id=_ID,
        kind="ai",
        name="OpenAI",
        version="1",
        description="OpenAI's API, and any server that speaks its chat completions.",
        base_url=_BASE_URL,
        configuration=_CONFIGURATION,
        environment={
            "api_key": "OPENAI_API_KEY",
            "base_url": "OPENAI_BASE_URL",
            "model": "OPENAI_MODEL",
            "organization": "OPENAI_ORG_ID",
        },
        secrets=("api_key",),
        default_models=DEFAULT_MODELS[_ID],
        auth=(Auth("bearer", field="api_key", header="authorization", prefix="Bearer"),),
        rate_limit=RateLimitHeaders(
            limit="x-ratelimit-limit-requests",
            remaining="x-ratelimit-remaining-requests",
            reset="x-ratelimit-reset-requests",
            reset_format="duration",
        ),
        operations={
            "count_tokens": Support("partial", "only by the responses API, which few other servers know"),
        },
    ),
    create=_create,
)
