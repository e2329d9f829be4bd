"""The nouns of the graph, and the fields that lead from one to another."""

from typing import Any

import strawberry
from strawberry.types.lazy_type import LazyType

from mosaic.api.comment_schemas import CommentDocument, ViewerDocument
from mosaic.api.door_schemas import BudgetDocument, ForecastDocument, KeyDocument
from mosaic.api.graphql.connections import After, First, connection_type, page_of, pages_of
from mosaic.api.graphql.context import Info
from mosaic.api.graphql.documents import Documents, many
from mosaic.api.plan_schemas import ChangeDocument, ItemDocument, ItemRunDocument, PlanDocument
from mosaic.api.provider_schemas import ModelDocument, ProviderRow, RouteDocument
from mosaic.api.rest.projects import ProjectDocument
from mosaic.api.rest.screens import WorkflowRow
from mosaic.api.schemas import (
    AgentDocument,
    ApprovalDocument,
    ArtifactDocument,
    EventDocument,
    RunDocument,
    StepDocument,
)
from mosaic.api.tool_schemas import ToolRow
from mosaic.app.run_steps import run_steps
from mosaic.core.values import JsonObject

__all__ = [
    "Agent",
    "AgentConnection",
    "Approval",
    "ApprovalConnection",
    "Artifact",
    "Budget",
    "BudgetConnection",
    "Comment",
    "CommentConnection",
    "Event",
    "EventConnection",
    "Forecast",
    "Key",
    "KeyConnection",
    "Model",
    "Plan",
    "PlanChange",
    "PlanConnection",
    "Project",
    "ProjectConnection",
    "Provider",
    "ProviderConnection",
    "Route",
    "Run",
    "RunConnection",
    "Tool",
    "ToolConnection",
    "Viewer",
    "WorkItem",
    "WorkItemConnection",
    "Workflow",
    "WorkflowConnection",
    "comments_page",
    "events_page",
]

Parent = strawberry.Parent[JsonObject]
_documents = Documents()

Viewer = _documents.noun(ViewerDocument, "Viewer")
Comment = _documents.noun(CommentDocument, "Comment", prefix="cmt")
CommentConnection = connection_type(Comment, "Comment")
Step = _documents.noun(StepDocument, "Step")
StepConnection = connection_type(Step, "Step")


async def events_page(info: Info, run_id: str | None, *, first: int, after: str | None) -> JsonObject:
    """Return a page of the journal, or of a run's part of it; a row's cursor is its place."""

    async def read(limit: int, cursor: str | None) -> JsonObject:
        page = await info.context.app.operations.event_page(
            info.context.ctx, run_id=run_id, after=int(cursor or 0), limit=limit + 1
        )
        rows = page["items"]
        more = str(rows[limit - 1]["seq"]) if len(rows) > limit else None
        return {"items": rows[:limit], "next_cursor": more}

    return await page_of(read, first=first, after=after)


async def _run_of(root: Parent, info: Info) -> Any:
    return await info.context.run(root.get("run_id"))


# `Run` leads to these and they lead back to it.
_RUN: Any = LazyType("Run", __name__)


def _run_field(description: str = "Its run.") -> Any:
    return strawberry.field(resolver=_run_of, graphql_type=_RUN | None, description=description)


async def _run_steps(root: Parent, info: Info, first: First = 50, after: After = None) -> Any:
    shown = await run_steps(info.context.app, info.context.ctx, str(root["id"]))
    return pages_of(shown["items"], "path", first=first, after=after)


async def _run_artifacts(root: Parent, info: Info) -> Any:
    return await info.context.artifacts.load(str(root["id"]))


async def _run_events(root: Parent, info: Info, first: First = 50, after: After = None) -> Any:
    return await events_page(info, str(root["id"]), first=first, after=after)


async def _run_approvals(root: Parent, info: Info) -> Any:
    return await info.context.open_approvals.load(str(root["id"])) if root.get("approvals") else []


async def _comments_on_run(root: Parent, info: Info) -> Any:
    return await info.context.comments_on("run").load(str(root["id"]))


async def _comments_on_item(root: Parent, info: Info) -> Any:
    return await info.context.comments_on("item").load(str(root["id"]))


async def _comments_on_approval(root: Parent, info: Info) -> Any:
    return await info.context.comments_on("approval").load(str(root["id"]))


async def _comments_on_plan(root: Parent, info: Info) -> Any:
    return await info.context.comments_on("plan").load(str(root["id"]))


def _comments_field(resolver: Any) -> Any:
    return strawberry.field(
        resolver=resolver,
        graphql_type=many(Comment),
        description="The newest, oldest first; `comments` has pages.",
    )


async def _parent_run(root: Parent, info: Info) -> Any:
    return await info.context.run(root.get("parent_run_id"))


async def _forked_from(root: Parent, info: Info) -> Any:
    return await info.context.run(root.get("forked_from"))


