"""Graphs of names: who needs whom."""

from collections.abc import Iterable, Iterator, Mapping

__all__ = ["find_cycle", "reachable"]


def reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Return every name that `start` needs, directly or through others."""
    found: set[str] = set()
    stack = list(graph.get(start, ()))
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(graph.get(name, ()))
    return found


def find_cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the names of one cycle in order, its first name again at the end; empty when there is none."""
    done: set[str] = set()
    for start in graph:
        trail: list[str] = []
        stack: list[Iterator[str]] = [iter((start,))]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if trail:
                    done.add(trail.pop())
            elif name in trail:
                return (*trail[trail.index(name) :], name)
            elif name in graph and name not in done:
                trail.append(name)
                stack.append(iter(graph[name]))
    return ()
