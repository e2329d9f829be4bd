"""Subscriptions, and any other operation, over a WebSocket: the protocol `graphql-transport-ws`."""

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from typing import Any

from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.types.unset import UNSET

from mosaic.api.graphql.context import Asked
from mosaic.api.graphql.schema import the_schema
from mosaic.api.live_socket.channel import Channel, CloseCode, Gone, end_tasks
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput

__all__ = ["SUBPROTOCOL", "talk"]

SUBPROTOCOL = GRAPHQL_TRANSPORT_WS_PROTOCOL
_INIT = timedelta(seconds=10)
_MOST_OPERATIONS = 50


class _Caller:
    """Who is at the other end; strawberry writes down what the client said of itself first."""

    def __init__(self, ctx: Context | None) -> None:
        self.ctx = ctx
        self.connection_params: dict[str, Any] | None = None


class _View:
    """What strawberry's handler asks about a connection."""

    def __init__(self, identify: Callable[[str], Context | None]) -> None:
        self._identify = identify

    async def on_ws_connect(self, caller: _Caller) -> Any:
        """Let a client go on that is known, or says who it is.

        Raises:
            ConnectionRejectionError: if it is nobody.
        """
        if caller.ctx is None:
            said = caller.connection_params or {}
            shown = next((value for name, value in said.items() if name.lower() == "authorization"), "")
            scheme, _, token = str(shown).partition(" ")
            caller.ctx = self._identify(token) if scheme.lower() == "bearer" else None
        if caller.ctx is None:
            raise ConnectionRejectionError
        return UNSET


class _Wire:
    """Messages as strawberry's handler reads and writes them, checked so that it stumbles over none."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object]:  # noqa: ARG002
        """Yield messages until the client is gone."""
        while True:
            try:
                message = json.loads(await self._channel.receive())
            except Gone:
                return
            except InvalidInput as error:
                raise NonTextMessageReceived from error
            except (ValueError, RecursionError) as error:
                raise NonJsonMessageReceived from error
            if not _is_message(message):
                raise NonJsonMessageReceived
            yield message

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message."""
        try:
            await self._channel.send(dict(message))
        except Gone as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        await self._channel.close(code, reason)


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return False
    if message["type"] == "complete":
        return isinstance(message.get("id"), str)
    if message["type"] != "subscribe":
        return True
    payload = message.get("payload")
    return (
        isinstance(message.get("id"), str)
        and isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


class _Handler(BaseGraphQLTransportWSHandler[Any, None]):
    """Strawberry's handler; each operation asks for itself, so that nothing it was told grows old in another."""

    def __init__(self, begin: Callable[[Context], Asked], **options: Any) -> None:
        super().__init__(**options)
        self._begin = begin

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """Run one operation to its end."""
        own = copy.copy(self)
        own.context = self._begin(self.context.ctx)
        await super(_Handler, own).run_operation(operation)


async def talk(
    channel: Channel,
    caller: Context | None,
    *,
    begin: Callable[[Context], Asked],
    identify: Callable[[str], Context | None],
    stopping: asyncio.Event,
) -> None:
    """Talk with one client until it, or this server, goes.

    Args:
        channel: to the client.
        caller: who it is; None where `connection_init` has to say so.
        begin: makes what an operation has.
        identify: returns whose a token is.
        stopping: is set when the server stops.
    """
    handler = _Handler(
        begin,
        view=_View(identify),
        websocket=_Wire(channel),
        context=_Caller(caller),
        root_value=None,
        schema=the_schema(),
        connection_init_wait_timeout=_INIT,
        max_subscriptions_per_connection=_MOST_OPERATIONS,
    )
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(handler.handle()),
        asyncio.create_task(stopping.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(tasks)
        await channel.close(CloseCode.GOING_AWAY, "the server stops, or failed")
