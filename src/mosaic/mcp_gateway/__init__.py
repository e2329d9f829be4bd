"""The MCP gateway: `/mcp/servers/<name>` passes a registered server on, under the tool door's rules."""

from mosaic.mcp_gateway.door import McpGateway
from mosaic.mcp_gateway.schemas import GatewayCaller, McpGatewaySettings

__all__ = ["GatewayCaller", "McpGateway", "McpGatewaySettings"]
