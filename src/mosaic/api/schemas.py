"""What requests hold and answers look like: the contract that the OpenAPI document publishes.

Answers are what `Operations` returns, sent as they are; a test holds them to these shapes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "After",
    "AgentPage",
    "ApprovalDocument",
    "ApprovalPage",
    "ApprovalPreview",
    "ApprovalStatusName",
    "Approve",
    "ArtifactDocument",
    "ArtifactPage",
    "Availability",
    "DeadLetterPage",
    "EventPage",
    "Fork",
    "Health",
    "Id",
    "IfMatch",
    "Limit",
    "Moment",
    "Preview",
    "Reject",
    "Requeued",
    "RunDocument",
    "RunPage",
    "RunStatusName",
    "SignalSent",
    "SignedAnswerTaken",
    "StartRun",
    "StepPage",
    "StepStatusName",
    "SystemDocument",
    "Validate",
    "Validation",
    "WebhookPage",
]

Id = Annotated[str, Path(min_length=1, max_length=500)]
Limit = Annotated[int, Query(ge=1, le=500)]
After = Annotated[int, Query(ge=0, le=2**63 - 1, description="the journal sequence to go on after")]
IfMatch = Annotated[
    str | None,
    Header(description="the ETag that was read before; 412 when it has changed since", max_length=1_000),
]
RunStatusName = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
Availability = Literal["online", "busy", "offline", "error"]
StepStatusName = Literal["running", "completed", "failed", "skipped", "cancelled"]
ApprovalStatusName = Literal["pending", "approved", "rejected", "expired"]


def _moment(value: Any) -> Any:
    """Return the time that a text names; a bare number is none, though pydantic would take it for seconds."""
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("must be a time such as 2026-11-28T12:00:00Z") from None


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=datetime)]


class Body(BaseModel):
    """A request body; unknown fields are refused, and so is a value that is only like the right one, as "1" for 1."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Options(Body):
    """What the caller of a run may choose."""

    model: str | None = Field(
        None, description="provider:model for every agent", min_length=1, max_length=200
    )
    usd: float | None = Field(
        None, ge=0, le=1_000_000, allow_inf_nan=False, description="hard budget in dollars"
    )
    tokens: int | None = Field(None, ge=0, le=2**53, description="hard budget in tokens")
    workspace_source: str | None = Field(
        None, description="folder or git repository on the server, its whole path", max_length=4096
    )
    workspace_sources: dict[str, str] | None = Field(
        None, description="the same for child workflows, by the content hash of their definitions"
    )
    priority: int = Field(10, ge=1, le=1000, description="lower starts earlier")
    run_id: str | None = Field(
        None, pattern=r"^run_[0-9a-z]{26}$", description="makes a repeated start one start"
    )


class StartRun(Body):
    """A workflow bundle, as `mosaic run` sends it, with inputs and options."""

    bundle: dict[str, Any] = Field(description="definition and every file it refers to")
    inputs: dict[str, Any] = Field(default_factory=dict)
    options: Options = Field(default_factory=Options)


class Fork(Body):
    """Where a new run parts from an old one."""

    from_step: str = Field(min_length=1, max_length=500, examples=["build"])
    inputs: dict[str, Any] | None = Field(None, description="inputs that replace those of the old run")


class Preview(Body):
    """A yes that is looked at before it is given."""

    model_config = ConfigDict(serialize_by_alias=True)

    arguments: dict[str, Any] | None = Field(None, description="run the tool with these arguments instead")
    changes: dict[str, Any] | None = Field(
        None, alias="set", max_length=100, description="or change single places: dotted place -> value"
    )
    scope: Literal["once", "run", "always"] = Field(
        "once", description="how long the yes holds: this call, the rest of the run, until it is revoked"
    )
    match: dict[str, Any] | None = Field(
        None,
        max_length=100,
        description="argument -> what it must be like (`src/**`), for a yes that lasts; empty: the same arguments",
    )


class Approve(Preview):
    """A yes, perhaps with changed arguments or an answer, for once or for longer."""

    note: str | None = Field(None, max_length=4000)
    answer: Any = Field(None, description="the answer to a question of a workflow")


class Reject(Body):
    """A no; the agent reads the note."""

    note: str | None = Field(None, max_length=4000)


class Validate(Body):
    """A workflow bundle to check."""

    bundle: dict[str, Any]


class Document(BaseModel):
    """An answer; it holds these fields and no others."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class RunCost(Document):
    """What a run and its child runs have cost so far."""

    usd: float
    limit_usd: float | None
    calls: int = Field(description="answered model calls")
    tokens: int
    unpriced_calls: int = Field(description="calls whose price nobody knows; usd does not hold them")
    scripted: bool = Field(description="some answers came from a script, not from a model")


class RunDocument(Document):
    """A run of a workflow."""

    id: str
    tenant: str
    project: str
    workflow: str
    version: str
    definition_hash: str
    status: RunStatusName
    inputs: dict[str, Any]
    options: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outputs: Any
    error: dict[str, Any] | None
    workspace: dict[str, Any] | None = Field(
        description="path, repository, branch, base_commit, and commit once there is one"
    )
    root_run_id: str
    parent_run_id: str | None
    forked_from: str | None
    approvals: list[str] = Field(description="ids of the approvals it waits for")
    cost: RunCost
    link: str | None


class RunPage(Document):
    """A page of runs, newest first."""

    items: list[RunDocument]
    next_cursor: str | None


class EventDocument(Document):
    """One event of the journal."""

    seq: int
    id: str
    type: str
    schema_version: int
    occurred_at: datetime
    tenant: str
    project: str
    actor: str
    correlation: str | None
    causation: str | None
    run_id: str | None
    path: str | None
    data: dict[str, Any]


class EventPage(Document):
    """Events in order; `after` continues the page."""

    items: list[EventDocument]
    after: int
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class VoteDocument(Document):
    """One person's answer."""

    actor: str
    approve: bool
    voted_at: datetime
    note: str | None
    edited: bool = Field(description="the yes is for other arguments than those that were asked about")
    scope: Literal["once", "run", "always"]


