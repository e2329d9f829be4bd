"""What model providers can do, as tools: ``providers.<instance>.<operation>``, under the same rules as any tool."""

from typing import get_args

from mosaic.app.provider_services import MODEL, TEXT, Operation, ProviderServices, able
from mosaic.core.errors import ContractViolation, InvalidInput, MosaicError
from mosaic.core.values import JsonObject, JsonValue, to_json
from mosaic.cost import Cost, UsageReports
from mosaic.engine import Effects
from mosaic.events import Journal
from mosaic.inference import Inference
from mosaic.providers import Message, ModelRequest, ModelResponse, ProviderRegistry
from mosaic.providers.artifacts import ArtifactType, read_artifacts, with_artifacts
from mosaic.providers.xml_answers import read_xml, with_xml
from mosaic.storage import Database
from mosaic.tools import BaseTool, Invocation, RiskClass, Tool, ToolResult

__all__ = ["ProviderTools"]

_COMPLETE_S = 180.0
_NAME: JsonObject = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,99}$"}
_MESSAGES: JsonObject = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1_000,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": TEXT},
    },
}
_ASK: JsonObject = {
    "model": MODEL,
    "prompt": TEXT,
    "messages": _MESSAGES,
    "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
}


class _ProviderTool(BaseTool):
    """One operation of one provider instance."""

    def __init__(self, provider: str, operation: Operation) -> None:
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
        self._usage = UsageReports(database)
        self._operations = (
            *self._of_answers(),
            *self._of_knowledge(),
            *ProviderServices(providers).operations(),
        )

    def all(self) -> list[Tool]:
        """Return the tools of every instance there is now, each with the operations that it has."""
        return [
            _ProviderTool(name, operation)
            for name in self._providers.names("ai")
            for operation in self._of(name)
        ]

    def _of(self, name: str) -> list[Operation]:
        try:
            known = self._providers.capabilities(name)
        except MosaicError:  # without a configuration it cannot be made and asked; it can say how it is
            return [operation for operation in self._operations if operation.name == "health"]
        lacking = {key for key, support in known.items() if support.level == "unsupported"}
        return [one for one in self._operations if one.capability not in lacking]

    def _of_answers(self) -> tuple[Operation, ...]:
        elements: JsonObject = {"type": "array", "items": _NAME, "minItems": 1, "maxItems": 50}
        return (
            Operation(
                "complete",
                "complete",
                "Ask a model: give either a prompt or messages.",
                _ASK,
                (),
                RiskClass.EXTERNAL_API,
                self._complete,
                _COMPLETE_S,
            ),
            Operation(
                "complete_xml",
                "complete",
                "Ask a model for an answer in the named XML elements, and read it.",
                {**_ASK, "elements": elements, "root": {**_NAME, "default": "answer"}},
                ("elements",),
                RiskClass.EXTERNAL_API,
                self._complete_xml,
                _COMPLETE_S,
            ),
            Operation(
                "generate_artifact",
                "complete",
                "Have a model write a whole file, document or drawing beside what it says.",
                {**_ASK, "type": {"enum": list(get_args(ArtifactType))}},
                ("type",),
                RiskClass.EXTERNAL_API,
                self._generate_artifact,
                _COMPLETE_S,
            ),
        )

    def _of_knowledge(self) -> tuple[Operation, ...]:
        return (
            Operation(
                "count_tokens",
                "count_tokens",
                "Count the tokens of a prompt, where the provider can.",
                {key: _ASK[key] for key in ("model", "prompt", "messages")},
                ("model",),
                RiskClass.EXTERNAL_API,
                self._count_tokens,
            ),
            Operation(
                "models",
                "models",
                "List the models of the provider.",
                {},
                (),
                RiskClass.READ_ONLY,
                self._models,
            ),
            Operation(
                "model",
                "models",
                "Say what one model can do.",
                {"model": MODEL},
                ("model",),
                RiskClass.READ_ONLY,
                self._model,
            ),
            Operation(
                "usage",
                "models",
                "Say what your project asked of the provider this month and what that cost, by model.",
                {},
                (),
                RiskClass.READ_ONLY,
                self._usage_of,
            ),
            Operation(
                "health", "health", "Say how the provider is.", {}, (), RiskClass.READ_ONLY, self._health
            ),
        )

    async def _complete(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        request = _request(arguments, timeout_s=invocation.timeout_s)
        response = await self._answer(provider, invocation, arguments, request)
        return {"text": response.message.text, **_told(response)}

    async def _complete_xml(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        root = arguments.get("root", "answer")
        request = with_xml(
            _request(arguments, timeout_s=invocation.timeout_s), arguments["elements"], root=root
        )
        response = await self._answer(provider, invocation, arguments, request)
        value: JsonValue = to_json(read_xml(response.message.text, root=root))
        return {"value": value, **_told(response)}

    async def _generate_artifact(
        self, provider: str, invocation: Invocation, arguments: JsonObject
    ) -> JsonValue:
        request = with_artifacts(_request(arguments, timeout_s=invocation.timeout_s), arguments["type"])
        response = await self._answer(provider, invocation, arguments, request)
        text, artifacts = read_artifacts(response.message.text)
        if not artifacts:
            raise ContractViolation("The answer holds no artifact.", hint="Ask again, or another model.")
        return {
            "text": text,
            "artifacts": [artifact.to_json() for artifact in artifacts],
            **_told(response),
        }

    async def _answer(
        self, provider: str, invocation: Invocation, arguments: JsonObject, request: ModelRequest
    ) -> ModelResponse:
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
        return await self._inference.complete(
            effects,
            "complete",
            request,
            model=await self._inference.resolve([named]),
            agent=invocation.agent,
        )

    async def _count_tokens(self, provider: str, invocation: Invocation, arguments: JsonObject) -> JsonValue:
        request = _request(arguments, timeout_s=invocation.timeout_s)
        with self._providers.lease(provider) as seat:
            return {"tokens": await able(seat, "count_tokens", provider)(request)}

    async def _models(self, provider: str, _: Invocation, __: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            return [model.to_json() for model in await seat.models()]

    async def _model(self, provider: str, _: Invocation, arguments: JsonObject) -> JsonValue:
        with self._providers.lease(provider) as seat:
            found = seat.capabilities(arguments["model"])
        return {
            "model": f"{provider}:{arguments['model']}",
            "features": sorted(found.features),
            "context_tokens": found.context_tokens,
            "max_output_tokens": found.max_output_tokens,
            "local": found.local,
        }

    async def _usage_of(self, provider: str, invocation: Invocation, _: JsonObject) -> JsonValue:
        where = {"provider": provider, "project": invocation.ctx.project}
        rows = await self._usage.usage(invocation.ctx, by=("model",), where=where)
        return [row.to_json() for row in rows]

    async def _health(self, provider: str, _: Invocation, __: JsonObject) -> JsonValue:
        shown: JsonValue = to_json((await self._providers.health(provider)).to_json())
        return shown


def _told(response: ModelResponse) -> JsonObject:
    return {
        "model": f"{response.provider}:{response.model}",
        "finish_reason": response.finish_reason,
        "usage": response.usage.to_json(),
    }


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
