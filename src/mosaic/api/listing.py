"""Pages of lists that a room gives whole: in a fixed order, continued after the last row that was sent."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Query

from mosaic.api.cursors import LONGEST
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["Cursor", "WholeLimit", "paged", "paged_in_place"]

Cursor = Annotated[
    str | None,
    Query(max_length=LONGEST, min_length=1, description="`next_cursor` of the page before, as it is"),
]
WholeLimit = Annotated[int, Query(ge=1, le=1_000, description="how many at most")]


def paged(
    shown: JsonObject,
    sort: str,
    *,
    limit: int,
    cursor: str | None,
    identity: Sequence[str] = ("id",),
    rows: str = "items",
) -> JsonObject:
    """Return a listing with one page of its rows, and the ``next_cursor``.

    Rows that come or go between two pages neither repeat nor hide others: a page begins after a place in the order, not
    after a count.

    Args:
        shown: the whole listing.
        sort: the field to sort by, with ``-`` before it for the largest first.
        limit: how many rows at most.
        cursor: where the page before ended.
        identity: fields that together are different in each row.
        rows: the name under which the rows are.

    Raises:
        InvalidInput: if the cursor was made for another order.
    """
    by, descending = (sort.removeprefix("-"), *identity), sort.startswith("-")

    def place(row: JsonObject) -> list[Any]:
        return [_comparable(row.get(name)) for name in by]

    ordered = sorted(shown[rows], key=place, reverse=descending)
    if cursor is not None:
        after = _read(cursor, len(by))
        ordered = [row for row in ordered if (place(row) < after if descending else place(row) > after)]
    more = ordered[limit - 1] if len(ordered) > limit else None
    return {
        **shown,
        rows: ordered[:limit],
        "next_cursor": json.dumps(place(more), separators=(",", ":")) if more is not None else None,
    }


def paged_in_place(
    shown: JsonObject, identity: Callable[[JsonObject], str], *, limit: int, cursor: str | None
) -> JsonObject:
    """Return a listing with one page of its ``items`` in the order they have, such as best match first.

    The next page goes on after the last row by its name; where that row is gone, its place in the list decides.

    Raises:
        InvalidInput: if the cursor was made for another order.
    """
    rows: list[JsonObject] = shown["items"]
    start = 0
    if cursor is not None:
        position, name = _read(cursor, 2)
        names = [identity(row) for row in rows]
        start = names.index(name) + 1 if name in names else int(position)
    found = list(rows[start : start + limit])
    end = start + len(found)
    more = json.dumps([end, identity(found[-1])]) if found and end < len(rows) else None
    return {**shown, "items": found, "next_cursor": more}


def _comparable(value: Any) -> list[Any]:
    """Return a value that compares with every other: nothing first, then numbers, then text."""
    if value is None:
        return [0]
    return [1, value] if isinstance(value, int | float) else [2, str(value)]


def _read(cursor: str, length: int) -> list[Any]:
    try:
        place = json.loads(cursor)
    except ValueError:
        place = None
    if not isinstance(place, list) or len(place) != length:
        raise InvalidInput("That cursor is not of this list.", hint="Begin without a cursor.")
    return place
