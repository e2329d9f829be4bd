"""What requests about plans hold, and what answers look like."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, create_model

from mosaic.api.conditions import versions_of
from mosaic.api.schemas import Body, Document, Options, RunDocument
from mosaic.planning.operations import MOST_OPERATIONS, Operation, PlanFields

__all__ = [
    "ApplyChanges",
    "ChangeDocument",
    "ChangePage",
    "CreatePlan",
    "Direction",
    "GraphDocument",
    "ItemDocument",
    "ItemKind",
    "ItemPage",
    "ItemRun",
    "ItemStatus",
    "PlanDocument",
    "PlanPage",
    "PlanRemoved",
    "RunItem",
    "UndoChange",
    "UpdatePlanFields",
    "plan_version",
]

ItemKind = Literal["epic", "feature", "story", "task", "subtask", "atomic"]
ItemStatus = Literal["todo", "ready", "running", "needs_you", "blocked", "done", "failed", "cancelled"]
Direction = Literal["asc", "desc"]

_ITEM, _OTHER = "item_06f3k2a9v1c8d7e5g4h2j0m1n3", "item_06f3k2a9v0b7c6d4f3g1h9k0m2"
_PLAN, _RUN = "plan_06f3k29zq4r5s6t7v8w9x0y1z2", "run_06f3k2c7m8n9p0q1r2s3t4v5w6"
_ADD: dict[str, Any] = {
    "op": "add",
    "ref": "retry",
    "parent": "S.001.02.01",
    "item": {"title": "Retry a declined card once", "estimate": {"hours": 3, "usd": 1.5}},
    "depends_on": ["T.001.02.01.01"],
}


class CreatePlan(Body):
    """A new plan: empty, from operations, or from a YAML document."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Checkout", "operations": []}, {"document": "plan: Checkout\n"}]
        }
    )

    name: str | None = Field(None, min_length=1, max_length=300, pattern=r"\S")
    description: str = Field("", max_length=20_000)
    project: str | None = Field(None, min_length=1, max_length=64)
    operations: list[Operation] = Field([], max_length=MOST_OPERATIONS)
    document: str | None = Field(
        None, max_length=4_000_000, description="a plan as YAML, in place of the rest"
    )
    file: str | None = Field(None, max_length=500, description="the document's name, for messages")


class UpdatePlanFields(PlanFields):
    """The fields to set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Checkout 2"}]})


class ApplyChanges(Body):
    """A change set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "base_version": 3,
                    "note": "Split the payment story",
                    "operations": [
                        _ADD,
                        {"op": "update", "item": "T.001.02.01.01", "set": {"assignee": "agent:coder"}},
                        {"op": "move", "item": "T.001.02.01.02", "parent": "S.001.02.02"},
                        {"op": "link", "item": "T.001.02.01.03", "depends_on": "retry"},
                        {"op": "unlink", "item": "T.001.02.01.03", "depends_on": "T.001.02.01.01"},
                        {"op": "remove", "item": "T.001.03.01.04"},
                    ],
                }
            ]
        }
    )

    base_version: int | None = Field(
        None, ge=1, description="the version it was made for; 412 when the plan has another one by now"
    )
    note: str = Field("", max_length=2_000, description="why, for the history")
    operations: list[Operation] = Field(min_length=1, max_length=MOST_OPERATIONS)


class UndoChange(Body):
    """What to take back a change set for."""

    base_version: int | None = Field(None, ge=1)
    note: str = Field("", max_length=2_000)


