"""Patterns of event types: ``*`` stands for any characters, also dots; nothing else is special."""

import re
from collections.abc import Callable, Sequence

from mosaic.core.errors import Problem

__all__ = ["matcher", "pattern_problems"]

_PATTERN = re.compile(r"[a-z0-9_.*-]{1,100}")
_MOST = 50
_MOST_STARS = 4


def pattern_problems(patterns: Sequence[str]) -> list[Problem]:
    """Return what is wrong with patterns."""
    if not 1 <= len(patterns) <= _MOST:
        return [Problem(f"give 1 to {_MOST} patterns", path="events")]
    return [
        Problem(
            f"{pattern[:100]!r} is no pattern of event types",
            path=f"events[{place}]",
            suggestion="such as run.*",
        )
        for place, pattern in enumerate(patterns)
        if not _PATTERN.fullmatch(pattern) or pattern.count("*") > _MOST_STARS
    ]


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return what says whether a type fits one of the patterns."""
    if "*" in patterns:
        return lambda _: True
    whole = re.compile("|".join(".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns))
    return lambda kind: whole.fullmatch(kind) is not None
