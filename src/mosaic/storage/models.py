"""The rows of storage itself."""

from sqlalchemy import Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage.columns import UtcDateTime, metadata

__all__ = ["blob", "idempotency_key"]

# In use on PostgreSQL only (see `DatabaseBlobs`). Not tenant data: whoever may read a row that names a blob may read
# the blob, and nobody can guess a hash.
blob = Table(
    "blob",
    metadata,
    Column("digest", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Requests that are done once, see `idempotency`; the status is null while one is being done.
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("fingerprint", String(80), nullable=False),
    Column("token", String(32), nullable=False),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", LargeBinary),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "digest"),
    Index("ix_idempotency_key_expires", "expires_at"),
)
