"""Telling clients that something has changed: a stream of their own on the 2026 wire, by session on that of 2025."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import mcp.types as mcp_types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent, SubscriptionBus

from mosaic.core.errors import Unsupported
from mosaic.mcp.exchange import Exchange
from mosaic.mcp.interfaces import Offer

__all__ = ["Subscriptions"]

_MOST = 10_000
Context = ServerRequestContext[Any, Any]


class Subscriptions:
    """Who wants to be told of what.

    Args:
        offer: knows what may be watched, and hears of changes.
        exchange: makes an exchange of a request.
    """

    def __init__(self, offer: Offer, exchange: Callable[[Context], Exchange]) -> None:
        self._offer = offer
        self._exchange = exchange
        self._streams: dict[int, tuple[SubscriptionBus, ListenHandler]] = {}
        self._ends: OrderedDict[tuple[str, str], Callable[[], None]] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()

    async def listen(
        self, ctx: Context, params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        """Tell a client of changes for as long as it listens (2026 wire)."""
        exchange = self._exchange(ctx)
        for uri in params.notifications.resource_subscriptions or ():
            await self._offer.check_watched(exchange, uri)
        bus = self._offer.changes(exchange)
        _, handler = self._streams.setdefault(id(bus), (bus, ListenHandler(bus)))
        return await handler(ctx, params)

    async def subscribe(
        self, ctx: Context, params: mcp_types.SubscribeRequestParams
    ) -> mcp_types.EmptyResult:
        """Tell a session of changes of one resource (2025 wire)."""
        exchange, uri = self._exchange(ctx), params.uri
        await self._offer.check_watched(exchange, uri)
        key = (_session(exchange), uri)
        self._end(key)

        def changed(event: ServerEvent) -> None:
            if isinstance(event, ResourceUpdated) and event.uri == uri:
                # The session's own stream takes it, or drops it when the client does not listen.
                task = asyncio.create_task(exchange.session.send_resource_updated(uri))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

        self._ends[key] = self._offer.changes(exchange).subscribe(changed)
        while len(self._ends) > _MOST:
            self._end(next(iter(self._ends)))
        return mcp_types.EmptyResult()

    async def unsubscribe(
        self, ctx: Context, params: mcp_types.UnsubscribeRequestParams
    ) -> mcp_types.EmptyResult:
        """Stop telling a session of one resource."""
        self._end((_session(self._exchange(ctx)), params.uri))
        return mcp_types.EmptyResult()

    def forget(self, session: str) -> None:
        """Stop telling a session of anything."""
        for key in [key for key in self._ends if key[0] == session]:
            self._end(key)

    def close(self) -> None:
        """End every stream."""
        for _, handler in self._streams.values():
            handler.close()
        for key in list(self._ends):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        end = self._ends.pop(key, None)
        if end is not None:
            end()


def _session(exchange: Exchange) -> str:
    session = exchange.headers.get("mcp-session-id")
    if session is None:
        raise Unsupported(
            "This connection has no session to be told in.", hint="Begin one with `initialize`, on this node."
        )
    return session
