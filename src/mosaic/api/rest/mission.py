"""What a control plane asks of its runtime: start a workflow, see how it goes, say how good it was."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import Field, StringConstraints

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor
from mosaic.api.routing import Route
from mosaic.api.schemas import Body, Document, Id, Limit
from mosaic.app import mission
from mosaic.app.control_plane import PlaneCaller
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["mission"])

_AppId = Annotated[
    str | None,
    Header(
        alias="X-App-ID",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="the app: the project that the run belongs to",
    ),
]
_UserId = Annotated[str | None, Header(alias="X-User-ID", max_length=180, description="who wants it")]
_Flag = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_Issue = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class ExecutionContext(Body):
    """What the control plane knows of the user; it is journaled with the run."""

    subscription_tier: str | None = Field(None, max_length=100)
    feature_flags: list[_Flag] = Field(default_factory=list, max_length=100)


class Execute(Body):
    """A workflow and what it is to work on."""

    workflow_id: str = Field(min_length=1, max_length=200, description="a workflow's name")
    input: dict[str, Any] = Field(default_factory=dict)
    context: ExecutionContext | None = None


class ExecutionStarted(Document):
    """A workflow that has been started."""

    execution_id: str
    status: Literal["started"]


class ExecutionProgress(Document):
    """How far an execution is, in steps of the workflow itself."""

    steps: int
    done: int
    percent: int = Field(ge=0, le=100)
    current: list[str] = Field(description="steps that are under way")


class ExecutionArtifact(Document):
    """Something that an execution kept."""

    id: str
    run_id: str
    name: str
    media_type: str
    digest: str
    size_bytes: int
    created_at: datetime
    url: str


class ExecutionStatus(Document):
    """How an execution stands."""

    execution_id: str
    workflow_id: str
    status: Literal["running", "completed", "failed"]
    progress: ExecutionProgress
    error: dict[str, Any] | None = Field(description="why it failed")
    artifacts: list[ExecutionArtifact] | None = Field(None, description="when it is completed")
    output: Any = Field(None, description="when it is completed")


class GiveFeedback(Body):
    """What somebody says of a generation."""

    generation_id: str = Field(
        min_length=1, max_length=200, description="what it is about, such as an execution"
    )
    rating: int = Field(ge=1, le=5)
    comments: str | None = Field(None, max_length=10_000)
    issues: list[_Issue] = Field(default_factory=list, max_length=50)


class FeedbackDocument(Document):
    """What somebody said."""

    id: str
    project: str
    generation_id: str
    run_id: str | None
    rating: int
    comments: str | None
    issues: list[str]
    created_at: datetime
    created_by: str


class FeedbackPage(Document):
    """Feedback, newest first."""

    items: list[FeedbackDocument]
    next_cursor: str | None


@router.post(
    "/workflow/execute",
    status_code=202,
    summary="Execute a workflow for an app's user",
    response_model=None,
    responses={202: {"model": ExecutionStarted}},
)
async def execute(
    body: Execute, app: App, ctx: Caller, app_id: _AppId = None, user_id: _UserId = None
) -> JsonObject:
    """Start a workflow by its name. The owner, or a token of the control plane, names the app and its user."""
    ctx = mission.on_behalf(ctx, app_id, user_id)
    return await mission.execute(app, ctx, body.model_dump(mode="json"))


@router.get(
    "/workflow/{execution_id}/status",
    summary="Show how an execution stands",
    response_model=None,
    responses={200: {"model": ExecutionStatus}},
)
async def status(execution_id: Id, app: App, ctx: Caller, app_id: _AppId = None) -> JsonObject:
    """Return whether it runs, is completed or has failed, and what it kept. 404 for another app's execution."""
    return await mission.execution(app, ctx, execution_id, app_id)


@router.post(
    "/feedback",
    status_code=201,
    summary="Give feedback",
    response_model=None,
    responses={201: {"model": FeedbackDocument}},
)
async def give(
    body: GiveFeedback, app: App, ctx: Caller, app_id: _AppId = None, user_id: _UserId = None
) -> JsonObject:
    """Say how good a generation was, 1 to 5, and what was wrong with it."""
    if isinstance(ctx, PlaneCaller) or app_id is not None or user_id is not None:
        ctx = mission.on_behalf(ctx, app_id or ctx.project, user_id or ctx.actor.id)
    return await mission.give_feedback(app, ctx, body.model_dump(mode="json"))


@router.get(
    "/feedback", summary="List feedback", response_model=None, responses={200: {"model": FeedbackPage}}
)
async def listed(
    app: App,
    ctx: Caller,
    generation_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of feedback, newest first."""
    project = ctx.project if isinstance(ctx, PlaneCaller) else None
    return await mission.feedback(
        app, ctx, generation_id=generation_id, project=project or None, limit=limit, cursor=cursor
    )
