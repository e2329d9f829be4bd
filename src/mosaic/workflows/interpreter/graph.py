"""What may start when: the order of items and branches that need each other."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from mosaic.core.errors import InvalidInput, Problem

__all__ = ["check_needs", "find_cycle"]

K = TypeVar("K", bound=Hashable)

_SHOWN = 10


def check_needs(keys: Sequence[str], needs: Mapping[str, Iterable[str]], *, where: str) -> None:
    """Check that the items `keys` can be ordered by what they need.

    Raises:
        InvalidInput: naming every key that occurs twice, every unknown key, and one cycle if there is any.
    """
    problems = [
        Problem(f"Two items have the key {key!r}.", path=where)
        for key in sorted({key for key in keys if keys.count(key) > 1})
    ]
    known = set(keys)
    for key in keys:
        problems += [
            Problem(f"The item {key!r} needs {needed!r}, and there is no such item.", path=where)
            for needed in needs.get(key, ())
            if needed not in known
        ]
    if not problems and (cycle := find_cycle(keys, needs)):
        problems.append(Problem(f"The items need each other in a circle: {' -> '.join(cycle)}.", path=where))
    if problems:
        shown = " ".join(problem.message for problem in problems[:_SHOWN])
        hint = f"The keys are: {', '.join(map(repr, keys[:_SHOWN]))}{', …' if len(keys) > _SHOWN else ''}."
        raise InvalidInput(f"The items of {where!r} cannot be ordered. {shown}", problems=problems, hint=hint)


def find_cycle(keys: Sequence[K], needs: Mapping[K, Iterable[K]]) -> list[K]:
    """Return one cycle as keys in order, the first one repeated at the end; empty when there is none."""
    waiting = {key: [needed for needed in needs.get(key, ()) if needed in set(keys)] for key in keys}
    while ready := [key for key, left in waiting.items() if not left]:
        for key in ready:
            del waiting[key]
        waiting = {key: [n for n in left if n in waiting] for key, left in waiting.items()}
    if not waiting:
        return []
    walked = [next(iter(waiting))]
    while walked[-1] not in walked[:-1]:
        walked.append(waiting[walked[-1]][0])
    return walked[walked.index(walked[-1]) :]
