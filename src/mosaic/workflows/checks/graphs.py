"""Graphs of names: who needs whom."""

from collections.abc import Iterable, Iterator, Mapping

__all__ = ["find_cycle", "in_order", "reachable"]


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


def in_order(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names so that each stands after those it needs, as far as there is no cycle."""
    found: dict[str, None] = {}
    for start in graph:
        entered: set[str] = set()
        stack = [start]
        while stack:
            name = stack[-1]
            if name in entered or name in found:
                stack.pop()
                found[name] = None
                continue
            entered.add(name)
            stack.extend(need for need in graph.get(name, ()) if need in graph and need not in entered)
    return list(found)
