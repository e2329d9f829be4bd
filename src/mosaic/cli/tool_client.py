"""What a command can ask about tools: the interface, and its part of the client of a running server."""

from abc import abstractmethod
from typing import Any, Protocol
from urllib.parse import quote

from mosaic.core.values import JsonObject

__all__ = ["ToolClient", "ToolRequests"]


class ToolClient(Protocol):
    """What a command can ask for about servers and tools; both clients have it. See `ToolOperations`."""

    async def add_server(self, wanted: JsonObject) -> JsonObject:
        """Register an MCP server and return its tools."""
        ...

    async def servers(self) -> JsonObject:
        """Return the registered servers."""
        ...

    async def remove_server(self, name: str) -> JsonObject:
        """Remove a server."""
        ...

    async def pin_server(self, name: str) -> JsonObject:
        """Accept all tools of a server as they are now."""
        ...

    async def tools(
        self, *, search: str | None = None, server: str | None = None, view: str | None = None
    ) -> JsonObject:
        """Return tools."""
        ...

    async def tool(self, name: str) -> JsonObject:
        """Return one tool."""
        ...

    async def approve_tool(self, name: str, *, digest: str | None = None) -> JsonObject:
        """Accept a tool as it is now.

        Raises:
            Conflict: if it is not what `digest` says.
        """
        ...

    async def quarantine_tool(self, name: str, *, reason: str = "") -> JsonObject:
        """Stop a tool from being called."""
        ...

    async def call_tool(
        self,
        name: str,
        arguments: JsonObject,
        *,
        view: str | None = None,
        why: str | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call a tool; the answer says whether a person has to answer first."""
        ...

    async def tool_call(self, call_id: str) -> JsonObject:
        """Return where a call that had to wait stands."""
        ...

    async def cancel_tool_call(self, call_id: str) -> JsonObject:
        """Stop a call that waits."""
        ...


class ToolRequests:
    """The tools' part of `HttpClient`."""

    @abstractmethod
    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of."""

    async def add_server(self, wanted: JsonObject) -> JsonObject:
        """Register an MCP server."""
        return await self.json("POST", "/mcp-servers", json=wanted, timeout=_SLOW_S)

    async def servers(self) -> JsonObject:
        """Return the registered servers."""
        return await self.json("GET", "/mcp-servers")

    async def remove_server(self, name: str) -> JsonObject:
        """Remove a server."""
        return await self.json("DELETE", f"/mcp-servers/{quote(name, safe='')}")

    async def pin_server(self, name: str) -> JsonObject:
        """Accept all tools of a server."""
        return await self.json("POST", f"/mcp-servers/{quote(name, safe='')}/pin", timeout=_SLOW_S)

    async def tools(
        self, *, search: str | None = None, server: str | None = None, view: str | None = None
    ) -> JsonObject:
        """Return tools."""
        query = {"search": search, "server": server, "view": view}
        given = {name: value for name, value in query.items() if value is not None}
        return await self.json("GET", "/tools", params=given, timeout=_SLOW_S)

    async def tool(self, name: str) -> JsonObject:
        """Return one tool."""
        return await self.json("GET", f"/tools/{quote(name, safe='')}", timeout=_SLOW_S)

    async def approve_tool(self, name: str, *, digest: str | None = None) -> JsonObject:
        """Accept a tool."""
        return await self.json("POST", f"/tools/{quote(name, safe='')}/approve", json={"digest": digest})

    async def quarantine_tool(self, name: str, *, reason: str = "") -> JsonObject:
        """Stop a tool."""
        return await self.json("POST", f"/tools/{quote(name, safe='')}/quarantine", json={"reason": reason})

    async def call_tool(
        self,
        name: str,
        arguments: JsonObject,
        *,
        view: str | None = None,
        why: str | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call a tool."""
        body = {"arguments": arguments, "view": view, "why": why, "idempotency_key": idempotency_key}
        return await self.json("POST", f"/tools/{quote(name, safe='')}/call", json=body, timeout=_CALL_S)

    async def tool_call(self, call_id: str) -> JsonObject:
        """Return where a call stands."""
        return await self.json("GET", f"/tool-calls/{quote(call_id, safe='')}")

    async def cancel_tool_call(self, call_id: str) -> JsonObject:
        """Stop a call."""
        return await self.json("POST", f"/tool-calls/{quote(call_id, safe='')}/cancel")


# Servers are started and asked for these.
_SLOW_S = 120.0
_CALL_S = 360.0
