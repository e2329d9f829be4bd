"""The adapter for OpenAI and compatible servers."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from mosaic.core.errors import MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.plugins.openai.request import write_request
from mosaic.plugins.openai.response import Pieces, read_response
from mosaic.providers.adapter import health_of, reading
from mosaic.providers.ai import Delta, ModelRequest, ModelResponse
from mosaic.providers.catalog import DEFAULT_MODELS, ModelFacts, model_facts
from mosaic.providers.credentials import check_secret
from mosaic.providers.faults import error_for
from mosaic.providers.http import Answer, ProviderHttp
from mosaic.providers.interfaces import ModelCapabilities, ModelInfo, ProviderHealth
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin
from mosaic.providers.naming import ToolNames

__all__ = ["OpenAiProvider", "provider"]

_BASE_URL = "https://api.openai.com/v1"
_OWN_NAMES = ("gpt-", "chatgpt-", "o1", "o3", "o4")
_CHECK_TIMEOUT_S = 10.0


class OpenAiProvider:
    """Chat completions over HTTP."""

    name = "openai"

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = _BASE_URL,
        model: str | None = None,
        organization: str | None = None,
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
        self._official = urlsplit(base_url).hostname == "api.openai.com"
        self._base_url = base_url
        self._model = model
        self._http = ProviderHttp(
            self.name,
            base_url,
            headers=headers,
            secrets=[key] if key else [],
            unreachable_hint="Check the network, and OPENAI_BASE_URL when it is set.",
        )

    def __repr__(self) -> str:
        return f"OpenAiProvider({self._http.address!r})"

    async def complete(self, request: ModelRequest, *, idempotency_key: str) -> ModelResponse:
        """Return the whole answer."""
        names = ToolNames(request)
        body = await self._http.post(
            "/chat/completions",
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
            "/chat/completions",
            body=self._body(request, names, stream=True),
            timeout_s=request.timeout_s,
            headers={"idempotency-key": idempotency_key},
        ) as answer:
            if answer.is_json:  # a server that does not stream
                yield self._read(await answer.json(), request, names, idempotency_key)
                return
            pieces = Pieces()
            async for delta in self._deltas(answer, pieces):
                yield delta
            if not pieces.finished:
                raise Unavailable(
                    "openai broke off its answer before the end.", provider=self.name, sent=True
                )
            yield self._read(pieces.body(), request, names, idempotency_key)

    async def _deltas(self, answer: Answer, pieces: Pieces) -> AsyncIterator[Delta]:
        async for event in answer.events():
            if event.data.strip() == "[DONE]":
                return
            chunk = self._http.read_json(event.data)
            self._refuse_error(chunk)
            with reading(self.name):
                deltas = pieces.add(chunk)
            for delta in deltas:
                yield delta

    def _read(self, body: JsonObject, request: ModelRequest, names: ToolNames, seed: str) -> ModelResponse:
        self._refuse_error(body)
        return read_response(body, request, names=names, seed=seed)

    def _refuse_error(self, body: JsonObject) -> None:
        """Raise for an error that came with a success status, as routers in front of several vendors send."""
        if body.get("error") and not body.get("choices"):
            raise error_for(self._http.fault(body), provider=self.name)

    def _body(self, request: ModelRequest, names: ToolNames, *, stream: bool) -> JsonObject:
        limit_field = "max_completion_tokens" if self._official else "max_tokens"
        facts = self._facts(request.model)
        return write_request(request, names=names, facts=facts, limit_field=limit_field, stream=stream)

    def _facts(self, model: str) -> ModelFacts:
        ours = self._official or model.startswith(_OWN_NAMES)
        return model_facts(self.name if ours else "compatible", model)

    async def models(self) -> list[ModelInfo]:
        """Return the models that the key may use."""
        body = await self._http.get("/models", timeout_s=_CHECK_TIMEOUT_S)
        with reading(self.name):
            return [ModelInfo(self.name, str(entry["id"])) for entry in body["data"]]

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
            return DEFAULT_MODELS[self.name][0]
        offered = await self.models()
        return offered[0].id if offered else None

    def capabilities(self, model: str) -> ModelCapabilities:
        """Return what `model` can do."""
        facts = self._facts(model)
        return ModelCapabilities(
            structured_output=facts.json_schema,
            images=facts.images,
            max_output_tokens=facts.max_output_tokens,
            price_source=self.name if self._official else self._base_url,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _create(config: JsonObject) -> OpenAiProvider:
    return OpenAiProvider(**config)


provider = ProviderPlugin(
    manifest=ProviderManifest(
        id="openai",
        kind="ai",
        name="OpenAI",
        version="1",
        description="OpenAI's chat completions, and any server that speaks them.",
        base_url=_BASE_URL,
        configuration={
            "type": "object",
            "properties": {
                "api_key": {"type": "string", "minLength": 1},
                "base_url": {"type": "string", "minLength": 1, "description": "ends in /v1 as a rule"},
                "model": {"type": "string", "minLength": 1, "description": "used when nobody names one"},
                "organization": {"type": "string", "minLength": 1},
            },
            "additionalProperties": False,
        },
        environment={
            "api_key": "OPENAI_API_KEY",
            "base_url": "OPENAI_BASE_URL",
            "model": "OPENAI_MODEL",
            "organization": "OPENAI_ORG_ID",
        },
        secrets=("api_key",),
        default_models=DEFAULT_MODELS["openai"],
    ),
    create=_create,
)
