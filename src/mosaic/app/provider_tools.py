"""What model providers can do, as tools: ``providers.<instance>.<operation>``, under the same rules as any tool."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mosaic.core.errors import InvalidInput, MosaicError, Unsupported
from mosaic.core.values import JsonObject, JsonValue, to_json
from mosaic.cost import Cost
from mosaic.engine import Effects, Safety
from mosaic.events import Journal
from mosaic.inference import Inference
from mosaic.providers import (
    Message,
    ModelRequest,
    ModerationRequest,
    ProviderRegistry,
)
from mosaic.storage import Database
from mosaic.tools import BaseTool, Invocation, RiskClass, Tool, ToolEffect, ToolResult, ToolSpec

__all__ = ["ProviderTools"]

_COMPLETE_S = 180.0
_CAPABILITY = {"moderate": "moderation"}
_TEXT: JsonObject = {"type": "string", "minLength": 1, "maxLength": 1_000_000}
_MODEL: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200, "description": "The vendor's name."}
_MESSAGES: JsonObject = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1_000,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT},
    },
}

Work = Callable[[str, Invocation, JsonObject], Awaitable[JsonValue]]


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation of a provider kind, as a tool."""

    name: str
    description: str
    properties: JsonObject
    required: tuple[str, ...]
    risk: RiskClass
    work: Work
    timeout_s: float = 60.0

    def spec(self, provider: str) -> ToolSpec:
        reads = self.risk is RiskClass.READ_ONLY
        return ToolSpec(
            name=f"providers.{provider}.{self.name}",
            description=f"{self.description} Provider: {provider}.",
            input_schema={
                "type": "object",
                "additionalProperties": False,
                "required": list(self.required),
                "properties": self.properties,
            },
            risk=self.risk,
            effects=frozenset({ToolEffect.READ} if reads else {ToolEffect.NETWORK}),
            timeout_s=self.timeout_s,
            safety=Safety.REPEATABLE,
            source=f"provider:{provider}",
            retries=reads,
        )


class _ProviderTool(BaseTool):
    """One operation of one provider instance."""

    def __init__(self, provider: str, operation: _Operation) -> None:
        super().__init__(operation.spec(provider))
        self._provider = provider
        self._operation = operation

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Ask the provider."""
        return ToolResult(await self._operation.work(self._provider, invocation, arguments))


class ProviderTools:
    """Makes tools of the operations of the configured providers of models.

    A completion passes the model door, so budgets, prices and the ledger hold for it; a call outside any run has a
    budget of its own without a limit, below those of its tenant and project.
    """

    def __init__(
        self,
        providers: ProviderRegistry,
        inference: Inference,
        cost: Cost,
        *,
        database: Database,
        journal: Journal,
    ) -> None:
        self._providers = providers
        self._inference = inference
        self._cost = cost
        self._database = database
        self._journal = journal
        self._operations = self._make_operations()

    def all(self) -> list[Tool]:
        """Return the tools of every instance there is now, each with the operations that it has."""
        return [
            _ProviderTool(name, operation)
            for name in self._providers.names("ai")
            for operation in self._of(name)
        ]

    def _of(self, name: str) -> list[_Operation]:
        try:
            able = self._providers.capabilities(name)
        except MosaicError:  # without a configuration it cannot be made and asked; it can say how it is
            return [operation for operation in self._operations if operation.name == "health"]
        lacking = {key for key, support in able.items() if support.level == "unsupported"}
        return [one for one in self._operations if _CAPABILITY.get(one.name, one.name) not in lacking]

    def _make_operations(self) -> tuple[_Operation, ...]:
        texts: JsonObject = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 100}
        ask: JsonObject = {
            "model": _MODEL,
            "prompt": _TEXT,
            "messages": _MESSAGES,
            "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        }
        return (
            _Operation(
                "complete",
                "Ask a model: give either a prompt or messages.",
                ask,
                (),
                RiskClass.EXTERNAL_API,
                self._complete,
                _COMPLETE_S,
            ),
            _Operation(
                "count_tokens",
                "Count the tokens of a prompt, where the provider can.",
                {key: ask[key] for key in ("model", "prompt", "messages")},
                ("model",),
                RiskClass.EXTERNAL_API,
                self._count_tokens,
            ),
            _Operation(
                "moderate",
                "Say whether texts are harmful, where the provider can.",
                {"texts": texts, "model": _MODEL},
                ("texts",),
                RiskClass.EXTERNAL_API,
                self._moderate,
            ),
            _Operation(
                "models", "List the models of the provider.", {}, (), RiskClass.READ_ONLY, self._models
            ),
            _Operation("health", "Say how the provider is.", {}, (), RiskClass.READ_ONLY, self._health),
        )

    async def _complete(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        async with self._database.transaction() as tx:
            await self._cost.open_budget(tx, invocation.ctx, invocation.run_id)
        named = f"{provider}:{arguments['model']}" if "model" in arguments else provider
        # By the call's own key: repeated after a crash, it is the same effect and not paid twice.
        effects = Effects.open(
            self._journal,
            invocation.ctx,
            invocation.run_id,
            path=f"{invocation.path}/{invocation.idempotency_key[:80]}",
        )
        response = await self._inference.complete(
            effects,
            "complete",
            _request(arguments, timeout_s=invocation.timeout_s),
            model=await self._inference.resolve([named]),
            agent=invocation.agent,
        )
        return {
            "text": response.message.text,
            "model": f"{response.provider}:{response.model}",
            "finish_reason": response.finish_reason,
            "usage": response.usage.to_json(),
        }

    async def _count_tokens(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        request = _request(arguments, timeout_s=invocation.timeout_s)
        with self._providers.lease(provider) as seat:
            return {"tokens": await _able(seat, "count_tokens", provider)(request)}

    async def _moderate(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        request = ModerationRequest(
            texts=tuple(arguments["texts"]), model=arguments.get("model"), timeout_s=invocation.timeout_s
        )
        with self._providers.lease(provider) as seat:
            verdicts = await _able(seat, "moderate", provider)(request)
        return [verdict.to_json() for verdict in verdicts]

    async def _models(self, provider: str, _: Invocation, __: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            return [model.to_json() for model in await seat.models()]

    async def _health(self, provider: str, _: Invocation, __: JsonObject) -> JsonValue:
        shown: JsonValue = to_json((await self._providers.health(provider)).to_json())
        return shown


def _able(provider: Any, operation: str, name: str) -> Any:
    found = getattr(provider, operation, None)
    if found is None:
        raise Unsupported(f"The provider {name} has no operation {operation}.")
    return found


def _request(arguments: JsonObject, *, timeout_s: float) -> ModelRequest:
    if ("prompt" in arguments) == ("messages" in arguments):
        raise InvalidInput("Give either a prompt or messages.")
    given = arguments.get("messages") or [{"role": "user", "content": arguments["prompt"]}]
    return ModelRequest(
        model=arguments.get("model", ""),
        messages=tuple(Message.of(message["role"], message["content"]) for message in given),
        max_output_tokens=arguments.get("max_output_tokens"),
        temperature=arguments.get("temperature"),
        timeout_s=timeout_s,
    )
