"""Connections to MCP servers, shared by everything of one run that names the same server."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mosaic.core.context import Context
from mosaic.core.values import content_hash
from mosaic.tools.declarations import McpServer
from mosaic.tools.mcp.connection import McpConnection
from mosaic.tools.sandbox import Sandboxes

__all__ = ["McpPool"]

_IDLE_S = 30.0


@dataclass
class _Pooled:
    connection: McpConnection
    scratch: Path
    users: int = 0
    ending: asyncio.TimerHandle | None = None
    idle_s: float = _IDLE_S


class McpPool:
    """Opens connections when they are first named and closes them when nobody has used them for a while.

    A stdio server runs once per run, in its worktree. A connection over HTTP is shared by a tenant's runs.

    Args:
        scratch: where servers have their homes.
        idle_s: how long a connection that nobody uses is kept.
        sandboxes: where stdio servers run.
    """

    def __init__(self, scratch: Path, *, idle_s: float = _IDLE_S, sandboxes: Sandboxes | None = None) -> None:
        self._scratch = scratch
        self._sandboxes = sandboxes
        self._idle_s = idle_s
        self._pooled: dict[str, _Pooled] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(
        self,
        ctx: Context,
        run_id: str,
        name: str,
        server: McpServer,
        *,
        workspace: Path | None,
        idle_s: float | None = None,
    ) -> AsyncIterator[McpConnection]:
        """Yield the connection to a server; it is made at its first use.

        Args:
            ctx: whose connection.
            run_id: a stdio server runs once for each run.
            name: the server's name, for messages.
            server: how to reach it.
            workspace: where a stdio server runs.
            idle_s: keep it for longer than usual when nobody uses it any more.
        """
        scope = [ctx.tenant] if server.url is not None else [ctx.tenant, run_id, str(workspace)]
        key = content_hash([*scope, name, asdict(server)])
        pooled = self._pooled.get(key)
        if pooled is None:
            scratch = self._scratch / key.removeprefix("sha256:")[:24]
            scratch.mkdir(parents=True, exist_ok=True)
            made = McpConnection(
                name, server, workspace=workspace, scratch=scratch, sandboxes=self._sandboxes
            )
            pooled = _Pooled(made, scratch, idle_s=self._idle_s)
            self._pooled[key] = pooled
        pooled.users += 1
        pooled.idle_s = max(pooled.idle_s, idle_s if idle_s is not None else self._idle_s)
        if pooled.ending is not None:
            pooled.ending.cancel()
            pooled.ending = None
        try:
            yield pooled.connection
        finally:
            pooled.users -= 1
            if pooled.users == 0 and key in self._pooled:
                loop = asyncio.get_running_loop()
                pooled.ending = loop.call_later(pooled.idle_s, self._end, key)

    async def close(self) -> None:
        """Close every connection; servers that we started are gone when this returns."""
        for key in list(self._pooled):
            self._end(key)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _end(self, key: str) -> None:
        pooled = self._pooled.pop(key)
        if pooled.ending is not None:
            pooled.ending.cancel()
        task = asyncio.create_task(_close(pooled))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(pooled: _Pooled) -> None:
    await pooled.connection.close()
    await asyncio.to_thread(shutil.rmtree, pooled.scratch, ignore_errors=True)
