"""Items as a tree: who is below whom, in order."""

from collections.abc import Iterable, Iterator

from mosaic.planning.schemas import Item

__all__ = ["Breakdown"]


class Breakdown:
    """Items of one plan, or of several that hang together, indexed.

    Attributes:
        items: the items by id.
        children: ids of the children of an item, or of the plan (None), in the order of their ranks.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.items: dict[str, Item] = {item.id: item for item in items}
        self.children: dict[str | None, list[str]] = {}
        for item in sorted(self.items.values(), key=lambda item: (item.rank, item.number, item.id)):
            self.children.setdefault(item.parent, []).append(item.id)

    def below(self, parent: str | None) -> list[str]:
        """Return the ids of an item's children, in order."""
        return self.children.get(parent, [])

    def is_leaf(self, item_id: str) -> bool:
        """Say whether an item has no children."""
        return not self.children.get(item_id)

    def in_order(self) -> Iterator[Item]:
        """Yield every item, parents before children, siblings by rank."""
        waiting = list(reversed(self.below(None)))
        while waiting:
            item_id = waiting.pop()
            yield self.items[item_id]
            waiting.extend(reversed(self.below(item_id)))

    def ancestors(self, item_id: str) -> Iterator[str]:
        """Yield the ids of what an item is a part of, the nearest first."""
        parent = self.items[item_id].parent
        while parent is not None:
            yield parent
            parent = self.items[parent].parent

    def subtree(self, item_id: str) -> list[str]:
        """Return the ids of an item and everything below it, parents first."""
        found = [item_id]
        for inner in found:  # grows while it is walked
            found.extend(self.below(inner))
        return found
