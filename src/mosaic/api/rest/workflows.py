"""Workflows: which there are, and one with its steps and its source."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from mosaic.api.access import App, Caller
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.rest.screens import OutlineStep, WorkflowRow
from mosaic.api.routing import Route
from mosaic.api.schemas import Document, Id
from mosaic.app.board_workflows import outline, workflows
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, prefix="/workflows", tags=["workflows"])
_HASH = "sha256:"


class WorkflowPage(Document):
    """Workflows, by name."""

    items: list[WorkflowRow]
    next_cursor: str | None


class SourceFile(Document):
    """A file of a workflow: `text`, or `base64` where it is no text."""

    path: str
    text: str | None
    base64: str | None


class WorkflowDocument(Document):
    """A workflow as one hash names it for ever: its steps and its source."""

    name: str
    version: str
    description: str
    content_hash: str
    inputs: dict[str, Any] = Field(description="JSON schema of its inputs")
    steps: list[OutlineStep]
    entry: str = Field(description="path of the definition among the files")
    files: list[SourceFile]


@router.get("", summary="List workflows", response_model=None, responses={200: {"model": WorkflowPage}})
async def page(
    app: App,
    ctx: Caller,
    search: Annotated[
        str | None, Query(max_length=200, description="a part of the name or description")
    ] = None,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the workflows that ran here, each in its newest form, and of the examples."""
    shown = await workflows(app, ctx)
    if search is not None:
        wanted = search.casefold()
        shown["items"] = [
            row for row in shown["items"] if wanted in f"{row['name']} {row['description']}".casefold()
        ]
    return paged(shown, "name", limit=limit, cursor=cursor, identity=())


@router.get(
    "/{workflow}",
    summary="Show a workflow",
    response_model=None,
    responses={200: {"model": WorkflowDocument}},
)
async def show(workflow: Id, app: App, ctx: Caller) -> JsonObject:
    """Return a workflow that ran here, by its name, or in any form that ever ran by its content hash."""
    if workflow.startswith(_HASH):
        found = await app.definitions.load(ctx, workflow)
    else:
        known = {one.name: one for one in await app.definitions.newest(ctx)}
        if workflow not in known:
            raise NotFound(
                f"There is no workflow {workflow[:80]!r} that ran here before.",
                hint="GET /api/v1/workflows lists them.",
            )
        found = known[workflow]
    source = json.loads(found.bundle.to_bytes())
    return {
        "name": found.name,
        "version": found.version,
        "description": found.description or "",
        "content_hash": found.content_hash,
        "inputs": dict(found.inputs_schema),
        "steps": outline(found.steps),
        "entry": source["entry"],
        "files": [
            {"path": path, "text": content.get("text"), "base64": content.get("base64")}
            for path, content in sorted(source["files"].items())
        ],
    }
