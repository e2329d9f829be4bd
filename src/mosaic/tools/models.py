"""Rows of approvals; they never leave this room."""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import ExactJson, Json, UtcDateTime, metadata

approval = Table(
    "approval",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", ExactJson, nullable=False),
    Column("roles", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("on_timeout", String(16), nullable=False),
    Column("arguments_schema", ExactJson),
    Column("arguments", ExactJson),
    Column("answer", ExactJson),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
    Column("note", Text),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_approval_tenant_status", "tenant_id", "status", "requested_at"),
    Index("ix_approval_tenant_run", "tenant_id", "run_id"),
)
