"""Every query on deliveries, of one subscription at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import ColumnElement, RowMapping

from mosaic.core.ids import new_id
from mosaic.events import Event
from mosaic.storage import Transaction
from mosaic.webhooks.models import event_webhook_delivery
from mosaic.webhooks.schemas import Delivery, DeliveryStatus, Webhook

__all__ = ["Outbox", "Standing"]

_row = event_webhook_delivery.c
_READ = (
    _row.id, _row.webhook_id, _row.seq, _row.event_id, _row.type, _row.status, _row.attempts, _row.replay,
    _row.next_at, _row.created_at, _row.finished_at, _row.answer, _row.error,
)  # fmt: skip
_WAITING: DeliveryStatus = "waiting"


class Standing(NamedTuple):
    """How many deliveries of a subscription wait and were given up, and when the next attempt is due."""

    waiting: int = 0
    dead: int = 0
    next_at: datetime | None = None


class Outbox:
    """Reads and writes deliveries."""

    async def add(self, tx: Transaction, webhook: Webhook, events: Sequence[Event], *, now: datetime) -> None:
        """Note events that are to be delivered."""
        rows = [
            {
                "tenant_id": webhook.tenant,
                "id": new_id("dlv"),
                "webhook_id": webhook.id,
                "seq": event.seq,
                "event_id": event.id,
                "type": event.type[:200],
                "status": _WAITING,
                "attempts": 0,
                "replay": False,
                "next_at": now,
                "created_at": now,
            }
            for event in events
        ]
        if rows:
            await tx.execute(event_webhook_delivery.insert(), rows)

    async def first(self, tx: Transaction, webhook: Webhook, *, limit: int) -> list[Delivery]:
        """Return the deliveries that wait, the oldest event first: one in flight keeps the journal's order."""
        query = (
            sqlalchemy.select(*_READ)
            .where(*_of(webhook), _row.status == _WAITING)
            .order_by(_row.seq, _row.id)
            .limit(limit)
        )
        return [_delivery(found) for found in await tx.rows(query)]

    async def due(self, tx: Transaction, webhook: Webhook, *, now: datetime, limit: int) -> list[Delivery]:
        """Return the deliveries whose time has come."""
        query = (
            sqlalchemy.select(*_READ)
            .where(*_of(webhook), _row.status == _WAITING, _row.next_at <= now)
            .order_by(_row.seq, _row.id)
            .limit(limit)
        )
        return [_delivery(found) for found in await tx.rows(query)]

    async def standing(self, tx: Transaction, webhook: Webhook) -> Standing:
        """Return how a subscription's deliveries stand."""
        count = sqlalchemy.func.count()
        first = sqlalchemy.func.min(_row.next_at, type_=_row.next_at.type)
        query = (
            sqlalchemy.select(_row.status, count.label("number"), first.label("first"))
            .where(*_of(webhook), _row.status.in_((_WAITING, "dead")))
            .group_by(_row.status)
        )
        found = {row["status"]: row for row in await tx.rows(query)}
        waiting, dead = found.get(_WAITING), found.get("dead")
        return Standing(
            int(waiting["number"]) if waiting else 0,
            int(dead["number"]) if dead else 0,
            waiting["first"] if waiting else None,
        )

    async def finish(
        self,
        tx: Transaction,
        tenant: str,
        delivery: Delivery,
        *,
        status: DeliveryStatus,
        next_at: datetime,
        at: datetime,
        answer: int | None,
        error: str | None,
    ) -> bool:
        """Note what came of an attempt; false when the delivery was changed meanwhile."""
        changed = await tx.execute(
            event_webhook_delivery.update()
            .where(
                _row.tenant_id == tenant,
                _row.id == delivery.id,
                _row.status == _WAITING,
                _row.attempts == delivery.attempts,
            )
            .values(
                status=status, attempts=delivery.attempts + 1, next_at=next_at, answer=answer, error=error,
                finished_at=at if status != _WAITING else None,
            )
        )  # fmt: skip
        return bool(changed.rowcount)

    async def again(self, tx: Transaction, webhook: Webhook, delivery_id: str, *, now: datetime) -> None:
        """Have one delivery made again, from its first attempt."""
        await tx.execute(
            event_webhook_delivery.update()
            .where(*_of(webhook), _row.id == delivery_id)
            .values(
                status=_WAITING, attempts=0, replay=True, next_at=now, finished_at=None, answer=None, error=None
            )
        )  # fmt: skip

    async def retry_now(self, tx: Transaction, webhook: Webhook, *, now: datetime) -> None:
        """Have everything that waits tried at once, from its first attempt."""
        await tx.execute(
            event_webhook_delivery.update()
            .where(*_of(webhook), _row.status == _WAITING)
            .values(attempts=0, next_at=now)
        )

    async def forget_after(self, tx: Transaction, webhook: Webhook, seq: int) -> None:
        """Forget what waits beyond a place in the journal that is about to be looked at again."""
        await tx.execute(
            event_webhook_delivery.delete().where(*_of(webhook), _row.status == _WAITING, _row.seq > seq)
        )

    async def prune(
        self, tx: Transaction, webhook: Webhook, status: DeliveryStatus, *, before: datetime
    ) -> None:
        """Forget what arrived, or was given up, before a moment."""
        await tx.execute(
            event_webhook_delivery.delete().where(
                *_of(webhook), _row.status == status, _row.finished_at < before
            )
        )

    async def remove(self, tx: Transaction, webhook: Webhook) -> None:
        """Forget all deliveries of a subscription."""
        await tx.execute(event_webhook_delivery.delete().where(*_of(webhook)))

    async def get(self, tx: Transaction, webhook: Webhook, delivery_id: str) -> Delivery | None:
        """Return one delivery of a subscription."""
        found = await tx.row(sqlalchemy.select(*_READ).where(*_of(webhook), _row.id == delivery_id))
        return _delivery(found) if found is not None else None

    async def page(
        self, tx: Transaction, webhook: Webhook, *, status: str | None, before: str | None, limit: int
    ) -> list[Delivery]:
        """Return deliveries, newest first, those older than the id `before`."""
        query = sqlalchemy.select(*_READ).where(*_of(webhook)).order_by(_row.id.desc()).limit(limit)
        if status is not None:
            query = query.where(_row.status == status)
        if before is not None:
            query = query.where(_row.id < before)
        return [_delivery(found) for found in await tx.rows(query)]


def _of(webhook: Webhook) -> tuple[ColumnElement[bool], ...]:
    return (_row.tenant_id == webhook.tenant, _row.webhook_id == webhook.id)


def _delivery(found: RowMapping) -> Delivery:
    return Delivery(**found)
