"""Examples: which came along, and starting one."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from mosaic.api.access import App, Caller
from mosaic.api.routing import Route
from mosaic.api.schemas import Body, Document, Id, RunDocument
from mosaic.app.board_operations import examples, start_example
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, prefix="/examples", tags=["examples"])


class ExampleDocument(Document):
    """A workflow that came along."""

    name: str
    description: str
    inputs: dict[str, Any] = Field(description="JSON schema of its inputs")


class ExamplePage(Document):
    """The examples."""

    items: list[ExampleDocument]


class StartExample(Body):
    """What an example is started with."""

    inputs: dict[str, Any] = Field(default_factory=dict)


@router.get("", summary="List examples", response_model=None, responses={200: {"model": ExamplePage}})
async def listed(app: App, ctx: Caller) -> JsonObject:
    """Return the examples that came with this installation."""
    return await examples(app, ctx)


@router.post(
    "/{name}/runs",
    status_code=201,
    summary="Run an example",
    response_model=None,
    responses={
        201: {
            "model": RunDocument,
            "headers": {"Location": {"description": "where the run is", "schema": {"type": "string"}}},
        }
    },
)
async def start(name: Id, body: StartExample, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Start an example, as `mosaic run` would."""
    run = await start_example(app, ctx, name, body.inputs)
    response.headers["Location"] = f"/api/v1/runs/{run['id']}"
    return run