async def _items_of_plan(
    root: Parent,
    info: Info,
    first: First = 50,
    after: After = None,
    status: list[str] | None = None,
    kind: list[str] | None = None,
    assignee: str | None = None,
) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.app.plans.plan_items(
            info.context.ctx,
            str(root["id"]),
            status=status or (),
            kind=kind or (),
            assignee=assignee,
            limit=limit,
            cursor=cursor,
        )

    return await page_of(read, first=first, after=after)


async def _changes_of_plan(root: Parent, info: Info, first: First = 20, after: After = None) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.app.plans.plan_changes(
            info.context.ctx, str(root["id"]), limit=limit, cursor=cursor
        )

    return await page_of(read, first=first, after=after)


async def comments_page(info: Info, subject: JsonObject, *, first: int, after: str | None) -> JsonObject:
    """Return a page of the comments on something."""

    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.comments.comments(info.context.ctx, subject, limit=limit, cursor=cursor)

    return await page_of(read, first=first, after=after)


async def _viewers(root: Parent, info: Info) -> Any:
    return await info.context.viewers.load(str(root["id"]))


_viewers_field: Any = strawberry.field(
    resolver=_viewers, graphql_type=many(Viewer), description="Who looks at it, or at something in it, now."
)

Event = _documents.noun(EventDocument, "Event", fields={"run": _run_field()})
EventConnection = connection_type(Event, "Event")
Artifact = _documents.noun(ArtifactDocument, "Artifact", fields={"run": _run_field()}, prefix="art")
Approval = _documents.noun(
    ApprovalDocument,
    "Approval",
    fields={
        "run": _run_field(),
        "comments": _comments_field(_comments_on_approval),
    },
    prefix="apr",
)
ApprovalConnection = connection_type(Approval, "Approval")

Run = _documents.noun(
    RunDocument,
    "Run",
    fields={
        "steps": strawberry.field(
            resolver=_run_steps, graphql_type=StepConnection, description="In the order in which they began."
        ),
        "artifacts": strawberry.field(resolver=_run_artifacts, graphql_type=many(Artifact)),
        "events": strawberry.field(
            resolver=_run_events, graphql_type=EventConnection, description="Its part of the journal."
        ),
        "approvals": strawberry.field(
            resolver=_run_approvals, graphql_type=many(Approval), description="What it waits for."
        ),
        "comments": _comments_field(_comments_on_run),
        "viewers": _viewers_field,
        "parent_run": strawberry.field(resolver=_parent_run, graphql_type=_RUN | None),
        "forked_from_run": strawberry.field(resolver=_forked_from, graphql_type=_RUN | None),
    },
    prefix="run",
)
RunConnection = connection_type(Run, "Run")

ItemRun = _documents.noun(ItemRunDocument, "ItemRun", fields={"run": _run_field()})
WorkItem = _documents.noun(
    ItemDocument,
    "WorkItem",
    fields={
        "comments": _comments_field(_comments_on_item),
        "viewers": _viewers_field,
    },
)
WorkItemConnection = connection_type(WorkItem, "WorkItem")
PlanChange = _documents.noun(ChangeDocument, "PlanChange")
PlanChangeConnection = connection_type(PlanChange, "PlanChange")
Plan = _documents.noun(
    PlanDocument,
    "Plan",
    fields={
        "items": strawberry.field(
            resolver=_items_of_plan, graphql_type=WorkItemConnection, description="Parents before children."
        ),
        "changes": strawberry.field(
            resolver=_changes_of_plan, graphql_type=PlanChangeConnection, description="Newest first."
        ),
        "comments": _comments_field(_comments_on_plan),
        "viewers": _viewers_field,
    },
    prefix="plan",
)
PlanConnection = connection_type(Plan, "Plan")

Project = _documents.noun(ProjectDocument, "Project")
ProjectConnection = connection_type(Project, "Project")
Workflow = _documents.noun(WorkflowRow, "Workflow")
WorkflowConnection = connection_type(Workflow, "Workflow")
Agent = _documents.noun(AgentDocument, "Agent")
AgentConnection = connection_type(Agent, "Agent")
Tool = _documents.noun(ToolRow, "Tool")
ToolConnection = connection_type(Tool, "Tool")
Model = _documents.noun(ModelDocument, "Model")
Provider = _documents.noun(ProviderRow, "Provider")
ProviderConnection = connection_type(Provider, "Provider")
Route = _documents.noun(RouteDocument, "Route")
Budget = _documents.noun(BudgetDocument, "Budget", prefix="bud")
BudgetConnection = connection_type(Budget, "Budget")
Key = _documents.noun(KeyDocument, "Key", prefix="key")
KeyConnection = connection_type(Key, "Key")
Forecast = _documents.noun(ForecastDocument, "CostForecast")
