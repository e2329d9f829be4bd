"""The door for MCP clients: `/mcp`, and `/mcp/<view>` for a part of the tools; raw ASGI, asked before any body is read."""

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mosaic.core.errors import MosaicError, NotFound, Unauthenticated
from mosaic.mcp.interfaces import Headers, Identify
from mosaic.mcp.schemas import McpSettings
from mosaic.observability import get_logger

if TYPE_CHECKING:
    from mosaic.mcp.wire import Wire

__all__ = ["PATH", "McpDoor"]

PATH = "/mcp"

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]

_METADATA = "/.well-known/oauth-protected-resource"
_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_LOADED_LATE = ("mosaic.mcp.wire", "mosaic.mcp.offer")

_log = get_logger(__name__)


class McpDoor:
    """Lets requests of known callers in: host and origin, then who calls, then the wire.

    Args:
        identify: finds who calls.
        make_wire: makes what answers; asked once, with the first request.
        settings: names, origins and bounds.
        stopping: set when the server stops; open streams end then.
    """

    def __init__(
        self,
        identify: Identify,
        make_wire: "Callable[[], Wire]",
        settings: McpSettings,
        *,
        stopping: asyncio.Event,
    ) -> None:
        self._identify = identify
        self._make_wire = make_wire
        self._settings = settings
        self._stopping = stopping
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()

    def answers(self, path: str) -> bool:
        """Say whether a path is this door's."""
        if path == PATH or path.startswith(f"{PATH}/"):
            return True
        return self._settings.oauth is not None and path.startswith(_METADATA)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, headers = scope["path"], scope["headers"]
        try:
            if (refusal := self._refusal(headers)) is not None:
                status, message = refusal
                await _answer(send, status, {"code": "refused", "message": message})
            elif path.startswith(_METADATA):
                await _answer(send, 200, self._metadata())
            else:
                await self._let_in(path, scope, receive, send)
        except Unauthenticated as error:
            await _answer(send, 401, error.to_json(), ((b"www-authenticate", self._challenge()),))
        except MosaicError as error:
            await _answer(send, error.http_status, error.to_json())

    async def close(self) -> None:
        """End every session."""
        if self._wire is not None:
            await self._wire.close()

    async def _let_in(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        view = path.removeprefix(PATH).strip("/") or None
        if view is not None and "/" in view:
            raise NotFound(f"There is nothing at {path}.", hint=f"The MCP server answers at {PATH}.")
        caller = await self._identify(scope["headers"])
        wire = await self._opened()
        answer = _Answer(send)
        await wire(caller, view, scope, self._bounded(scope, receive), answer.send)
        await answer.complete()

    async def _opened(self) -> "Wire":
        if self._wire is None:
            async with self._opening:
                if self._wire is None:
                    # The SDK takes half a second to import: not in this loop, and not before somebody asks.
                    for module in _LOADED_LATE:
                        await asyncio.to_thread(importlib.import_module, module)
                    wire = self._make_wire()
                    await wire.start()
                    self._wire = wire
        return self._wire

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        """Say why a request is turned away whoever sent it: a page that re-binds its name to us, or any foreign page."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or _host_name(hosts[0].decode("latin-1")) not in self._settings.hosts:
            return 421, "This server does not answer to that host name: see `server.allowed_hosts`."
        for name, value in headers:
            if name == b"origin" and not self._may_call(value.decode("latin-1").lower()):
                return 403, "Pages of that origin may not call this server: see `mcp.allowed_origins`."
        return None

    def _may_call(self, origin: str) -> bool:
        if origin in self._settings.origins:
            return True
        try:
            parts = urlsplit(origin)
            name = _host_name(parts.netloc)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and not parts.path and name in self._settings.hosts

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """Return `receive` with a bound to the body's time; it says that the client has left when the server stops."""
        loop = asyncio.get_running_loop()
        late = loop.time() + self._settings.body_timeout_s
        is_whole = scope["method"] != "POST"

        async def bounded() -> dict[str, Any]:
            nonlocal is_whole
            if not is_whole:
                try:
                    async with asyncio.timeout_at(late):
                        message = await receive()
                except TimeoutError:
                    return {"type": "http.disconnect"}
                is_whole = not message.get("more_body", False)
                return message
            return await self._unless_stopping(receive)

        return bounded

    async def _unless_stopping(self, receive: Receive) -> dict[str, Any]:
        asked = asyncio.ensure_future(receive())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((asked, stop), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else {"type": "http.disconnect"}
        finally:
            for task in (asked, stop):
                task.cancel()
            await asyncio.gather(asked, stop, return_exceptions=True)

    def _challenge(self) -> bytes:
        oauth = self._settings.oauth
        if oauth is None:
            return b"Bearer"
        parts = urlsplit(oauth.audience)
        where = f"{parts.scheme}://{parts.netloc}{_METADATA}{parts.path}"
        return f'Bearer resource_metadata="{where}", scope="{oauth.scope}"'.encode()

    def _metadata(self) -> dict[str, Any]:
        oauth = self._settings.oauth
        if oauth is None:
            raise NotFound("There is no authorization server.")
        return {
            "resource": oauth.audience,
            "authorization_servers": [oauth.issuer],
            "scopes_supported": [oauth.scope],
            "bearer_methods_supported": ["header"],
            "resource_name": "MosAIc",
        }


class _Answer:
    """An answer on its way: one that the stopping server cut short still comes to an end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_open = False

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of it."""
        starts = message["type"] == "http.response.start"
        self._is_open = starts or bool(message.get("more_body", False))
        await self._send(message)

    async def complete(self) -> None:
        """End it, when it has begun and not ended."""
        if self._is_open:
            await self._send({"type": "http.response.body", "body": b""})


def _host_name(host: str) -> str:
    """Return a host without its port, in lower case."""
    host = host.lower()
    return host if host.endswith("]") else host.rpartition(":")[0] or host


async def _answer(send: Send, status: int, body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    data = json.dumps(body, default=str).encode()
    length = (b"content-length", b"%d" % len(data))
    start = {"type": "http.response.start", "status": status, "headers": [_JSON, _NO_STORE, length, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": data})
