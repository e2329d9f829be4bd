"""The registry: which MCP servers a tenant has, and what was approved of their tools."""

import asyncio
import builtins
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound, Unavailable
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database, Duplicate, Transaction
from mosaic.tools.declarations import McpServer
from mosaic.tools.nearest import nearest
from mosaic.tools.registry.definitions import TOOL_NAME, definition_of, difference
from mosaic.tools.registry.repository import RegistryRepository, Standing
from mosaic.tools.registry.schemas import NewServer, Pin, PinState, SecretReference, ServerRecord
from mosaic.tools.registry.screening import compare, is_as_known

if TYPE_CHECKING:  # the SDK takes half a second to import, and every command has a registry
    import mcp.types as mcp_types

__all__ = ["ToolRegistry"]

_TOPIC = "tools"
_LOOK_AGAIN_S = 2.0
_ATTEMPTS = 3

log = logging.getLogger(__name__)


class ToolRegistry:
    """Servers and pins of an installation.

    What a call needs to know is in memory and is read again when any process changes it: the bus tells, and whoever
    opens a toolbox looks. Everything is scoped by the context's tenant.

    Args:
        database: where it is kept.
        journal: gets ``server.added``, ``server.removed``, ``tool.quarantined``, ``tool.approved``, ``tool.appeared``,
            ``tool.vanished`` and ``tool.returned``.
        bus: tells other processes.
        secret: returns the value of a variable, or raises `NotFound`.
        reserved: names of servers that the settings bring.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        *,
        secret: Callable[[str], str],
        reserved: Collection[str] = (),
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._secret = secret
        self._reserved = frozenset(reserved)
        self._clock = clock
        self._rows = RegistryRepository(database.dialect)
        self._servers: dict[str, dict[str, ServerRecord]] = {}
        self._standing: dict[tuple[str, str], dict[str, Standing]] = {}
        self._revision = -1
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read everything and follow changes until `close`."""
        await self.refresh()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="tool-registry")

    async def close(self) -> None:
        """Stop following changes."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    @property
    def revision(self) -> int:
        """Counts changes; another one means that anything may be otherwise."""
        return self._revision

    # -- servers ------------------------------------------------------------------------------------------------

    async def add(self, ctx: Context, wanted: NewServer) -> ServerRecord:
        """Register a server; its tools are approved when it is first looked at.

        Raises:
            InvalidInput: naming each field that is wrong.
            Conflict: if the tenant, or the settings, have one of that name.
        """
        record = replace(wanted.checked(), created_at=self._clock(), created_by=str(ctx.actor))
        taken = f"There is an MCP server {record.name} already."
        if record.name in self._reserved:
            raise Conflict(taken, hint="It stands in the settings under tools.mcp_servers.")
        try:
            async with self._database.transaction() as tx:
                if await self._rows.server(tx, ctx.tenant, record.name) is not None:
                    raise Conflict(taken, hint=f"`mosaic tools remove {record.name}` removes it.")
                await self._rows.add(tx, ctx.tenant, record)
                await self._announce(tx, ctx, [NewEvent("server.added", {"server": record.to_json()})])
        except Duplicate:
            raise Conflict(taken, hint=f"`mosaic tools remove {record.name}` removes it.") from None
        await self.refresh()
        return record

    async def remove(self, ctx: Context, name: str) -> None:
        """Remove a server and what was approved of its tools.

        Raises:
            NotFound: if the tenant registered none of that name.
        """
        async with self._database.transaction() as tx:
            if await self._rows.server(tx, ctx.tenant, name) is None:
                raise self._no_server(ctx, name)
            await self._rows.remove(tx, ctx.tenant, name)
            await self._announce(tx, ctx, [NewEvent("server.removed", {"server": name})])
        await self.refresh()

    def servers(self, ctx: Context) -> Mapping[str, ServerRecord]:
        """Return the tenant's servers by name, as they were at the last `refresh`."""
        return self._servers.get(ctx.tenant, {})

    def server(self, ctx: Context, name: str) -> ServerRecord:
        """Return one server, as it was at the last `refresh`.

        Raises:
            NotFound: if the tenant registered none of that name.
        """
        found = self.servers(ctx).get(name)
        if found is None:
            raise self._no_server(ctx, name)
        return found

    def reach(self, record: ServerRecord) -> McpServer:
        """Return how to connect to a server, with its secrets.

        Raises:
            NotFound: if the variable of a secret is not set here.
        """
        return McpServer(
            command=record.command,
            url=record.url,
            headers={name: self._value(value) for name, value in record.headers.items()},
            environment={name: self._value(value) for name, value in record.environment.items()},
            trust_annotations=record.trust_annotations,
            confined=record.confined,
            start_timeout_s=record.start_timeout_s,
        )

    def same_as(self, ctx: Context, server: McpServer) -> str | None:
        """Return the name under which a server that a workflow describes itself is registered, if it is."""
        for name, record in self.servers(ctx).items():
            if (record.command, record.url) == (server.command, server.url):
                return name
        return None

    # -- tools --------------------------------------------------------------------------------------------------

    async def screen(
        self,
        ctx: Context,
        server: str,
        offered: "Sequence[mcp_types.Tool]",
        *,
        shadows: Mapping[str, str] | None = None,
        first: bool = False,
    ) -> None:
        """Compare what a server shows with what is approved of it, and note every difference in the journal.

        Args:
            ctx: whose server it is.
            server: its name in the registry or in the settings.
            offered: its tools as they came.
            shadows: of these the ones that would take the place of another tool, and its name.
            first: somebody is adding the server now and sees what it shows. A server of the settings is approved
                when anybody first looks at it.
        """
        shown = {tool.name: definition_of(tool) for tool in offered if TOOL_NAME.fullmatch(tool.name)}
        hides = shadows or {}
        await self.refresh()
        for attempt in range(_ATTEMPTS):
            if is_as_known(shown, self._standing.get((ctx.tenant, server), {}), hides):
                return
            try:
                await self._compare(ctx, server, shown, hides, first=first)
            except Duplicate:  # another process has just looked for the first time, too
                if attempt == _ATTEMPTS - 1:
                    raise
            await self.refresh()

    def blocked(self, tenant: str, server: str, tool: str) -> str | None:
        """Return why a tool may not be called, None when it may; a look into memory."""
        found = self._standing.get((tenant, server), {}).get(tool)
        if found is not None and found.state is PinState.QUARANTINED:
            return found.reason or "somebody put it there"
        return None

    def is_new(self, tenant: str, server: str, tool: str) -> bool:
        """Say whether nobody has approved a tool yet."""
        found = self._standing.get((tenant, server), {}).get(tool)
        return found is not None and found.state is PinState.NEW

    def is_known(self, tenant: str, server: str, tool: str) -> bool:
        """Say whether a tool has been looked at and is still there."""
        found = self._standing.get((tenant, server), {}).get(tool)
        return found is not None and not found.vanished

    async def pins(self, ctx: Context, server: str | None = None) -> builtins.list[Pin]:
        """Return what is approved of the tenant's tools, in the order of their names."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.pins(tx, ctx.tenant, server)

    async def pin(self, ctx: Context, name: str) -> Pin:
        """Return what is approved of one tool, named ``server.tool``.

        Raises:
            NotFound: if no tool of that name was ever seen.
        """
        async with self._database.transaction(read_only=True) as tx:
            return await self._found(tx, ctx, name)

    async def approve(self, ctx: Context, name: str, *, digest: str | None = None) -> Pin:
        """Accept a tool as its server shows it now: it may be called again.

        Args:
            ctx: who approves.
            name: ``server.tool``.
            digest: what the approver has seen; None takes whatever is there.

        Raises:
            NotFound: if no tool of that name was ever seen.
            Conflict: if it has changed again since the approver looked.
        """

        def accepted(pin: Pin) -> Pin:
            if digest is not None and digest != pin.current:
                raise Conflict(
                    f"{name} has changed again since you looked.",
                    hint=f"Look again: `mosaic tools show {name}`.",
                )
            return replace(
                pin,
                state=PinState.PINNED,
                digest=pin.current,
                definition=pin.offered or pin.definition,
                offered_digest=None,
                offered=None,
                reason=None,
            )

        return await self._decide(ctx, name, "tool.approved", accepted)

    async def quarantine(self, ctx: Context, name: str, *, reason: str = "") -> Pin:
        """Stop a tool from being called until somebody approves it.

        Raises:
            NotFound: if no tool of that name was ever seen.
        """
        why = reason.strip()[:500] or f"{ctx.actor} put it there"
        return await self._decide(
            ctx, name, "tool.quarantined", lambda pin: replace(pin, state=PinState.QUARANTINED, reason=why)
        )

    async def refresh(self) -> None:
        """Read everything again if anybody changed something."""
        async with self._database.transaction(read_only=True) as tx:
            revision = await self._rows.revision(tx)
            if revision == self._revision:
                return
            servers, standings = await self._rows.everything(tx)
        known: dict[str, dict[str, ServerRecord]] = {}
        for tenant, record in servers:
            known.setdefault(tenant, {})[record.name] = record
        standing: dict[tuple[str, str], dict[str, Standing]] = {}
        for tenant, server, tool, stands in standings:
            standing.setdefault((tenant, server), {})[tool] = stands
        if revision >= self._revision:  # a slower reader must not bring back what was before
            self._servers, self._standing, self._revision = known, standing, revision

    # -- inside -------------------------------------------------------------------------------------------------

    async def _compare(
        self,
        ctx: Context,
        server: str,
        shown: Mapping[str, JsonObject],
        shadows: Mapping[str, str],
        *,
        first: bool,
    ) -> None:
        record = self.servers(ctx).get(server)
        async with self._database.transaction() as tx:
            await self._rows.changed(tx)  # its row makes those who compare wait for each other
            changes = compare(
                server,
                shown,
                await self._rows.pins(tx, ctx.tenant, server),
                shadows=shadows,
                accept_first=first or record is None,
                accept_new=record is not None and record.accept_new,
                at=self._clock(),
            )
            await self._rows.write(tx, ctx.tenant, changes.pins)
            self._bus.publish_in(tx, _TOPIC)
            await self._journal.append(tx, ctx, changes.events)
        for event in changes.events:
            log.warning("%s: %s", event.type, event.data["tool"])

    async def _decide(self, ctx: Context, name: str, event: str, decide: Callable[[Pin], Pin]) -> Pin:
        async with self._database.transaction() as tx:
            await self._rows.changed(tx)
            before = await self._found(tx, ctx, name)
            after = replace(decide(before), changed_at=self._clock(), decided_by=str(ctx.actor))
            await self._rows.write(tx, ctx.tenant, [(after, False)])
            self._bus.publish_in(tx, _TOPIC)
            shown: JsonObject = {"tool": after.name, "server": after.server, "digest": after.digest}
            shown["reason"] = after.reason
            if before.definition != after.definition:
                shown["difference"] = difference(before.definition, after.definition)
            await self._journal.append(tx, ctx, [NewEvent(event, shown)])
        await self.refresh()
        return after

    async def _found(self, tx: Transaction, ctx: Context, name: str) -> Pin:
        server, _, _ = name.partition(".")
        pins = await self._rows.pins(tx, ctx.tenant, server)
        for pin in pins:
            if name in (pin.name, f"{pin.server}.{pin.tool}"):
                return pin
        close = nearest(name, [pin.name for pin in pins])
        raise NotFound(
            f"There is no tool {name[:100]!r} of an MCP server.",
            hint=f"Did you mean {' or '.join(close)}?" if close else "`mosaic tools list` shows them.",
        )

    async def _announce(self, tx: Transaction, ctx: Context, events: Sequence[NewEvent]) -> None:
        await self._rows.changed(tx)
        self._bus.publish_in(tx, _TOPIC)
        await self._journal.append(tx, ctx, events)

    async def _watch(self) -> None:
        with self._bus.subscribe(_TOPIC) as subscription:
            while True:
                await subscription.wait(timeout_s=_LOOK_AGAIN_S)
                try:
                    await self.refresh()
                except Unavailable as error:  # what is in memory stays good through an outage
                    log.warning("the tool registry could not be read again: %s", error)
                except Exception:  # a worker: whatever it was, it looks again
                    log.exception("the tool registry could not be read again")

    def _value(self, value: str | SecretReference) -> str:
        return value if isinstance(value, str) else f"{value.prefix}{self._secret(value.variable)}"

    def _no_server(self, ctx: Context, name: str) -> NotFound:
        close = nearest(name, self.servers(ctx))
        return NotFound(
            f"There is no registered MCP server {name[:100]!r}.",
            hint=f"Did you mean {close[0]}?" if close else "`mosaic tools add` registers one.",
        )
