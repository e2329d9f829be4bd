"""Registered MCP servers, and what was approved of their tools: a change of it is noticed and stopped."""
