"""The MCP client: tools of other people's servers, over stdio and streamable HTTP."""
