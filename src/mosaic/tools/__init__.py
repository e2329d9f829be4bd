"""The tool door: registry, risk policy, approvals, execution, built-ins, the MCP client."""
