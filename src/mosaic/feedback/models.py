"""Rows of feedback; they never leave this room."""

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import Json, UtcDateTime, metadata

__all__ = ["feedback"]

feedback = Table(
    "feedback",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("generation_id", String(200), nullable=False),
    Column("run_id", String(64)),
    Column("rating", Integer, nullable=False),
    Column("comments", Text),
    Column("issues", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_feedback_generation", "tenant_id", "generation_id", "created_at"),
    Index("ix_feedback_created", "tenant_id", "created_at"),
)
