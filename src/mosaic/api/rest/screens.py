"""What the board's screens read besides what every client does: workflows as drawings, a digest of the audit trail."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from mosaic.api.access import App, Caller
from mosaic.api.routing import Route
from mosaic.api.schemas import Body, Document, Id, Options, RunDocument
from mosaic.app.board_operations import audit_digest
from mosaic.app.board_workflows import start_workflow, workflow, workflows
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, prefix="/board", tags=["board"])


class WorkflowRow(Document):
    """A workflow that can be started by its name."""

    name: str
    version: str
    description: str
    content_hash: str
    example: bool = Field(description="it came along")
    inputs: dict[str, Any] = Field(description="JSON schema of its inputs")
    works_on_folder: bool
    agent_names: list[str]
    step_count: int = Field(description="all of them, those inside others too")


class WorkflowRows(Document):
    """The workflows, by name."""

    items: list[WorkflowRow]


class OutlineBlock(Document):
    """Steps inside a step: a branch, a case, what happens when it fails."""

    label: str = Field(description="empty for the step's own steps")
    steps: list["OutlineStep"]


class OutlineStep(Document):
    """A step as a drawing needs it."""

    name: str
    path: str = Field(description="its place in the definition, as events name it in `data.step`")
    kind: str = Field(examples=["agent", "fork"])
    detail: str = Field(description="the tool, the command, the question, in a line")
    description: str
    agents: list[str]
    condition: str | None = Field(description="it is done only if this is true")
    needs: list[str]
    goto: str | None = Field(description="the step it goes back to when it fails")
    parallel: bool = Field(description="its blocks are done at the same time")
    blocks: list[OutlineBlock]


class OutlineAgent(Document):
    """An agent of a workflow."""

    name: str
    description: str
    model: list[str]
    tools: list[str]
    handoffs: list[str]


class OutlineLimits(Document):
    """Bounds of a run; null where the workflow sets none."""

    usd: float | None
    tokens: int | None
    duration_s: float | None


class WorkflowOutline(WorkflowRow):
    """A workflow, drawn."""

    steps: list[OutlineStep]
    agents: list[OutlineAgent]
    policies: dict[str, str]
    limits: OutlineLimits
    workspace_source: str | None = Field(description="the folder it works on unless another is named")
    runs: list[RunDocument] = Field(description="the latest, newest first")


class StartWorkflow(Body):
    """What a workflow is started with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": {"topic": "Why?"}}]})

    inputs: dict[str, Any] = Field(default_factory=dict)
    options: Options = Field(default_factory=Options)


class AuditDigest(Document):
    """A digest over the audit trail: it is another one when anything up to there was changed."""

    through: int = Field(description="sequence number of the last event that counts")
    events: int
    digest: str = Field(examples=["sha256:" + "0" * 64])


@router.get(
    "/audit/digest",
    summary="Chain the audit trail's events into one digest",
    response_model=None,
    responses={200: {"model": AuditDigest}},
)
async def digest(
    app: App, ctx: Caller, through: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None
) -> JsonObject:
    """Return the digest up to an event: kept elsewhere, it shows later that nothing before was changed."""
    return await audit_digest(app, ctx, through=through)


@router.get(
    "/workflows", summary="List workflows", response_model=None, responses={200: {"model": WorkflowRows}}
)
async def listed(app: App, ctx: Caller) -> JsonObject:
    """Return the workflows that ran here, and the examples."""
    return await workflows(app, ctx)


@router.get(
    "/workflows/{name}",
    summary="Draw a workflow",
    response_model=None,
    responses={200: {"model": WorkflowOutline}},
)
async def shown(name: Id, app: App, ctx: Caller) -> JsonObject:
    """Return a workflow's steps, agents, bounds and latest runs."""
    return await workflow(app, ctx, name)


@router.post(
    "/workflows/{name}/runs",
    status_code=201,
    summary="Run a workflow by its name",
    response_model=None,
    responses={
        201: {
            "model": RunDocument,
            "headers": {"Location": {"description": "where the run is", "schema": {"type": "string"}}},
        }
    },
)
async def start(name: Id, body: StartWorkflow, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Start a workflow as it ran last, with new inputs."""
    options = body.options.model_dump(exclude_none=True, exclude_unset=True)
    run = await start_workflow(app, ctx, name, body.inputs, options)
    response.headers["Location"] = f"/api/v1/runs/{run['id']}"
    return run
