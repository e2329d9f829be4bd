"""The keys of work items: ``E.055``, ``F.055.01``, ``S.055.01.01``, ``T.055.01.01.01`` and two levels below.

An epic's number has three digits, every deeper level adds two; a child's digits extend its parent's.
"""

import re

__all__ = ["KINDS", "child_kind", "is_key", "kind_of_depth", "make_key", "most_children", "parse_key"]

KINDS = ("epic", "feature", "story", "task", "subtask", "atomic")
"""The levels of a work breakdown, outermost first."""

_LETTERS = ("E", "F", "S", "T", "ST", "A")
_EPIC_DIGITS, _DIGITS = 3, 2
_KEY = re.compile(r"(E|F|S|T|ST|A)\.([0-9]{3}(?:\.[0-9]{2}){0,5})", re.ASCII)


def kind_of_depth(depth: int) -> str:
    """Return the kind of the items at a depth; 0 is the outermost."""
    return KINDS[depth]


def child_kind(kind: str | None) -> str | None:
    """Return the kind of the children of an item, or of the plan itself; None for the innermost level."""
    depth = 0 if kind is None else KINDS.index(kind) + 1
    return KINDS[depth] if depth < len(KINDS) else None


def most_children(kind: str | None) -> int:
    """Return the highest number that a child of an item of that kind can have."""
    return int("9" * (_EPIC_DIGITS if kind is None else _DIGITS))


def make_key(numbers: tuple[int, ...]) -> str:
    """Return the key of an item from the numbers on the way to it, its own last.

    Raises:
        ValueError: if there is no such key.
    """
    if not 1 <= len(numbers) <= len(KINDS):
        raise ValueError(f"no work item stands {len(numbers)} levels deep")
    epic, *rest = numbers
    if not 1 <= epic <= most_children(None) or not all(
        1 <= number <= most_children("epic") for number in rest
    ):
        raise ValueError(f"a number of {numbers} does not fit into a key")
    digits = (f"{epic:0{_EPIC_DIGITS}}", *(f"{number:0{_DIGITS}}" for number in rest))
    return ".".join((_LETTERS[len(rest)], *digits))


def is_key(text: str) -> bool:
    """Say whether a text is a key."""
    return parse_key(text) is not None


def parse_key(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a key; None if it is none."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    numbers = tuple(int(part) for part in found[2].split("."))
    return numbers if found[1] == _LETTERS[len(numbers) - 1] and all(numbers) else None
