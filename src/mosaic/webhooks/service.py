"""Subscriptions: make, change, rotate, remove; look at what was delivered, and have it delivered again."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, LimitExceeded, NotFound, Problem
from mosaic.core.ids import new_id
from mosaic.core.page import Page
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Event, Journal, NewEvent
from mosaic.outbound import Answer, Poster
from mosaic.storage import Database, Duplicate, Transaction
from mosaic.webhooks.errors import StaleWebhook
from mosaic.webhooks.keys import SecretMaker
from mosaic.webhooks.outbox import Outbox, Standing
from mosaic.webhooks.patterns import pattern_problems
from mosaic.webhooks.repository import WebhookRepository
from mosaic.webhooks.schemas import CONTROL_PLANE, Delivery, NewWebhook, Webhook, WebhookSettings
from mosaic.webhooks.signed_events import SignedEvents

__all__ = ["Webhooks", "webhooks_topic"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_URL = 2_000
_MOST_AT_ONCE = 16
_LONGEST_OVERLAP_S = 30 * 86_400.0
_STATUSES = ("waiting", "delivered", "dead")


def webhooks_topic(tenant: str) -> str:
    """Return the bus topic that says that a tenant's subscriptions have changed."""
    return f"webhooks:{tenant}"


class Webhooks:
    """The subscriptions of every tenant, one tenant at a time.

    Args:
        database: where they are kept.
        journal: what happens, and where changes of subscriptions are told.
        bus: wakes who delivers.
        secrets: makes their secrets.
        settings: bounds.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        *,
        secrets: SecretMaker,
        settings: WebhookSettings,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._secrets = secrets
        self._settings = settings
        self._clock = clock
        self._rows = WebhookRepository()
        self._outbox = Outbox()
        self._poster = Poster(allowed=settings.allowed_hosts, timeout_s=settings.timeout_s)
        self._form = SignedEvents(secrets, max_body_bytes=settings.max_body_bytes, clock=clock)

    async def create(self, ctx: Context, wanted: NewWebhook) -> tuple[Webhook, str]:
        """Make a subscription; return it and its secret, which nothing shows again.

        Raises:
            InvalidInput: naming each field that is wrong.
            PolicyDenied: if its address is one that may not be reached.
            Conflict: if there is one of that name.
            LimitExceeded: if there are too many.
        """
        problems = _problems(name=wanted.name, url=wanted.url, events=wanted.events, at_once=wanted.at_once)
        problems += _project_problems(wanted.project)
        if wanted.name == CONTROL_PLANE:
            problems.append(Problem("the settings make the webhook of that name", path="name"))
        _raise(problems)
        await self._poster.check(wanted.url)
        moment = self._clock()
        webhook = Webhook(
            id=new_id("whk"), tenant=ctx.tenant, name=wanted.name, url=wanted.url, events=wanted.events,
            project=wanted.project, form="event", at_once=wanted.at_once, key_id=self._secrets.key_id,
            salt=self._secrets.salt(), old_salt=None, old_until=None, status="active", reason=None, failures=0,
            failing_since=None, seq=await self._begin_at(ctx, wanted.after), version=1, created_at=moment,
            created_by=str(ctx.actor), updated_at=moment,
        )  # fmt: skip
        await self._add(ctx, webhook)
        return webhook, self._secrets.secret(webhook)

    async def ensure_control_plane(self, ctx: Context, url: str) -> None:
        """Have the control plane of the settings told of artifacts from now on, or under another address."""
        async with self._database.transaction(read_only=True) as tx:
            known = await self._rows.get(tx, ctx.tenant, CONTROL_PLANE)
        moment = self._clock()
        if known is None:
            webhook = Webhook(
                id=new_id("whk"), tenant=ctx.tenant, name=CONTROL_PLANE, url=url, events=("run.succeeded",),
                project=None, form="artifacts", at_once=1, key_id="", salt="", old_salt=None, old_until=None,
                status="active", reason=None, failures=0, failing_since=None, seq=await self._journal.head(ctx),
                version=1, created_at=moment, created_by=str(ctx.actor), updated_at=moment,
            )  # fmt: skip
            with contextlib.suppress(Conflict):  # another node was faster
                await self._add(ctx, webhook)
        elif known.url != url:
            async with self._database.transaction() as tx:
                await self._rows.change(tx, known, {"url": url}, at=moment)
                self._bus.publish_in(tx, webhooks_topic(ctx.tenant))

    async def list(self, ctx: Context) -> list[tuple[Webhook, Standing]]:
        """Return the tenant's subscriptions and how their deliveries stand."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.list(tx, ctx.tenant)
            return [(webhook, await self._outbox.standing(tx, webhook)) for webhook in found]

    async def get(self, ctx: Context, name: str) -> tuple[Webhook, Standing]:
        """Return one subscription by its id or name, and how its deliveries stand.

        Raises:
            NotFound: if the tenant has none.
        """
        async with self._database.transaction(read_only=True) as tx:
            webhook = await self._found(tx, ctx, name)
            return webhook, await self._outbox.standing(tx, webhook)

    def problem(self, webhook: Webhook) -> str | None:
        """Return why this process cannot sign for a subscription; None when it can."""
        return self._form.problem(webhook) if webhook.form == "event" else None

    async def update(
        self, ctx: Context, name: str, changes: JsonObject, *, version: int | None = None
    ) -> Webhook:
        """Change a subscription's `url`, `events`, `project` or `at_once`; what waits is tried again at once.

        Raises:
            InvalidInput: naming each field that is wrong.
            StaleWebhook: if it has another version than `version`.
            Conflict: if the settings make it.
        """
        webhook, _ = await self.get(ctx, name)
        _require_own(webhook)
        _require_version(webhook, version)
        new = replace(
            webhook,
            url=changes.get("url", webhook.url),
            events=tuple(changes.get("events", webhook.events)),
            project=changes.get("project", webhook.project),
            at_once=changes.get("at_once", webhook.at_once),
        )
        problems = _problems(name=new.name, url=new.url, events=new.events, at_once=new.at_once)
        _raise(problems + _project_problems(new.project))
        if new.url != webhook.url:
            await self._poster.check(new.url)
        values: dict[str, Any] = {
            "url": new.url,
            "events": list(new.events),
            "project_id": new.project,
            "at_once": new.at_once,
        }
        return await self._change(ctx, webhook, values, "webhook.updated")

    async def rotate(self, ctx: Context, name: str, *, overlap_s: float = 86_400.0) -> tuple[Webhook, str]:
        """Give a subscription another secret; return both. For `overlap_s` seconds the old one signs, too.

        Raises:
            Conflict: if the settings make the subscription.
        """
        webhook, _ = await self.get(ctx, name)
        _require_own(webhook)
        moment = self._clock()
        until = moment + timedelta(seconds=min(max(overlap_s, 0.0), _LONGEST_OVERLAP_S))
        # A secret that another key made cannot sign any more.
        old_salt = webhook.salt if self._secrets.fits(webhook) and until > moment else None
        values = {
            "key_id": self._secrets.key_id,
            "salt": self._secrets.salt(),
            "old_salt": old_salt,
            "old_until": until if old_salt else None,
        }
        changed = await self._change(ctx, webhook, values, "webhook.rotated")
        return changed, self._secrets.secret(changed)

    async def enable(self, ctx: Context, name: str) -> Webhook:
        """Tell a subscription again, from where it was left."""
        return await self._set_status(ctx, name, enabled=True)

    async def disable(self, ctx: Context, name: str) -> Webhook:
        """Tell a subscription nothing until it is enabled; nothing is lost meanwhile."""
        return await self._set_status(ctx, name, enabled=False)

    async def remove(self, ctx: Context, name: str) -> Webhook:
        """Remove a subscription and what waits for it; the settings' own one comes back with the next start."""
        webhook, _ = await self.get(ctx, name)
        async with self._database.transaction() as tx:
            await self._outbox.remove(tx, webhook)
            await self._rows.remove(tx, webhook)
            await self._told(tx, ctx, webhook, "webhook.removed")
        return webhook

    async def deliveries(
        self,
        ctx: Context,
        name: str,
        *,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Delivery]:
        """Return a page of a subscription's deliveries, newest first.

        Raises:
            InvalidInput: if there is no such status.
        """
        if status is not None and status not in _STATUSES:
            raise InvalidInput(
                f"There is no delivery status {status[:40]!r}.", hint=f"Statuses: {', '.join(_STATUSES)}."
            )
        async with self._database.transaction(read_only=True) as tx:
            webhook = await self._found(tx, ctx, name)
            found = await self._outbox.page(tx, webhook, status=status, before=cursor, limit=limit + 1)
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].id if more else None)

    async def redeliver(self, ctx: Context, name: str, delivery_id: str) -> Delivery:
        """Have one delivery made again, also one that has arrived; its message keeps its id.

        Raises:
            NotFound: if the subscription has no such delivery.
        """
        async with self._database.transaction() as tx:
            webhook = await self._found(tx, ctx, name)
            if await self._outbox.get(tx, webhook, delivery_id) is None:
                raise NotFound(
                    f"The webhook {webhook.name} has no delivery {delivery_id}.",
                    hint=f"`mosaic webhooks deliveries {webhook.name}` lists them.",
                )
            await self._outbox.again(tx, webhook, delivery_id, now=self._clock())
            await self._told(tx, ctx, webhook, "webhook.replayed", {"delivery": delivery_id})
            delivery = await self._outbox.get(tx, webhook, delivery_id)
        if delivery is None:
            raise NotFound(f"There is no delivery {delivery_id} any more.")
        return delivery

    async def replay(self, ctx: Context, name: str, *, after: int) -> Webhook:
        """Tell a subscription everything after a journal sequence again, in order; messages keep their ids.

        Raises:
            InvalidInput: if it has not been told that much yet.
        """
        async with self._database.transaction() as tx:
            webhook = await self._found(tx, ctx, name)
            if not 0 <= after <= webhook.seq:
                raise InvalidInput(
                    f"The webhook {webhook.name} has been told up to {webhook.seq}, so there is nothing to repeat "
                    f"after {after}.",
                    hint="Name a smaller sequence: `mosaic webhooks deliveries` shows those of events.",
                )
            # What waits beyond it is found in the journal again; twice would be once too often.
            await self._outbox.forget_after(tx, webhook, after)
            await self._rows.rewind(tx, webhook, after=after)
            await self._told(tx, ctx, webhook, "webhook.replayed", {"after": after})
        return (await self.get(ctx, name))[0]

    async def test(self, ctx: Context, name: str) -> Answer:
        """Send a subscription one message now, of type ``webhook.test``, and return what came of it.

        Raises:
            Unavailable: if it cannot be signed here.
            Conflict: if the settings make the subscription.
        """
        webhook, _ = await self.get(ctx, name)
        _require_own(webhook)
        event = Event(
            ctx.tenant, 0, new_id("evt"), "webhook.test", 1, self._clock(), ctx.project, str(ctx.actor),
            None, None, None, None, webhook.journaled(),
        )  # fmt: skip
        message = await self._form.message(ctx, webhook, event)
        answer = await self._poster.post(message.url, headers=message.headers, body=message.body)
        data: JsonObject = {**webhook.journaled(), "answer": answer.status, "error": answer.error}
        async with self._database.transaction() as tx:
            await self._journal.append(tx, ctx, [NewEvent("webhook.tested", data)])
        return answer

    async def _add(self, ctx: Context, webhook: Webhook) -> None:
        try:
            async with self._database.transaction() as tx:
                if len(await self._rows.list(tx, ctx.tenant)) >= self._settings.most:
                    raise LimitExceeded(
                        f"There are {self._settings.most} webhooks already.",
                        hint="Remove one that nobody needs.",
                    )
                await self._rows.add(tx, webhook)
                await self._told(tx, ctx, webhook, "webhook.created")
        except Duplicate:
            raise Conflict(
                f"There is a webhook {webhook.name} already.", hint="Choose another name, or change that one."
            ) from None

    async def _begin_at(self, ctx: Context, after: int | None) -> int:
        head = await self._journal.head(ctx)
        if after is not None and not 0 <= after <= head:
            raise InvalidInput(
                f"The journal ends at {head}: it cannot be told from after {after}.",
                problems=[Problem(f"give 0 to {head}", path="after")],
            )
        return head if after is None else after

    async def _change(self, ctx: Context, webhook: Webhook, values: dict[str, Any], event: str) -> Webhook:
        moment = self._clock()
        async with self._database.transaction() as tx:
            if not await self._rows.change(tx, webhook, values, at=moment):
                raise _stale(webhook)
            await self._outbox.retry_now(tx, webhook, now=moment)
            changed = await self._found(tx, ctx, webhook.id)
            await self._told(tx, ctx, changed, event)
        return changed

    async def _set_status(self, ctx: Context, name: str, *, enabled: bool) -> Webhook:
        moment = self._clock()
        async with self._database.transaction() as tx:
            webhook = await self._found(tx, ctx, name)
            reason = None if enabled else f"disabled by {ctx.actor}"
            status = "active" if enabled else "disabled"
            if await self._rows.set_status(tx, webhook, status, reason=reason, at=moment):  # type: ignore[arg-type]
                if enabled:
                    await self._outbox.retry_now(tx, webhook, now=moment)
                more: JsonObject = {"reason": reason} if reason else {}
                await self._told(tx, ctx, webhook, "webhook.enabled" if enabled else "webhook.disabled", more)
            return await self._found(tx, ctx, webhook.id)

    async def _told(
        self, tx: Transaction, ctx: Context, webhook: Webhook, event: str, more: JsonObject | None = None
    ) -> None:
        self._bus.publish_in(tx, webhooks_topic(ctx.tenant))
        await self._journal.append(tx, ctx, [NewEvent(event, {**webhook.journaled(), **(more or {})})])

    async def _found(self, tx: Transaction, ctx: Context, name: str) -> Webhook:
        webhook = await self._rows.get(tx, ctx.tenant, name)
        if webhook is None:
            raise NotFound(f"There is no webhook {name}.", hint="`mosaic webhooks list` shows them.")
        return webhook


