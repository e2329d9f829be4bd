"""Names as messages show them, and the right spelling of wrong ones."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest", "shown"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return a suggestion with the spelling nearest to `word`, or with all that are known when they are few."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        near = [name for name in names if name.lower() == word.lower()]
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= 30 else None


def shown(text: str) -> str:
    """Return a name from the file as one short line for a message."""
    line = " ".join(text[:200].split())
    return line if len(line) <= 60 else line[:60] + "..."
