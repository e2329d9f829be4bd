"""The rows of storage itself."""

from sqlalchemy import Column, LargeBinary, String, Table

from mosaic.storage.columns import UtcDateTime, metadata

__all__ = ["blob"]

# In use on PostgreSQL only (see `DatabaseBlobs`). Not tenant data: whoever may read a row that names a blob may read
# the blob, and nobody can guess a hash.
blob = Table(
    "blob",
    metadata,
    Column("digest", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
