"""What can be asked."""

from collections.abc import Sequence
from typing import Any, get_args

import strawberry

from mosaic.api.graphql import nouns
from mosaic.api.graphql.connections import After, First, page_of, pages_of
from mosaic.api.graphql.context import Info
from mosaic.api.graphql.documents import Node, many
from mosaic.api.graphql.scalars import Json, Long
from mosaic.api.rest.projects import projects as every_project
from mosaic.app.board_operations import audit_page, journal_head
from mosaic.app.board_workflows import workflows as every_workflow
from mosaic.collaboration import SUBJECTS
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.ids import id_prefix
from mosaic.core.values import JsonObject
from mosaic.providers import ProviderKind

__all__ = ["Query"]


@strawberry.type(description="Who asks.")
class Me:
    """Who asks."""

    tenant: str
    project: str
    actor: str


@strawberry.type(description="Usage and cost by dimensions.")
class Usage:
    """Usage and cost by dimensions."""

    by: list[str]
    items: list[Json]
    total: Json


async def me(info: Info) -> Any:
    ctx = info.context.ctx
    return Me(tenant=ctx.tenant, project=ctx.project, actor=str(ctx.actor))


async def journal(info: Info) -> Any:
    return (await journal_head(info.context.app, info.context.ctx))["head"]


async def projects(info: Info, first: First = 50, after: After = None) -> Any:
    rows = await every_project(info.context.app, info.context.ctx)
    return pages_of(rows, "name", first=first, after=after)


async def plans(info: Info, project: str | None = None, first: First = 20, after: After = None) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.app.plans.plans(
            info.context.ctx, project=project, limit=limit, cursor=cursor
        )

    return await page_of(read, first=first, after=after)


