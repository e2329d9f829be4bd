"""Every query on webhooks: what is still to be told to whom, and which signed messages were taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy
from sqlalchemy import ColumnElement

from mosaic.storage import Transaction
from mosaic.tools.models import webhook_cursor, webhook_delivery, webhook_receipt

__all__ = ["Backlog", "Delivery", "Outbox"]

_WAITING, _FAILED = "waiting", "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that one webhook is to be told.

    Attributes:
        seq: the event's place in the journal.
        attempts: how often it was tried.
    """

    webhook: str
    event_id: str
    seq: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one webhook has not heard.

    Attributes:
        waiting: events it will be told.
        given_up: events it will not be told any more.
        error: why the newest of those that failed did.
    """

    waiting: int
    given_up: int
    error: str | None


class Outbox:
    """Reads and writes what webhooks need, of one tenant at a time."""

    async def cursor(self, tx: Transaction, tenant: str, webhook: str) -> int | None:
        """Return how far a webhook has been told of the journal; None when it is new."""
        found = await tx.scalar(
            sqlalchemy.select(webhook_cursor.c.seq).where(
                webhook_cursor.c.tenant_id == tenant, webhook_cursor.c.webhook == webhook
            )
        )
        return None if found is None else int(found)

    async def begin(self, tx: Transaction, tenant: str, webhook: str, seq: int) -> None:
        """Have a new webhook be told of what comes after `seq`."""
        await tx.execute(webhook_cursor.insert().values(tenant_id=tenant, webhook=webhook, seq=seq))

    async def advance(
        self,
        tx: Transaction,
        tenant: str,
        webhook: str,
        *,
        before: int,
        after: int,
        events: Sequence[tuple[str, int]],
        now: datetime,
    ) -> bool:
        """Note what is to be told between two places in the journal; false when another process has done it.

        Args:
            tx: the transaction.
            tenant: whose.
            webhook: which.
            before: where the cursor was seen.
            after: where it goes.
            events: id and place of each event.
            now: when the first attempt is due.
        """
        moved = await tx.execute(
            webhook_cursor.update()
            .where(
                webhook_cursor.c.tenant_id == tenant,
                webhook_cursor.c.webhook == webhook,
                webhook_cursor.c.seq == before,
            )
            .values(seq=after)
        )
        if not moved.rowcount:
            return False
        rows = [
            {
                "tenant_id": tenant,
                "webhook": webhook,
                "event_id": event_id,
                "seq": seq,
                "status": _WAITING,
                "attempts": 0,
                "next_at": now,
            }
            for event_id, seq in events
        ]
        if rows:
            await tx.execute(webhook_delivery.insert(), rows)
        return True

    async def due(
        self, tx: Transaction, tenant: str, webhook: str, now: datetime, *, limit: int
    ) -> Sequence[Delivery]:
        """Return a webhook's deliveries whose time has come, the oldest event first."""
        row = webhook_delivery.c
        rows = await tx.rows(
            sqlalchemy.select(row.webhook, row.event_id, row.seq, row.attempts)
            .where(
                row.tenant_id == tenant,
                row.webhook == webhook,
                row.status == _WAITING,
                row.next_at <= now,
            )
            .order_by(row.next_at, row.seq)
            .limit(limit)
        )
        return [Delivery(**found) for found in rows]

    async def next_due(self, tx: Transaction, tenant: str, webhook: str) -> datetime | None:
        """Return when a webhook's next delivery is due; None when none waits."""
        row = webhook_delivery.c
        found: datetime | None = await tx.scalar(
            sqlalchemy.select(sqlalchemy.func.min(row.next_at, type_=row.next_at.type)).where(
                row.tenant_id == tenant, row.webhook == webhook, row.status == _WAITING
            )
        )
        return found

    async def claim(self, tx: Transaction, tenant: str, delivery: Delivery, *, until: datetime) -> bool:
        """Take a delivery for one attempt; false when another process has. It is due again at `until` if we die."""
        row = webhook_delivery.c
        result = await tx.execute(
            webhook_delivery.update()
            .where(*_one(tenant, delivery), row.status == _WAITING, row.attempts == delivery.attempts)
            .values(attempts=delivery.attempts + 1, next_at=until)
        )
        return bool(result.rowcount)

    async def delivered(self, tx: Transaction, tenant: str, delivery: Delivery) -> None:
        """Forget a delivery that arrived."""
        await tx.execute(webhook_delivery.delete().where(*_one(tenant, delivery)))

    async def put_off(
        self, tx: Transaction, tenant: str, delivery: Delivery, *, until: datetime | None, error: str
    ) -> None:
        """Note why a delivery did not arrive, and when to try again; with None it is given up."""
        values: dict[str, object] = {"error": error}
        values |= {"status": _FAILED} if until is None else {"next_at": until}
        await tx.execute(webhook_delivery.update().where(*_one(tenant, delivery)).values(values))

    async def backlog(self, tx: Transaction, tenant: str) -> dict[str, Backlog]:
        """Return what each webhook has not heard yet; those that have heard everything are missing."""
        row = webhook_delivery.c
        waits, failed = (
            sqlalchemy.func.sum(sqlalchemy.case((row.status == status, 1), else_=0)).label(status)
            for status in (_WAITING, _FAILED)
        )
        counts = await tx.rows(
            sqlalchemy.select(row.webhook, waits, failed).where(row.tenant_id == tenant).group_by(row.webhook)
        )
        found = {}
        for count in counts:
            error = await tx.scalar(
                sqlalchemy.select(row.error)
                .where(row.tenant_id == tenant, row.webhook == count["webhook"], row.error.is_not(None))
                .order_by(row.seq.desc())
                .limit(1)
            )
            found[count["webhook"]] = Backlog(int(count[_WAITING]), int(count[_FAILED]), error)
        return found

    async def receive(
        self, tx: Transaction, tenant: str, webhook: str, message_id: str, *, now: datetime, kept_s: float
    ) -> bool:
        """Note a signed message; false when one of that id was taken before.

        Args:
            tx: the transaction in which the message takes effect.
            tenant: whose.
            webhook: who signed it.
            message_id: its id.
            now: the time.
            kept_s: for how long a message of that age would still be accepted; older notes are dropped.
        """
        row = webhook_receipt.c
        await tx.execute(
            webhook_receipt.delete().where(
                row.tenant_id == tenant, row.received_at < now - timedelta(seconds=kept_s)
            )
        )
        known = await tx.scalar(
            sqlalchemy.select(row.message_id).where(
                row.tenant_id == tenant, row.webhook == webhook, row.message_id == message_id
            )
        )
        if known is not None:
            return False
        # Two at once: the second one is refused by the key, and all it did with it.
        await tx.execute(
            webhook_receipt.insert().values(
                tenant_id=tenant, webhook=webhook, message_id=message_id, received_at=now
            )
        )
        return True


def _one(tenant: str, delivery: Delivery) -> tuple[ColumnElement[bool], ...]:
    row = webhook_delivery.c
    return (
        row.tenant_id == tenant,
        row.webhook == delivery.webhook,
        row.event_id == delivery.event_id,
    )