def _problems(*, name: str, url: str, events: Sequence[str], at_once: int) -> list[Problem]:
    found = pattern_problems(events)
    if not _NAME.fullmatch(name):
        found.append(Problem("give up to 63 lower-case letters, digits and dashes", path="name"))
    if (wrong := _url_problem(url)) is not None:
        found.append(Problem(wrong, path="url"))
    if not 1 <= at_once <= _MOST_AT_ONCE:
        found.append(Problem(f"give 1 to {_MOST_AT_ONCE}", path="at_once"))
    return found


def _url_problem(url: str) -> str | None:
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"give an address of at most {_LONGEST_URL} characters, without spaces"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "this is no address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "give an address that begins with https:// or http://"
    if "@" in parts.netloc:
        return "leave name and password out: the signature says who sends"
    return None


def _project_problems(project: str | None) -> list[Problem]:
    if project is None or _PROJECT.fullmatch(project):
        return []
    return [Problem("this is no name of a project", path="project")]


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInput("The webhook is not valid.", problems=problems)


def _require_own(webhook: Webhook) -> None:
    if webhook.form != "event":
        raise Conflict(
            f"The settings make the webhook {webhook.name}.", hint="Change `control_plane` in the settings."
        )


def _require_version(webhook: Webhook, version: int | None) -> None:
    if version is not None and webhook.version != version:
        raise _stale(webhook)


def _stale(webhook: Webhook) -> StaleWebhook:
    return StaleWebhook(
        f"The webhook {webhook.name} was changed meanwhile.", hint="Look at it again, then repeat the change."
    )
