"""Rows of registered MCP servers and of what was approved of their tools."""

from sqlalchemy import BigInteger, Boolean, Column, Float, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import ExactJson, UtcDateTime, metadata

__all__ = ["mcp_server", "tool_pin", "tool_revision"]

mcp_server = Table(
    "mcp_server",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("command", ExactJson, nullable=False),
    Column("url", Text),
    # Names of variables, never what they hold.
    Column("headers", ExactJson, nullable=False),
    Column("environment", ExactJson, nullable=False),
    Column("trust_annotations", Boolean, nullable=False),
    Column("confined", Boolean, nullable=False),
    Column("accept_new", Boolean, nullable=False),
    Column("start_timeout_s", Float, nullable=False),
    Column("tools", ExactJson, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    PrimaryKeyConstraint("tenant_id", "name"),
)

# What a tool said of itself when it was approved, and what it says now where that differs.
tool_pin = Table(
    "tool_pin",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("server", String(64), nullable=False),
    Column("tool", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("definition", ExactJson, nullable=False),
    Column("offered_digest", String(80)),
    Column("offered", ExactJson),
    Column("reason", Text),
    Column("vanished_at", UtcDateTime),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("decided_by", String(200)),
    PrimaryKeyConstraint("tenant_id", "server", "tool"),
)

# One row, counted up by each change, so that other processes read again. Not tenant data.
tool_revision = Table(
    "tool_revision",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
