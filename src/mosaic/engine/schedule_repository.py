"""Every query on schedules."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.engine.models import schedule
from mosaic.engine.schemas import ScheduleInfo
from mosaic.storage import Transaction

__all__ = ["ScheduleRepository"]


class ScheduleRepository:
    """The statements on schedules for one dialect."""

    def __init__(self, dialect: str) -> None:
        self._insert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def put(
        self,
        tx: Transaction,
        ctx: Context,
        *,
        name: str,
        cron: str,
        timezone: str,
        handler: str,
        input: JsonObject,  # noqa: A002  # the column's name
        next_at: datetime | None,
    ) -> None:
        """Write a schedule, over an older one of its name."""
        values: dict[str, Any] = {
            "project_id": ctx.project, "actor": str(ctx.actor), "cron": cron, "timezone": timezone,
            "handler": handler, "input": input, "next_at": next_at,
        }  # fmt: skip
        statement = self._insert(schedule).values(tenant_id=ctx.tenant, name=name, **values)
        await tx.execute(
            statement.on_conflict_do_update(
                index_elements=[schedule.c.tenant_id, schedule.c.name], set_=values
            )
        )

    async def remove(self, tx: Transaction, tenant: str, name: str) -> bool:
        """Delete a schedule; false when there is none."""
        statement = delete(schedule).where(schedule.c.name == name, schedule.c.tenant_id == tenant)
        return (await tx.execute(statement)).rowcount == 1

    async def of_tenant(self, tx: Transaction, tenant: str) -> list[ScheduleInfo]:
        """Return a tenant's schedules by name."""
        query = select(schedule).where(schedule.c.tenant_id == tenant).order_by(schedule.c.name)
        return [
            ScheduleInfo(
                row["name"], row["cron"], row["timezone"], row["handler"], row["input"],
                row["next_at"], row["last_at"],
            )
            for row in await tx.rows(query)
        ]  # fmt: skip

    async def due(self, tx: Transaction, now: datetime) -> list[RowMapping]:
        """Return the schedules of all tenants that should have fired by now."""
        return await tx.rows(select(schedule).where(schedule.c.next_at <= now).order_by(schedule.c.next_at))

    async def claim(
        self, tx: Transaction, row: RowMapping, *, fired: datetime, next_at: datetime | None
    ) -> bool:
        """Take a firing; false when another node was faster, or the schedule changed."""
        statement = (
            update(schedule)
            .where(
                schedule.c.next_at == row["next_at"],
                schedule.c.cron == row["cron"],
                schedule.c.name == row["name"],
                schedule.c.tenant_id == row["tenant_id"],
            )
            .values(last_at=fired, next_at=next_at)
        )
        return (await tx.execute(statement)).rowcount == 1

    async def soonest(self, tx: Transaction) -> datetime | None:
        """Return when the next schedule of any tenant fires."""
        found: datetime | None = await tx.scalar(select(func.min(schedule.c.next_at)))
        return found
