"""Plans and work items, as other rooms see them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from mosaic.core.values import JsonObject

__all__ = [
    "ACTIVE_RUN",
    "CLOSED",
    "SETTABLE",
    "STATUSES",
    "Actual",
    "ChangeSet",
    "Criterion",
    "Dependency",
    "Estimate",
    "FieldChange",
    "Item",
    "ItemChange",
    "LinkedRun",
    "Plan",
    "Status",
    "iso",
]

Status = Literal["todo", "ready", "running", "needs_you", "blocked", "done", "failed", "cancelled"]

STATUSES: tuple[Status, ...] = (
    "todo", "ready", "running", "needs_you", "blocked", "done", "failed", "cancelled",
)  # fmt: skip
"""How an item stands. ``ready`` is worked out: to do, and nothing it waits for is left."""
SETTABLE = frozenset(STATUSES) - {"ready"}
"""What a person or a run may say of an item without children; that of others follows from their children."""
CLOSED = frozenset({"done", "cancelled"})
"""Nothing is left to do."""
ACTIVE_RUN = frozenset({"queued", "running", "waiting"})
"""Statuses of a linked run that has not ended."""


def iso(moment: datetime | None) -> str | None:
    """Return a time as clients see it."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an item is expected to take; None where nobody has said."""

    hours: float | None = None
    tokens: int | None = None
    usd: float | None = None

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"hours": self.hours, "tokens": self.tokens, "usd": self.usd}

    @classmethod
    def from_json(cls, shown: JsonObject | None) -> "Estimate":
        """Return the estimate that `to_json` wrote."""
        shown = shown or {}
        return cls(shown.get("hours"), shown.get("tokens"), shown.get("usd"))