class RunItem(Body):
    """What shall work on an item."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"workflow": "implement-task", "inputs": {"goal": "Retry once"}}]}
    )

    workflow: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="the name or content hash of a workflow that ran before",
    )
    bundle: dict[str, Any] | None = Field(None, description="or a workflow bundle, as `mosaic run` sends it")
    inputs: dict[str, Any] = Field(default_factory=dict)
    options: Options = Field(default_factory=Options)
    force: bool = Field(False, description="although something that the item waits for is not done")


class EstimateDocument(Document):
    """What is expected; null where nobody has said."""

    hours: float | None
    tokens: int | None
    usd: float | None


class ActualDocument(Document):
    """What runs took so far."""

    hours: float
    tokens: int
    usd: float


class CriterionDocument(Document):
    """Something that must be true before an item counts as done."""

    text: str
    met: bool


class ItemName(Document):
    """An item, by name."""

    id: str
    plan: str
    key: str
    title: str
    status: ItemStatus


class ItemRunDocument(Document):
    """A run that works, or worked, on an item."""

    run_id: str
    workflow: str
    status: str = Field(description="as of the run, `waiting` while it needs a person")
    actual: ActualDocument
    linked_at: datetime
    linked_by: str
    started_at: datetime | None
    finished_at: datetime | None


class ItemDocument(Document):
    """A work item; figures of an item with children are those of everything below it."""

    id: str = Field(examples=[_ITEM])
    plan: str = Field(examples=[_PLAN])
    key: str = Field(examples=["T.001.02.01.03"])
    kind: ItemKind
    parent: str | None = Field(examples=[_OTHER])
    rank: int = Field(description="its place among its siblings; lower stands first")
    children: int
    title: str
    description: str
    status: ItemStatus
    reason: str | None = Field(description="why it is blocked or failed")
    priority: int
    phase: str | None
    target_version: str | None
    assignee: str | None = Field(examples=["agent:coder"])
    labels: list[str]
    acceptance: list[CriterionDocument]
    brief: dict[str, Any]
    estimate: EstimateDocument = Field(description="as it was given for this item")
    planned: EstimateDocument = Field(description="rolled up from below; its own where nothing below has one")
    actual: ActualDocument
    progress: float = Field(ge=0, le=1, description="the share that is done, weighted by estimated hours")
    statuses: dict[str, int] = Field(description="how many items without children stand how")
    depends_on: list[str]
    waits_for: list[ItemName] = Field(description="what must be done before it starts, its parents' included")
    start_hours: float = Field(description="earliest start, in hours of work from now")
    finish_hours: float = Field(description="earliest finish, in hours of work from now")
    slack_hours: float | None = Field(
        description="how late it may be without moving the plan's finish; null when done"
    )
    critical: bool
    runs: list[ItemRunDocument]
    created_at: datetime
    updated_at: datetime


# The same, with any of the fields: `fields` chooses.
SparseItem: Any = create_model(
    "SparseItem",
    __base__=Document,
    __doc__="A work item, or those of its fields that were asked for.",
    **{name: (field.annotation, Field(None)) for name, field in ItemDocument.model_fields.items()},  # type: ignore[call-overload]  # made from a model
)


class ItemPage(Document):
    """A page of items, in the order of their keys and ranks: parents before children."""

    items: list[SparseItem]
    next_cursor: str | None
    version: int


class PlanDocument(Document):
    """A plan and where it stands."""

    id: str = Field(examples=[_PLAN])
    tenant: str
    project: str
    name: str
    description: str
    version: int = Field(description="counted up by each change; also the ETag")
    items: dict[str, int] = Field(description="how many there are of each kind")
    statuses: dict[str, int] = Field(description="how many items without children stand how")
    progress: float = Field(ge=0, le=1)
    progress_by_status: dict[str, float] = Field(
        description="shares of the estimated work, which add up to 1"
    )
    estimate: EstimateDocument
    actual: ActualDocument
    finish_hours: float = Field(description="earliest finish of what is left, in hours of work from now")
    finish_at: datetime | None = Field(
        description="the same as a time, when work goes on without pause; null when done"
    )
    critical_path: list[str] = Field(description="ids of the items that decide the finish, in order")
    created_at: datetime
    created_by: str
    updated_at: datetime


class PlanPage(Document):
    """A page of plans, newest first."""

    items: list[PlanDocument]
    next_cursor: str | None


class PlanRemoved(Document):
    """A plan was removed."""

    id: str
    removed: bool


class GraphItem(Document):
    """What a drawing needs of an item."""

    id: str
    key: str
    kind: ItemKind
    parent: str | None
    rank: int
    title: str
    status: ItemStatus
    reason: str | None
    assignee: str | None
    depends_on: list[str]
    estimate_usd: float | None
    actual_usd: float
    estimate_hours: float | None
    start_hours: float
    finish_hours: float
    progress: float
    critical: bool
    run_ids: list[str]


class GraphDocument(Document):
    """A whole plan at once."""

    plan: str
    name: str
    version: int
    seq: int = Field(description="the journal's sequence it is true for: follow the events from here")
    progress: float
    estimate_usd: float | None
    actual_usd: float
    finish_hours: float
    critical_path: list[str]
    items: list[GraphItem]
    outside: list[ItemName] = Field(description="items of other plans that items here wait for")


class FieldChangeDocument(Document):
    """A field before and after."""

    before: Any
    after: Any


class ItemChangeDocument(Document):
    """What becomes of one item; `item` is null for the plan itself."""

    item: str | None
    key: str
    kind: str
    title: str
    change: Literal["added", "removed", "changed"]
    fields: dict[str, FieldChangeDocument]


class Hours(Document):
    """Hours of work from now."""

    before: float
    after: float


class Dollars(Document):
    """Dollars; null where nobody has estimated."""

    before: float | None
    after: float | None


class Paths(Document):
    """Ids of the items that decide the finish."""

    before: list[str]
    after: list[str]


class Consequences(Document):
    """What a change means."""

    finish_hours: Hours
    estimate_usd: Dollars
    estimate_hours: Dollars = Field(description="hours of work in all")
    critical_path: Paths
    unblocked: list[ItemName] = Field(description="items that can start now and could not before")
    blocked: list[ItemName] = Field(description="items that could start and now cannot")
    warnings: list[str] = Field(description="what the rules of a work breakdown advise against")


class ChangeDocument(Document):
    """A change of a plan: what it does, and what that means."""

    id: str | None = Field(description="null for a dry run")
    plan: str
    base_version: int
    version: int = Field(description="the version it made, or would make")
    dry_run: bool
    note: str
    diff: list[ItemChangeDocument]
    consequences: Consequences
    created_at: datetime
    created_by: str
    undoes: str | None
    undone_by: str | None


class ChangePage(Document):
    """Changes of a plan, newest first."""

    items: list[ChangeDocument]
    next_cursor: str | None


class ItemRun(Document):
    """A run that was started for an item."""

    run: RunDocument
    item: ItemDocument


def plan_version(if_match: str | None) -> int | None:
    """Return the version that an If-Match header names; None when any will do.

    Raises:
        InvalidInput: if it holds no tags.
    """
    versions = versions_of(if_match)
    if versions is None:
        return None
    numbers = [int(one) for one in versions if one.isascii() and one.isdigit() and len(one) <= 18]
    # Nothing has the version 0, so that a tag of something else refuses the change. Of several the newest can hold.
    return max(numbers, default=0)
