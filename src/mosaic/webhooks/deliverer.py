"""Delivers: from the journal to every subscription, in the journal's order, at least once, for as long as it takes.

How far the journal has been looked through, and what is on its way, are rows: whatever dies, the next process goes on
from them. One process at a time delivers to a subscription; when it says nothing for a while, another one does.
A message that was sent without its answer being noted is sent again, under the same id.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Event, Journal, NewEvent, events_topic
from mosaic.observability import get_logger
from mosaic.outbound import Answer, Poster, pause_s
from mosaic.storage import Database, Transaction
from mosaic.webhooks.interfaces import FormMaker
from mosaic.webhooks.outbox import Outbox
from mosaic.webhooks.patterns import matcher
from mosaic.webhooks.repository import WebhookRepository
from mosaic.webhooks.schemas import Delivery, DeliveryStatus, Form, Webhook, WebhookSettings
from mosaic.webhooks.service import webhooks_topic

__all__ = ["Deliverer"]

_log = get_logger(__name__)
_PAGE = 200
_RUN = 20  # deliveries in order before the subscription is looked at again
_FAR = 1_000  # events that are passed over before the cursor is written without anything to deliver
_LOOK_AGAIN_S = 15.0
_BREATH_S = 0.1
_CROWD = 4  # webhooks; with more, each looks less often, so that a busy journal is not read all the time
_PRUNE_S = 3_600.0
_DEAD_LONGER = 4
_FORGOTTEN = "the journal no longer holds the event"

# How an attempt ended: it is tried again; it arrived or is dead; it or its subscription is no longer what it was.
_End = Literal["waits", "over", "changed"]


@dataclass(slots=True)
class _Progress:
    """What this process remembers of a subscription between two looks.

    Attributes:
        stored: the cursor as it is stored; another value means that somebody else has moved it.
        seen: how far the journal has been looked through.
        leased_until: until when this process delivers.
        pruned_at: when old deliveries were forgotten last.
        warned: what was said last of why nothing is delivered here.
    """

    stored: int
    seen: int
    leased_until: datetime | None = None
    pruned_at: datetime | None = None
    warned: str | None = None


class Deliverer:
    """Delivers one tenant's events, as one of several processes that may.

    Args:
        database: where it is kept what is on its way.
        journal: what happened.
        bus: says that something did.
        settings: bounds.
        forms: who makes the messages, by form; subscriptions of others are left alone.
        owner: this process, unlike any other.
        alone: no other process executes on this data, so that what a dead one held is free at once.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        *,
        settings: WebhookSettings,
        forms: Mapping[Form, FormMaker],
        owner: str,
        alone: bool = False,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._settings = settings
        self._forms = forms
        self._owner = owner
        self._alone = alone
        self._clock = clock
        self._rows = WebhookRepository()
        self._outbox = Outbox()
        self._poster = Poster(allowed=settings.allowed_hosts, timeout_s=settings.timeout_s)
        self._in_flight = asyncio.Semaphore(settings.in_flight)
        self._progress: dict[str, _Progress] = {}
        self._breath_s = _BREATH_S
        # Long enough for an attempt to end well within what is left of it.
        self._lease = timedelta(seconds=max(settings.lease_s, 4 * settings.timeout_s))

    async def run(self, ctx: Context) -> None:
        """Deliver for ever, to each subscription at its own pace."""
        working: dict[str, asyncio.Task[None]] = {}
        with self._bus.subscribe(webhooks_topic(ctx.tenant)) as subscription:
            try:
                while True:
                    try:
                        await self._attend(ctx, working)
                    except Exception as error:  # noqa: BLE001  # a worker: it looks again
                        _log.exception("looking for webhooks failed", exc_info=error)
                    await subscription.wait(timeout_s=_LOOK_AGAIN_S)
            finally:
                for task in working.values():
                    task.cancel()
                await asyncio.gather(*working.values(), return_exceptions=True)
                await self._release(ctx)

    async def _attend(self, ctx: Context, working: dict[str, asyncio.Task[None]]) -> None:
        for name in [name for name, task in working.items() if task.done()]:
            del working[name]
            self._progress.pop(name, None)
        async with self._database.transaction(read_only=True) as tx:
            webhooks = await self._rows.list(tx, ctx.tenant)
        for webhook in webhooks:
            if webhook.status == "active" and webhook.form in self._forms and webhook.id not in working:
                working[webhook.id] = asyncio.create_task(self._serve(ctx, webhook.id))
        self._breath_s = _BREATH_S * max(1.0, len(working) / _CROWD)

    async def _release(self, ctx: Context) -> None:
        try:
            async with self._database.transaction() as tx:
                await self._rows.release(tx, ctx.tenant, self._owner)
        except Exception as error:  # noqa: BLE001  # it ends by itself after a while
            _log.warning("webhooks are not free for other processes yet", exc_info=error)

    async def _serve(self, ctx: Context, webhook_id: str) -> None:
        with self._bus.subscribe(events_topic(ctx.tenant), webhooks_topic(ctx.tenant)) as subscription:
            while True:
                wait_s: float | None = _LOOK_AGAIN_S
                try:
                    wait_s = await self.work(ctx, webhook_id)
                except Exception as error:  # noqa: BLE001  # a worker: it looks again
                    _log.exception("delivering to the webhook %s failed", webhook_id, exc_info=error)
                if wait_s is None:
                    return
                await asyncio.sleep(self._breath_s)  # a busy journal wakes us more often than there is news
                await subscription.wait(timeout_s=wait_s)

    async def work(self, ctx: Context, webhook_id: str) -> float | None:
        """Deliver to one subscription what is due, until nothing is.

        Returns:
            Seconds until there may be something to do; None when it is to be told nothing any more.
        """
        while True:
            async with self._database.transaction(read_only=True) as tx:
                webhook = await self._rows.get(tx, ctx.tenant, webhook_id)
            if webhook is None or webhook.status != "active":
                return None
            progress = self._progress.setdefault(webhook.id, _Progress(webhook.seq, webhook.seq))
            if webhook.seq != progress.stored:
                progress.stored = progress.seen = webhook.seq
            if not self._able(webhook, progress) or not await self._leased(webhook, progress):
                return min(_LOOK_AGAIN_S, self._lease.total_seconds() / 2)
            more = await self._collect(ctx, webhook, progress)
            if not await self._deliver(ctx, webhook, progress) and not more:
                return await self._until_next(webhook, progress)

    def _able(self, webhook: Webhook, progress: _Progress) -> bool:
        problem = self._forms[webhook.form].problem(webhook)
        if problem is not None and problem != progress.warned:
            _log.warning("nothing is delivered to the webhook %s from here: %s", webhook.name, problem)
        progress.warned = problem
        return problem is None

    async def _leased(self, webhook: Webhook, progress: _Progress) -> bool:
        """Be the one that delivers for long enough for a few attempts; false while another process is."""
        moment = self._clock()
        if progress.leased_until is not None and progress.leased_until - moment > self._lease / 2:
            return True
        until = moment + self._lease
        async with self._database.transaction() as tx:
            taken = await self._rows.lease(
                tx, webhook, owner=self._owner, now=moment, until=until, alone=self._alone
            )
        progress.leased_until = until if taken else None
        return taken

    async def _collect(self, ctx: Context, webhook: Webhook, progress: _Progress) -> bool:
        """Note a page of what is to be delivered; say whether there may be more."""
        head = await self._journal.head(ctx)
        if progress.seen >= head:
            return False
        async with self._database.transaction(read_only=True) as tx:
            waiting = (await self._outbox.standing(tx, webhook)).waiting
        if waiting >= self._settings.most_waiting:
            return False  # the journal keeps it until there is room
        # Without a star the database finds them; with one, we look at each.
        exact = None if any("*" in pattern for pattern in webhook.events) else webhook.events
        events = await self._journal.read(ctx, after=progress.seen, types=exact, limit=_PAGE)
        full = len(events) == _PAGE
        after = events[-1].seq if full else max([head, *(event.seq for event in events)])
        wanted = [event for event in events if _wants(webhook, event)]
        if wanted or after - progress.stored >= _FAR:
            await self._note(webhook, progress, wanted, after)
        else:
            progress.seen = after
        return full

    async def _note(self, webhook: Webhook, progress: _Progress, events: list[Event], after: int) -> None:
        async with self._database.transaction() as tx:
            if not await self._rows.advance(
                tx, webhook, owner=self._owner, before=progress.stored, after=after
            ):
                return  # set back meanwhile, or no longer ours: the next look finds out
            await self._outbox.add(tx, webhook, events, now=self._clock())
        progress.stored = progress.seen = after

    async def _deliver(self, ctx: Context, webhook: Webhook, progress: _Progress) -> bool:
        """Make the attempts that are due; say whether any delivery was ended, so that there is room for another."""
        if webhook.at_once > 1:
            async with self._database.transaction(read_only=True) as tx:
                due = await self._outbox.due(tx, webhook, now=self._clock(), limit=webhook.at_once)
            ends = await asyncio.gather(*(self._attempt(ctx, webhook, progress, one) for one in due))
            return any(end != "waits" for end in ends)
        async with self._database.transaction(read_only=True) as tx:
            first = await self._outbox.first(tx, webhook, limit=_RUN)
        until = self._clock() + self._lease / 4
        ended = False
        for delivery in first:
            moment = self._clock()
            # The first one that does not arrive holds back the rest: their order is kept.
            if delivery.next_at > moment or moment > until:
                break
            end = await self._attempt(ctx, webhook, progress, delivery)
            ended = ended or end != "waits"
            if end != "over":
                break
        return ended

    async def _attempt(self, ctx: Context, webhook: Webhook, progress: _Progress, delivery: Delivery) -> _End:
        """Try a delivery once and note what came of it."""
        async with self._in_flight:
            left = (progress.leased_until or self._clock()) - self._clock()
            if left.total_seconds() < self._settings.timeout_s:
                return "changed"  # it waited for its turn for too long: another process may have the webhook
            answer = await self._sent(ctx, webhook, delivery)
        moment = self._clock()
        wait_s: float | None = None
        if not answer.gone and answer.error != _FORGOTTEN:
            wait_s = pause_s(delivery.attempts, retry_s=self._settings.retry_s, after_s=answer.after_s)
        status: DeliveryStatus = "dead" if wait_s is None else "waiting"
        if answer.error is None:
            status = "delivered"
        disabled = False
        async with self._database.transaction() as tx:
            noted = await self._outbox.finish(
                tx,
                ctx.tenant,
                delivery,
                status=status,
                next_at=moment + timedelta(seconds=wait_s or 0.0),
                at=moment,
                answer=answer.status,
                error=answer.error,
            )
            if noted and answer.error is not None:
                disabled = await self._failed(tx, ctx, webhook, delivery, answer, dead=status == "dead")
            elif noted:
                await self._rows.arrived(tx, webhook)
        if disabled or not noted:
            return "changed"
        return "waits" if status == "waiting" else "over"

    async def _failed(
        self,
        tx: Transaction,
        ctx: Context,
        webhook: Webhook,
        delivery: Delivery,
        answer: Answer,
        *,
        dead: bool,
    ) -> bool:
        """Count a failure; say in the journal when the delivery is given up, or the subscription is.

        Returns:
            Whether the subscription is disabled by it.
        """
        moment = self._clock()
        failures, since = await self._rows.failed(tx, webhook, at=moment)
        shown: JsonObject = {**webhook.journaled(), "error": answer.error}
        events = []
        if dead:
            more: JsonObject = {"delivery": delivery.id, "event": delivery.event_id, "seq": delivery.seq}
            attempts = delivery.attempts + 1
            events.append(NewEvent("webhook.dead_lettered", {**shown, **more, "attempts": attempts}))
        reason = self._reason(answer, failures, (moment - since).total_seconds())
        disabled = bool(reason) and await self._rows.set_status(
            tx, webhook, "disabled", reason=reason, at=moment
        )
        if disabled:
            events.append(NewEvent("webhook.disabled", {**shown, "reason": reason}))
            _log.warning("the webhook %s is disabled: %s", webhook.name, reason)
        await self._journal.append(tx, ctx, events)
        return disabled

    def _reason(self, answer: Answer, failures: int, failing_s: float) -> str | None:
        """Return why a subscription is told nothing any more; None when it still is."""
        if answer.gone:
            return "it answered 410: it wants no events any more"
        if failures < self._settings.disable_after or failing_s < self._settings.disable_after_s:
            return None
        return f"{failures} attempts in a row failed in {failing_s / 3600:.1f} hours; the last one: {answer.error}"

    async def _sent(self, ctx: Context, webhook: Webhook, delivery: Delivery) -> Answer:
        events = await self._journal.read(ctx, after=delivery.seq - 1, limit=1)
        if not events or events[0].id != delivery.event_id:
            return Answer(_FORGOTTEN)
        try:
            message = await self._forms[webhook.form].message(ctx, webhook, events[0])
        except MosaicError as error:
            return Answer(error.message[:500])
        if message is None:
            return Answer()
        return await self._poster.post(message.url, headers=message.headers, body=message.body)

    async def _until_next(self, webhook: Webhook, progress: _Progress) -> float:
        moment = self._clock()
        async with self._database.transaction(read_only=True) as tx:
            if webhook.at_once > 1:
                due = (await self._outbox.standing(tx, webhook)).next_at
            else:
                first = await self._outbox.first(tx, webhook, limit=1)
                due = first[0].next_at if first else None
        if progress.pruned_at is None or (moment - progress.pruned_at).total_seconds() > _PRUNE_S:
            progress.pruned_at = moment
            kept = timedelta(seconds=self._settings.keep_s)
            async with self._database.transaction() as tx:
                await self._outbox.prune(tx, webhook, "delivered", before=moment - kept)
                await self._outbox.prune(tx, webhook, "dead", before=moment - _DEAD_LONGER * kept)
        longest_s = min(_LOOK_AGAIN_S, self._lease.total_seconds() / 3)  # the lease is kept up meanwhile
        return longest_s if due is None else min(longest_s, max(0.0, (due - moment).total_seconds()))


def _wants(webhook: Webhook, event: Event) -> bool:
    if webhook.project is not None and event.project != webhook.project:
        return False
    # What is told of its own failures would fail as well, and so on.
    if event.type.startswith("webhook.") and event.data.get("webhook") == webhook.id:
        return False
    return matcher(webhook.events)(event.type)
