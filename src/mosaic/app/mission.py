"""What a control plane asks of its runtime: start a workflow by its id, see how it goes, take feedback."""

import re
from collections.abc import Sequence

from mosaic.app.board_workflows import start_workflow
from mosaic.app.build import Application
from mosaic.app.control_plane import PlaneCaller
from mosaic.app.operations import require_text
from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, NotFound, PermissionDenied, Problem
from mosaic.core.ids import new_id
from mosaic.core.values import JsonObject
from mosaic.events import NewEvent
from mosaic.feedback import NewFeedback
from mosaic.runs.schemas import Run, RunStatus

__all__ = ["execute", "execution", "feedback", "give_feedback", "on_behalf"]

_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_USER = 180
_ENDS = {RunStatus.SUCCEEDED: "completed", RunStatus.FAILED: "failed", RunStatus.CANCELLED: "failed"}
_STEP_EVENTS = ("step.started", "step.completed", "step.failed", "step.skipped", "step.cancelled")


def on_behalf(ctx: Context, app_id: str | None, user_id: str | None) -> Context:
    """Return the context of an app's user.

    The owner may act for any; the control plane for those that its token names.

    Raises:
        InvalidInput: if app or user is missing, or no name.
        PermissionDenied: if the token is for another one.
    """
    from_token = isinstance(ctx, PlaneCaller)
    app = app_id or (ctx.project if from_token else None)
    user = user_id or (ctx.actor.id if from_token else None)
    problems = []
    if app is None or not _APP.fullmatch(app):
        problems.append(Problem("give the app's id: letters, digits, `_`, `.`, `-`", path="header.x-app-id"))
    if user is None or not (0 < len(user) <= _LONGEST_USER and user.isprintable()):
        problems.append(Problem("give the user's id", path="header.x-user-id"))
    if app is None or user is None or problems:
        raise InvalidInput("The request does not say for which app and user.", problems=problems)
    if from_token and ((ctx.project and app != ctx.project) or user != ctx.actor.id):
        raise PermissionDenied(
            "The token is for another app or user than the headers say.",
            hint="X-App-ID and X-User-ID are those of the token, or left out.",
        )
    return Context(ctx.tenant, app, Actor("user", user))


async def execute(app: Application, ctx: Context, wanted: JsonObject) -> JsonObject:
    """Start a workflow from `workflow_id`, `input` and `context`.

    Args:
        app: the installation.
        ctx: see `on_behalf`.
        wanted: `workflow_id` is a workflow's name; `context` is journaled with the run.

    Raises:
        NotFound: if there is no such workflow.
        InvalidInput: if the input does not fit it.
    """
    require_text(wanted, "request")
    run_id = new_id("run")
    run = await start_workflow(
        app, ctx, str(wanted["workflow_id"]), dict(wanted.get("input") or {}), {"run_id": run_id}
    )
    data: JsonObject = {
        "workflow_id": wanted["workflow_id"],
        "app_id": ctx.project,
        "user_id": ctx.actor.id,
        "context": wanted.get("context"),
    }
    async with app.database.transaction() as tx:
        await app.journal.append(
            tx, ctx.correlated(run_id), [NewEvent("execution.requested", data, run_id=run_id)]
        )
    return {"execution_id": run["id"], "status": "started"}


async def execution(app: Application, ctx: Context, execution_id: str, app_id: str | None) -> JsonObject:
    """Return how an execution stands; with what it kept once it has completed.

    Raises:
        NotFound: if there is none, or it is another app's.
    """
    run = await app.runs.get(ctx, execution_id)
    required = app_id or (ctx.project if isinstance(ctx, PlaneCaller) else "")
    if isinstance(ctx, PlaneCaller) and ctx.project and required != ctx.project:
        raise PermissionDenied("The token is for another app than X-App-ID says.")
    if required and run.project != required:
        raise NotFound(f"There is no execution {execution_id[:80]}.")
    status = _ENDS.get(run.status, "running")
    shown: JsonObject = {
        "execution_id": run.id,
        "workflow_id": run.workflow,
        "status": status,
        "progress": await _progress(app, ctx, run),
        "error": _error(run) if status == "failed" else None,
        "artifacts": None,
        "output": None,
    }
    if status == "completed":
        address = f"{app.address or ''}/api/v1/artifacts"
        kept = await app.runs.artifacts(ctx, run.id)
        shown["artifacts"] = [{**item.to_json(), "url": f"{address}/{item.id}/content"} for item in kept]
        shown["output"] = run.outputs
    return shown


async def _progress(app: Application, ctx: Context, run: Run) -> JsonObject:
    """Return how many of the workflow's steps have ended, and which are under way."""
    definition = await app.definitions.load(ctx, run.definition_hash)
    begun: set[str] = set()
    ended: set[str] = set()
    after = 0
    while events := await app.journal.read(ctx, after=after, run_id=run.id, types=_STEP_EVENTS, limit=500):
        after = events[-1].seq
        for event in events:
            (begun if event.type == "step.started" else ended).add(str(event.path))
    top = {step.path for step in definition.steps}
    done = len(top & ended)
    return {
        "steps": len(top),
        "done": done,
        "percent": 100 if run.status is RunStatus.SUCCEEDED else round(100 * done / max(1, len(top))),
        "current": sorted((begun - ended) & top),
    }


def _error(run: Run) -> JsonObject:
    if run.error is not None:
        return {"code": run.error.get("code"), "message": run.error.get("message")}
    return {"code": "cancelled", "message": "The execution was cancelled."}


async def give_feedback(app: Application, ctx: Context, said: JsonObject) -> JsonObject:
    """Keep feedback: `generation_id`, `rating` and perhaps `comments` and `issues`.

    A generation that is a run, or an artifact of one, is journaled with that run.
    """
    require_text(said, "feedback")
    generation = str(said["generation_id"])
    issues: Sequence[str] = said.get("issues") or ()
    kept = await app.feedback.give(
        ctx,
        NewFeedback(
            generation_id=generation,
            rating=int(said["rating"]),
            comments=said.get("comments"),
            issues=tuple(issues),
            run_id=await _run_of(app, ctx, generation),
        ),
    )
    return kept.to_json()


async def _run_of(app: Application, ctx: Context, generation: str) -> str | None:
    try:
        if generation.startswith("run_"):
            return (await app.runs.get(ctx, generation)).id
        if generation.startswith("art_"):
            return (await app.runs.artifact(ctx, generation))[0].run_id
    except NotFound:
        return None  # a generation of somebody else's
    return None


async def feedback(
    app: Application,
    ctx: Context,
    *,
    generation_id: str | None,
    project: str | None,
    limit: int,
    cursor: str | None,
) -> JsonObject:
    """Return a page of feedback, newest first."""
    page = await app.feedback.page(
        ctx, generation_id=generation_id, project=project, cursor=cursor, limit=limit
    )
    return {"items": [item.to_json() for item in page.items], "next_cursor": page.next_cursor}
