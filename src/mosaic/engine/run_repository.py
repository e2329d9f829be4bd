"""Every query on what a run is told and what it may spend on retries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.context import Context
from mosaic.core.values import JsonValue
from mosaic.engine.models import retry, retry_budget, signal
from mosaic.engine.schemas import Signal
from mosaic.storage import SyncTransaction, Transaction

__all__ = ["RunRepository"]


class RunRepository:
    """The statements on signals and retry budgets for one dialect."""

    def __init__(self, dialect: str) -> None:
        self._insert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    # Signals

    async def add_signal(
        self,
        tx: Transaction,
        ctx: Context,
        run_id: str,
        name: str,
        payload: JsonValue,
        *,
        many: bool,
        now: datetime,
    ) -> bool:
        """Write a signal; false when the one signal of its name is there already."""
        row = {
            "tenant_id": ctx.tenant, "run_id": run_id, "name": name, "number": 0, "payload": payload,
            "sender": str(ctx.actor), "sent_at": now,
        }  # fmt: skip
        while True:
            if many:
                last = select(func.max(signal.c.number)).where(*_signals(ctx.tenant, run_id, name))
                row["number"] = int(await tx.scalar(last) or 0) + 1
            statement = self._insert(signal).values(row).on_conflict_do_nothing().returning(signal.c.number)
            written = await tx.row(statement) is not None
            if written or not many:  # else another sender took the number: take the next one
                return written

    async def waiting_signal(
        self, tx: Transaction, tenant: str, run_id: str, name: str, *, taker: str
    ) -> tuple[int, Signal] | None:
        """Return the signal that effect `taker` would take: the one of its name, else the oldest not taken."""
        free = or_(signal.c.number == 0, signal.c.taken_by.is_(None), signal.c.taken_by == taker)
        query = select(signal).where(free, *_signals(tenant, run_id, name))
        own_first = (signal.c.taken_by == taker).desc().nulls_last()
        row = await tx.row(query.order_by(own_first, signal.c.number).limit(1))
        if row is None:
            return None
        return row["number"], Signal(row["name"], row["payload"], row["sender"], row["sent_at"])

    def take_signal(
        self, tx: SyncTransaction, tenant: str, run_id: str, name: str, number: int, *, taker: str
    ) -> bool:
        """Take a signal for one effect; false when another one was faster."""
        free = or_(signal.c.taken_by.is_(None), signal.c.taken_by == taker)
        statement = (
            update(signal)
            .where(free, signal.c.number == number, *_signals(tenant, run_id, name))
            .values(taken_by=taker)
        )
        return tx.execute(statement).rowcount == 1

    # Retry budgets

    async def set_retry_budget(self, tx: Transaction, ctx: Context, run_id: str, budget: int) -> None:
        """Set how many retries a run has left."""
        row = {"tenant_id": ctx.tenant, "run_id": run_id, "retries_left": budget}
        statement = self._insert(retry_budget).values(row)
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=[retry_budget.c.tenant_id, retry_budget.c.run_id],
                set_={"retries_left": budget},
            )
        )

    def take_retry(
        self, tx: SyncTransaction, tenant: str, run_id: str, key: str, *, budget: int
    ) -> int | None:
        """Pay for a retry once; return what is left, or None when the budget was empty."""
        paid = select(retry.c.retries_left).where(
            retry.c.key == key, retry.c.run_id == run_id, retry.c.tenant_id == tenant
        )
        before = tx.scalar(paid)
        if before is not None:
            return int(before)
        first = {"tenant_id": tenant, "run_id": run_id, "retries_left": budget}
        tx.execute(self._insert(retry_budget).values(first).on_conflict_do_nothing())
        left = tx.scalar(
            update(retry_budget)
            .where(
                retry_budget.c.retries_left > 0,
                retry_budget.c.run_id == run_id,
                retry_budget.c.tenant_id == tenant,
            )
            .values(retries_left=retry_budget.c.retries_left - 1)
            .returning(retry_budget.c.retries_left)
        )
        if left is None:
            return None
        tx.execute(insert(retry).values(tenant_id=tenant, run_id=run_id, key=key, retries_left=left))
        return int(left)


def _signals(tenant: str, run_id: str, name: str) -> Sequence[ColumnElement[bool]]:
    return (signal.c.name == name, signal.c.run_id == run_id, signal.c.tenant_id == tenant)
