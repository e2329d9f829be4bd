"""What a change set may ask for, and the check of what comes from outside: bounds, types, names."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mosaic.core.errors import InvalidInput, Problem

__all__ = [
    "MOST_OPERATIONS",
    "AcceptanceCriterion",
    "Add",
    "Brief",
    "EstimateFields",
    "ItemFields",
    "Link",
    "Move",
    "NewItemFields",
    "Operation",
    "PlanFields",
    "Remove",
    "Unlink",
    "Update",
    "UpdatePlan",
    "read_operations",
]

MOST_OPERATIONS = 5_000
"""Operations in one change set: enough to make the largest plan at once."""

_MOST_PROBLEMS = 200

Reference = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add`",
        examples=["T.001.02.01.03"],
    ),
]
Title = Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]
Text = Annotated[str, Field(max_length=20_000)]
Short = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Label = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\S(.*\S)?$")]
Assignee = Annotated[
    str,
    Field(max_length=200, pattern=r"^(agent|person):\S(.*\S)?$", examples=["agent:coder", "person:ana"]),
]
SettableStatus = Literal["todo", "running", "needs_you", "blocked", "done", "failed", "cancelled"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class EstimateFields(_Body):
    """What an item is expected to take; null where nobody has said."""

    hours: float | None = Field(None, ge=0, le=100_000, allow_inf_nan=False)
    tokens: int | None = Field(None, ge=0, le=10**12)
    usd: float | None = Field(None, ge=0, le=1_000_000_000, allow_inf_nan=False)


class AcceptanceCriterion(_Body):
    """Something that must be true before an item counts as done."""

    text: str = Field(min_length=1, max_length=2_000, pattern=r"\S")
    met: bool = False


class Risk(_Body):
    """What may go wrong, and what is done about it."""

    risk: str = Field(min_length=1, max_length=2_000)
    level: Literal["high", "medium", "low"] = "medium"
    mitigation: str = Field("", max_length=2_000)


class Metric(_Body):
    """A figure that an epic wants to reach."""

    name: Short
    target: str = Field(max_length=200)
    current: str | None = Field(None, max_length=200)


class Brief(_Body):
    """More about an epic or a feature."""

    goals: list[Text] = Field([], max_length=100)
    definition_of_done: list[Text] = Field([], max_length=100)
    risks: list[Risk] = Field([], max_length=100)
    external_dependencies: list[Text] = Field([], max_length=100)
    next_steps: dict[Literal["immediate", "short", "medium"], list[Text]] = Field({})
    metrics: list[Metric] = Field([], max_length=100)
    test_strategy: dict[Literal["unit", "integration", "acceptance"], Text] = Field({})


class ItemFields(_Body):
    """The fields of an item that can be set; those left out stay as they are."""

    title: Title | None = None
    description: Text | None = None
    status: SettableStatus | None = Field(None, description="only of an item without children")
    reason: str | None = Field(None, max_length=2_000, description="why it is blocked or failed")
    priority: int | None = Field(None, ge=1, le=5, description="1 is the highest")
    phase: Short | None = None
    target_version: Short | None = None
    estimate: EstimateFields | None = None
    assignee: Assignee | None = None
    labels: list[Label] | None = Field(None, max_length=50)
    acceptance: list[AcceptanceCriterion] | None = Field(None, max_length=100)
    brief: Brief | None = None


class NewItemFields(ItemFields):
    """The fields of a new item."""

    title: Title


class PlanFields(_Body):
    """The fields of a plan that can be set."""

    name: Title | None = None
    description: Text | None = None


class _Place(_Body):
    before: Reference | None = Field(None, description="stand before this sibling")
    after: Reference | None = Field(None, description="stand after this sibling; last without either")


class Add(_Place):
    """Add an item. What it is follows from where it stands: a child of a story is a task."""

    op: Literal["add"]
    ref: str | None = Field(
        None, max_length=60, pattern=r"^[A-Za-z0-9_-]+$", description="a name for later operations"
    )
    key: str | None = Field(
        None, max_length=30, description="the key it shall have; the next free one without"
    )
    parent: Reference | None = Field(None, description="null adds an epic")
    item: NewItemFields
    depends_on: list[Reference] = Field([], max_length=200)


class Update(_Body):
    """Set fields of an item; null clears one."""

    op: Literal["update"]
    item: Reference
    set: ItemFields


class Move(_Place):
    """Move an item with everything below it: to another parent, where its key becomes the next free one, or among its siblings."""

    op: Literal["move"]
    item: Reference
    parent: Reference | None = Field(None, description="where to; it stays under its parent without")


class Remove(_Body):
    """Remove an item with everything below it."""

    op: Literal["remove"]
    item: Reference


class Link(_Body):
    """Have an item wait for another one, of any plan of the tenant."""

    op: Literal["link"]
    item: Reference
    depends_on: Reference


class Unlink(_Body):
    """Have an item no longer wait for another one."""

    op: Literal["unlink"]
    item: Reference
    depends_on: Reference


class UpdatePlan(_Body):
    """Set fields of the plan itself."""

    op: Literal["update_plan"]
    set: PlanFields


Operation = Annotated[Add | Update | Move | Remove | Link | Unlink | UpdatePlan, Field(discriminator="op")]
"""One operation of a change set."""

_OPERATIONS: TypeAdapter[list[Operation]] = TypeAdapter(
    Annotated[list[Operation], Field(max_length=MOST_OPERATIONS)]
)


def read_operations(given: Any) -> list[Operation]:
    """Return operations that came as JSON.

    Raises:
        InvalidInput: naming everything that is wrong with them.
    """
    try:
        return _OPERATIONS.validate_python(given)
    except ValidationError as error:
        problems = [
            Problem(str(item["msg"]), path=_path(item["loc"]))
            for item in error.errors(include_input=False, include_url=False)[:_MOST_PROBLEMS]
        ]
        raise InvalidInput("The change set is not valid.", problems=problems) from None


def _path(location: tuple[Any, ...]) -> str:
    path = "operations"
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path
