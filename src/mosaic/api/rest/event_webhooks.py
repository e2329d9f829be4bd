"""Webhooks that are told of events: make, list, change, rotate, test, remove; their deliveries, again where wanted."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response

from mosaic.api.access import App, Caller
from mosaic.api.conditions import versions_of
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.routing import Route
from mosaic.api.schemas import Id, Limit
from mosaic.api.webhook_schemas import (
    CreateWebhook,
    DeliveryDocument,
    DeliveryPage,
    DeliveryStatusName,
    HookMessagePage,
    HookPage,
    NewWebhookDocument,
    Replay,
    RotateWebhook,
    UpdateWebhook,
    WebhookDocument,
    WebhookRemoved,
    WebhookSubscriptionPage,
    WebhookTested,
)
from mosaic.app.hooks import hook_messages, hooks
from mosaic.core.values import JsonObject
from mosaic.webhooks import StaleWebhook

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["webhooks"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": WebhookDocument}}
_IfMatch = Annotated[str | None, Header(description="the ETag the change was made for", max_length=200)]


@router.post(
    "/webhooks",
    status_code=201,
    summary="Make a webhook",
    response_model=None,
    responses={201: {"model": NewWebhookDocument}},
    openapi_extra={"x-shown-once": True},
)
async def create(body: CreateWebhook, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Have an address told of events. Its `secret` is in this answer and nowhere else."""
    made = await app.event_webhooks.create_webhook(ctx, body.model_dump(mode="json", exclude_none=True))
    response.headers["Location"] = f"/api/v1/webhooks/{made['id']}"
    return made


@router.get(
    "/webhooks",
    summary="List webhooks",
    response_model=None,
    responses={200: {"model": WebhookSubscriptionPage}},
)
async def listed(
    app: App,
    ctx: Caller,
    sort: Literal["name", "-name", "created_at", "-created_at"] = "name",
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return the webhooks and what each has not been told yet."""
    return paged(await app.event_webhooks.webhooks(ctx), sort, limit=limit, cursor=cursor)


@router.get("/webhooks/{webhook_id}", summary="Show a webhook", response_model=None, responses=_SHOWN)
async def show(webhook_id: Id, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return one webhook by its id or name."""
    shown = await app.event_webhooks.webhook(ctx, webhook_id)
    response.headers["ETag"] = f'"{shown["version"]}"'
    return shown


@router.patch("/webhooks/{webhook_id}", summary="Change a webhook", response_model=None, responses=_SHOWN)
async def update(
    webhook_id: Id,
    body: UpdateWebhook,
    response: Response,
    app: App,
    ctx: Caller,
    if_match: _IfMatch = None,
) -> JsonObject:
    """Change where it is, what it is told, or whether it is; what waits is tried again at once."""
    version = None
    if (accepted := versions_of(if_match)) is not None:
        current = str((await app.event_webhooks.webhook(ctx, webhook_id))["version"])
        if current not in accepted:
            raise StaleWebhook(
                "The webhook was changed meanwhile.", hint="Read it again, then repeat the change."
            )
        version = int(current)
    given = body.model_dump(mode="json", exclude_unset=True)
    changes = {name: value for name, value in given.items() if value is not None or name == "project"}
    shown = await app.event_webhooks.update_webhook(ctx, webhook_id, changes, version=version)
    response.headers["ETag"] = f'"{shown["version"]}"'
    return shown


@router.delete(
    "/webhooks/{webhook_id}",
    summary="Remove a webhook",
    response_model=None,
    responses={200: {"model": WebhookRemoved}},
)
async def remove(webhook_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Remove a webhook and what waits for it."""
    return await app.event_webhooks.remove_webhook(ctx, webhook_id)


@router.post(
    "/webhooks/{webhook_id}/rotate",
    summary="Give a webhook another secret",
    response_model=None,
    responses={200: {"model": NewWebhookDocument}},
    openapi_extra={"x-shown-once": True},
)
async def rotate(webhook_id: Id, body: RotateWebhook, app: App, ctx: Caller) -> JsonObject:
    """Give a webhook another secret; for `overlap_s` seconds every message has the signatures of both."""
    return await app.event_webhooks.rotate_webhook(ctx, webhook_id, overlap_s=body.overlap_s)


@router.post(
    "/webhooks/{webhook_id}/test",
    summary="Test a webhook",
    response_model=None,
    responses={200: {"model": WebhookTested}},
)
async def test(webhook_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Send one signed message of type `mosaic.webhook.test` now, and say what came of it."""
    return await app.event_webhooks.test_webhook(ctx, webhook_id)


@router.post(
    "/webhooks/{webhook_id}/replay", summary="Tell a webhook again", response_model=None, responses=_SHOWN
)
async def replay(webhook_id: Id, body: Replay, app: App, ctx: Caller) -> JsonObject:
    """Tell a webhook everything after a journal sequence again, in order; messages keep their ids."""
    return await app.event_webhooks.replay_webhook(ctx, webhook_id, after=body.after)


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    summary="List deliveries",
    response_model=None,
    responses={200: {"model": DeliveryPage}},
)
async def deliveries(
    webhook_id: Id,
    app: App,
    ctx: Caller,
    status: DeliveryStatusName | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of a webhook's deliveries, newest first; `status=dead` are those that were given up."""
    return await app.event_webhooks.webhook_deliveries(
        ctx, webhook_id, status=status, limit=limit, cursor=cursor
    )


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    summary="Deliver again",
    response_model=None,
    responses={200: {"model": DeliveryDocument}},
)
async def redeliver(webhook_id: Id, delivery_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Have one delivery made again, from its first attempt, also one that has arrived."""
    return await app.event_webhooks.redeliver(ctx, webhook_id, delivery_id)


@router.get("/hooks", summary="List hooks", response_model=None, responses={200: {"model": HookPage}})
async def hook_list(app: App, ctx: Caller) -> JsonObject:
    """Return where messages come in, and what they start."""
    return await hooks(app, ctx)


@router.get(
    "/hooks/{name}/messages",
    summary="List messages of a hook",
    response_model=None,
    responses={200: {"model": HookMessagePage}},
)
async def messages(name: Id, app: App, ctx: Caller, limit: Limit = 50) -> JsonObject:
    """Return the newest messages that came in at a hook, and what came of each."""
    return await hook_messages(app, ctx, name, limit=limit)
