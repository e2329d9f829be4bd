"""The MCP servers of runs and of the catalogue: connected, listed, compared with what is approved."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mcp.types as mcp_types

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.tools.declarations import McpServer
from mosaic.tools.hygiene import clean_value
from mosaic.tools.interfaces import Tool
from mosaic.tools.listing import Listed, model_name
from mosaic.tools.mcp.connection import McpConnection
from mosaic.tools.mcp.pool import McpPool
from mosaic.tools.mcp.tools import McpTool, ServerFace, public_name, tools_of
from mosaic.tools.registry.service import ToolRegistry
from mosaic.tools.sandbox import Sandboxes
from mosaic.tools.schemas import ToolSpec

__all__ = ["McpServers", "ServerList", "StandingServer"]

STANDING = "standing"
"""In place of a run: what belongs to no run shares a server."""

# A server that anybody may call at any time is not started anew for each call.
_STANDING_IDLE_S = 300.0

Approved = tuple[list[Tool], dict[str, str]]
Lease = Callable[[], AbstractAsyncContextManager[McpConnection]]


@dataclass(frozen=True, slots=True)
class _Server:
    """One server as somebody uses it."""

    prefix: str
    known_as: str | None
    how: McpServer
    lease: Lease


@dataclass(slots=True)
class _Remembered:
    """What was approved of one list: good while list, registry and the other tools are the same."""

    offered: list[mcp_types.Tool]
    revision: int
    taken: dict[str, str]
    approved: Approved


class McpServers:
    """Lists servers and makes tools of what they offer.

    Args:
        scratch: where stdio servers have their homes.
        registry: what is approved; None lets everything pass.
        sandboxes: where stdio servers run.
    """

    def __init__(
        self, scratch: Path, registry: ToolRegistry | None, *, sandboxes: Sandboxes | None = None
    ) -> None:
        self._pool = McpPool(scratch, sandboxes=sandboxes)
        self._registry = registry
        self._remembered: dict[tuple[str, str], _Remembered] = {}

    async def listed(
        self,
        stack: AsyncExitStack,
        ctx: Context,
        run_id: str,
        prefix: str,
        how: McpServer,
        *,
        known_as: str | None,
        workspace: Path | None,
        idle_s: float | None = None,
    ) -> "ServerList":
        """Ask a server what it offers; it stays connected at least as long as `stack`.

        Args:
            stack: of the run.
            ctx: for whom.
            run_id: for which run.
            prefix: the namespace of its tools.
            how: how to reach it.
            known_as: the name under which its tools are approved; None when nobody registered it.
            workspace: where a stdio server runs.
            idle_s: how long it is kept when nobody uses it any more.

        Raises:
            MosaicError: as `McpConnection.tools`.
        """
        lease = partial(self._pool.lease, ctx, run_id, prefix, how, workspace=workspace, idle_s=idle_s)
        connection = await stack.enter_async_context(lease())
        server = _Server(prefix, known_as, how, lease)
        offered = await connection.tools(fresh=run_id != STANDING)
        remembered = self._remembered if run_id == STANDING else {}
        return ServerList(server, connection, offered, self._registry, remembered)

    async def standing(
        self, ctx: Context, sources: Mapping[str, Callable[[], McpServer]]
    ) -> dict[str, "ServerList | MosaicError"]:
        """Ask servers that belong to no run, all at once; one that cannot be asked gives its error."""

        async def one(name: str, source: Callable[[], McpServer]) -> ServerList | MosaicError:
            try:
                async with AsyncExitStack() as stack:
                    return await self.standing_list(stack, ctx, name, source())
            except MosaicError as error:
                return error

        found = await asyncio.gather(*(one(name, source) for name, source in sources.items()))
        return dict(zip(sources, found, strict=True))

    async def standing_list(
        self, stack: AsyncExitStack, ctx: Context, name: str, how: McpServer
    ) -> "ServerList":
        """Ask one server that belongs to no run, as `listed`."""
        return await self.listed(
            stack, ctx, STANDING, name, how, known_as=name, workspace=None, idle_s=_STANDING_IDLE_S
        )

    async def close(self) -> None:
        """Close every connection; servers that we started are gone when this returns."""
        await self._pool.close()


@dataclass(frozen=True, slots=True)
class StandingServer:
    """What may be called of one server.

    Attributes:
        specs: its tools, by its own names.
        shown: what it says of them, with nothing hidden in it; of a tool that nobody has approved yet not what it
            says of its own risk.
    """

    specs: Mapping[str, ToolSpec]
    shown: Sequence[JsonObject]


class ServerList(Listed):
    """What one server offers."""

    def __init__(
        self,
        server: _Server,
        connection: McpConnection,
        offered: list[mcp_types.Tool],
        registry: ToolRegistry | None,
        remembered: dict[tuple[str, str], _Remembered],
    ) -> None:
        self._remembered = remembered
        self._server = server
        self._connection = connection
        self._offered = offered
        self._registry = registry

    @property
    def names(self) -> Sequence[str]:
        """The server's own names of its tools."""
        return [tool.name for tool in self._offered]

    @property
    def offered(self) -> Sequence[mcp_types.Tool]:
        """The tools as they came."""
        return self._offered

    async def approved(self, ctx: Context, taken: Mapping[str, str]) -> Approved:
        """Compare the list with what is approved, see `Listed`."""
        key, revision = (ctx.tenant, self._server.prefix), self._revision
        before = self._remembered.get(key)
        same = before is not None and before.offered is self._offered and before.revision == revision
        if before is not None and same and before.taken == taken and not self._connection.is_stale:
            return before.approved
        approved = await self._compared(ctx, taken)
        self._remembered[key] = _Remembered(self._offered, self._revision, dict(taken), approved)
        return approved

    @property
    def _revision(self) -> int:
        return self._registry.revision if self._registry is not None else 0

    async def _compared(self, ctx: Context, taken: Mapping[str, str]) -> Approved:
        server, registry = self._server, self._registry
        taken = dict(taken)
        shadows = self._shadows(self._offered, taken)
        if registry is None or server.known_as is None:
            face = ServerFace(
                server.prefix,
                server.lease,
                trusted=server.how.trust_annotations,
                remote=server.how.url is not None,
                known_as=server.known_as,
            )
            quarantined = {tool: f"it would take the place of {name}" for tool, name in shadows.items()}
            return self._split(face, quarantined)
        known_as = server.known_as

        async def compared(connection: McpConnection) -> None:
            now = await connection.tools()
            await registry.screen(ctx, known_as, now, shadows=self._shadows(now, taken))
            connection.seen()

        await registry.screen(ctx, known_as, self._offered, shadows=shadows)
        self._connection.seen()
        self._connection.on_change = compared
        record = registry.servers(ctx).get(known_as)
        face = ServerFace(
            server.prefix,
            server.lease,
            trusted=server.how.trust_annotations,
            remote=server.how.url is not None,
            verify=compared,
            is_new=partial(registry.is_new, ctx.tenant, known_as),
            blocked=partial(registry.blocked, ctx.tenant, known_as),
            known_as=known_as,
        )
        offered = [tool for tool in self._offered if record is None or record.offers(tool.name)]
        found = {tool.name: registry.blocked(ctx.tenant, known_as, tool.name) for tool in offered}
        return self._split(face, {tool: why for tool, why in found.items() if why is not None}, offered)

    async def standing(self, ctx: Context, taken: Mapping[str, str]) -> StandingServer:
        """Compare the list with what is approved, and return what may be called, by the server's own names."""
        tools, _ = await self.approved(ctx, taken)
        specs = {tool.remote_name: tool.spec for tool in tools if isinstance(tool, McpTool)}
        shown = []
        for tool in self._offered:
            if tool.name in specs:
                said = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                if self._is_new(ctx, tool.name):
                    said.pop("annotations", None)
                cleaned = clean_value(said)
                shown.append(cleaned if isinstance(cleaned, dict) else {})
        return StandingServer(specs, shown)

    def _is_new(self, ctx: Context, tool: str) -> bool:
        known_as = self._server.known_as
        return (
            self._registry is not None
            and known_as is not None
            and self._registry.is_new(ctx.tenant, known_as, tool)
        )

    def _split(
        self, face: ServerFace, quarantined: Mapping[str, str], offered: list[mcp_types.Tool] | None = None
    ) -> Approved:
        usable = [
            tool for tool in (self._offered if offered is None else offered) if tool.name not in quarantined
        ]
        names = {public_name(face.prefix, tool): why for tool, why in quarantined.items()}
        return list[Tool](tools_of(usable, face)), names

    def _shadows(self, offered: Sequence[mcp_types.Tool], taken: Mapping[str, str]) -> dict[str, str]:
        """Return the tools that would take the place of another, and of which."""
        seen, found = dict(taken), {}
        for tool in offered:
            name = public_name(self._server.prefix, tool.name)
            before = seen.setdefault(model_name(name), f"another tool of this server, {tool.name}")
            if model_name(name) in taken or before != f"another tool of this server, {tool.name}":
                found[tool.name] = before
        return found
