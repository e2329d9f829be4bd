"""What every door can ask about webhooks that are told of events, as plain JSON; and their delivery."""

import functools
from collections.abc import Mapping
from typing import Any, Protocol

from mosaic.app.artifact_delivery import ArtifactDelivery
from mosaic.app.operations import require_text
from mosaic.app.owner import kept_secret
from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, MosaicError, Problem
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.cost import Cost
from mosaic.events import Bus, Journal
from mosaic.observability import get_logger
from mosaic.runs.service import RunService
from mosaic.storage import Database, DataLock
from mosaic.webhooks import (
    Deliverer,
    FormMaker,
    NewWebhook,
    SecretMaker,
    SignedEvents,
    Standing,
    Webhook,
    Webhooks,
    WebhookSettings,
)

__all__ = ["KEY_VARIABLE", "EventWebhooks", "WebhookRooms"]

_log = get_logger(__name__)
KEY_VARIABLE = "MOSAIC_WEBHOOK_KEY"
_KEY_FILE = "webhook-key"
_FIELDS = ("url", "events", "project", "at_once")


class WebhookRooms(Protocol):
    """The rooms that the verbs on webhooks ask; the application has them."""

    settings: Settings
    database: Database
    journal: Journal
    bus: Bus
    runs: RunService
    cost: Cost
    redactor: Redactor
    lock: DataLock | None
    address: str | None


