"""The tools of an MCP server as tools of ours."""

import json
import logging
import re

import mcp.types as mcp_types

from mosaic.core.errors import InvalidDefinition, OutcomeUnknown
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.tools.interfaces import BaseTool, Invocation
from mosaic.tools.mcp.connection import LostConnection, McpConnection
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult, ToolSpec
from mosaic.tools.validation import check_schema, safe_schema

__all__ = ["McpTool", "tools_of"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}")
_DESCRIPTION_CHARACTERS = 4_000
_SCHEMA_CHARACTERS = 100_000
# The connection keeps the call's time; the door comes second, so that a hanging server is noticed.
_STOP_S = 5.0
_LOSABLE = frozenset({RiskClass.READ_ONLY, RiskClass.GENERATIVE})


class McpTool(BaseTool):
    """One tool of one server."""

    def __init__(self, spec: ToolSpec, connection: McpConnection, remote_name: str) -> None:
        super().__init__(spec)
        self._connection = connection
        self._remote_name = remote_name

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Call the tool on its server.

        Raises:
            OutcomeUnknown: if the server went away in the middle of a call that must not be repeated.
            MosaicError: as `McpConnection.call` says.
        """
        try:
            result = await self._connection.call(
                self._remote_name, arguments, timeout_s=invocation.timeout_s, report=invocation.progress
            )
        except LostConnection as error:
            if self.spec.safety is Safety.UNSAFE and self.spec.risk not in _LOSABLE:
                raise OutcomeUnknown(
                    f"{self.spec.name}: {error.message} It may or may not have happened.",
                    hint="Look at the other side before you try again.",
                ) from error
            raise
        return ToolResult(_content(result), is_error=result.is_error)


def tools_of(
    prefix: str, offered: list[mcp_types.Tool], connection: McpConnection, *, trusted: bool, remote: bool
) -> list[McpTool]:
    """Return the tools of a server as ``<prefix>.<name>``; one that cannot be used is left out and logged.

    Args:
        prefix: the server's name in the workflow.
        offered: what the server lists.
        connection: to the server.
        trusted: take its annotations for true.
        remote: it is reached over the network.
    """
    made = {}
    for tool in offered:
        try:
            made[tool.name] = McpTool(
                _spec(prefix, tool, trusted=trusted, remote=remote), connection, tool.name
            )
        except InvalidDefinition as error:
            log.warning("a tool of the MCP server %s is left out: %s", prefix, error)
    return list(made.values())


def _spec(prefix: str, tool: mcp_types.Tool, *, trusted: bool, remote: bool) -> ToolSpec:
    if not _NAME.fullmatch(tool.name):
        raise InvalidDefinition(f"{tool.name[:100]!r} cannot name a tool.")
    risk, safety, effects = RiskClass.DESTRUCTIVE, Safety.UNSAFE, {ToolEffect.DESTRUCTIVE}
    hints = tool.annotations
    if trusted and hints is not None:
        if hints.read_only_hint:
            risk, safety, effects = RiskClass.READ_ONLY, Safety.REPEATABLE, {ToolEffect.READ}
        elif hints.destructive_hint is False:
            closed = hints.open_world_hint is False
            risk, effects = (RiskClass.GENERATIVE if closed else RiskClass.EXTERNAL_API), {ToolEffect.WRITE}
        if hints.idempotent_hint:
            safety = Safety.REPEATABLE
    if remote:
        effects = {*effects, ToolEffect.NETWORK}
    return ToolSpec(
        name=f"{prefix}.{tool.name.replace('/', '_')}",
        description=(tool.description or tool.title or tool.name)[:_DESCRIPTION_CHARACTERS],
        input_schema=_schema(tool.input_schema, tool.name),
        output_schema=_schema(tool.output_schema, tool.name) if tool.output_schema is not None else None,
        risk=risk,
        effects=frozenset(effects),
        safety=safety,
        stop_s=_STOP_S,
        source=f"mcp:{prefix}",
        retries=safety is Safety.REPEATABLE,
    )


def _schema(schema: JsonObject, name: str) -> JsonObject:
    if len(json.dumps(schema)) > _SCHEMA_CHARACTERS:
        raise InvalidDefinition(f"The schema of {name} is longer than {_SCHEMA_CHARACTERS} characters.")
    made = safe_schema(schema)
    check_schema(made, what=name)
    return made


def _content(result: mcp_types.CallToolResult) -> JsonValue:
    """Return structured content where there is some, plain text where that is all, the blocks otherwise."""
    if result.structured_content is not None and not result.is_error:
        structured: JsonValue = result.structured_content
        return structured
    blocks = result.content
    if all(isinstance(block, mcp_types.TextContent) for block in blocks):
        return "\n".join(block.text for block in blocks if isinstance(block, mcp_types.TextContent))
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in blocks]
