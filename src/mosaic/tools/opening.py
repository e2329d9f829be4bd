"""Puts a run's toolbox together: built-ins, registered functions, files, MCP servers, and what narrows them."""

import asyncio
import importlib.metadata
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidDefinition, MosaicError
from mosaic.tools.builtin import BUILTINS
from mosaic.tools.declarations import McpServer, ToolDeclaration
from mosaic.tools.errors import UnknownTool
from mosaic.tools.file_functions import open_file_function
from mosaic.tools.functions import FunctionTool
from mosaic.tools.http_request import HttpRequestTool
from mosaic.tools.interfaces import Tool
from mosaic.tools.nearest import nearest
from mosaic.tools.settings import ToolSettings
from mosaic.tools.toolbox import NarrowedTool, Toolbox

if TYPE_CHECKING:
    from mosaic.tools.mcp.pool import McpPool

__all__ = ["ENTRY_POINTS", "Toolboxes"]

log = logging.getLogger(__name__)

ENTRY_POINTS = "mosaic.tools"


class Toolboxes:
    """Knows every tool of the installation and opens toolboxes for runs.

    Args:
        settings: servers and bounds.
        data_dir: where MCP servers have their homes.
    """

    def __init__(self, settings: ToolSettings, *, data_dir: Path) -> None:
        self._settings = settings
        self._scratch = data_dir / "mcp"
        self._registered: dict[str, Tool] = {}
        self._pool: McpPool | None = None
        for tool in BUILTINS:
            self.register(tool)
        self.register(HttpRequestTool(settings))

    def register(self, tool: Tool) -> None:
        """Add a tool to every toolbox.

        Raises:
            Conflict: if its name is taken.
        """
        if tool.spec.name in self._registered:
            raise Conflict(f"A tool named {tool.spec.name} is registered already.")
        self._registered[tool.spec.name] = tool

    def registered(self) -> Toolbox:
        """Return the tools of the installation, without those of any workflow."""
        return Toolbox(self._registered.values())

    @asynccontextmanager
    async def open(
        self,
        ctx: Context,
        run_id: str,
        declarations: Sequence[ToolDeclaration] = (),
        *,
        workspace: Path | None = None,
    ) -> AsyncIterator[Toolbox]:
        """Open a run's toolbox. Several may be open at once; they share connections.

        A server that cannot be reached leaves the others usable; calling one of its tools raises `Unavailable`.

        Args:
            ctx: for whom.
            run_id: for which run.
            declarations: the workflow's `tools:`.
            workspace: where stdio servers run.

        Raises:
            InvalidDefinition: if a declaration names something that does not exist.
        """
        async with AsyncExitStack() as stack:
            sourced = [entry for entry in declarations if _has_source(entry)]
            results = await asyncio.gather(
                *(self._sourced(stack, ctx, run_id, entry, workspace) for entry in sourced),
                return_exceptions=True,
            )
            tools: list[Tool] = list(self._registered.values())
            unreachable: dict[str, MosaicError] = {}
            for entry, found in zip(sourced, results, strict=True):
                if isinstance(found, InvalidDefinition) or not isinstance(found, MosaicError | list):
                    raise found
                if isinstance(found, MosaicError):
                    log.warning("the tools of %s cannot be used: %s", entry.name, found)
                    unreachable[entry.name] = found
                else:
                    tools += found
            yield _narrowed(Toolbox(tools, unreachable=unreachable), declarations)

    async def close(self) -> None:
        """End every connection and server."""
        if self._pool is not None:
            await self._pool.close()

    async def _sourced(
        self, stack: AsyncExitStack, ctx: Context, run_id: str, entry: ToolDeclaration, workspace: Path | None
    ) -> list[Tool]:
        if entry.mcp is not None:
            return await self._of_server(stack, ctx, run_id, entry, workspace)
        if entry.python is not None:
            return [NarrowedTool(self._installed(entry.python), entry, may_lower=False)]
        return [await open_file_function(entry)]

    def _installed(self, reference: str) -> Tool:
        """Return the tool that an installed package offers, or the application registered, as ``module:function``."""
        for tool in self._registered.values():
            if tool.spec.source == f"python:{reference}":
                return tool
        offered = {point.value: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
        point = offered.get(reference)
        if point is None:
            close = nearest(reference, offered)
            raise InvalidDefinition(
                f"No installed package offers the tool {reference!r}.",
                hint=f"Did you mean {close[0]}?"
                if close
                else f"Packages offer tools as {ENTRY_POINTS!r} entry points.",
            )
        found = point.load()
        if not isinstance(found, FunctionTool):
            raise InvalidDefinition(f"{reference} is no tool.", hint="Put @tool above the function.")
        return found

    async def _of_server(
        self, stack: AsyncExitStack, ctx: Context, run_id: str, entry: ToolDeclaration, workspace: Path | None
    ) -> list[Tool]:
        # The SDK takes half a second to import: only runs that use a server pay for it.
        from mosaic.tools.mcp.pool import McpPool  # noqa: PLC0415
        from mosaic.tools.mcp.tools import tools_of  # noqa: PLC0415

        server = self._server(entry)
        if self._pool is None:
            self._pool = McpPool(self._scratch)
        lease = self._pool.lease(ctx, run_id, entry.name, server, workspace=workspace)
        connection = await stack.enter_async_context(lease)
        offered = await connection.tools()
        remote = server.url is not None
        tools = tools_of(entry.name, offered, connection, trusted=server.trust_annotations, remote=remote)
        if entry.tool is None:
            return [_declared(tool, replace(entry, name=tool.spec.name)) for tool in tools]
        wanted = [tool for tool in tools if tool.spec.name == f"{entry.name}.{entry.tool}"]
        if not wanted:
            close = nearest(entry.tool, [tool.spec.name.removeprefix(f"{entry.name}.") for tool in tools])
            hint = (
                f"Did you mean {close[0]}?"
                if close
                else "It offers: " + ", ".join(tool.name for tool in offered)
            )
            raise InvalidDefinition(
                f"The MCP server of {entry.name} offers no tool {entry.tool!r}.", hint=hint[:500]
            )
        return [_declared(wanted[0], entry)]

    def _server(self, entry: ToolDeclaration) -> McpServer:
        if isinstance(entry.mcp, McpServer):
            return entry.mcp
        found = self._settings.mcp_servers.get(str(entry.mcp))
        if found is None:
            close = nearest(str(entry.mcp), self._settings.mcp_servers)
            raise InvalidDefinition(
                f"The settings know no MCP server {entry.mcp!r}.",
                hint=f"Did you mean {close[0]}?" if close else "Add it under tools.mcp_servers.",
            )
        return found


def _declared(tool: Tool, entry: ToolDeclaration) -> Tool:
    """Lay a declaration over a server's tool; what the declaration says of its risk counts, the server has no say."""
    if entry.risk is not None and entry.effects is None:
        kept = frozenset(effect for effect in tool.spec.effects if effect.value == "network")
        entry = replace(entry, effects=kept)
    return NarrowedTool(tool, replace(entry, tool=None), may_lower=True)


def _has_source(entry: ToolDeclaration) -> bool:
    return entry.mcp is not None or entry.python is not None or entry.source is not None


def _narrowed(toolbox: Toolbox, declarations: Sequence[ToolDeclaration]) -> Toolbox:
    try:
        return toolbox.narrowed(entry for entry in declarations if not _has_source(entry))
    except UnknownTool as error:
        raise InvalidDefinition(
            f"`tools:` narrows a tool that is not there: {error.message}", hint=error.hint
        ) from error
