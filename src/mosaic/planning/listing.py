"""Pages of items: filtered, parents before children, continued after a place that need not exist any more."""

import base64
import binascii
import json
from collections.abc import Sequence

from mosaic.core.errors import InvalidInput
from mosaic.core.page import Page
from mosaic.planning.breakdown import Breakdown
from mosaic.planning.picture import Picture
from mosaic.planning.schemas import Item

__all__ = ["list_items"]

_NONE = "none"

_Place = tuple[tuple[int, int], ...]


def list_items(
    picture: Picture,
    *,
    statuses: Sequence[str] = (),
    kinds: Sequence[str] = (),
    assignee: str | None = None,
    parent: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Item]:
    """Return a page of a plan's items.

    Args:
        picture: the plan.
        statuses: any of these; all when empty.
        kinds: any of these; all when empty.
        assignee: whose; ``none`` for items of nobody.
        parent: the id or key of the item they are direct parts of; ``none`` for epics.
        limit: how many at most.
        cursor: where the page before ended.

    Raises:
        NotFound: if there is no such parent.
        InvalidInput: if the cursor is not one of ours.
    """
    under = None if parent in (None, _NONE) else picture.find(str(parent))
    after = _read(cursor) if cursor is not None else ()
    found: list[Item] = []
    for item in picture.tree.in_order():
        if (
            (not kinds or item.kind in kinds)
            and (parent is None or item.parent == under)
            and (assignee is None or item.assignee == (None if assignee == _NONE else assignee))
            and (not statuses or picture.standings[item.id].status in statuses)
            and (not after or _place(picture.tree, item) > after)
        ):
            found.append(item)
            if len(found) > limit:
                break
    more = found[limit - 1] if len(found) > limit else None
    return Page(tuple(found[:limit]), _write(_place(picture.tree, more)) if more is not None else None)


def _place(tree: Breakdown, item: Item) -> _Place:
    """Return where an item stands in the order: rank and number of what it is a part of, and its own."""
    above = [tree.items[one] for one in tree.ancestors(item.id)]
    return tuple((one.rank, one.number) for one in (*reversed(above), item))


def _write(place: _Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()


def _read(cursor: str) -> _Place:
    try:
        shown = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        place = tuple((int(rank), int(number)) for rank, number in shown)
    except (ValueError, TypeError, RecursionError, OverflowError, binascii.Error):
        place = ()
    if not place:
        raise InvalidInput(f"{cursor[:80]!r} is not a cursor of this listing.")
    return place
