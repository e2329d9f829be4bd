"""A plan at one moment: its items, how they stand and when they can be done; and what a change of it means."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject
from mosaic.planning.breakdown import Breakdown
from mosaic.planning.schedule import Schedule, hours_of, make_schedule
from mosaic.planning.schemas import ACTIVE_RUN, CLOSED, Actual, Item, LinkedRun, Plan, iso
from mosaic.planning.standing import Standings

__all__ = ["Picture", "consequences"]

_MOST_CHILDREN = 7
_MOST_NAMED = 200


class Picture:
    """One plan, drawn from the rows of one moment.

    Attributes:
        tree: the plan's own items.
        everything: these and the items of the plans that hang together with it.
    """

    def __init__(
        self,
        plan: Plan,
        items: Iterable[Item],
        *,
        others: Iterable[Item] = (),
        runs: Iterable[LinkedRun] = (),
    ) -> None:
        self.plan = plan
        self.tree = Breakdown(items)
        self.others = tuple(others)
        self.everything = Breakdown((*self.tree.items.values(), *self.others)) if self.others else self.tree
        self.runs: dict[str, list[LinkedRun]] = {}
        for linked in runs:
            self.runs.setdefault(linked.item, []).append(linked)
        actuals = {item: _sum(linked.actual for linked in runs) for item, runs in self.runs.items()}
        self._actuals = actuals

    @cached_property
    def standings(self) -> Standings:
        """How every item stands, those of the other plans too."""
        return Standings(self.everything, self._actuals)

    @cached_property
    def schedule(self) -> Schedule:
        """When what is left can be done."""
        return make_schedule(self.everything, self.plan.id, left_hours=self._left_hours())

    def with_runs(self, newer: Mapping[str, LinkedRun]) -> "Picture":
        """Return the picture with some runs, by id, as they stand by now."""
        runs = (newer.get(linked.run_id, linked) for listed in self.runs.values() for linked in listed)
        return Picture(self.plan, self.tree.items.values(), others=self.others, runs=runs)

    def find(self, reference: str) -> str:
        """Return the id of an item of the plan that is named by its id or its key.

        Raises:
            NotFound: if there is none.
        """
        if reference in self.tree.items:
            return reference
        found = next((item.id for item in self.tree.items.values() if item.key == reference), None)
        if found is None:
            raise NotFound(
                f"The plan {self.plan.name!r} has no item {reference[:80]!r}.",
                hint=f"`mosaic plan show {self.plan.id}` shows its items and their keys.",
            )
        return found

    def _left_hours(self) -> dict[str, float]:
        left: dict[str, float] = {}
        for item_id, item in self.everything.items.items():
            if self.everything.is_leaf(item_id):
                busy = [linked for linked in self.runs.get(item_id, ()) if linked.status in ACTIVE_RUN]
                spent = sum(linked.actual.hours for linked in busy)
                left[item_id] = 0.0 if item.status in CLOSED else max(hours_of(item) - spent, 0.0)
        return left

    def active(self) -> list[str]:
        """Return the ids of items that a run works on."""
        return [
            item for item, runs in self.runs.items() if any(linked.status in ACTIVE_RUN for linked in runs)
        ]

    def ready(self) -> set[str]:
        """Return the ids of items that could be started now."""
        return {item_id for item_id in self.tree.items if self._is_ready(item_id)}

    def _is_ready(self, item_id: str) -> bool:
        return self.tree.is_leaf(item_id) and self.standings[item_id].status == "ready"

    def name(self, item_id: str) -> JsonObject:
        """Return an item, of this plan or another one, by its name."""
        item = self.everything.items[item_id]
        return {
            "id": item.id,
            "plan": item.plan,
            "key": item.key,
            "title": item.title,
            "status": self.standings[item_id].status,
        }

    def plan_json(self, moment: datetime) -> JsonObject:
        """Return the plan and where it stands."""
        plan, whole = self.plan, self.standings.whole(self.plan.id)
        kinds: dict[str, int] = {}
        for item in self.tree.items.values():
            kinds[item.kind] = kinds.get(item.kind, 0) + 1
        hours = self.schedule.total_hours
        return {
            "id": plan.id,
            "tenant": plan.tenant,
            "project": plan.project,
            "name": plan.name,
            "description": plan.description,
            "version": plan.version,
            "items": kinds,
            "statuses": whole.counts,
            "progress": whole.progress,
            "progress_by_status": whole.shares(),
            "estimate": whole.planned.to_json(),
            "actual": whole.actual.to_json(),
            "finish_hours": hours,
            "finish_at": iso(moment + timedelta(hours=hours)) if hours > 0 else None,
            "critical_path": list(self.schedule.path),
            "created_at": iso(plan.created_at),
            "created_by": plan.created_by,
            "updated_at": iso(plan.updated_at),
        }

    def item_json(self, item_id: str) -> JsonObject:
        """Return one item with everything that is known of it."""
        item, standing = self.tree.items[item_id], self.standings[item_id]
        schedule = self.schedule
        return {
            "id": item.id,
            "plan": item.plan,
            "key": item.key,
            "kind": item.kind,
            "parent": item.parent,
            "rank": item.rank,
            "children": len(self.tree.below(item_id)),
            "title": item.title,
            "description": item.description,
            "status": standing.status,
            "reason": standing.reason,
            "priority": item.priority,
            "phase": item.phase,
            "target_version": item.target_version,
            "assignee": item.assignee,
            "labels": list(item.labels),
            "acceptance": [criterion.to_json() for criterion in item.acceptance],
            "brief": item.brief,
            "estimate": item.estimate.to_json(),
            "planned": standing.planned.to_json(),
            "actual": standing.actual.to_json(),
            "progress": standing.progress,
            "statuses": standing.counts,
            "depends_on": list(item.depends_on),
            "waits_for": [self.name(other) for other in standing.waits_for],
            "start_hours": schedule.start[item_id],
            "finish_hours": schedule.finish[item_id],
            "slack_hours": schedule.slack.get(item_id) if standing.status not in CLOSED else None,
            "critical": item_id in schedule.critical,
            "runs": [linked.to_json() for linked in self.runs.get(item_id, ())],
            "created_at": iso(item.created_at),
            "updated_at": iso(item.updated_at),
        }

    def graph_json(self, seq: int) -> JsonObject:
        """Return every item with what a drawing needs."""
        whole, schedule = self.standings.whole(self.plan.id), self.schedule
        items: list[JsonObject] = []
        outside: dict[str, None] = {}
        for item in self.tree.in_order():
            standing = self.standings[item.id]
            outside.update(dict.fromkeys(other for other in item.depends_on if other not in self.tree.items))
            items.append(
                {
                    "id": item.id,
                    "key": item.key,
                    "kind": item.kind,
                    "parent": item.parent,
                    "rank": item.rank,
                    "title": item.title,
                    "status": standing.status,
                    "reason": standing.reason,
                    "assignee": item.assignee,
                    "depends_on": list(item.depends_on),
                    "estimate_usd": standing.planned.usd,
                    "actual_usd": round(standing.actual.usd, 9),
                    "estimate_hours": standing.planned.hours,
                    "start_hours": schedule.start[item.id],
                    "finish_hours": schedule.finish[item.id],
                    "progress": round(standing.progress, 4),
                    "critical": item.id in schedule.critical,
                    "run_ids": [linked.run_id for linked in self.runs.get(item.id, ())],
                }
            )
        return {
            "plan": self.plan.id,
            "name": self.plan.name,
            "version": self.plan.version,
            "seq": seq,
            "progress": whole.progress,
            "estimate_usd": whole.planned.usd,
            "actual_usd": round(whole.actual.usd, 9),
            "finish_hours": schedule.total_hours,
            "critical_path": list(schedule.path),
            "items": items,
            "outside": [self.name(other) for other in outside],
        }


def consequences(before: Picture, after: Picture) -> JsonObject:
    """Return what it means to go from one state of a plan to another."""
    was, becomes = before.standings.whole(before.plan.id), after.standings.whole(after.plan.id)
    ready_before, ready_after = before.ready(), after.ready()
    unblocked = [item for item in ready_after - ready_before if item in before.tree.items]
    blocked = [
        item
        for item in ready_before - ready_after
        if item in after.tree.items and after.standings[item].status in ("todo", "blocked")
    ]
    return {
        "finish_hours": _both(before.schedule.total_hours, after.schedule.total_hours),
        "estimate_usd": _both(was.planned.usd, becomes.planned.usd),
        "estimate_hours": _both(was.planned.hours, becomes.planned.hours),
        "critical_path": _both(list(before.schedule.path), list(after.schedule.path)),
        "unblocked": _names(after, unblocked),
        "blocked": _names(after, blocked),
        "warnings": _warnings(before.tree, after.tree),
    }


def _both(before: Any, after: Any) -> JsonObject:
    return {"before": before, "after": after}


def _names(picture: Picture, items: Collection[str]) -> list[JsonObject]:
    ordered = sorted(items, key=lambda item: picture.tree.items[item].key.split(".")[1:])
    return [picture.name(item) for item in ordered[:_MOST_NAMED]]


def _warnings(before: Breakdown, after: Breakdown) -> list[str]:
    """Return what the rules of a work breakdown advise against, where the change made it so."""
    found = []
    for item in after.in_order():
        count = len(after.below(item.id))
        if count > _MOST_CHILDREN and count > len(before.below(item.id)):
            found.append(
                f"{item.key} has {count} children; more than {_MOST_CHILDREN} are hard to keep in view: group them"
            )
    return found[:_MOST_NAMED]


def _sum(actuals: Iterable[Actual]) -> Actual:
    total = Actual()
    for actual in actuals:
        total = total + actual
    return total
