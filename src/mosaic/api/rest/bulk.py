"""Much at once: runs, events, plans and items as lines of JSON, out and in."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, ValidationError

from mosaic.api.access import App, Caller
from mosaic.api.ndjson import MEDIA_TYPE, lines_of, lines_response, problem_of
from mosaic.api.plan_schemas import ChangeDocument, CreatePlan, plan_version
from mosaic.api.routing import Route
from mosaic.api.schemas import After, Document, Id, IfMatch, RunStatusName
from mosaic.core.errors import InvalidInput, MosaicError, Problem
from mosaic.core.values import JsonObject
from mosaic.planning.operations import MOST_OPERATIONS, Add

__all__ = ["router"]

router = APIRouter(route_class=Route)
_MOST_PLANS = 1_000
_MOST_PROBLEMS = 200
_PAGE = 500
_LINES: dict[int | str, dict[str, Any]] = {
    200: {"description": "one a line", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
}
_EXAMPLE = (
    '{"parent": "S.001.02.01", "item": {"title": "Retry a declined card once", "estimate": {"hours": 3}}}\n'
)


def _body(told: str, example: str) -> dict[str, Any]:
    # Any bytes are lines; what is wrong with one of them is told with its number.
    content = {MEDIA_TYPE: {"schema": {"description": told}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


class ImportedLine(Document):
    """What became of a line."""

    line: int = Field(description="counted from 1")
    plan: str | None = Field(description="the id of the plan it made")
    problems: list[dict[str, Any]] = Field(description="why it made none")


class ImportReport(Document):
    """What became of an import, line by line."""

    imported: int
    failed: int
    items: list[ImportedLine]


@router.get(
    "/runs/export", summary="Export runs", tags=["runs"], responses=_LINES, response_class=StreamingResponse
)
async def export_runs(
    app: App,
    ctx: Caller,
    status: RunStatusName | None = None,
    workflow: Annotated[str | None, Query(max_length=200)] = None,
) -> StreamingResponse:
    """Return every run, newest first, each a line as GET /runs shows it."""

    async def pages() -> AsyncIterator[list[JsonObject]]:
        cursor: str | None = None
        while True:
            page = await app.operations.runs(
                ctx, status=status, workflow=workflow, limit=_PAGE, cursor=cursor
            )
            yield page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    return lines_response(pages(), "mosaic-runs.jsonl")


@router.get(
    "/events/export",
    summary="Export the journal",
    tags=["events"],
    responses=_LINES,
    response_class=StreamingResponse,
)
async def export_events(
    app: App,
    ctx: Caller,
    run_id: Annotated[str | None, Query(min_length=1, max_length=500)] = None,
    after: After = 0,
    types: Annotated[list[str], Query(max_length=50, description="event types; none: all")] = [],  # noqa: B006
) -> StreamingResponse:
    """Return every event up to now after a journal sequence, in order, one a line."""
    if run_id is not None:
        await app.runs.get(ctx, run_id)
    head = await app.journal.head(ctx)  # a busy journal would never end

    async def pages() -> AsyncIterator[list[JsonObject]]:
        place = after
        while place < head:
            events = await app.journal.read(ctx, after=place, run_id=run_id, types=types or None, limit=_PAGE)
            yield [event.to_json() for event in events if event.seq <= head]
            if len(events) < _PAGE:
                return
            place = events[-1].seq

    return lines_response(pages(), "mosaic-events.jsonl")


@router.get(
    "/plans/export",
    summary="Export plans",
    tags=["plans"],
    responses=_LINES,
    response_class=StreamingResponse,
)
async def export_plans(
    app: App, ctx: Caller, project: Annotated[str | None, Query(max_length=500)] = None
) -> StreamingResponse:
    """Return every plan, newest first, one a line: what POST /plans/import takes."""

    async def pages() -> AsyncIterator[list[JsonObject]]:
        cursor: str | None = None
        while True:
            page = await app.plans.plan_rows(ctx, project=project, limit=_PAGE, cursor=cursor)
            for row in page["items"]:
                document = (await app.plans.export_plan(ctx, row["id"]))["document"]
                yield [{"project": row["project"], "document": document}]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    return lines_response(pages(), "mosaic-plans.jsonl")


@router.post(
    "/plans/import",
    summary="Import plans",
    tags=["plans"],
    response_model=None,
    responses={200: {"model": ImportReport}},
    openapi_extra=_body(
        f"a plan a line, each as POST /plans takes it; at most {_MOST_PLANS}",
        '{"name": "Checkout", "operations": []}\n',
    ),
)
async def import_plans(request: Request, app: App, ctx: Caller) -> JsonObject:
    """Make a plan of each line. A line that is wrong makes none and says why; the others are made all the same."""
    items: list[JsonObject] = []
    async for number, value, problem in lines_of(request, most=_MOST_PLANS):
        plan, problems = None, [problem] if problem is not None else []
        if problem is None:
            try:
                body = CreatePlan.model_validate(value)
                made = await app.plans.create_plan(ctx, body.model_dump(mode="json", exclude_unset=True))
                plan = made["id"]
            except ValidationError as error:
                problems = _problems(number, error)
            except MosaicError as error:
                problems = [problem_of(number, one) for one in _reasons(error)]
        shown = [{"message": one.message, "path": one.path, "line": one.line} for one in problems]
        items.append({"line": number, "plan": plan, "problems": shown})
    made_count = sum(item["plan"] is not None for item in items)
    return {"imported": made_count, "failed": len(items) - made_count, "items": items}


@router.get(
    "/plans/{plan_id}/items/export",
    summary="Export work items",
    tags=["plans"],
    responses=_LINES,
    response_class=StreamingResponse,
)
async def export_items(plan_id: Id, app: App, ctx: Caller) -> StreamingResponse:
    """Return every item of a plan, parents before children, each a line as GET /plans/{plan_id}/items shows it."""
    page = await app.plans.plan_items(ctx, plan_id, limit=_PAGE)  # 404 before the answer begins

    async def pages() -> AsyncIterator[list[JsonObject]]:
        shown = page
        yield shown["items"]
        while shown["next_cursor"] is not None:
            shown = await app.plans.plan_items(ctx, plan_id, limit=_PAGE, cursor=shown["next_cursor"])
            yield shown["items"]

    return lines_response(pages(), "mosaic-items.jsonl")


@router.post(
    "/plans/{plan_id}/items/import",
    summary="Import work items",
    tags=["plans"],
    response_model=None,
    responses={200: {"model": ChangeDocument}},
    openapi_extra=_body(
        "an item to add a line: the fields of the operation `add` without `op`; a line may name the `ref` of one "
        f"before it as its parent. At most {MOST_OPERATIONS}",
        _EXAMPLE,
    ),
)
async def import_items(
    plan_id: Id,
    request: Request,
    response: Response,
    app: App,
    ctx: Caller,
    dry_run: bool = False,
    note: Annotated[str, Query(max_length=2_000)] = "",
    if_match: IfMatch = None,
) -> JsonObject:
    """Add an item for each line, as one change that can be looked at and taken back: all of them or none.

    422 names every line that is wrong; 412 when the plan has changed since the ETag in If-Match.
    """
    operations, numbers, problems = [], [], []
    async for number, value, problem in lines_of(request, most=MOST_OPERATIONS):
        if problem is not None:
            problems.append(problem)
            continue
        try:
            add = Add.model_validate({**value, "op": "add"})
        except ValidationError as error:
            problems += _problems(number, error)
        else:
            operations.append(add.model_dump(mode="json", exclude_unset=True))
            numbers.append(number)
    if problems or not operations:
        raise _refused(problems or [Problem("there is no item in it", path="body")])
    wanted = {"operations": operations, "note": note, "base_version": plan_version(if_match)}
    try:
        made = await app.plans.change_plan(ctx, plan_id, wanted, dry_run=dry_run)
    except InvalidInput as error:
        raise _refused(
            [_of_line(one, numbers) for one in error.problems] or [Problem(error.message)]
        ) from None
    response.headers["ETag"] = f'"{made["base_version"] if dry_run else made["version"]}"'
    return made


def _refused(problems: list[Problem]) -> InvalidInput:
    count = len(problems)
    return InvalidInput(
        f"{count} problem{'s' if count > 1 else ''} in the lines; no item was added.",
        problems=problems[:_MOST_PROBLEMS],
    )


def _of_line(problem: Problem, numbers: list[int]) -> Problem:
    """Return a problem of ``operations[3]`` as one of the line that operation came from."""
    head, bracket, rest = problem.path.partition("[")
    index, _, tail = rest.partition("]")
    if head != "operations" or not bracket or not index.isdigit() or int(index) >= len(numbers):
        return problem
    return problem_of(numbers[int(index)], Problem(problem.message, path=tail, suggestion=problem.suggestion))


def _problems(number: int, error: ValidationError) -> list[Problem]:
    return [
        problem_of(number, Problem(str(item["msg"]), path=".".join(map(str, item["loc"]))))
        for item in error.errors(include_input=False, include_url=False)
    ]


def _reasons(error: MosaicError) -> tuple[Problem, ...]:
    found = error.problems if isinstance(error, InvalidInput) else ()
    return found or (Problem(error.message, suggestion=error.hint),)
