"""Rows of the security room."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from mosaic.storage import ExactJson, UtcDateTime, metadata

__all__ = ["key_revision", "virtual_key"]

# A key of an outside client. The secret itself is not here: only what proves it.
virtual_key = Table(
    "virtual_key",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    # The first characters of the secret, for people to tell keys apart.
    Column("prefix", String, nullable=False),
    # SHA-256 in hex: enough for a secret of 256 random bits.
    Column("digest", String, nullable=False),
    # After a rotation the secret before it, which is good until then.
    Column("old_digest", String),
    Column("old_until", UtcDateTime),
    Column("models", ExactJson, nullable=False),
    Column("routes", ExactJson, nullable=False),
    Column("scopes", ExactJson, nullable=False),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrency", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index(None, "digest", unique=True),
)

# One row, counted up by each change. Not tenant data.
key_revision = Table(
    "key_revision",
    metadata,
    Column("name", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
