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

__all__ = ["McpPool"]

_IDLE_S = 30.0


@dataclass
class _Pooled:
    connection: McpConnection
    scratch: Path
    users: int = 0
    ending: asyncio.TimerHandle | None = None


class McpPool:
    """Opens connections when they are first named and closes them when nobody has used them for a while.

    A stdio server runs once per run, in its worktree. A connection over HTTP is shared by a tenant's runs.

    Args:
        scratch: where servers have their homes.
        idle_s: how long a connection that nobody uses is kept.
    """

    def __init__(self, scratch: Path, *, idle_s: float = _IDLE_S) -> None:
        self._scratch = scratch
        self._idle_s = idle_s
        self._pooled: dict[str, _Pooled] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(
        self, ctx: Context, run_id: str, name: str, server: McpServer, *, workspace: Path | None
    ) -> AsyncIterator[McpConnection]:
        """Yield the connection to a server; it is made at its first use."""
        scope = [ctx.tenant] if server.url is not None else [ctx.tenant, run_id, str(workspace)]
        key = content_hash([*scope, name, asdict(server)])
        pooled = self._pooled.get(key)
        if pooled is None:
            scratch = self._scratch / key.removeprefix("sha256:")[:24]
            scratch.mkdir(parents=True, exist_ok=True)
            pooled = _Pooled(McpConnection(name, server, workspace=workspace, scratch=scratch), scratch)
            self._pooled[key] = pooled
        pooled.users += 1
        if pooled.ending is not None:
            pooled.ending.cancel()
            pooled.ending = None
        try:
            yield pooled.connection
        finally:
            pooled.users -= 1
            if pooled.users == 0 and key in self._pooled:
                loop = asyncio.get_running_loop()
                pooled.ending = loop.call_later(self._idle_s, self._end, key)

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
