"""Every query on subscriptions, of one tenant at a time."""

from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, RowMapping

from mosaic.storage import Transaction
from mosaic.webhooks.models import event_webhook
from mosaic.webhooks.schemas import Webhook, WebhookStatus

__all__ = ["WebhookRepository"]

_row = event_webhook.c
_READ = (
    _row.id, _row.tenant_id, _row.name, _row.url, _row.events, _row.project_id, _row.form, _row.at_once,
    _row.key_id, _row.salt, _row.old_salt, _row.old_until, _row.status, _row.reason, _row.failures,
    _row.failing_since, _row.seq, _row.version, _row.created_at, _row.created_by, _row.updated_at,
)  # fmt: skip


class WebhookRepository:
    """Reads and writes subscriptions."""

    async def add(self, tx: Transaction, webhook: Webhook) -> None:
        """Add a subscription.

        Raises:
            Duplicate: if there is one of that name.
        """
        await tx.execute(
            event_webhook.insert().values(
                tenant_id=webhook.tenant, id=webhook.id, name=webhook.name, url=webhook.url,
                events=list(webhook.events), project_id=webhook.project, form=webhook.form,
                at_once=webhook.at_once, key_id=webhook.key_id, salt=webhook.salt, status=webhook.status,
                failures=0, seq=webhook.seq, version=webhook.version, created_at=webhook.created_at,
                created_by=webhook.created_by, updated_at=webhook.updated_at,
            )
        )  # fmt: skip

    async def list(self, tx: Transaction, tenant: str) -> list[Webhook]:
        """Return the tenant's subscriptions, oldest first."""
        query = sqlalchemy.select(*_READ).where(_row.tenant_id == tenant).order_by(_row.id)
        return [_webhook(found) for found in await tx.rows(query)]

    async def get(self, tx: Transaction, tenant: str, name: str) -> Webhook | None:
        """Return the subscription of that id or name."""
        query = sqlalchemy.select(*_READ).where(
            _row.tenant_id == tenant, sqlalchemy.or_(_row.id == name, _row.name == name)
        )
        found = await tx.row(query)
        return _webhook(found) if found is not None else None

    async def change(
        self, tx: Transaction, webhook: Webhook, values: dict[str, Any], *, at: datetime
    ) -> bool:
        """Set some columns; false when somebody else has changed the subscription since it was read."""
        changed = await tx.execute(
            event_webhook.update()
            .where(*_one(webhook), _row.version == webhook.version)
            .values(**values, version=webhook.version + 1, updated_at=at)
        )
        return bool(changed.rowcount)

    async def remove(self, tx: Transaction, webhook: Webhook) -> None:
        """Remove a subscription."""
        await tx.execute(event_webhook.delete().where(*_one(webhook)))

    async def lease(
        self, tx: Transaction, webhook: Webhook, *, owner: str, now: datetime, until: datetime, alone: bool
    ) -> bool:
        """Become the one that delivers to a subscription, or stay it; false while another process is.

        Args:
            tx: the transaction.
            webhook: the subscription.
            owner: this process.
            now: the time.
            until: for how long.
            alone: no other process can be delivering on this data: what one that is gone held is ours.
        """
        free = sqlalchemy.or_(_row.leased_by.is_(None), _row.leased_by == owner, _row.leased_until < now)
        taken = await tx.execute(
            event_webhook.update()
            .where(*_one(webhook), *(() if alone else (free,)), _row.status == "active")
            .values(leased_by=owner, leased_until=until)
        )
        return bool(taken.rowcount)

    async def release(self, tx: Transaction, tenant: str, owner: str) -> None:
        """Let other processes deliver to what this one did."""
        await tx.execute(
            event_webhook.update()
            .where(_row.tenant_id == tenant, _row.leased_by == owner)
            .values(leased_by=None, leased_until=None)
        )

    async def advance(
        self, tx: Transaction, webhook: Webhook, *, owner: str, before: int, after: int
    ) -> bool:
        """Move the cursor; false when it is elsewhere by now, or this process no longer delivers."""
        moved = await tx.execute(
            event_webhook.update()
            .where(*_one(webhook), _row.seq == before, _row.leased_by == owner)
            .values(seq=after)
        )
        return bool(moved.rowcount)

    async def rewind(self, tx: Transaction, webhook: Webhook, *, after: int) -> None:
        """Set the cursor back."""
        await tx.execute(event_webhook.update().where(*_one(webhook)).values(seq=after))

    async def arrived(self, tx: Transaction, webhook: Webhook) -> None:
        """Note that something has arrived."""
        await tx.execute(
            event_webhook.update()
            .where(*_one(webhook), _row.failures > 0)
            .values(failures=0, failing_since=None)
        )

    async def failed(self, tx: Transaction, webhook: Webhook, *, at: datetime) -> tuple[int, datetime]:
        """Note that an attempt failed; return how many in a row, and since when."""
        await tx.execute(
            event_webhook.update()
            .where(*_one(webhook))
            .values(
                failures=_row.failures + 1,
                failing_since=sqlalchemy.func.coalesce(
                    _row.failing_since, sqlalchemy.literal(at, _row.failing_since.type)
                ),
            )
        )
        found = await tx.row(sqlalchemy.select(_row.failures, _row.failing_since).where(*_one(webhook)))
        return (int(found["failures"]), found["failing_since"] or at) if found is not None else (0, at)

    async def set_status(
        self, tx: Transaction, webhook: Webhook, status: WebhookStatus, *, reason: str | None, at: datetime
    ) -> bool:
        """Set whether a subscription is told anything; false when it is so already."""
        changed = await tx.execute(
            event_webhook.update()
            .where(*_one(webhook), _row.status != status)
            .values(
                status=status, reason=reason, failures=0, failing_since=None, leased_by=None, leased_until=None,
                version=_row.version + 1, updated_at=at,
            )
        )  # fmt: skip
        return bool(changed.rowcount)


def _one(webhook: Webhook) -> tuple[ColumnElement[bool], ...]:
    return (_row.tenant_id == webhook.tenant, _row.id == webhook.id)


def _webhook(found: RowMapping) -> Webhook:
    values = dict(found)
    events = tuple(values.pop("events"))
    return Webhook(tenant=values.pop("tenant_id"), project=values.pop("project_id"), events=events, **values)