class ApprovalDocument(Document):
    """A question to a person, and its answer."""

    id: str
    run_id: str
    path: str
    kind: Literal["tool", "ask"]
    title: str
    detail: dict[str, Any]
    roles: list[str]
    status: ApprovalStatusName
    requested_by: str
    requested_at: datetime
    expires_at: datetime | None
    on_timeout: Literal["deny", "approve"]
    quorum: int = Field(description="how many different people must say yes, or vote")
    counting: Literal["veto", "majority"] = Field(description="one no rejects, or the larger side decides")
    four_eyes: bool = Field(description="whoever the run belongs to may not say yes")
    votes: list[VoteDocument]
    decided_by: str | None
    decided_at: datetime | None
    note: str | None
    arguments: dict[str, Any] | None
    answer: Any
    scope: Literal["once", "run", "always"]
    pattern: dict[str, Any] | None = Field(description="the calls that a lasting yes holds for")
    rule: str | None = Field(description="the rule that a lasting yes became")


class ApprovalPage(Document):
    """Approvals, oldest first; events after `seq` tell what has changed since."""

    items: list[ApprovalDocument]
    next_cursor: str | None
    seq: int


class ApprovalPreview(Document):
    """What a yes would mean."""

    approval: str
    status: ApprovalStatusName
    arguments: dict[str, Any] | None = Field(
        description="what the yes is for, secrets masked; null: too large"
    )
    edited: bool
    scope: Literal["once", "run", "always"]
    pattern: dict[str, Any] | None = Field(description="the calls it would hold for besides this one")
    holds_for: str | None = Field(description="the same as a sentence")
    detail: dict[str, Any] = Field(
        description="what edited arguments would do: risk, effects, diff, command, note"
    )


class WebhookDocument(Document):
    """A place that is told of approvals and may answer them."""

    name: str
    host: str | None = Field(description="where it is told; null: it only answers")
    events: list[str]
    roles: list[str] = Field(description="what it answers as; none: it may not")
    problem: str | None = Field(description="what is wrong with its secret")
    waiting: int = Field(description="events it is still to be told")
    given_up: int = Field(description="events it was not told after every attempt failed")
    error: str | None = Field(description="why the newest failed delivery did")


class WebhookPage(Document):
    """The webhooks of the settings."""

    items: list[WebhookDocument]


class SignedAnswerTaken(Document):
    """Where an approval stands after a signed answer."""

    id: str
    status: ApprovalStatusName
    decided_by: str | None
    votes: list[VoteDocument]
    quorum: int


class StepDocument(Document):
    """A step of a run, as its newest try went."""

    path: str = Field(description="unique in the run", examples=["build[2]/code"])
    name: str
    step: str | None = Field(description="its path in the definition", examples=["build/code"])
    kind: str | None = Field(examples=["agent"])
    agent: str | None
    status: StepStatusName
    tries: int = Field(description="how often it began; 0 when it was skipped")
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None
    output: Any = Field(description="a long one is cut and says so")
    error: dict[str, Any] | None
    reason: str | None = Field(description="why it was skipped, cancelled or tried again")


class StepPage(Document):
    """Steps of a run, in the order in which they began."""

    items: list[StepDocument]
    truncated: bool = Field(description="the run has more steps than are shown")
    next_cursor: str | None


class ArtifactDocument(Document):
    """Something a run kept."""

    id: str
    run_id: str
    name: str
    media_type: str
    digest: str
    size_bytes: int
    created_at: datetime


class ArtifactPage(Document):
    """What a run kept, oldest first."""

    items: list[ArtifactDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class AgentDocument(Document):
    """An agent that has worked here."""

    name: str
    version: str | None
    description: str
    kind: str
    capabilities: list[str]
    availability: Availability
    detail: str | None
    active: int
    capacity: int
    load: float
    pool: str
    registered_at: datetime
    heartbeat_at: datetime
    affinities: dict[str, list[str]]


class AgentFigures(Document):
    """Figures over all agents."""

    total: int
    online: int
    offline: int
    busy: int
    error: int
    average_load: float
    total_capacity: int
    utilization: float = Field(description="per cent")


class AgentPage(Document):
    """The agents and the registry's figures."""

    items: list[AgentDocument]
    metrics: AgentFigures
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class DeadLetterDocument(Document):
    """An execution whose process crashed too often."""

    id: str
    run_id: str
    handler: str
    path: str
    queue: str | None
    priority: int
    status: str
    error_code: str | None
    attempt: int
    crashes: int
    node: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class DeadLetterPage(Document):
    """Work that was given up, oldest first."""

    items: list[DeadLetterDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class Requeued(Document):
    """Work that was started again."""

    type: Literal["result"]
    execution_id: str
    run_id: str
    status: Literal["queued"]


class SignalSent(Document):
    """A signal that was delivered."""

    run_id: str
    signal: str


class Validation(BaseModel):
    """What is wrong with a workflow; nothing when it is valid."""

    model_config = ConfigDict(extra="allow")

    valid: bool
    name: str | None = None
    content_hash: str | None = None
    problems: list[dict[str, Any]] = Field(default_factory=list)


class SystemDocument(Document):
    """What this installation consists of."""

    nodes: list[dict[str, Any]]
    database: dict[str, str | None]
    providers: list[dict[str, Any]]


class Health(Document):
    """Alive, or ready."""

    status: Literal["ok"]
