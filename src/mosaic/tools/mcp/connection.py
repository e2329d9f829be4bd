"""One connection to one MCP server: made when needed, made again when it broke, with growing pauses."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp.types as mcp_types
import pydantic
from mcp.client.client import Client
from mcp.client.session import ElicitationFnT
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError

from mosaic.core.errors import (
    ContractViolation,
    MosaicError,
    TimedOut,
    ToolFailed,
    Unauthenticated,
    Unavailable,
)
from mosaic.core.values import JsonObject
from mosaic.tools.declarations import McpServer
from mosaic.tools.hygiene import clean_text
from mosaic.tools.mcp.transports import Diagnostics, http_transport, stdio_transport
from mosaic.tools.sandbox import Sandboxes

__all__ = ["LostConnection", "McpConnection"]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_CLOSE_S = 10.0
_MOST_TOOLS = 500
_MOST_PAGES = 50
_MOST_CHECKS = 3
# How long a list is trusted: of a server that tells when it changes, and of one that does not.
_TELLING_S = 60.0
_SILENT_S = 5.0
_CALM_S = 0.2
_SAID_CHARACTERS = 2_000
_LISTEN_AGAIN_S = 5.0

log = logging.getLogger(__name__)


class LostConnection(Unavailable):
    """The server went away while it had a request: it may or may not have done it."""

    code = "connection_lost"


class McpConnection:
    """A connection that is kept open by a task of its own, so that any task may use it.

    Args:
        name: the server's name, for messages.
        server: how to reach it.
        workspace: where a stdio server runs.
        scratch: where a stdio server has its home.
        sandboxes: where a stdio server runs.
        auth: logs in to an HTTP server that wants more than a fixed header.
        elicit: answers what the server asks a person; None refuses.

    Attributes:
        on_change: awaited soon after the server has said that its tools changed.
    """

    def __init__(
        self,
        name: str,
        server: McpServer,
        *,
        workspace: Path | None,
        scratch: Path,
        sandboxes: Sandboxes | None = None,
        auth: httpx2.Auth | None = None,
        elicit: ElicitationFnT | None = None,
    ) -> None:
        self._auth = auth
        self._elicit = elicit
        self._name = name
        self._server = server
        self._workspace = workspace
        self._scratch = scratch
        self._sandboxes = sandboxes
        self._lock = asyncio.Lock()
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._diagnostics = Diagnostics()
        self._in_flight = 0
        self._failures = 0
        self._not_before = 0.0
        self._closed = False
        self.on_change: Callable[[McpConnection], Awaitable[None]] | None = None
        self._listed: list[mcp_types.Tool] | None = None
        self._listed_until = 0.0
        # Counts what may have changed the list; the list and whoever compared it remember which count they saw.
        self._changes = 1
        self._listed_changes = 0
        self._seen_changes = 0
        self._telling: asyncio.Task[None] | None = None

    @property
    def is_stale(self) -> bool:
        """Whether the tools may have changed since somebody called `seen`."""
        return self._seen_changes != self._changes

    def seen(self) -> None:
        """Take note that the list that `tools` returned last was compared with what is approved."""
        self._seen_changes = self._listed_changes

    async def tools(self, *, fresh: bool = False) -> list[mcp_types.Tool]:
        """Return the tools that the server offers, at most five hundred; a list is kept until they change.

        Args:
            fresh: ask the server, whatever is kept.

        Raises:
            Unavailable: if it cannot be reached.
            ContractViolation: if it answers nonsense.
        """
        client = await self._connected()
        if not fresh and self._listed is not None and time.monotonic() < self._listed_until:
            return self._listed
        changes = self._changes
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        async with self._explained(self._server.start_timeout_s):
            for _ in range(_MOST_PAGES):
                page = await client.session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
                found += page.tools
                cursor = page.next_cursor
                if not cursor or len(found) >= _MOST_TOOLS:
                    break
        if changes == self._changes:  # else it changed while it was read; whoever asks next reads it again
            self._listed = found[:_MOST_TOOLS]
            self._listed_until = time.monotonic() + (_TELLING_S if _tells(client) else _SILENT_S)
        self._listed_changes = changes
        return found[:_MOST_TOOLS]

    async def call(
        self,
        tool: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        report: Callable[[str], None],
        check: Callable[["McpConnection"], Awaitable[None]] | None = None,
    ) -> mcp_types.CallToolResult:
        """Call a tool.

        Args:
            tool: the server's own name of it.
            arguments: what it gets.
            timeout_s: seconds for the call.
            report: gets what the server tells of its progress.
            check: awaited with the server connected, before anything is sent; raises when nothing may be.

        Raises:
            Unavailable: if the server cannot be reached; nothing was sent.
            LostConnection: if it went away in the middle.
            TimedOut: if it does not answer.
            ToolFailed: if it refuses the request.
            ContractViolation: if it answers nonsense.
        """
        client = await self._checked(check)

        # The SDK names the parameter, so it shadows ours.
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            said = clean_text(message)[:_SAID_CHARACTERS] if message else None
            report(said or (f"{progress:g} of {total:g}" if total else f"{progress:g}"))

        self._in_flight += 1
        try:
            async with self._explained(timeout_s):
                result = await client.call_tool(tool, arguments, progress_callback=tell)
        except TimedOut:
            if self._server.url is None and self._in_flight == 1:
                # It hangs, as far as anybody can tell: the next call gets a new one.
                async with self._lock:
                    await self._failed()
            raise
        finally:
            self._in_flight -= 1
        self._failures = 0
        return result

    async def close(self) -> None:
        """End the connection, and a server that we started."""
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
        async with self._lock:
            await self._disconnect()

    # -- the connection -----------------------------------------------------------------------------------------

    async def _connected(self) -> Client:
        async with self._lock:
            if self._closed:
                raise Unavailable(f"The connection to the MCP server {self._name} is closed.")
            alive = self._task is not None and not self._task.done() and not self._diagnostics.ended
            if self._client is not None and alive:
                return self._client
            wait_s = self._not_before - time.monotonic()
            if wait_s > 0:
                raise Unavailable(
                    f"The MCP server {self._name} failed {self._failures} times: {self._diagnostics or 'no reason given'}.",
                    hint="It is tried again after a pause.",
                    retry_after_s=round(wait_s, 3),
                )
            await self._disconnect()
            return await self._connect()

    async def _checked(self, check: Callable[["McpConnection"], Awaitable[None]] | None) -> Client:
        """Return the connected server that was checked: not another one that took its place meanwhile."""
        client = await self._connected()
        if check is None:
            return client
        for _ in range(_MOST_CHECKS):
            await check(self)
            before, client = client, await self._connected()
            if client is before:
                return client
        raise Unavailable(f"The MCP server {self._name} is started again and again.{self._said()}")

    async def _connect(self) -> Client:
        self._stop, self._diagnostics = asyncio.Event(), Diagnostics()
        self._heard_of_change()  # whoever answers now need not be who answered before
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._serve(ready, self._stop), name=f"mcp-{self._name}")
        try:
            async with asyncio.timeout(self._server.start_timeout_s):
                self._client = await asyncio.shield(ready)
        except TimeoutError:
            await self._failed()
            raise Unavailable(
                f"The MCP server {self._name} did not answer within {self._server.start_timeout_s:g} s."
                f"{self._said()}"
            ) from None
        except asyncio.CancelledError:
            await self._disconnect()
            raise
        except MosaicError:
            await self._failed()
            raise
        return self._client

    async def _serve(self, ready: asyncio.Future[Client], stop: asyncio.Event) -> None:
        """Hold the connection open; the SDK wants it opened and closed in one task."""
        try:
            if self._server.url is not None:
                transport: Any = http_transport(self._server, auth=self._auth)
            else:
                transport = stdio_transport(
                    self._server,
                    workspace=self._workspace,
                    scratch=self._scratch,
                    diagnostics=self._diagnostics,
                    sandboxes=self._sandboxes,
                )
            info = mcp_types.Implementation(name="mosaic", version="0")
            async with Client(
                transport,
                client_info=info,
                cache=None,
                message_handler=self._heard,
                elicitation_callback=self._elicit,
            ) as client:
                # The door checks results itself: a stranger's regular expressions must not run in our loop.
                client.session.validate_tool_result = _unchecked  # type: ignore[method-assign]
                ready.set_result(client)
                async with _ended_after(self._listen(client)):
                    await stop.wait()
        except asyncio.CancelledError:
            if not ready.done():
                ready.set_exception(Unavailable(f"The MCP server {self._name} was stopped."))
            raise
        except Exception as error:  # noqa: BLE001  # whatever the transport, the SDK or the server made of it
            failure = self._translated(error)
            if not ready.done():
                ready.set_exception(failure)
        finally:
            if ready.done() and not ready.cancelled():
                ready.exception()  # somebody may have stopped to wait for it

    # -- what changed -------------------------------------------------------------------------------------------

    async def _heard(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._heard_of_change()

    async def _listen(self, client: Client) -> None:
        """Hear of changes over the newer wire, which sends them only to those who ask."""
        while _tells(client):
            try:
                async with client.listen(tools_list_changed=True) as events:
                    async for _ in events:
                        self._heard_of_change()
            except ListenNotSupportedError:
                return
            except (SubscriptionLost, MCPError, httpx2.HTTPError) as error:
                log.info("the MCP server %s does not tell of changes: %s", self._name, error)
            await asyncio.sleep(_LISTEN_AGAIN_S)
            self._heard_of_change()  # nobody told us meanwhile

    def _heard_of_change(self) -> None:
        self._changes += 1
        self._listed = None
        if self.on_change is not None and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name=f"mcp-change-{self._name}")

    async def _tell(self) -> None:
        await asyncio.sleep(_CALM_S)  # a server that changes many tools says so many times
        while self.on_change is not None and self.is_stale and self._client is not None:
            told = self._changes
            try:
                await self.on_change(self)
            except MosaicError as error:
                log.warning("the tools of %s cannot be compared: %s", self._name, error)
                return
            await asyncio.sleep(_CALM_S)
            if told == self._changes:
                return

    async def _failed(self) -> None:
        await self._disconnect()
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures += 1
        self._not_before = time.monotonic() + pause_s

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        task, self._task = self._task, None
        self._stop.set()
        if task is None:
            return
        if client is None:
            task.cancel()  # still shaking hands, and not looking
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.wait([task])
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # -- what went wrong ----------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _explained(self, timeout_s: float) -> AsyncIterator[None]:
        """Bound a request's time and translate what goes wrong in it."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            raise TimedOut(
                f"The MCP server {self._name} did not answer within {timeout_s:g} s.{self._said()}", sent=True
            ) from None
        except MosaicError:
            raise
        except (
            MCPError,
            pydantic.ValidationError,
            httpx2.HTTPError,
            RuntimeError,
            OSError,
            ExceptionGroup,
        ) as error:
            failure = self._translated(error)
            if isinstance(failure, LostConnection):
                await self._failed()
            raise failure from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            await self._failed()
            raise self._lost() from error

    def _translated(self, error: BaseException) -> MosaicError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, MosaicError):
            return error
        if isinstance(error, MCPError):
            if error.code == mcp_types.CONNECTION_CLOSED:
                return self._lost()
            return ToolFailed(
                f"The MCP server {self._name} refused: {clean_text(error.message)[:500]}",
                server=self._name,
                mcp_code=error.code,
            )
        if isinstance(error, pydantic.ValidationError | RuntimeError | ValueError):
            return ContractViolation(f"The MCP server {self._name} answered nonsense: {str(error)[:300]}")
        if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code in (401, 403):
            return Unauthenticated(
                f"The MCP server {self._name} wants a credential ({error.response.status_code}).",
                hint="Set its headers in the settings.",
            )
        return Unavailable(
            f"The MCP server {self._name} cannot be reached: {str(error)[:300] or type(error).__name__}.{self._said()}"
        )

    def _lost(self) -> LostConnection:
        return LostConnection(
            f"The MCP server {self._name} ended the connection.{self._said()}", server=self._name
        )

    def _said(self) -> str:
        return f" It said: {self._diagnostics}" if str(self._diagnostics) else ""


def _tells(client: Client) -> bool:
    """Say whether a server promises to tell when its tools change."""
    able = client.session.server_capabilities
    return bool(able is not None and able.tools is not None and able.tools.list_changed)


@contextlib.asynccontextmanager
async def _ended_after(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` beside a block and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _unchecked(name: str, result: mcp_types.CallToolResult) -> None:
    """Check nothing."""
