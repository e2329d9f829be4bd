"""What changes in a tenant, heard from its journal for as long as anybody wants to be told."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent, ToolsListChanged

from mosaic.core.context import Context
from mosaic.events import Event, Journal
from mosaic.mcp.resources import run_uri
from mosaic.observability import get_logger

__all__ = ["TenantChanges"]

_log = get_logger(__name__)
# A run may have hundreds of events in a second; who reads it again gets them all at once.
_TOGETHER_S = 0.25
_AGAIN_S = 5.0
# What changes the list of tools: a workflow that is new, a server's tools, a tool that was looked at.
_TOOL_EVENTS = frozenset(
    {
        "run.created",
        "server.added",
        "server.removed",
        "tool.appeared",
        "tool.approved",
        "tool.quarantined",
        "tool.returned",
        "tool.vanished",
    }
)


class TenantChanges(InMemorySubscriptionBus):
    """The changes of one tenant.

    Args:
        journal: where they are heard.
        ctx: the tenant.
    """

    def __init__(self, journal: Journal, ctx: Context) -> None:
        super().__init__()
        self._journal = journal
        self._ctx = ctx
        self._count = 0
        self._hearing: asyncio.Task[None] | None = None
        self._fresh: dict[str, ServerEvent] = {}

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Have a listener told of changes; the first one begins the hearing, the last one to leave ends it."""
        leave = super().subscribe(listener)
        self._count += 1
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear(), name=f"mcp-changes-{self._ctx.tenant}")
        has_left = False

        def left() -> None:
            nonlocal has_left
            leave()
            if not has_left:
                has_left = True
                self._count -= 1
                if self._count == 0:
                    self.close()

        return left

    def close(self) -> None:
        """Stop hearing."""
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None

    async def _hear(self) -> None:
        after: int | None = None
        while True:
            try:
                after = await self._journal.head(self._ctx) if after is None else after
                async with aclosing(self._journal.tail(self._ctx, after=after)) as events:
                    async for event in events:
                        after = event.seq
                        self._note(event)
            except Exception as error:  # noqa: BLE001  # a worker: it listens again
                _log.warning("changes could not be heard: %s", error)
                await asyncio.sleep(_AGAIN_S)

    def _note(self, event: Event) -> None:
        if not self._fresh:
            asyncio.get_running_loop().call_later(_TOGETHER_S, self._tell)
        if event.run_id is not None:
            uri = run_uri(event.run_id)
            self._fresh[uri] = ResourceUpdated(uri)
        if event.type in _TOOL_EVENTS:
            self._fresh["tools"] = ToolsListChanged()

    def _tell(self) -> None:
        fresh, self._fresh = self._fresh, {}
        for event in fresh.values():
            for listener in tuple(self._listeners.values()):
                listener(event)
