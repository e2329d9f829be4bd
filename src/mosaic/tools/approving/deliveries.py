"""Tells webhooks what happens to approvals: from the journal, at least once, signed, for as long as it takes.

What is to be told is worked out from the journal's sequence and kept as rows, so nothing is forgotten when a process
dies. A delivery is claimed for one attempt; if the process that claimed it dies, another one tries it again. The same
event has the same id each time.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Event, Journal, NewEvent, events_topic
from mosaic.observability import get_logger
from mosaic.outbound import RETRY_S, Answer, Poster, pause_s, sign
from mosaic.storage import Database, Duplicate
from mosaic.tools.approving.outbox import Backlog, Delivery, Outbox
from mosaic.tools.approving.webhooks import Webhook, WebhookKeys
from mosaic.webhooks import MEDIA_TYPE, envelope

__all__ = ["Deliveries", "cloud_event"]

_log = get_logger(__name__)
_PAGE = 200
_AT_ONCE = 8
_LONGEST_WAIT_S = 15.0
_BREATH_S = 0.5
_FAR = 1_000  # events that are passed over before the cursor is written without anything to tell
_DETAIL_CHARACTERS = 200_000


class Deliveries:
    """Delivers one tenant's events to webhooks, together with every other process that does.

    Args:
        database: where it is noted what is still to be told.
        journal: what happened.
        bus: says that something did.
        webhooks: whom to tell.
        keys: their keys.
        allowed_hosts: private hosts and networks that may be told all the same.
        address: where answers can be sent; None when this process serves nothing.
        retry_s: seconds between attempts.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        webhooks: Sequence[Webhook],
        *,
        keys: WebhookKeys,
        allowed_hosts: Sequence[str] = (),
        address: Callable[[], str | None] = lambda: None,
        retry_s: Sequence[float] = RETRY_S,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._webhooks = {webhook.name: webhook for webhook in webhooks if webhook.url}
        self._keys = keys
        self._poster = Poster(allowed=allowed_hosts)
        self._address = address
        self._retry_s = tuple(retry_s)
        self._clock = clock
        self._outbox = Outbox()

    async def run(self, ctx: Context) -> None:
        """Deliver for ever, to each webhook at its own pace; returns at once when nobody is to be told."""
        await asyncio.gather(*(self._run(ctx, webhook) for webhook in self._webhooks.values()))

    async def _run(self, ctx: Context, webhook: Webhook) -> None:
        with self._bus.subscribe(events_topic(ctx.tenant)) as subscription:
            while True:
                wait_s = _LONGEST_WAIT_S
                try:
                    await self._collect(ctx, webhook)
                    await self._deliver(ctx, webhook)
                    wait_s = await self._until_next(ctx, webhook)
                except Exception as error:  # noqa: BLE001  # a worker: it looks again
                    _log.exception("telling the webhook %s failed", webhook.name, exc_info=error)
                await asyncio.sleep(_BREATH_S)  # a busy journal wakes us more often than there is news
                await subscription.wait(timeout_s=wait_s)

    async def collect(self, ctx: Context) -> None:
        """Note what has happened since the last look and is to be told."""
        for webhook in self._webhooks.values():
            await self._collect(ctx, webhook)

    async def deliver(self, ctx: Context) -> int:
        """Try everything that is due, until nothing is; returns how many arrived."""
        told = await asyncio.gather(*(self._deliver(ctx, webhook) for webhook in self._webhooks.values()))
        return sum(told)

    async def _collect(self, ctx: Context, webhook: Webhook) -> None:
        head, more = await self._journal.head(ctx), True
        while more:
            async with self._database.transaction(read_only=True) as tx:
                cursor = await self._outbox.cursor(tx, ctx.tenant, webhook.name)
            if cursor is None:
                await self._begin(ctx, webhook, head)
                return
            more = await self._collect_page(ctx, webhook, cursor, head)

    async def _begin(self, ctx: Context, webhook: Webhook, head: int) -> None:
        try:
            async with self._database.transaction() as tx:
                await self._outbox.begin(tx, ctx.tenant, webhook.name, head)
        except Duplicate:
            pass  # another process was faster

    async def _collect_page(self, ctx: Context, webhook: Webhook, cursor: int, head: int) -> bool:
        """Note a page; say whether there may be more."""
        types = [f"approval.{name}" for name in webhook.events]
        events = await self._journal.read(ctx, after=cursor, types=types, limit=_PAGE)
        full = len(events) == _PAGE
        after = events[-1].seq if full else max([head, *(event.seq for event in events)])
        if not events and after - cursor < _FAR:
            return False
        async with self._database.transaction() as tx:
            await self._outbox.advance(
                tx,
                ctx.tenant,
                webhook.name,
                before=cursor,
                after=after,
                events=[(event.id, event.seq) for event in events],
                now=self._clock(),
            )
        return full

    async def _deliver(self, ctx: Context, webhook: Webhook) -> int:
        arrived = 0
        while True:
            async with self._database.transaction(read_only=True) as tx:
                due = await self._outbox.due(tx, ctx.tenant, webhook.name, self._clock(), limit=_AT_ONCE)
            if not due:
                return arrived
            arrived += sum(await asyncio.gather(*(self._attempt(ctx, webhook, one) for one in due)))

    async def _attempt(self, ctx: Context, webhook: Webhook, delivery: Delivery) -> bool:
        """Claim a delivery, try it once and note what came of it; say whether it arrived."""
        until = self._clock() + timedelta(seconds=2 * self._poster.timeout_s)
        async with self._database.transaction() as tx:
            if not await self._outbox.claim(tx, ctx.tenant, delivery, until=until):
                return False
        outcome = await self._told(ctx, webhook, delivery)
        async with self._database.transaction() as tx:
            if outcome.error is None:
                await self._outbox.delivered(tx, ctx.tenant, delivery)
                return True
            wait_s = None
            if not outcome.gone:
                wait_s = pause_s(delivery.attempts, retry_s=self._retry_s, after_s=outcome.after_s)
            later = None if wait_s is None else self._clock() + timedelta(seconds=wait_s)
            await self._outbox.put_off(tx, ctx.tenant, delivery, until=later, error=outcome.error)
            if later is None:
                shown: JsonObject = {
                    "webhook": delivery.webhook,
                    "event": delivery.event_id,
                    "attempts": delivery.attempts + 1,
                    "error": outcome.error,
                }
                await self._journal.append(tx, ctx, [NewEvent("webhook.failed", shown)])
        return False

    async def _told(self, ctx: Context, webhook: Webhook, delivery: Delivery) -> Answer:
        events = await self._journal.read(ctx, after=delivery.seq - 1, limit=1)
        if not events or events[0].id != delivery.event_id:
            return Answer("the journal no longer holds the event", gone=True)
        try:
            event = replace(events[0], data=await self._journal.resolve(events[0]))
            body = json.dumps(cloud_event(event, address=self._address()), ensure_ascii=False).encode()
            headers = sign(self._keys.of(webhook), message_id=events[0].id, moment=self._clock(), body=body)
        except MosaicError as error:
            return Answer(error.message[:500])
        headers |= {"content-type": MEDIA_TYPE}
        return await self._poster.post(str(webhook.url), headers=headers, body=body)

    async def backlog(self, ctx: Context) -> dict[str, Backlog]:
        """Return what each webhook has not heard yet; those that have heard everything are missing."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._outbox.backlog(tx, ctx.tenant)

    async def _until_next(self, ctx: Context, webhook: Webhook) -> float:
        async with self._database.transaction(read_only=True) as tx:
            due = await self._outbox.next_due(tx, ctx.tenant, webhook.name)
        if due is None:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max(0.0, (due - self._clock()).total_seconds()))


def cloud_event(event: Event, *, address: str | None) -> JsonObject:
    """Return an event as a CloudEvent 1.0; secrets are masked in it, as in the journal."""
    data: JsonObject = {
        **event.data,
        "tenant": event.tenant,
        "project": event.project,
        "run_id": event.run_id,
        "actor": event.actor,
    }
    approval = str(event.data.get("approval", ""))
    if len(json.dumps(data)) > _DETAIL_CHARACTERS:
        data["detail"] = {"note": f"It is too long to be sent: mosaic approvals show {approval}"}
    if address is not None:
        data["url"] = f"{address}/api/v1/approvals/{approval}"
    return envelope(event, data=data, subject=approval)
