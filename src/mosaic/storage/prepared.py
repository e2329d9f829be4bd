"""Statements compiled once, for the paths where building and compiling them again would cost more than running."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

from sqlalchemy import Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.sql import ClauseElement

from mosaic.storage.columns import iso_utc

__all__ = ["DialectName", "Prepared", "stored_time"]

DialectName = Literal["sqlite", "postgresql"]

_DIALECTS: dict[DialectName, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]  # as SQLAlchemy left it
}


class Prepared:
    """A statement as driver text, made from a Core statement whose parameters are all named by `bindparam`.

    Values go to the driver as they are: JSON as text, times through `stored_time`.
    """

    __slots__ = ("_pick", "sql")

    def __init__(self, statement: ClauseElement, dialect: DialectName) -> None:
        """Compile `statement`.

        Raises:
            ValueError: if it holds a value of its own, which would be lost.
        """
        compiled: Any = statement.compile(dialect=_DIALECTS[dialect])
        names = list(compiled.positiontup)
        fixed = {name for name, value in compiled.params.items() if value is not None}
        if fixed:
            raise ValueError(
                f"a prepared statement holds the values {sorted(fixed)}; name them with bindparam"
            )
        self.sql = str(compiled)
        self._pick = itemgetter(*names) if len(names) > 1 else lambda values: (values[names[0]],)

    def row(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return `values` in the order of the statement."""
        picked: Sequence[Any] = self._pick(values)
        return picked


def stored_time(moment: datetime, dialect: DialectName) -> datetime | str:
    """Return a time as the driver takes it; see `UtcDateTime`."""
    return iso_utc(moment) if dialect == "sqlite" else moment