@dataclass(frozen=True, slots=True)
class Actual:
    """What the runs of an item took so far.

    Attributes:
        hours: from each run's start to its end, or to now.
    """

    hours: float = 0.0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Actual") -> "Actual":
        return Actual(self.hours + other.hours, self.tokens + other.tokens, self.usd + other.usd)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"hours": round(self.hours, 4), "tokens": self.tokens, "usd": round(self.usd, 9)}


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that must be true before an item counts as done."""

    text: str
    met: bool = False

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"text": self.text, "met": self.met}


@dataclass(frozen=True, slots=True)
class Item:
    """One work item, as it is stored.

    Attributes:
        id: its identity, whatever becomes of its key.
        parent: the id of the item it is a part of; None for an epic.
        number: its own number in its key.
        last_child: the highest number that a child of it ever had; numbers are not used twice.
        key: see `mosaic.planning.keys`; it follows from where the item stands.
        status: what was said of it last; of an item with children it means nothing.
        reason: why it is blocked or failed, for a person.
        assignee: ``agent:<name>`` or ``person:<name>``.
        rank: its place among its siblings; lower stands first.
        depends_on: ids of items, of any plan of the tenant, that must be done before it starts.
        priority: 1 is the highest.
        brief: more about it: goals, risks, metrics and so on, see `mosaic.planning.operations.Brief`.
    """

    id: str
    plan: str
    parent: str | None
    kind: str
    number: int
    key: str
    title: str
    rank: int
    description: str = ""
    status: str = "todo"
    reason: str | None = None
    priority: int = 3
    phase: str | None = None
    target_version: str | None = None
    estimate: Estimate = Estimate()
    assignee: str | None = None
    labels: tuple[str, ...] = ()
    acceptance: tuple[Criterion, ...] = ()
    brief: JsonObject = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    last_child: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def facts(self) -> JsonObject:
        """Return what a diff compares, as JSON."""
        return {
            "parent": self.parent,
            "number": self.number,
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "rank": self.rank,
            "description": self.description,
            "status": self.status,
            "reason": self.reason,
            "priority": self.priority,
            "phase": self.phase,
            "target_version": self.target_version,
            "estimate": self.estimate.to_json(),
            "assignee": self.assignee,
            "labels": list(self.labels),
            "acceptance": [criterion.to_json() for criterion in self.acceptance],
            "brief": self.brief,
            "depends_on": list(self.depends_on),
        }

    def with_facts(self, facts: JsonObject) -> "Item":
        """Return the item with some of what `facts` shows set."""
        made: dict[str, Any] = {}
        for name, value in facts.items():
            if name == "estimate":
                made[name] = Estimate.from_json(value)
            elif name == "acceptance":
                made[name] = tuple(Criterion(str(one["text"]), bool(one["met"])) for one in value)
            elif name in ("labels", "depends_on"):
                made[name] = tuple(value)
            else:
                made[name] = value
        return replace(self, **made)


@dataclass(frozen=True, slots=True)
class Dependency:
    """One item waits for another.

    Attributes:
        plan: of the item that waits.
        depends_on_plan: of the item it waits for.
    """

    plan: str
    item: str
    depends_on_plan: str
    depends_on: str


@dataclass(frozen=True, slots=True)
class LinkedRun:
    """A run that works, or worked, on an item.

    Attributes:
        status: as of the run; ``waiting`` while it needs a person.
        before: the item's status before the run was started.
        actual: what it took; of a run that has not ended, as of the last look.
        approvals: what it waits for.
    """

    item: str
    plan: str
    run_id: str
    workflow: str
    status: str
    before: str
    actual: Actual
    linked_at: datetime
    linked_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    approvals: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return it as clients see it."""
        return {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "status": self.status,
            "actual": self.actual.to_json(),
            "linked_at": iso(self.linked_at),
            "linked_by": self.linked_by,
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """A work breakdown.

    Attributes:
        version: counted up by each change; what runs report of their items leaves it alone.
        last_child: the highest number that an epic of it ever had.
    """

    id: str
    tenant: str
    project: str
    name: str
    description: str
    version: int
    last_child: int
    created_at: datetime
    created_by: str
    updated_at: datetime

    def facts(self) -> JsonObject:
        """Return what a diff compares."""
        return {"name": self.name, "description": self.description}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of an item before and after."""

    before: Any
    after: Any

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {"before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class ItemChange:
    """What a change set does to one item, or to the plan itself.

    Attributes:
        item: the item's id; None for the plan.
        change: ``added``, ``removed`` or ``changed``.
        fields: what differs, by name; everything of an item that is added or removed.
    """

    item: str | None
    key: str
    kind: str
    title: str
    change: str
    fields: dict[str, FieldChange]

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "item": self.item,
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "change": self.change,
            "fields": {name: change.to_json() for name, change in self.fields.items()},
        }

    @classmethod
    def from_json(cls, shown: JsonObject) -> "ItemChange":
        """Return the change that `to_json` wrote."""
        fields = {name: FieldChange(one["before"], one["after"]) for name, one in shown["fields"].items()}
        return cls(shown["item"], shown["key"], shown["kind"], shown["title"], shown["change"], fields)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change of a plan that was applied.

    Attributes:
        base_version: the version it was applied to.
        version: the version it made.
        consequences: what it meant for finish, cost and what could start, when it was applied.
        undoes: the change set that this one takes back.
        undone_by: the change set that took this one back.
    """

    id: str
    plan: str
    base_version: int
    version: int
    note: str
    diff: tuple[ItemChange, ...]
    consequences: JsonObject
    created_at: datetime
    created_by: str
    undoes: str | None = None
    undone_by: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as clients see it."""
        return {
            "id": self.id,
            "plan": self.plan,
            "base_version": self.base_version,
            "version": self.version,
            "dry_run": False,
            "note": self.note,
            "diff": [change.to_json() for change in self.diff],
            "consequences": self.consequences,
            "created_at": iso(self.created_at),
            "created_by": self.created_by,
            "undoes": self.undoes,
            "undone_by": self.undone_by,
        }
