"""The model backend: pydantic-ai drives the loop, our conversation is the truth.

pydantic-ai decides what follows what: it asks the model, runs the tool calls of an answer (at the same time, or in
order where a tool says so), checks the answer and asks again. It reaches nothing itself. Its `Model` here takes the
next answer from the `JobLoop`, and its toolset hands each call to it; the loop keeps the canonical messages, which
hold more than pydantic-ai's (reasoning seals, malformed calls), so they are never rebuilt from those.

No provider of pydantic-ai is imported, nothing is instrumented. Importing it takes half a second, so this module is
imported by the first job, not by `import mosaic.agents`.
"""

import os
from typing import Any

# Before the import: pydantic-ai prints a banner on a terminal when code from a source tree starts its first run.
os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")

from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.messages import ModelMessage
from pydantic_ai.messages import ModelResponse as AiResponse
from pydantic_ai.messages import TextPart as AiText
from pydantic_ai.messages import ToolCallPart as AiToolCall
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition as AiToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_ai.usage import UsageLimits
from pydantic_core import SchemaValidator, core_schema

from mosaic.agents.loop import JobLoop, Settled

__all__ = ["drive"]

# Arguments are checked by the tool door, against the tool's own schema.
_ANY_ARGUMENTS = SchemaValidator(core_schema.any_schema())
_UNKNOWN = "unknown_tool"
# Repairs are counted by the loop; pydantic-ai's own limits must not come first.
_NO_LIMIT = 1_000_000


async def drive(loop: JobLoop) -> None:
    """Run a job until it answers, hands over or must wait for people: `loop.ending` and `loop.output` say which.

    Raises:
        MosaicError: if the job fails.
    """
    agent = Agent(
        _LoopModel(loop),
        output_type=str,
        toolsets=[_LoopToolset(loop)],
        name="mosaic",
        retries={"tools": _NO_LIMIT, "output": _NO_LIMIT},
    )

    @agent.output_validator
    def check(text: str) -> str:
        if loop.verdict is not None and loop.verdict.kind == "wrong":
            raise ModelRetry(loop.verdict.problem)
        return text

    try:
        await agent.run("-", usage_limits=UsageLimits(request_limit=None))
    except Settled:
        return
    loop.ending = "answer"


class _LoopModel(Model[Any]):
    """Gives pydantic-ai the loop's next answer."""

    def __init__(self, loop: JobLoop) -> None:
        super().__init__()
        self._loop = loop

    @property
    def model_name(self) -> str:
        return "mosaic"

    @property
    def system(self) -> str:
        return "mosaic"

    async def request(
        self,
        messages: list[ModelMessage],  # noqa: ARG002 - the loop keeps the conversation
        model_settings: ModelSettings | None,  # noqa: ARG002
        model_request_parameters: ModelRequestParameters,  # noqa: ARG002
    ) -> AiResponse:
        calls = await self._loop.next_answer()
        if not calls:
            return AiResponse(parts=[AiText(self._loop.messages[-1].text)])
        known = set(self._loop.tools.names)
        return AiResponse(
            parts=[
                AiToolCall(call.name if call.name in known else _UNKNOWN, {}, tool_call_id=str(index))
                for index, call in enumerate(calls)
            ]
        )


class _LoopToolset(AbstractToolset[Any]):
    """Hands pydantic-ai's tool calls to the loop, by their place in the answer."""

    def __init__(self, loop: JobLoop) -> None:
        self._loop = loop
        tools = loop.tools
        self._tools = {
            name: self._tool(name, ordered=tools.in_order(name)) for name in (*tools.names, _UNKNOWN)
        }

    @property
    def id(self) -> str | None:
        return "mosaic"

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:  # noqa: ARG002
        return self._tools

    async def call_tool(
        self,
        name: str,  # noqa: ARG002 - the loop knows the call by its place
        tool_args: dict[str, Any],  # noqa: ARG002
        ctx: RunContext[Any],
        tool: ToolsetTool[Any],  # noqa: ARG002
    ) -> str:
        await self._loop.call_tool(int(ctx.tool_call_id or 0))
        return "-"

    def _tool(self, name: str, *, ordered: bool) -> ToolsetTool[Any]:
        definition = AiToolDefinition(
            name=name, parameters_json_schema={"type": "object"}, sequential=ordered
        )
        return ToolsetTool(
            toolset=self, tool_def=definition, max_retries=_NO_LIMIT, args_validator=_ANY_ARGUMENTS
        )
