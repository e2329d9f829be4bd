"""The one table registry and the column types that mean the same on both databases."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["ExactJson", "Json", "UtcDateTime", "iso_utc", "metadata"]

# Named constraints: SQLite and PostgreSQL invent different names, and a migration must be able to name one.
metadata = sqlalchemy.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# For values that queries look into. PostgreSQL keeps them parsed, so key order and NUL characters are lost.
Json = sqlalchemy.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

# For values that must come back as they were written, key order included: a replay has to see what the first
# execution saw.
ExactJson = sqlalchemy.JSON(none_as_null=True)


def iso_utc(moment: datetime) -> str:
    """Return `moment` as ISO 8601 in UTC with microseconds: fixed width, so that text order is time order.

    Raises:
        ValueError: if `moment` has no timezone.
    """
    if moment.tzinfo is None:
        raise ValueError("a stored time needs a timezone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time: ``timestamptz`` on PostgreSQL, ISO 8601 text in UTC on SQLite."""

    impl = sqlalchemy.String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: sqlalchemy.Dialect) -> TypeEngine[Any]:
        """Choose the column type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sqlalchemy.DateTime(timezone=True))
        return dialect.type_descriptor(sqlalchemy.String(27))

    def process_bind_param(self, value: datetime | None, dialect: sqlalchemy.Dialect) -> Any:
        """Write."""
        if value is None:
            return None
        text = iso_utc(value)
        return text if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sqlalchemy.Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Read."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)