class EventWebhooks:
    """Webhooks of one application. Every argument and result is JSON, every call is scoped.

    Args:
        rooms: what they are made of.
        environ: where secrets are.
    """

    def __init__(self, rooms: WebhookRooms, *, environ: Mapping[str, str]) -> None:
        self._rooms = rooms
        self.environ = environ

    @functools.cached_property
    def _secrets(self) -> SecretMaker:
        # Not before it is needed: reading the settings makes no file.
        key = self.environ.get(KEY_VARIABLE, "").strip()
        key = key or kept_secret(self._rooms.settings.home / _KEY_FILE, "The key for webhooks")
        self._rooms.redactor.add(key)
        return SecretMaker(key)

    @functools.cached_property
    def _settings(self) -> WebhookSettings:
        section = self._rooms.settings.webhooks
        return WebhookSettings(
            allowed_hosts=self._rooms.settings.tools.allow_private_hosts, **section.model_dump()
        )

    @functools.cached_property
    def _webhooks(self) -> Webhooks:
        rooms = self._rooms
        return Webhooks(
            rooms.database, rooms.journal, rooms.bus, secrets=self._secrets, settings=self._settings
        )

    async def deliver(self) -> None:
        """Deliver for ever; carries on where the last process stopped."""
        try:
            await self._deliver()
        except MosaicError as error:
            _log.error("webhooks are told nothing: %s %s", error.message, error.hint or "")

    async def _deliver(self) -> None:
        rooms, settings = self._rooms, self._rooms.settings
        ctx = Context(settings.tenant, settings.project, Actor("system", "webhooks"))
        forms: dict[Any, FormMaker] = {
            "event": SignedEvents(self._secrets, max_body_bytes=self._settings.max_body_bytes)
        }
        if settings.control_plane.url is not None:
            forms["artifacts"] = ArtifactDelivery(rooms, settings.control_plane, environ=self.environ)
            await self._webhooks.ensure_control_plane(ctx, settings.control_plane.url)
        deliverer = Deliverer(
            rooms.database,
            rooms.journal,
            rooms.bus,
            settings=self._settings,
            forms=forms,
            owner=new_id("deliverer"),
            alone=rooms.lock is not None,
        )
        await deliverer.run(ctx)

    async def create_webhook(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Make a webhook from `name`, `url`, `events`, `project`, `at_once` and `after`; shows its `secret`.

        Raises:
            InvalidInput: naming everything that is wrong.
            PolicyDenied: if its address may not be reached.
        """
        require_text(wanted, "webhook")
        known = ("name", *_FIELDS, "after")
        _refuse_unknown(wanted, known)
        given = {name: wanted[name] for name in known if wanted.get(name) is not None}
        if "events" in given:
            given["events"] = tuple(given["events"])
        webhook, secret = await self._webhooks.create(ctx, NewWebhook(**given))
        return self._with_secret(webhook, secret)

    async def webhooks(self, ctx: Context) -> JsonObject:
        """Return the webhooks and what each has not been told yet."""
        head = await self._rooms.journal.head(ctx)
        return {"items": [self._shown(*found, head) for found in await self._webhooks.list(ctx)]}

    async def webhook(self, ctx: Context, name: str) -> JsonObject:
        """Return one webhook by its id or name."""
        found = await self._webhooks.get(ctx, name)
        return self._shown(*found, await self._rooms.journal.head(ctx))

    async def update_webhook(
        self, ctx: Context, name: str, changes: JsonObject, *, version: int | None = None
    ) -> JsonObject:
        """Change a webhook's `url`, `events`, `project`, `at_once`, or whether it is `enabled`.

        Raises:
            StaleWebhook: if it has another version than `version`, where fields change.
        """
        require_text(changes, "webhook")
        _refuse_unknown(changes, (*_FIELDS, "enabled"))
        enabled = changes.get("enabled")
        fields = {key: value for key, value in changes.items() if key != "enabled"}
        if fields:
            await self._webhooks.update(ctx, name, fields, version=version)
        if enabled is not None:
            await (self._webhooks.enable(ctx, name) if enabled else self._webhooks.disable(ctx, name))
        return await self.webhook(ctx, name)

    async def rotate_webhook(self, ctx: Context, name: str, *, overlap_s: float = 86_400.0) -> JsonObject:
        """Give a webhook another secret and show it; the old one signs too for `overlap_s` seconds."""
        return self._with_secret(*await self._webhooks.rotate(ctx, name, overlap_s=overlap_s))

    async def remove_webhook(self, ctx: Context, name: str) -> JsonObject:
        """Remove a webhook and what waits for it."""
        webhook = await self._webhooks.remove(ctx, name)
        return {"id": webhook.id, "name": webhook.name, "removed": True}

    async def test_webhook(self, ctx: Context, name: str) -> JsonObject:
        """Send a webhook one message now, and return what came of it."""
        answer = await self._webhooks.test(ctx, name)
        return {
            "arrived": answer.error is None,
            "answer": answer.status,
            "error": answer.error,
            "took_s": round(answer.took_s, 3),
        }

    async def webhook_deliveries(
        self,
        ctx: Context,
        name: str,
        *,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JsonObject:
        """Return a page of a webhook's deliveries, newest first."""
        page = await self._webhooks.deliveries(ctx, name, status=status, cursor=cursor, limit=limit)
        return {"items": [item.to_json() for item in page.items], "next_cursor": page.next_cursor}

    async def redeliver(self, ctx: Context, name: str, delivery_id: str) -> JsonObject:
        """Have one delivery made again."""
        return (await self._webhooks.redeliver(ctx, name, delivery_id)).to_json()

    async def replay_webhook(self, ctx: Context, name: str, *, after: int) -> JsonObject:
        """Tell a webhook everything after a journal sequence again."""
        await self._webhooks.replay(ctx, name, after=after)
        return await self.webhook(ctx, name)

    def _shown(self, webhook: Webhook, standing: Standing, head: int) -> JsonObject:
        return {
            **webhook.to_json(),
            "behind": max(0, head - webhook.seq),
            "waiting": standing.waiting,
            "dead": standing.dead,
            "problem": self._problem(webhook),
        }

    def _problem(self, webhook: Webhook) -> str | None:
        if webhook.form == "artifacts" and self._rooms.settings.control_plane.url is None:
            return "The settings name no control plane any more: remove it, or set control_plane.url."
        return self._webhooks.problem(webhook)

    def _with_secret(self, webhook: Webhook, secret: str) -> JsonObject:
        self._rooms.redactor.add(secret)
        return {**self._shown(webhook, Standing(), webhook.seq), "secret": secret}


def _refuse_unknown(given: JsonObject, known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InvalidInput(
            "The webhook is not valid.",
            problems=[Problem("there is no such field", path=name[:100]) for name in unknown],
            hint=f"Fields: {', '.join(known)}.",
        )
