"""Rows of runs and artifacts; they never leave this room."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, PrimaryKeyConstraint, String, Table

from mosaic.storage import Json, UtcDateTime, metadata

run = Table(
    "run",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("workflow", String(200), nullable=False),
    Column("version", String(64), nullable=False),
    Column("definition_hash", String(80), nullable=False),
    Column("status", String(16), nullable=False),
    Column("inputs", Json, nullable=False),
    Column("options", Json, nullable=False),
    Column("outputs", Json),
    Column("error", Json),
    Column("workspace", Json),
    Column("root_run_id", String(64), nullable=False),
    Column("parent_run_id", String(64)),
    Column("forked_from", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_run_tenant_created", "tenant_id", "created_at"),
    Index("ix_run_tenant_parent", "tenant_id", "parent_run_id"),
    Index("ix_run_status", "status"),
    Index("ix_run_tenant_status", "tenant_id", "status", "created_at"),
    Index("ix_run_tenant_workflow", "tenant_id", "workflow", "created_at"),
)

# Which definitions a tenant may load; the content is a blob of the same hash.
workflow_definition = Table(
    "workflow_definition",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("content_hash", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("version", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "content_hash"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("media_type", String(127), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "run_id"], ["run.tenant_id", "run.id"]),
    Index("uq_artifact_run_name", "tenant_id", "run_id", "name", unique=True),
)
