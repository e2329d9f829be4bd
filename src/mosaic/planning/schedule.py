"""Who waits for whom: circles are found and named, and what is left to do is laid out in time.

Each item has a start and a finish. A part starts after what it is a part of and finishes before it; what waits for an
item starts after its finish. So one that waits for a feature waits for all its parts, and parts of one that waits, wait.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mosaic.planning.breakdown import Breakdown
from mosaic.planning.schemas import CLOSED, Item

__all__ = ["TYPICAL_HOURS", "Schedule", "find_cycle", "hours_of", "make_schedule"]

TYPICAL_HOURS = {"epic": 200.0, "feature": 52.0, "story": 16.0, "task": 5.0, "subtask": 1.25, "atomic": 0.5}
"""What an item without an estimate counts for: the middle of what is usual for its kind."""

_EPSILON = 1e-9


def hours_of(item: Item) -> float:
    """Return the hours of work that an item counts for."""
    return item.estimate.hours if item.estimate.hours is not None else TYPICAL_HOURS[item.kind]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When what is left can be done at the earliest, in hours of work from now.

    Attributes:
        start: earliest start by item id.
        finish: earliest finish.
        slack: by how much an item may be late without moving the finish of the plan; missing for what is done.
        path: ids of the items without children that decide the finish, in order.
        critical: ids of the items on such a path, and what they are parts of.
        total_hours: the plan's finish.
    """

    start: dict[str, float]
    finish: dict[str, float]
    slack: dict[str, float]
    path: tuple[str, ...]
    critical: frozenset[str]
    total_hours: float


class _Network:
    """Starts (even numbers) and finishes (odd ones) of items, and what comes after what."""

    def __init__(self, tree: Breakdown) -> None:
        self.tree = tree
        self.ids = list(tree.items)
        self.index = {item_id: 2 * place for place, item_id in enumerate(self.ids)}
        self.after: list[list[int]] = [[] for _ in range(2 * len(self.ids))]
        self.before: list[list[int]] = [[] for _ in range(2 * len(self.ids))]
        for item_id, start in self.index.items():
            item = tree.items[item_id]
            if tree.is_leaf(item_id):
                self._edge(start, start + 1)
            if item.parent in self.index:
                parent = self.index[item.parent]
                self._edge(parent, start)
                self._edge(start + 1, parent + 1)
            for other in item.depends_on:
                if other in self.index:
                    self._edge(self.index[other] + 1, start)

    def _edge(self, first: int, second: int) -> None:
        self.after[first].append(second)
        self.before[second].append(first)

    def order(self) -> list[int]:
        """Return the nodes so that none stands before what it comes after; those in a circle are missing."""
        left = [len(before) for before in self.before]
        ready = [node for node, count in enumerate(left) if not count]
        for node in ready:  # grows while it is walked
            for later in self.after[node]:
                left[later] -= 1
                if not left[later]:
                    ready.append(later)
        return ready

    def item(self, node: int) -> str:
        return self.ids[node // 2]


def find_cycle(items: Iterable[Item]) -> list[tuple[str, str]] | None:
    """Return a circle as pairs (who waits, for whom) of item ids; None when there is none."""
    network = _Network(Breakdown(items))
    order = network.order()
    if len(order) == len(network.after):
        return None
    ordered = set(order)
    # Whatever is left comes after something else that is left: walking back must come round.
    node = next(node for node in range(len(network.after)) if node not in ordered)
    seen: dict[int, int] = {}
    walked: list[int] = []
    while node not in seen:
        seen[node] = len(walked)
        walked.append(node)
        node = next(before for before in network.before[node] if before not in ordered)
    circle = walked[seen[node] :]
    steps = zip(circle, [*circle[1:], circle[0]], strict=True)
    return [
        (network.item(later), network.item(earlier))
        for later, earlier in steps
        if later % 2 == 0 and earlier % 2 == 1 and later // 2 != earlier // 2
    ]


def make_schedule(tree: Breakdown, plan: str, *, left_hours: Mapping[str, float]) -> Schedule:
    """Lay out what is left of a plan, and of the plans that hang together with it.

    Args:
        tree: their items; there is no circle in them.
        plan: whose finish counts.
        left_hours: hours of work left, by the id of each item without children.
    """
    network = _Network(tree)
    order = network.order()
    times, decided = _forward(network, order, left_hours)
    mine = {item_id for item_id, item in tree.items.items() if item.plan == plan}
    last = max((network.index[item_id] + 1 for item_id in mine), key=lambda node: times[node], default=None)
    total = times[last] if last is not None else 0.0
    latest = _backward(
        network, order, left_hours, ends={network.index[item] + 1 for item in mine}, total=total
    )
    start = {item_id: times[node] for item_id, node in network.index.items()}
    finish = {item_id: times[node + 1] for item_id, node in network.index.items()}
    slack = {
        item_id: max(latest[node + 1] - times[node + 1], 0.0)
        for item_id, node in network.index.items()
        if latest[node + 1] != float("inf") and tree.items[item_id].status not in CLOSED
    }
    path = _path(network, decided, last, left_hours)
    critical = {
        item_id
        for item_id, hours in left_hours.items()
        if hours > 0 and slack.get(item_id, 1.0) <= _EPSILON * max(total, 1.0)
    }
    for item_id in tuple(critical):
        critical.update(tree.ancestors(item_id))
    return Schedule(start, finish, slack, path, frozenset(critical), total)


def _forward(
    network: _Network, order: list[int], left_hours: Mapping[str, float]
) -> tuple[list[float], list[int | None]]:
    """Return the earliest time of each node, and the node before it that decided it."""
    times = [0.0] * len(network.after)
    decided: list[int | None] = [None] * len(network.after)
    for node in order:
        for later in network.after[node]:
            takes = left_hours.get(network.item(node), 0.0) if later == node + 1 and node % 2 == 0 else 0.0
            arrival = times[node] + takes
            if decided[later] is None or arrival > times[later]:
                times[later], decided[later] = arrival, node
    return times, decided


def _backward(
    network: _Network, order: list[int], left_hours: Mapping[str, float], *, ends: set[int], total: float
) -> list[float]:
    """Return the latest time of each node that keeps the finish; infinite where nothing of the plan comes after."""
    latest = [total if node in ends else float("inf") for node in range(len(network.after))]
    for node in reversed(order):
        for later in network.after[node]:
            takes = left_hours.get(network.item(node), 0.0) if later == node + 1 and node % 2 == 0 else 0.0
            latest[node] = min(latest[node], latest[later] - takes)
    return latest


def _path(
    network: _Network, decided: list[int | None], node: int | None, left_hours: Mapping[str, float]
) -> tuple[str, ...]:
    found = []
    while node is not None:
        item_id = network.item(node)
        if node % 2 == 1 and left_hours.get(item_id, 0.0) > 0:
            found.append(item_id)
        node = decided[node]
    return tuple(reversed(found))
