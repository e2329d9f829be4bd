"""Every query on the runs that work on items, and on how far the journal was read for them."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.money import Money
from mosaic.planning.models import plan_follower, work_item, work_item_run
from mosaic.planning.schemas import Actual, LinkedRun
from mosaic.storage import DialectName, Transaction

__all__ = ["ItemRunRepository"]


class ItemRunRepository:
    """Rows of linked runs, scoped by tenant."""

    def __init__(self, dialect: DialectName) -> None:
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def of_plans(self, tx: Transaction, tenant: str, plan_ids: Collection[str]) -> list[LinkedRun]:
        """Return the runs of plans' items, oldest first."""
        query = select(work_item_run).where(work_item_run.c.plan_id.in_(sorted(plan_ids)))
        query = query.where(work_item_run.c.tenant_id == tenant)
        rows = await tx.rows(query.order_by(work_item_run.c.linked_at, work_item_run.c.run_id))
        return [_linked(row) for row in rows]

    async def get(self, tx: Transaction, tenant: str, run_ids: Iterable[str]) -> dict[str, LinkedRun]:
        """Return those of these runs that work on an item."""
        query = select(work_item_run).where(work_item_run.c.run_id.in_(sorted(set(run_ids))))
        rows = await tx.rows(query.where(work_item_run.c.tenant_id == tenant))
        return {row["run_id"]: _linked(row) for row in rows}

    async def not_begun(self, tx: Transaction, tenant: str, *, before: datetime) -> list[LinkedRun]:
        """Return runs that were to be started before a moment and have reported nothing."""
        query = select(work_item_run).where(
            work_item_run.c.status == "queued",
            work_item_run.c.linked_at < before,
            work_item_run.c.tenant_id == tenant,
        )
        return [_linked(row) for row in await tx.rows(query)]

    async def add(self, tx: Transaction, tenant: str, linked: LinkedRun) -> None:
        """Write that a run works on an item."""
        await tx.execute(
            insert(work_item_run).values(
                tenant_id=tenant, run_id=linked.run_id, plan_id=linked.plan, item_id=linked.item,
                workflow=linked.workflow, before=linked.before, linked_at=linked.linked_at,
                linked_by=linked.linked_by, **_values(linked),
            )
        )  # fmt: skip

    async def save(self, tx: Transaction, tenant: str, linked: LinkedRun) -> None:
        """Write how a run stands."""
        mine = (work_item_run.c.run_id == linked.run_id, work_item_run.c.tenant_id == tenant)
        await tx.execute(update(work_item_run).values(_values(linked)).where(*mine))

    async def remove(self, tx: Transaction, tenant: str, run_id: str) -> None:
        """Forget a run that never began."""
        mine = (work_item_run.c.run_id == run_id, work_item_run.c.tenant_id == tenant)
        await tx.execute(delete(work_item_run).where(*mine))

    async def set_status(
        self, tx: Transaction, tenant: str, item_id: str, *, status: str, reason: str | None, at: datetime
    ) -> None:
        """Write an item's status."""
        await tx.execute(
            update(work_item)
            .values(status=status, reason=reason, updated_at=at)
            .where(work_item.c.id == item_id, work_item.c.tenant_id == tenant)
        )

    async def standing(
        self, tx: Transaction, tenant: str, item_ids: Iterable[str]
    ) -> dict[str, dict[str, Any]]:
        """Return id, key, title, status and plan of items, held until the transaction ends."""
        columns = work_item.c
        query = (
            select(columns.id, columns.key, columns.title, columns.status, columns.plan_id)
            .where(columns.id.in_(sorted(set(item_ids))), columns.tenant_id == tenant)
            .with_for_update()
        )
        return {str(row["id"]): dict(row) for row in await tx.rows(query)}

    async def has_children(self, tx: Transaction, tenant: str, item_id: str) -> bool:
        """Say whether an item has parts."""
        query = select(work_item.c.id).where(
            work_item.c.parent_id == item_id, work_item.c.tenant_id == tenant
        )
        return await tx.scalar(query.limit(1)) is not None

    # How far the journal was read

    async def position(self, tx: Transaction, tenant: str) -> int | None:
        """Return the sequence number up to which the journal was read; None before a run was linked."""
        found = await tx.scalar(select(plan_follower.c.seq).where(plan_follower.c.tenant_id == tenant))
        return int(found) if found is not None else None

    async def begin(self, tx: Transaction, tenant: str, seq: int) -> None:
        """Read the journal from here on; does nothing when it is read already."""
        await tx.execute(
            self._insert(plan_follower).values(tenant_id=tenant, seq=seq).on_conflict_do_nothing()
        )

    async def advance(self, tx: Transaction, tenant: str, *, before: int, after: int) -> bool:
        """Note how far the journal was read; False when somebody else was here first."""
        moved = await tx.execute(
            update(plan_follower)
            .values(seq=after)
            .where(plan_follower.c.seq == before, plan_follower.c.tenant_id == tenant)
        )
        return moved.rowcount == 1


def _values(linked: LinkedRun) -> dict[str, Any]:
    return {
        "status": linked.status,
        "seconds": linked.actual.hours * 3600,
        "tokens": linked.actual.tokens,
        "nanos": Money.usd(linked.actual.usd).nanos,
        "approvals": list(linked.approvals),
        "started_at": linked.started_at,
        "finished_at": linked.finished_at,
    }


def _linked(row: RowMapping) -> LinkedRun:
    return LinkedRun(
        item=row["item_id"],
        plan=row["plan_id"],
        run_id=row["run_id"],
        workflow=row["workflow"],
        status=row["status"],
        before=row["before"],
        actual=Actual(row["seconds"] / 3600, int(row["tokens"]), int(row["nanos"]) / 1e9),
        linked_at=row["linked_at"],
        linked_by=row["linked_by"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        approvals=tuple(row["approvals"]),
    )
