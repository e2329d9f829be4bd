"""The MCP server: our tools, runs and workflows for other people's agents (the client is part of the tool door)."""

from mosaic.mcp.callers import McpCallers
from mosaic.mcp.door import McpDoor
from mosaic.mcp.interfaces import Identify, Offer, OutsideTools
from mosaic.mcp.schemas import Caller, McpSettings, OAuthSettings

__all__ = [
    "Caller",
    "Identify",
    "McpCallers",
    "McpDoor",
    "McpSettings",
    "OAuthSettings",
    "Offer",
    "OutsideTools",
]