async def plan(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  # the name in the schema
    return await info.context.app.plans.plan(info.context.ctx, str(id))


async def work_item(info: Info, plan: strawberry.ID, item: strawberry.ID) -> Any:
    return await info.context.app.plans.plan_item(info.context.ctx, str(plan), str(item))


async def workflows(info: Info, first: First = 50, after: After = None) -> Any:
    rows = (await every_workflow(info.context.app, info.context.ctx))["items"]
    return pages_of(rows, "name", first=first, after=after)


async def runs(
    info: Info,
    status: str | None = None,
    workflow: str | None = None,
    first: First = 20,
    after: After = None,
) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.app.operations.runs(
            info.context.ctx, status=status, workflow=workflow, limit=limit, cursor=cursor
        )

    return await page_of(read, first=first, after=after)


async def run(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
    found = await info.context.run(str(id))
    if found is None:
        raise NotFound(f"There is no run {id[:80]}.", hint="`runs` lists them.")
    return found


async def agents(info: Info, first: First = 50, after: After = None) -> Any:
    rows = (await info.context.app.operations.agents(info.context.ctx))["items"]
    return pages_of(sorted(rows, key=lambda row: str(row["name"])), "name", first=first, after=after)


async def approvals(
    info: Info,
    status: str | None = None,
    run_id: strawberry.ID | None = None,
    first: First = 50,
    after: After = None,
) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        return await info.context.app.operations.approvals(
            info.context.ctx, status=status, run_id=run_id, limit=limit, cursor=cursor
        )

    return await page_of(read, first=first, after=after)


async def approval(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
    return await info.context.app.operations.approval(info.context.ctx, str(id))


async def tools(
    info: Info,
    search: str | None = None,
    server: str | None = None,
    first: First = 50,
    after: After = None,
) -> Any:
    shown = await info.context.app.tool_operations.tools(info.context.ctx, search=search, server=server)
    return pages_of(shown["items"], "name", first=first, after=after)


async def providers(info: Info, kind: str | None = None, first: First = 50, after: After = None) -> Any:
    if kind is not None and kind not in get_args(ProviderKind):
        raise InvalidInput(f"There is no kind {kind[:40]!r} of providers.")
    shown = await info.context.app.provider_operations.providers(info.context.ctx, kind=kind)  # type: ignore[arg-type]  # checked above
    return pages_of(shown["items"], "name", first=first, after=after)


async def models(info: Info, provider: str | None = None) -> Any:
    return (await info.context.app.provider_operations.models(info.context.ctx, provider=provider))["items"]


async def routes(info: Info) -> Any:
    return (await info.context.app.provider_operations.routes(info.context.ctx))["items"]


async def budgets(
    info: Info,
    scope: str | None = None,
    subject: str | None = None,
    first: First = 50,
    after: After = None,
) -> Any:
    shown = await info.context.app.door_operations.budgets(info.context.ctx, scope=scope, subject=subject)
    return pages_of(shown["items"], "id", first=first, after=after)


async def keys(info: Info, project: str | None = None, first: First = 50, after: After = None) -> Any:
    shown = await info.context.app.door_operations.keys(info.context.ctx, project=project)
    return pages_of(shown["items"], "id", first=first, after=after)


async def usage(
    info: Info, by: list[str] | None = None, since: str | None = None, until: str | None = None
) -> Any:
    shown = await info.context.app.door_operations.usage(
        info.context.ctx, by=by or (), since=since, until=until
    )
    return {name: shown.get(name) for name in ("by", "items", "total")}


async def cost_forecast(info: Info, period: str = "month") -> Any:
    return await info.context.app.door_operations.cost_forecast(info.context.ctx, period=period)


async def artifact(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
    return (await info.context.app.operations.artifact(info.context.ctx, str(id)))[0]


async def events(
    info: Info, run_id: strawberry.ID | None = None, first: First = 50, after: After = None
) -> Any:
    return await nouns.events_page(info, run_id, first=first, after=after)


async def audit(
    info: Info,
    types: list[str] | None = None,
    actor: str | None = None,
    first: First = 50,
    after: After = None,
) -> Any:
    async def read(limit: int, cursor: str | None) -> JsonObject:
        page = await audit_page(
            info.context.app,
            info.context.ctx,
            before=int(cursor) if cursor is not None and cursor.isdecimal() else None,
            limit=limit,
            types=types or (),
            actor=actor,
        )
        return {"items": page["items"], "next_cursor": page["next_before"]}

    return await page_of(read, first=first, after=after)


async def comments(
    info: Info,
    kind: str,
    id: strawberry.ID,  # noqa: A002
    plan_id: strawberry.ID | None = None,
    first: First = 20,
    after: After = None,
) -> Any:
    if kind not in SUBJECTS:
        raise InvalidInput(f"There are no comments on {kind[:40]!r}.", hint=f"One of: {', '.join(SUBJECTS)}.")
    subject: JsonObject = {"kind": kind, "id": str(id), "plan_id": plan_id}
    return await nouns.comments_page(info, subject, first=first, after=after)


async def viewers(info: Info, ids: list[strawberry.ID]) -> Any:
    _bounded(ids)
    return await info.context.comments.viewers(info.context.ctx, ids)


def _bounded(ids: Sequence[str]) -> None:
    if len(ids) > 100:
        raise InvalidInput("At most 100 ids at once.")


async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
    app, ctx, name = info.context.app, info.context.ctx, str(id)
    kind = id_prefix(name)
    if kind == "run":
        return await run(info, id)
    if kind == "plan":
        return await app.plans.plan(ctx, name)
    if kind == "apr":
        return await app.operations.approval(ctx, name)
    if kind == "art":
        return await artifact(info, id)
    if kind == "cmt":
        return await info.context.comments.comment(ctx, name)
    if kind == "bud":
        return await app.door_operations.budget(ctx, name)
    if kind == "key":
        return await app.door_operations.key(ctx, name)
    raise NotFound(f"{name[:80]!r} names nothing here.", hint="Ids begin with their noun, such as run_.")


def _field(resolver: Any, kind: Any, description: str) -> Any:
    return strawberry.field(resolver=resolver, graphql_type=kind, description=description)


@strawberry.type(description="What can be asked.")
class Query:
    """What can be asked."""

    me: Any = _field(me, Me, "Who asks.")
    node: Any = _field(node, Node | None, "Anything by its id.")
    journal_head: Any = _field(journal, Long, "The place of the newest event.")
    projects: Any = _field(projects, nouns.ProjectConnection, "By name.")
    plans: Any = _field(plans, nouns.PlanConnection, "Newest first.")
    plan: Any = _field(plan, nouns.Plan, "One plan.")
    work_item: Any = _field(work_item, nouns.WorkItem, "One item of a plan, by its id or key.")
    workflows: Any = _field(workflows, nouns.WorkflowConnection, "What can be started by its name.")
    runs: Any = _field(runs, nouns.RunConnection, "Newest first.")
    run: Any = _field(run, nouns.Run, "One run.")
    agents: Any = _field(agents, nouns.AgentConnection, "By name.")
    approvals: Any = _field(approvals, nouns.ApprovalConnection, "Oldest first.")
    approval: Any = _field(approval, nouns.Approval, "One approval.")
    tools: Any = _field(tools, nouns.ToolConnection, "By name; with `search` the best matches first.")
    providers: Any = _field(providers, nouns.ProviderConnection, "By name.")
    models: Any = _field(models, many(nouns.Model), "Models of the providers.")
    routes: Any = _field(routes, many(nouns.Route), "Routes to models and providers.")
    budgets: Any = _field(budgets, nouns.BudgetConnection, "With what is spent of them.")
    keys: Any = _field(keys, nouns.KeyConnection, "Virtual keys, never their secrets.")
    usage: Any = _field(usage, Usage, "Usage and cost by dimensions.")
    cost_forecast: Any = _field(cost_forecast, nouns.Forecast, "What the period will have cost at its end.")
    artifact: Any = _field(artifact, nouns.Artifact, "One artifact; REST has its content.")
    events: Any = _field(events, nouns.EventConnection, "The journal, in order.")
    audit: Any = _field(audit, nouns.EventConnection, "Audited events, newest first.")
    comments: Any = _field(comments, nouns.CommentConnection, "On a run, an item, an approval or a plan.")
    viewers: Any = _field(viewers, many(nouns.Viewer), "Who looks at these things now.")
