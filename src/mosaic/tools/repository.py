"""Every query on approvals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import RowMapping

from mosaic.core.values import JsonObject, JsonValue
from mosaic.storage import Transaction, Write
from mosaic.tools.models import approval
from mosaic.tools.schemas import Approval, ApprovalStatus

__all__ = ["ApprovalRow", "ApprovalsRepository"]


class ApprovalRow:
    """An approval as stored: the public value, its project and the schema its edits must fit."""

    def __init__(self, row: RowMapping) -> None:
        fields: dict[str, Any] = dict(row)
        fields.pop("tenant_id")
        self.project: str = fields.pop("project_id")
        self.arguments_schema: JsonObject | None = fields.pop("arguments_schema")
        fields["roles"] = tuple(fields["roles"])
        fields["status"] = ApprovalStatus(fields["status"])
        self.value = Approval(**fields)


class ApprovalsRepository:
    """Reads and writes approvals of one tenant at a time."""

    def insert(
        self, tenant: str, project: str, asked: Approval, *, arguments_schema: JsonObject | None
    ) -> Write:
        """Return the write that stores a new approval."""
        return approval.insert().values(
            tenant_id=tenant,
            id=asked.id,
            project_id=project,
            run_id=asked.run_id,
            path=asked.path,
            kind=asked.kind,
            title=asked.title,
            detail=asked.detail,
            roles=list(asked.roles),
            status=asked.status.value,
            requested_by=asked.requested_by,
            requested_at=asked.requested_at,
            expires_at=asked.expires_at,
            on_timeout=asked.on_timeout,
            arguments_schema=arguments_schema,
        )

    async def get(self, tx: Transaction, tenant: str, approval_id: str) -> ApprovalRow | None:
        """Return one approval."""
        row = await tx.row(
            sqlalchemy.select(approval).where(approval.c.tenant_id == tenant, approval.c.id == approval_id)
        )
        return ApprovalRow(row) if row is not None else None

    async def list(
        self, tx: Transaction, tenant: str, *, status: ApprovalStatus | None, run_id: str | None, limit: int
    ) -> Sequence[ApprovalRow]:
        """Return approvals in the order they were asked."""
        query = sqlalchemy.select(approval).where(approval.c.tenant_id == tenant)
        if status is not None:
            query = query.where(approval.c.status == status.value)
        if run_id is not None:
            query = query.where(approval.c.run_id == run_id)
        rows = await tx.rows(query.order_by(approval.c.requested_at, approval.c.id).limit(limit))
        return [ApprovalRow(row) for row in rows]

    async def due(self, tx: Transaction, tenant: str, moment: datetime) -> Sequence[str]:
        """Return the ids of pending approvals whose time has passed."""
        rows = await tx.rows(
            sqlalchemy.select(approval.c.id).where(
                approval.c.tenant_id == tenant,
                approval.c.status == ApprovalStatus.PENDING.value,
                approval.c.expires_at <= moment,
            )
        )
        return [row["id"] for row in rows]

    async def decide(
        self,
        tx: Transaction,
        tenant: str,
        approval_id: str,
        *,
        status: ApprovalStatus,
        decided_by: str,
        decided_at: datetime,
        note: str | None = None,
        arguments: JsonObject | None = None,
        answer: JsonValue = None,
        expired_before: datetime | None = None,
    ) -> bool:
        """Decide a pending approval; false when somebody was faster."""
        statement = approval.update().where(
            approval.c.tenant_id == tenant,
            approval.c.id == approval_id,
            approval.c.status == ApprovalStatus.PENDING.value,
        )
        if expired_before is not None:
            statement = statement.where(approval.c.expires_at <= expired_before)
        result = await tx.execute(
            statement.values(
                status=status.value,
                decided_by=decided_by,
                decided_at=decided_at,
                note=note,
                arguments=arguments,
                answer=answer,
            )
        )
        return bool(result.rowcount)
