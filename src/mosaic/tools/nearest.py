"""The nearest right spellings of a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names most like `name`, the nearest first; also those that share its last part."""
    names = sorted(known)
    folded = {candidate.casefold().replace("__", "."): candidate for candidate in names}
    wanted = name.casefold().replace("__", ".")[:200]
    close = [folded[match] for match in difflib.get_close_matches(wanted, folded, n=count, cutoff=0.5)]
    last = wanted.rpartition(".")[2]
    same = [candidate for key, candidate in folded.items() if last and key.rpartition(".")[2] == last]
    return list(dict.fromkeys([*same, *close]))[:count]
