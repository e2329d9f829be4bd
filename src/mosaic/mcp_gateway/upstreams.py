"""The servers behind the gateway: where each is, and what of its tools may be called."""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from time import monotonic
from urllib.parse import urlsplit

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError, NotFound, PolicyDenied, Unsupported
from mosaic.mcp_gateway.messages import encoded
from mosaic.providers import WireEndpoint
from mosaic.tools import ServerRecord, Toolboxes, ToolRegistry, ToolSpec
from mosaic.tools.mcp.reach import may_reach

__all__ = ["Upstream", "Upstreams"]

log = logging.getLogger(__name__)

Shown = Callable[[Context], Awaitable[tuple[str, ...] | None]]
_MOST_KNOWN = 10_000


@dataclass(slots=True)
class Upstream:
    """One server of one tenant.

    Attributes:
        endpoint: where it is, with what it gets of us.
        shown: patterns of the tools that those who reach it so may see; None means all.
        specs: its tools by its own names.
        listed: the result of ``tools/list``, as JSON.
        until: until when these are trusted, in monotonic seconds.
        revision: of the registry when they were read.
    """

    record: ServerRecord
    endpoint: WireEndpoint
    shown: tuple[str, ...] | None = None
    specs: dict[str, ToolSpec] = field(default_factory=dict)
    listed: bytes = b""
    until: float = 0.0
    revision: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def shows(self, name: str) -> bool:
        """Say whether a tool, by its name here, may be seen."""
        return self.shown is None or any(fnmatchcase(name, pattern) for pattern in self.shown)


class Upstreams:
    """Knows the servers and keeps their lists.

    Args:
        registry: what is registered and approved.
        boxes: lists servers.
        shown: returns the patterns of the tools that a context may see; None means all.
        listed_s: how long a list is trusted when nobody says that it changed.
    """

    def __init__(self, registry: ToolRegistry, boxes: Toolboxes, *, shown: Shown, listed_s: float) -> None:
        self._shown = shown
        self._registry = registry
        self._boxes = boxes
        self._listed_s = listed_s
        self._known: dict[tuple[str, str, tuple[str, ...] | None], Upstream] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def get(self, ctx: Context, name: str) -> Upstream:
        """Return a server.

        Raises:
            NotFound: if the tenant has none of that name, or a secret of it is not set.
            Unsupported: if it is not reached over HTTP.
        """
        record = self._registry.servers(ctx).get(name)
        shown = await self._shown(ctx)
        key = (ctx.tenant, name, shown)
        if record is None:
            self._known.pop(key, None)
            raise NotFound(
                f"There is no registered MCP server {name[:60]!r}.", hint="`mosaic tools servers` shows them."
            )
        found = self._known.get(key)
        if found is None or found.record is not record:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = Upstream(record, self._endpoint(record), shown)
        return found

    async def current(self, ctx: Context, upstream: Upstream) -> Upstream:
        """Return the server with its list as it is approved now.

        Raises:
            MosaicError: if it was never listed and cannot be.
        """
        age_s = monotonic() - upstream.until
        if upstream.revision == self._registry.revision and age_s < self._listed_s:
            if age_s >= 0 and not upstream.lock.locked():
                # Nobody waits for a look at a list in use; one that was not used for long is read first.
                task = asyncio.create_task(
                    self._looked(ctx, upstream), name=f"mcp-list-{upstream.record.name}"
                )
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
            return upstream
        await self._looked(ctx, upstream)
        return upstream

    async def close(self) -> None:
        """Stop looking."""
        for task in tuple(self._looking):
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    async def _looked(self, ctx: Context, upstream: Upstream) -> None:
        """Read a server's list, and what of it is approved.

        Raises:
            MosaicError: if it was never listed, or the registry has changed, and it cannot be asked.
        """
        async with upstream.lock:
            if upstream.revision == self._registry.revision and monotonic() < upstream.until:
                return
            try:
                listed = await self._boxes.standing_server(ctx, upstream.record.name)
            except MosaicError as error:
                if upstream.revision != self._registry.revision:
                    raise
                log.warning("the tools of %s are those of before: %s", upstream.record.name, error)
                upstream.until = monotonic() + self._listed_s
                return
            upstream.specs = {name: spec for name, spec in listed.specs.items() if upstream.shows(spec.name)}
            tools = [tool for tool in listed.shown if tool.get("name") in upstream.specs]
            upstream.listed = encoded(
                {"tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            )
            upstream.revision = self._registry.revision
            upstream.until = monotonic() + self._listed_s

    def _endpoint(self, record: ServerRecord) -> WireEndpoint:
        if record.url is None:
            raise Unsupported(
                f"The MCP server {record.name} is not reached over HTTP.",
                hint=f"Its tools are at /mcp, as {record.name}__*.",
            )
        parts = urlsplit(record.url)
        if _is_address(parts.hostname or "") and not may_reach(parts.hostname or ""):
            raise PolicyDenied(f"No MCP server may be at {parts.hostname}.")
        reach = self._registry.reach(record)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = tuple((name.lower().encode(), value.encode()) for name, value in reach.headers.items())
        return WireEndpoint(f"MCP server {record.name}", f"{parts.scheme}://{parts.netloc}", path, headers)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
