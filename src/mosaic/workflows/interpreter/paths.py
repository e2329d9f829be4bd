"""Paths of steps at run time: where a step is in the definition, plus which time round.

==============  ==========================================================================================
``build/code``  step `code` in the block of step `build`
``build[2]``    item 2 (from 0) of a `for`
``refine(1)``   iteration 1 (from 0) of a `while`
``code~2``      the second visit of a step in one run of its block, after a jump back
``pay(2)``      the second try of a `try` block or of an agent's job, when the first one failed
``pay(2.1)``    its first try when a step around it failed and was run again
==============  ==========================================================================================

Every effect is keyed by its path, so parallel branches never mix and a replay needs no call order. Without the
marks a path is the static path that `StepBase.path` holds.
"""

import re

__all__ = ["child", "inside", "item", "iteration", "numbered", "static", "tag", "tried", "visit"]

_MARKS = re.compile(r"\[\d+\]|\(\d+(?:\.\d+)?\)|~\d+")


def child(path: str, name: str) -> str:
    """Return the path of `name` inside the block at `path`; the top-level block's is empty."""
    return f"{path}/{name}" if path else name


def item(path: str, index: int) -> str:
    """Return the path of a `for`'s item, counted from 0."""
    return f"{path}[{index}]"


def iteration(path: str, index: int) -> str:
    """Return the path of a `while`'s iteration, counted from 0."""
    return f"{path}({index})"


def visit(path: str, number: int) -> str:
    """Return the path of the `number`-th visit of a step, counted from 1."""
    return path if number == 1 else f"{path}~{number}"


def tag(run: int, attempt: int = 1) -> str:
    """Return what tells the `attempt`-th try in the `run`-th execution of a step from others; empty for the first."""
    if run == 1:
        return "" if attempt == 1 else str(attempt)
    return f"{run}.{attempt}"


def tried(path: str, mark: str) -> str:
    """Return the path of the try that `tag` named."""
    return f"{path}({mark})" if mark else path


def numbered(name: str, mark: str | int) -> str:
    """Return the name of an effect that may be made several times at one path: by number from 1, or by tag."""
    return name if mark in ("", 1) else f"{name}~{mark}"


def inside(path: str, container: str) -> bool:
    """Say whether `path` lies below `container`."""
    return path.startswith(container) and path[len(container) : len(container) + 1] in ("/", "[", "(")


def static(path: str) -> str:
    """Return `path` without marks: the path in the definition."""
    return _MARKS.sub("", path)
