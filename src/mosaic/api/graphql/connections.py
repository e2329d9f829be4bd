"""Pages as the Relay specification wants them: edges with cursors, and what comes after."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import strawberry

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["MOST", "After", "First", "PageInfo", "connection_type", "page_of", "pages_of"]

MOST = 100
"""The largest page."""

First = Annotated[int, strawberry.argument(description=f"how many at most, up to {MOST}")]
After = Annotated[str | None, strawberry.argument(description="the cursor after which the page begins")]


@strawberry.type(description="Where a page ends.")
class PageInfo:
    """Where a page ends."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


def connection_type(node: Any, name: str) -> Any:
    """Return the type of a page of `node`, and of its edges."""
    edge_class = type(
        f"{name}Edge", (), {"__annotations__": {"node": node, "cursor": str}, "__module__": __name__}
    )
    edge: Any = strawberry.type(edge_class, description="One of a page.")
    page_class = type(
        f"{name}Connection",
        (),
        {"__annotations__": {"edges": list[edge], "page_info": PageInfo}, "__module__": __name__},
    )
    return strawberry.type(page_class, description="A page.")


def checked(first: int) -> int:
    """Return how many rows a page may have.

    Raises:
        InvalidInput: if it is none, or more than `MOST`.
    """
    if not 1 <= first <= MOST:
        raise InvalidInput(f"`first` is between 1 and {MOST}.", hint="Ask for the next page with `after`.")
    return first


async def page_of(
    read: Callable[[int, str | None], Awaitable[JsonObject]], *, first: int, after: str | None
) -> JsonObject:
    """Return a page of a listing whose own cursors are of pages, not of rows.

    A row's cursor says after which of those it comes, and how many rows after it.

    Args:
        read: reads `limit` rows after a cursor of the listing.
        first: how many.
        after: the cursor of a row.

    Raises:
        InvalidInput: if it is no cursor of ours.
    """
    place, skipped = _read(after)
    shown = await read(checked(first) + skipped, place)
    rows: list[JsonObject] = shown["items"][skipped:]
    more = shown.get("next_cursor")
    edges: list[JsonObject] = [
        {"node": row, "cursor": _written(place, number)} for number, row in enumerate(rows, skipped + 1)
    ]
    if more is not None and edges:
        edges[-1]["cursor"] = _written(str(more), 0)
    return _shown(edges, more=more is not None, before=after is not None)


def _written(place: str | None, skipped: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, skipped]).encode()).decode()


def _read(cursor: str | None) -> tuple[str | None, int]:
    if cursor is None:
        return None, 0
    try:
        place, skipped = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if (place is None or isinstance(place, str)) and type(skipped) is int and 0 <= skipped <= MOST:
            return place, skipped
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    raise InvalidInput(f"{cursor[:80]!r} is no cursor of this listing.", hint="Begin without one.")


def pages_of(rows: list[JsonObject], name: str, *, first: int, after: str | None) -> JsonObject:
    """Return a page of rows that are all here, in the order they have; each row's `name` is its cursor."""
    start = 0
    if after is not None:
        names = [str(row[name]) for row in rows]
        if after not in names:
            raise InvalidInput(f"{after[:80]!r} is no cursor of this listing.", hint="Begin without one.")
        start = names.index(after) + 1
    found = rows[start : start + checked(first)]
    edges: list[JsonObject] = [{"node": row, "cursor": str(row[name])} for row in found]
    return _shown(edges, more=start + len(found) < len(rows), before=start > 0)


def _shown(edges: list[JsonObject], *, more: bool, before: bool) -> JsonObject:
    info = {
        "has_next_page": more,
        "has_previous_page": before,
        "start_cursor": edges[0]["cursor"] if edges else None,
        "end_cursor": edges[-1]["cursor"] if edges else None,
    }
    return {"edges": edges, "page_info": info}
