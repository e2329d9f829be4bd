"""Comments on runs, items, approvals and plans; who looks at them; tickets for WebSockets."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from mosaic.api.access import Caller
from mosaic.api.comment_schemas import (
    CommentDocument,
    CommentPage,
    EditComment,
    SubjectKindName,
    TicketDocument,
    ViewerPage,
    WriteComment,
)
from mosaic.api.listing import Cursor
from mosaic.api.live_socket.tickets import TICKET_S, Tickets
from mosaic.api.routing import Route
from mosaic.api.schemas import Id, Limit
from mosaic.app.comment_operations import CommentOperations
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["comments"])
_LOCATION = {"Location": {"description": "where it is", "schema": {"type": "string"}}}
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": CommentDocument}}
_SubjectId = Annotated[str, Query(min_length=1, max_length=128, description="which one")]
_PlanId = Annotated[str | None, Query(min_length=1, max_length=128, description="of an item: its plan")]


def _comments(request: Request) -> CommentOperations:
    comments: CommentOperations = request.app.state.comments
    return comments


def _tickets(request: Request) -> Tickets:
    tickets: Tickets = request.app.state.tickets
    return tickets


Held = Annotated[CommentOperations, Depends(_comments)]


@router.post(
    "/comments",
    status_code=201,
    summary="Write a comment",
    response_model=None,
    responses={201: {"model": CommentDocument, "headers": _LOCATION}},
)
async def write(body: WriteComment, response: Response, comments: Held, ctx: Caller) -> JsonObject:
    """Say something about a run, an item, an approval or a plan. Everybody who follows it sees it at once."""
    made = await comments.add_comment(ctx, body.model_dump())
    response.headers["Location"] = f"/api/v1/comments/{made['id']}"
    return made


@router.get(
    "/comments", summary="List comments", response_model=None, responses={200: {"model": CommentPage}}
)
async def page(
    comments: Held,
    ctx: Caller,
    kind: SubjectKindName,
    subject_id: _SubjectId,
    plan_id: _PlanId = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the comments on one thing, oldest first; deleted ones keep their place, without a body."""
    subject = {"kind": kind, "id": subject_id, "plan_id": plan_id}
    return await comments.comments(ctx, subject, limit=limit, cursor=cursor)


@router.get("/comments/{comment_id}", summary="Show a comment", response_model=None, responses=_SHOWN)
async def show(comment_id: Id, comments: Held, ctx: Caller) -> JsonObject:
    """Return one comment."""
    return await comments.comment(ctx, comment_id)


@router.patch("/comments/{comment_id}", summary="Edit a comment", response_model=None, responses=_SHOWN)
async def edit(comment_id: Id, body: EditComment, comments: Held, ctx: Caller) -> JsonObject:
    """Replace what you said. 403 when somebody else said it, 409 when it is deleted or has changed since."""
    return await comments.edit_comment(ctx, comment_id, {"body": body.body}, base_revision=body.base_revision)


@router.delete("/comments/{comment_id}", summary="Delete a comment", response_model=None, responses=_SHOWN)
async def delete(comment_id: Id, comments: Held, ctx: Caller) -> JsonObject:
    """Remove what you said; its place stays, for the replies to it, and the journal keeps that it was said."""
    return await comments.delete_comment(ctx, comment_id)


@router.get(
    "/presence/{subject_id}",
    summary="Show who looks",
    response_model=None,
    responses={200: {"model": ViewerPage}},
)
async def viewers(subject_id: Id, comments: Held, ctx: Caller) -> JsonObject:
    """Return who looks at a run, plan, item or approval, or at something inside it, right now."""
    return {"items": await comments.viewers(ctx, [subject_id])}


@router.post(
    "/ws/tickets",
    status_code=201,
    summary="Get a ticket for a WebSocket",
    response_model=None,
    responses={201: {"model": TicketDocument}},
    openapi_extra={"x-shown-once": True},
)
async def ticket(tickets: Annotated[Tickets, Depends(_tickets)], ctx: Caller) -> JsonObject:
    """Get what may stand in a WebSocket's address instead of a token: good once, for half a minute."""
    return {"ticket": tickets.issue(ctx), "expires_in_s": TICKET_S}
