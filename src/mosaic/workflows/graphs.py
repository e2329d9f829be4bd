"""Graphs of names: who needs whom."""

from collections.abc import Iterable, Mapping

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
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, depth = stack.pop()
            del trail[depth:]
            if name in trail:
                return (*trail[trail.index(name) :], name)
            if name in done or name not in graph:
                continue
            trail.append(name)
            needs = [need for need in graph[name] if need in graph]
            stack.extend((need, depth + 1) for need in needs)
            if not needs:
                done.add(name)
        done.update(_walked(graph, start))
    return ()


def _walked(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    return {start, *reachable(graph, start)}
