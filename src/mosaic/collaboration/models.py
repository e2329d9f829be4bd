"""Rows of comments and of who looks at what; they never leave this room."""

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import UtcDateTime, metadata

__all__ = ["comment", "viewer"]

comment = Table(
    "comment",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(64), nullable=False),
    # The plan of an item, the run of an approval.
    Column("place", String(64)),
    Column("reply_to", String(64)),
    Column("body", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("edited_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    PrimaryKeyConstraint("tenant_id", "id"),
    # Ids sort by time, so this is the order in which they are read.
    Index("ix_comment_subject", "tenant_id", "subject_kind", "subject_id", "id"),
)

# In use where several nodes serve one database (see `SharedPresences`): what is older than a minute is nobody any more.
viewer = Table(
    "viewer",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("node", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(64), nullable=False),
    Column("place", String(64)),
    Column("since", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
)
