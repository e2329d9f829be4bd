"""Scalars of the schema."""

from collections.abc import Mapping
from typing import Any, NewType

import strawberry

__all__ = ["SCALARS", "Json", "Long", "Moment"]

Json = NewType("Json", object)
"""Any JSON value, as it is."""

Long = NewType("Long", int)
"""A whole number beyond 32 bits, such as a place in the journal."""

Moment = NewType("Moment", str)
"""A time in UTC."""

_LARGEST = 2**63 - 1


def _long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError("not a whole number of 64 bits")
    return value


def _text(value: Any) -> str:
    return str(value)


def _as_it_is(value: Any) -> Any:
    return value


SCALARS: Mapping[object, Any] = {
    Json: strawberry.scalar(
        name="JSON", description="Any JSON value.", serialize=_as_it_is, parse_value=_as_it_is,
        specified_by_url="https://ecma-international.org/publications-and-standards/standards/ecma-404/",
    ),
    Long: strawberry.scalar(
        name="Long", description="A whole number of up to 64 bits.", serialize=int, parse_value=_long
    ),
    Moment: strawberry.scalar(
        name="DateTime", description="A time in UTC, RFC 3339.", serialize=_text, parse_value=_text,
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
    ),
}  # fmt: skip
"""What `StrawberryConfig.scalar_map` takes."""
