"""The adapter for Anthropic."""

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from mosaic.core.errors import MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.plugins.anthropic.files import AnthropicFiles
from mosaic.plugins.anthropic.request import OUTPUT_TOOL, write_count, write_request
from mosaic.plugins.anthropic.response import Pieces, read_response
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
from mosaic.providers.interfaces import DeclaredPrice, ModelCapabilities, ModelInfo, ProviderHealth, Wire
from mosaic.providers.manifest import Auth, ProviderManifest, ProviderPlugin, RateLimitHeaders, Support
from mosaic.providers.naming import ToolNames

__all__ = ["AnthropicProvider", "provider"]

_ID = "anthropic"
_BASE_URL = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_CHECK_TIMEOUT_S = 10.0
_MODELS_PER_PAGE = 1000
_NAME_LIMIT = 128


class AnthropicProvider(AnthropicFiles):
    """The messages API over HTTP."""

    wires: ClassVar[Mapping[Wire, str]] = {
        "anthropic.messages": "/v1/messages",
        "anthropic.count_tokens": "/v1/messages/count_tokens",
    }

    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str = _BASE_URL,
        model: str | None = None,
        prompt_cache: bool = True,
        models: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Raises:
            InvalidInput: if the key or the address cannot be one.
        """
        headers = {"anthropic-version": _VERSION}
        secrets = []
        if api_key:
            secrets.append(check_secret(api_key, name="ANTHROPIC_API_KEY"))
            headers["x-api-key"] = secrets[-1]
        if auth_token:
            secrets.append(check_secret(auth_token, name="ANTHROPIC_AUTH_TOKEN"))
            headers["authorization"] = f"Bearer {secrets[-1]}"
        self._has_key = bool(secrets)
        self._official = urlsplit(base_url).hostname == "api.anthropic.com"
        self._base_url = base_url
        self._model = model
        self._cache = prompt_cache
        self._declared = dict(models or {})
        super().__init__(
            ProviderHttp(
                _ID,
                base_url,
                headers=headers,
                secrets=secrets,
                unreachable_hint="Check the network, and ANTHROPIC_BASE_URL when it is set.",
            )
        )

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request, limit=_NAME_LIMIT)
        sent = self._body(request, names, stream=False)
        body = await self._http.post(
            "/v1/messages",
            sent,
            timeout_s=request.timeout_s,
            headers={"idempotency-key": idempotency_key},
        )
        return self._read(body, request, names, sent, idempotency_key)

    async def stream(
        self, request: ModelRequest, *, idempotency_key: str
    ) -> AsyncIterator[Delta | ModelResponse]:
        """Yield the answer's pieces, then the whole."""
        names = ToolNames(request, limit=_NAME_LIMIT)
        sent = self._body(request, names, stream=True)
        async with self._http.send(
            "POST",
            "/v1/messages",
            body=sent,
            timeout_s=request.timeout_s,
            headers={"idempotency-key": idempotency_key},
        ) as answer:
            if answer.is_json:  # a server that does not stream
                yield self._read(await answer.json(), request, names, sent, idempotency_key)
                return
            pieces = Pieces(names, forced_output=_forces_output(sent, request), seed=idempotency_key)
            async for delta in self._deltas(answer, pieces):
                yield delta
            if not pieces.finished:
                raise Unavailable(
                    f"{self.name} broke off its answer before the end.", provider=self.name, sent=True
                )
            with reading(self.name):
                body = pieces.body()
            yield self._read(body, request, names, sent, idempotency_key)

    async def _deltas(self, answer: Answer, pieces: Pieces) -> AsyncIterator[Delta]:
        async for event in answer.events():
            chunk = self._http.read_json(event.data)
            if chunk.get("type") == "error":
                raise error_for(self._http.fault(chunk), provider=self.name)
            with reading(self.name):
                deltas = pieces.add(chunk)
            for delta in deltas:
                yield delta
            if pieces.finished:
                return

    def _read(
        self, body: JsonObject, request: ModelRequest, names: ToolNames, sent: JsonObject, seed: str
    ) -> ModelResponse:
        if body.get("type") == "error":
            raise error_for(self._http.fault(body), provider=self.name)
        forced = _forces_output(sent, request)
        return read_response(body, request, provider=self.name, names=names, forced_output=forced, seed=seed)

    def _body(self, request: ModelRequest, names: ToolNames, *, stream: bool) -> JsonObject:
        facts = self._facts(request.model)[0]
        return write_request(request, names=names, facts=facts, cache=self._cache, stream=stream)

    async def count_tokens(self, request: ModelRequest) -> int:
        """Return how many input tokens `request` takes, as the vendor counts them; it costs nothing."""
        names = ToolNames(request, limit=_NAME_LIMIT)
        body = write_count(request, names=names, facts=self._facts(request.model)[0])
        answer = await self._http.post("/v1/messages/count_tokens", body, timeout_s=request.timeout_s)
        with reading(self.name):
            return int(answer["input_tokens"])

    async def models(self) -> list[ModelInfo]:
        """Return the models that the key may use, newest first."""
        body = await self._http.get(f"/v1/models?limit={_MODELS_PER_PAGE}", timeout_s=_CHECK_TIMEOUT_S)
        with reading(self.name):
            return [
                ModelInfo(
                    self.name,
                    str(entry["id"]),
                    name=entry.get("display_name"),
                    max_input_tokens=entry.get("max_input_tokens"),
                    max_output_tokens=entry.get("max_tokens"),
                )
                for entry in body["data"]
            ]

    async def check(self, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Say whether a key is set; `thorough` lists the models."""
        if not self._has_key:
            detail = "ANTHROPIC_API_KEY is not set."
            return ProviderHealth(self.name, "unconfigured", detail, "Set ANTHROPIC_API_KEY.")
        if not thorough:
            return ProviderHealth(self.name, "ready", f"calls go to {self._http.address}")
        try:
            known = {info.id for info in await self.models()}
        except MosaicError as error:
            return health_of(error, self.name)
        if model and self._official and known and not any(name.startswith(model) for name in known):
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


def _forces_output(sent: JsonObject, request: ModelRequest) -> bool:
    """Whether the structured answer was asked for as a tool call."""
    return sent.get("tool_choice") == {"type": "tool", "name": OUTPUT_TOOL} and not request.tools


def _create(config: JsonObject) -> AnthropicProvider:
    return AnthropicProvider(**config)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id="anthropic",
        kind="ai",
        name="Anthropic",
        version="1",
        description="Anthropic's messages API (Claude).",
        base_url=_BASE_URL,
        configuration={
            "type": "object",
            "properties": {
                "api_key": {"type": "string", "minLength": 1},
                "auth_token": {"type": "string", "minLength": 1, "description": "sent as a bearer token"},
                "base_url": {"type": "string", "minLength": 1, "description": "without /v1"},
                "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
                "prompt_cache": {"type": "boolean", "default": True},
                "models": facts_schema(),
            },
            "additionalProperties": False,
        },
        environment={
            "api_key": "ANTHROPIC_API_KEY",
            "auth_token": "ANTHROPIC_AUTH_TOKEN",
            "base_url": "ANTHROPIC_BASE_URL",
            "model": "ANTHROPIC_MODEL",
        },
        secrets=("api_key", "auth_token"),
        default_models=DEFAULT_MODELS[_ID],
        auth=(
            Auth("key", field="api_key", header="x-api-key"),
            Auth("bearer", field="auth_token", header="authorization", prefix="Bearer"),
        ),
        rate_limit=RateLimitHeaders(
            limit="anthropic-ratelimit-requests-limit",
            remaining="anthropic-ratelimit-requests-remaining",
            reset="anthropic-ratelimit-requests-reset",
            reset_format="iso",
        ),
        operations={
            "embeddings": Support("unsupported", "the vendor has none"),
            "files": Support("partial", "only files that the vendor itself made can be read back"),
        },
    ),
    create=_create,
)
