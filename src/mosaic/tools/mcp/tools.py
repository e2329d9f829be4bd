"""The tools of an MCP server as tools of ours."""

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import mcp.types as mcp_types

from mosaic.core.errors import InvalidDefinition, OutcomeUnknown
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.tools.hygiene import clean_text, clean_value
from mosaic.tools.interfaces import BaseTool, Invocation
from mosaic.tools.mcp.connection import LostConnection, McpConnection
from mosaic.tools.registry.definitions import TOOL_NAME
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult, ToolSpec
from mosaic.tools.toolbox import quarantined
from mosaic.tools.validation import check_schema, safe_schema

__all__ = ["McpTool", "ServerFace", "public_name", "tools_of"]

log = logging.getLogger(__name__)

_DESCRIPTION_CHARACTERS = 4_000
_SCHEMA_CHARACTERS = 100_000
# The connection keeps the call's time; the door comes second, so that a hanging server is noticed.
_STOP_S = 5.0
_LOSABLE = frozenset({RiskClass.READ_ONLY, RiskClass.GENERATIVE})


def _never(_tool: str) -> bool:
    return False


def _nothing(_tool: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ServerFace:
    """A server as its tools need it.

    Attributes:
        prefix: the namespace of its tools.
        connect: gives the connection for a call.
        trusted: take its annotations for true.
        remote: it is reached over the network.
        verify: awaited before a call when the server has said that its tools changed; compares them with what is
            approved. None when nobody keeps an eye on the server.
        is_new: says that nobody has approved a tool yet.
        blocked: says why a tool may not be called.
        known_as: the name under which the installation knows the server; None for one that a workflow brings along.
    """

    prefix: str
    connect: Callable[[], AbstractAsyncContextManager[McpConnection]]
    trusted: bool = False
    remote: bool = False
    verify: Callable[[McpConnection], Awaitable[None]] | None = None
    is_new: Callable[[str], bool] = _never
    blocked: Callable[[str], str | None] = _nothing
    known_as: str | None = None


class McpTool(BaseTool):
    """One tool of one server."""

    def __init__(self, spec: ToolSpec, face: ServerFace, remote_name: str) -> None:
        super().__init__(spec)
        self._face = face
        self._remote_name = remote_name

    @property
    def remote_name(self) -> str:
        """The server's own name of the tool."""
        return self._remote_name

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Call the tool on its server; what it answers has nothing hidden in it.

        Raises:
            ToolQuarantined: if it is not what was approved.
            OutcomeUnknown: if the server went away in the middle of a call that must not be repeated.
            MosaicError: as `McpConnection.call` says.
        """
        async with self._face.connect() as connection:
            try:
                result = await connection.call(
                    self._remote_name,
                    arguments,
                    timeout_s=invocation.timeout_s,
                    report=invocation.progress,
                    check=self._check,
                )
            except LostConnection as error:
                if self.spec.safety is Safety.UNSAFE and self.spec.risk not in _LOSABLE:
                    raise OutcomeUnknown(
                        f"{self.spec.name}: {error.message} It may or may not have happened.",
                        hint="Look at the other side before you try again.",
                    ) from error
                raise
        return ToolResult(_content(result), is_error=result.is_error)

    async def _check(self, connection: McpConnection) -> None:
        """Refuse a call of a tool that is not what was approved.

        Raises:
            ToolQuarantined: if it must be looked at first.
        """
        if self._face.verify is not None and connection.is_stale:
            await self._face.verify(connection)
        if (why := self._face.blocked(self._remote_name)) is not None:
            raise quarantined(self.spec.name, why)


def tools_of(offered: list[mcp_types.Tool], face: ServerFace) -> list[McpTool]:
    """Return the tools of a server as ``<prefix>.<name>``; one that cannot be used is left out and logged.

    Args:
        offered: what the server lists.
        face: the server.
    """
    made: dict[str, McpTool] = {}
    for tool in offered:
        try:
            made.setdefault(tool.name, McpTool(_spec(tool, face), face, tool.name))
        except InvalidDefinition as error:
            log.warning("a tool of the MCP server %s is left out: %s", face.prefix, error)
    return list(made.values())


def public_name(prefix: str, tool: str) -> str:
    """Return the name under which a server's tool is called here."""
    return f"{prefix}.{tool.replace('/', '_')}"


def _spec(tool: mcp_types.Tool, face: ServerFace) -> ToolSpec:
    if not TOOL_NAME.fullmatch(tool.name):
        raise InvalidDefinition(f"{clean_text(tool.name)[:100]!r} cannot name a tool.")
    risk, safety, effects = RiskClass.DESTRUCTIVE, Safety.UNSAFE, {ToolEffect.DESTRUCTIVE}
    hints = tool.annotations
    if face.trusted and hints is not None and not face.is_new(tool.name):
        if hints.read_only_hint:
            risk, safety, effects = RiskClass.READ_ONLY, Safety.REPEATABLE, {ToolEffect.READ}
        elif hints.destructive_hint is False:
            closed = hints.open_world_hint is False
            risk, effects = (RiskClass.GENERATIVE if closed else RiskClass.EXTERNAL_API), {ToolEffect.WRITE}
        if hints.idempotent_hint:
            safety = Safety.REPEATABLE
    if face.remote:
        effects = {*effects, ToolEffect.NETWORK}
    return ToolSpec(
        name=public_name(face.prefix, tool.name),
        description=clean_text(tool.description or tool.title or tool.name)[:_DESCRIPTION_CHARACTERS],
        input_schema=_schema(tool.input_schema, tool.name),
        output_schema=_schema(tool.output_schema, tool.name) if tool.output_schema is not None else None,
        risk=risk,
        effects=frozenset(effects),
        safety=safety,
        stop_s=_STOP_S,
        source=f"mcp:{face.prefix}",
        retries=safety is Safety.REPEATABLE,
        original=_original(face, tool.name),
    )


def _original(face: ServerFace, tool: str) -> str | None:
    """Return the name by which the installation knows a tool, where that is not the one it is called by."""
    if face.known_as is None:
        return f"own:{public_name(face.prefix, tool)}"
    return public_name(face.known_as, tool) if face.known_as != face.prefix else None


def _schema(schema: JsonObject, name: str) -> JsonObject:
    if len(json.dumps(schema)) > _SCHEMA_CHARACTERS:
        raise InvalidDefinition(f"The schema of {name} is longer than {_SCHEMA_CHARACTERS} characters.")
    made: Any = clean_value(safe_schema(schema))
    check_schema(made, what=name)
    return dict(made)


def _content(result: mcp_types.CallToolResult) -> JsonValue:
    """Return structured content where there is some, plain text where that is all, the blocks otherwise."""
    if result.structured_content is not None and not result.is_error:
        return clean_value(result.structured_content)
    blocks = result.content
    if all(isinstance(block, mcp_types.TextContent) for block in blocks):
        return clean_text(
            "\n".join(block.text for block in blocks if isinstance(block, mcp_types.TextContent))
        )
    return clean_value([block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in blocks])
