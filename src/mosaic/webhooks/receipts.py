"""Every query on messages that came in, of one tenant at a time."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy

from mosaic.core.values import JsonObject
from mosaic.storage import Transaction
from mosaic.webhooks.models import hook_delivery

__all__ = ["Receipt", "Receipts"]

_row = hook_delivery.c


class Receipt(NamedTuple):
    """A message that came in.

    Attributes:
        status: ``taken`` when it is known and not yet done, ``done``, ``ignored``, ``failed``.
        run_id: the run that it started, or told something.
    """

    hook: str
    delivery_id: str
    received_at: datetime
    size_bytes: int
    status: str
    run_id: str | None
    error: str | None

    def to_json(self) -> JsonObject:
        """Return the message as the API shows it."""
        return {**self._asdict(), "received_at": self.received_at.isoformat().replace("+00:00", "Z")}


class Receipts:
    """Reads and writes what came in."""

    async def get(self, tx: Transaction, tenant: str, hook: str, delivery_id: str) -> Receipt | None:
        """Return what is known of a message."""
        found = await tx.row(
            sqlalchemy.select(*_READ).where(
                _row.tenant_id == tenant, _row.hook == hook, _row.delivery_id == delivery_id
            )
        )
        return Receipt(**found) if found is not None else None

    async def take(self, tx: Transaction, tenant: str, receipt: Receipt) -> None:
        """Note a message.

        Raises:
            Duplicate: if it is noted already.
        """
        await tx.execute(hook_delivery.insert().values(tenant_id=tenant, **receipt._asdict()))

    async def end(
        self,
        tx: Transaction,
        tenant: str,
        receipt: Receipt,
        *,
        status: str,
        run_id: str | None,
        error: str | None,
    ) -> None:
        """Note what came of a message."""
        await tx.execute(
            hook_delivery.update()
            .where(
                _row.tenant_id == tenant, _row.hook == receipt.hook, _row.delivery_id == receipt.delivery_id
            )
            .values(status=status, run_id=run_id, error=error)
        )

    async def forget(self, tx: Transaction, tenant: str, hook: str, *, before: datetime) -> None:
        """Forget the messages of a hook that came before a moment."""
        await tx.execute(
            hook_delivery.delete().where(
                _row.tenant_id == tenant, _row.hook == hook, _row.received_at < before
            )
        )

    async def newest(self, tx: Transaction, tenant: str, hook: str, *, limit: int) -> list[Receipt]:
        """Return the messages of a hook, newest first."""
        query = (
            sqlalchemy.select(*_READ)
            .where(_row.tenant_id == tenant, _row.hook == hook)
            .order_by(_row.received_at.desc(), _row.delivery_id)
            .limit(limit)
        )
        return [Receipt(**found) for found in await tx.rows(query)]


_READ = (
    _row.hook, _row.delivery_id, _row.received_at, _row.size_bytes, _row.status, _row.run_id, _row.error,
)  # fmt: skip
