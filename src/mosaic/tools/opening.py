"""Puts a run's toolbox together: built-ins, registered functions, files, MCP servers, and what narrows them."""

import asyncio
import importlib.metadata
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidDefinition, MosaicError, Unavailable
from mosaic.tools.declarations import McpServer, ToolDeclaration
from mosaic.tools.errors import UnknownTool
from mosaic.tools.functions import FunctionTool
from mosaic.tools.interfaces import Tool
from mosaic.tools.listing import Listed, model_name
from mosaic.tools.nearest import nearest
from mosaic.tools.registry.service import ToolRegistry
from mosaic.tools.sandbox import Sandboxes
from mosaic.tools.settings import ToolSettings
from mosaic.tools.toolbox import NarrowedTool, Toolbox

if TYPE_CHECKING:
    from mosaic.tools.mcp.servers import McpServers, ServerList, StandingServer

__all__ = ["ENTRY_POINTS", "Toolboxes"]

log = logging.getLogger(__name__)

ENTRY_POINTS = "mosaic.tools"


class Toolboxes:
    """Knows every tool of the installation and opens toolboxes for runs.

    Args:
        settings: servers and bounds.
        data_dir: where MCP servers have their homes.
        registry: the servers that tenants registered, and what is approved of all servers' tools.
        configured: returns a server of the settings with its secrets; by default as the settings have it.
    """

    def __init__(
        self,
        settings: ToolSettings,
        *,
        data_dir: Path,
        registry: ToolRegistry | None = None,
        configured: Callable[[str], McpServer] | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._configured = configured or settings.mcp_servers.__getitem__
        self._scratch = data_dir / "mcp"
        self._sandboxes = Sandboxes(settings.sandbox)
        self._known: dict[str, Tool] = {}
        self._bound: frozenset[str] = frozenset()
        self._servers: McpServers | None = None

    @property
    def _registered(self) -> dict[str, Tool]:
        """What every toolbox has. The built-in tools take a while to make: only for who asks for a tool."""
        if not self._bound:
            from mosaic.tools.builtin import BUILTINS  # noqa: PLC0415
            from mosaic.tools.http_request import HttpRequestTool  # noqa: PLC0415

            self._bound = frozenset(tool.spec.name for tool in BUILTINS)
            made: tuple[Tool, ...] = (*BUILTINS, HttpRequestTool(self._settings))
            self._known.update({tool.spec.name: tool for tool in made})
        return self._known

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

    async def standing(self, ctx: Context, *, extra: Iterable[Tool] = ()) -> Toolbox:
        """Return the tools that need no worktree, for calls outside any run; it needs no closing.

        Args:
            ctx: for whom: the tenant's registered servers, and those of the settings.
            extra: further tools, which the application makes.
        """
        tools = [*(tool for name, tool in self._registered.items() if name not in self._bound), *extra]
        shelf = _Shelf(tools, {tool.spec.name for tool in self._registered.values()})
        if self._registry is not None:
            await self._registry.refresh()
        names = [*self._settings.mcp_servers, *(self._registry.servers(ctx) if self._registry else ())]
        if names:
            servers = self._mcp()
            sources = {name: partial(self._known_server, ctx, name) for name in names}
            for name, found in (await servers.standing(ctx, sources)).items():
                await shelf.take(ctx, name, found)
        return shelf.toolbox(ctx)

    async def standing_server(self, ctx: Context, name: str) -> "StandingServer":
        """Return what may be called of one registered server, as `standing` would.

        Raises:
            MosaicError: if it cannot be asked.
        """
        taken = {model_name(tool): tool for tool in self._registered}
        async with AsyncExitStack() as stack:
            listed = await self._mcp().standing_list(stack, ctx, name, self._known_server(ctx, name))
            return await listed.standing(ctx, taken)

    async def look(self, ctx: Context, name: str, server: McpServer) -> "ServerList":
        """Ask a server that is not registered yet what it offers; nothing is approved or noted.

        Raises:
            MosaicError: if it cannot be asked.
        """
        async with AsyncExitStack() as stack:
            return await self._mcp().standing_list(stack, ctx, name, server)

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
            shelf = _Shelf(self._registered.values(), set(self._registered))
            for entry, found in zip(sourced, results, strict=True):
                if isinstance(found, InvalidDefinition) or not isinstance(found, MosaicError | list | Listed):
                    raise found
                await shelf.take(ctx, entry.name, found, entry)
            yield _narrowed(shelf.toolbox(ctx), declarations)

    async def close(self) -> None:
        """End every connection and server."""
        if self._servers is not None:
            await self._servers.close()

    async def _sourced(
        self, stack: AsyncExitStack, ctx: Context, run_id: str, entry: ToolDeclaration, workspace: Path | None
    ) -> "list[Tool] | Listed":
        if entry.mcp is not None:
            if self._registry is not None:
                await self._registry.refresh()
            server, known_as = self._server(ctx, entry)
            return await self._mcp().listed(
                stack, ctx, run_id, entry.name, server, known_as=known_as, workspace=workspace
            )
        if entry.python is not None:
            return [NarrowedTool(self._installed(entry.python), entry, may_lower=False)]
        from mosaic.tools.file_functions import open_file_function  # noqa: PLC0415  # few workflows have one

        return [await open_file_function(entry, self._sandboxes)]

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

    def _mcp(self) -> "McpServers":
        # The SDK takes half a second to import: only who uses a server pays for it.
        from mosaic.tools.mcp.servers import McpServers  # noqa: PLC0415

        if self._servers is None:
            self._servers = McpServers(self._scratch, self._registry, sandboxes=self._sandboxes)
        return self._servers

    def _server(self, ctx: Context, entry: ToolDeclaration) -> tuple[McpServer, str | None]:
        """Return how to reach an entry's server, and the name under which its tools are approved."""
        if isinstance(entry.mcp, McpServer):
            registered = self._registry.same_as(ctx, entry.mcp) if self._registry is not None else None
            return entry.mcp, entry.known_as or registered
        return self._known_server(ctx, str(entry.mcp)), str(entry.mcp)

    def _known_server(self, ctx: Context, name: str) -> McpServer:
        if name in self._settings.mcp_servers:
            return self._configured(name)
        registered = self._registry.servers(ctx) if self._registry is not None else {}
        if self._registry is not None and name in registered:
            return self._registry.reach(registered[name])
        close = nearest(name, [*self._settings.mcp_servers, *registered])
        raise InvalidDefinition(
            f"There is no MCP server {name!r}, in the settings or registered.",
            hint=f"Did you mean {close[0]}?"
            if close
            else "Register it with `mosaic tools add`, or add it under tools.mcp_servers.",
        )


class _Shelf:
    """Puts tools of many sources together, and sets aside those that would take the place of others."""

    def __init__(self, tools: Iterable[Tool], reserved: Iterable[str]) -> None:
        self._tools: list[Tool] = list(tools)
        self._taken = {model_name(name): name for name in reserved}
        self._taken |= {tool.spec.model_name: tool.spec.name for tool in self._tools}
        self._unreachable: dict[str, MosaicError] = {}
        self._quarantined: dict[str, str] = {}

    async def take(
        self,
        ctx: Context,
        name: str,
        found: "list[Tool] | Listed | MosaicError",
        entry: ToolDeclaration | None = None,
    ) -> None:
        """Add what one source gave."""
        if isinstance(found, MosaicError):
            log.warning("the tools of %s cannot be used: %s", name, found)
            self._unreachable[name] = found
            return
        if isinstance(found, list):
            self._tools += found
            return
        alone = entry is not None and entry.tool is not None
        try:
            tools, quarantined = await found.approved(ctx, {} if alone else self._taken)
        except Unavailable as error:
            self._unreachable[name] = error
            return
        if entry is not None:
            tools, quarantined = _of_entry(entry, tools, quarantined, found)
        self._tools += tools
        self._quarantined |= quarantined
        self._taken |= {tool.spec.model_name: tool.spec.name for tool in tools}

    def toolbox(self, ctx: Context) -> Toolbox:
        """Return them, as the tenant's."""
        return Toolbox(
            self._tools,
            unreachable=self._unreachable,
            quarantined=self._quarantined,
            tenant=ctx.tenant,
        )


def _of_entry(
    entry: ToolDeclaration, tools: Sequence[Tool], quarantined: Mapping[str, str], listed: "Listed"
) -> tuple[list[Tool], dict[str, str]]:
    """Return the tools of a server as a workflow's entry wants them: all of them, or one under the entry's name."""
    if entry.tool is None:
        return [_declared(tool, replace(entry, name=tool.spec.name)) for tool in tools], dict(quarantined)
    wanted = f"{entry.name}.{entry.tool.replace('/', '_')}"
    if wanted in quarantined:
        return [], {entry.name: quarantined[wanted]}
    for tool in tools:
        if tool.spec.name == wanted:
            return [_declared(tool, entry)], {}
    close = nearest(entry.tool, [tool.spec.name.removeprefix(f"{entry.name}.") for tool in tools])
    raise InvalidDefinition(
        f"The MCP server of {entry.name} offers no tool {entry.tool!r}.",
        hint=(f"Did you mean {close[0]}?" if close else f"It offers: {', '.join(listed.names)}")[:500],
    )


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
