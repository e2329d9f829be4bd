"""Places among siblings: numbers with room between them, so that a move changes one item."""

from collections.abc import Sequence

__all__ = ["place_between"]

_STEP = 1 << 20


def place_between(ranks: Sequence[int], at: int) -> tuple[int, list[int]]:
    """Return the rank of what comes to stand at an index, and the ranks of those that are there, perhaps moved apart."""
    before = ranks[at - 1] if at > 0 else None
    following = ranks[at] if at < len(ranks) else None
    if before is None and following is None:
        return _STEP, []
    if following is None:
        return (before or 0) + _STEP, list(ranks)
    if before is None:
        return following - _STEP, list(ranks)
    middle = (before + following) // 2
    if middle > before:
        return middle, list(ranks)
    moved = [(place + (place >= at) + 1) * _STEP for place in range(len(ranks))]
    return (at + 1) * _STEP, moved
