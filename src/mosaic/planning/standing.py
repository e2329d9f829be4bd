"""How items stand: statuses worked out from dependencies and from below, progress, and figures rolled up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic.planning.breakdown import Breakdown
from mosaic.planning.schedule import hours_of
from mosaic.planning.schemas import CLOSED, Actual, Estimate, Item

__all__ = ["Standing", "Standings"]

_NOTHING = Actual()


@dataclass(slots=True)
class Standing:
    """How one item stands.

    Attributes:
        status: of an item without children what was said of it, or ``ready`` or ``blocked`` where that follows from
            what it waits for; of others what follows from their children.
        waits_for: ids of what must be done before it can start, its parents' included.
        planned: what it and everything below it are expected to take, without what was cancelled.
        actual: what runs took, its own and those below.
        hours: by status, the hours of work that the items without children count for; nothing for cancelled ones.
        counts: by status, how many items without children there are.
    """

    status: str
    reason: str | None
    waits_for: tuple[str, ...]
    planned: Estimate
    actual: Actual
    hours: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """The share that is done, weighted by hours."""
        total = sum(self.hours.values())
        if total > 0:
            return min(self.hours.get("done", 0.0) / total, 1.0)
        return 1.0 if self.status == "done" else 0.0

    def shares(self) -> dict[str, float]:
        """Return the share of the work by status; they add up to 1, or there are none."""
        total = sum(self.hours.values())
        return {status: hours / total for status, hours in self.hours.items()} if total > 0 else {}


class Standings:
    """How every item of a tree stands.

    Args:
        tree: the items of a plan and of the plans that hang together with it.
        actuals: what the runs of an item took, by its id.
    """

    def __init__(self, tree: Breakdown, actuals: Mapping[str, Actual] | None = None) -> None:
        self._tree = tree
        self._actuals = actuals or {}
        self._order = list(tree.in_order())
        self._outcomes = self._worked_out()
        self._found: dict[str, Standing] = {}
        waits = self._waits()
        for item in reversed(self._order):
            self._found[item.id] = (
                self._of_leaf(item, waits[item.id])
                if tree.is_leaf(item.id)
                else self._of_parent(item, waits[item.id])
            )

    def __getitem__(self, item_id: str) -> Standing:
        return self._found[item_id]

    def whole(self, plan: str) -> Standing:
        """Return how a whole plan stands."""
        tops = [item_id for item_id in self._tree.below(None) if self._tree.items[item_id].plan == plan]
        return self._rolled(tops, (), Estimate(), _NOTHING)

    def is_done(self, item_id: str) -> bool:
        """Say whether what waits for an item need not wait any more."""
        return self._outcomes.get(item_id) == "done"

    def _worked_out(self) -> dict[str, str]:
        """Return done, cancelled, failed or open for every item; from what was said, whatever waits for what."""
        found: dict[str, str] = {}
        for item in reversed(self._order):
            below = [found[child] for child in self._tree.below(item.id)]
            if not below:
                found[item.id] = item.status if item.status in ("done", "cancelled", "failed") else "open"
            elif all(outcome == "cancelled" for outcome in below):
                found[item.id] = "cancelled"
            elif all(outcome in CLOSED for outcome in below):
                found[item.id] = "done"
            else:
                found[item.id] = "failed" if "failed" in below else "open"
        return found

    def _waits(self) -> dict[str, tuple[str, ...]]:
        waits: dict[str, tuple[str, ...]] = {}
        for item in self._order:
            inherited = waits[item.parent] if item.parent is not None and item.parent in waits else ()
            own = tuple(
                other
                for other in item.depends_on
                if other in self._outcomes and self._outcomes[other] != "done" and other not in inherited
            )
            waits[item.id] = inherited + own if own else inherited
        return waits

    def _of_leaf(self, item: Item, waits: tuple[str, ...]) -> Standing:
        status, reason = item.status, item.reason
        if status == "todo":
            stuck = next((other for other in waits if self._outcomes[other] in ("failed", "cancelled")), None)
            if stuck is not None:
                other = self._tree.items[stuck]
                status, reason = (
                    "blocked",
                    f"waits for {other.key} {other.title}, which is {self._outcomes[stuck]}",
                )
            elif not waits:
                status = "ready"
        is_cancelled = status == "cancelled"
        return Standing(
            status,
            reason,
            waits,
            Estimate() if is_cancelled else item.estimate,
            self._actuals.get(item.id, _NOTHING),
            {} if is_cancelled else {status: hours_of(item)},
            {status: 1},
        )

    def _of_parent(self, item: Item, waits: tuple[str, ...]) -> Standing:
        actual = self._actuals.get(item.id, _NOTHING)
        return self._rolled(self._tree.below(item.id), waits, item.estimate, actual)

    def _rolled(self, below: list[str], waits: tuple[str, ...], own: Estimate, actual: Actual) -> Standing:
        hours: dict[str, float] = {}
        counts: dict[str, int] = {}
        for child in below:
            standing = self._found[child]
            actual = actual + standing.actual
            for status, value in standing.hours.items():
                hours[status] = hours.get(status, 0.0) + value
            for status, count in standing.counts.items():
                counts[status] = counts.get(status, 0) + count
        planned = Estimate(
            _sum([self._found[child].planned.hours for child in below], own.hours),
            _sum([self._found[child].planned.tokens for child in below], own.tokens),
            _sum([self._found[child].planned.usd for child in below], own.usd),
        )
        status = _status_of(counts)
        return Standing(status, self._reason(below, status), waits, planned, actual, hours, counts)

    def _reason(self, below: list[str], status: str) -> str | None:
        if status not in ("blocked", "failed"):
            return None
        for child in below:
            standing = self._found[child]
            if standing.status == status:
                return standing.reason or f"{self._tree.items[child].key} is {status}"
        return None


def _sum(values: list[Any], own: Any) -> Any:
    """Return the sum of what is known; the item's own where nothing below it is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else own


def _status_of(counts: dict[str, int]) -> str:
    """Return the status of an item from those of the items without children below it."""
    open_ = {status for status in counts if status not in CLOSED}
    if not open_:
        return "done" if "done" in counts else "cancelled" if counts else "todo"
    for status in ("needs_you", "failed", "running"):
        if status in open_:
            return status
    if "blocked" in open_ and not open_ & {"ready", "todo"}:
        return "blocked"
    if "done" in counts:
        return "running"  # begun, and not over
    return next((status for status in ("ready", "blocked") if status in open_), "todo")
