"""Every query on approvals and votes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import RowMapping

from mosaic.core.values import JsonObject, JsonValue
from mosaic.storage import Transaction, Write
from mosaic.tools.models import approval, approval_vote
from mosaic.tools.schemas import Approval, ApprovalScope, ApprovalStatus, Vote

__all__ = ["ApprovalRow", "ApprovalsRepository"]

_OF_THE_ROW = ("tenant_id", "project_id", "arguments_schema", "asked_arguments")


class ApprovalRow:
    """An approval as stored: the public value, its project, what was asked about and what its edits must fit."""

    def __init__(self, row: RowMapping, votes: Iterable[Vote] = ()) -> None:
        fields: dict[str, Any] = dict(row)
        self.project: str = fields["project_id"]
        self.arguments_schema: JsonObject | None = fields.get("arguments_schema")
        self.asked_arguments: JsonObject | None = fields.get("asked_arguments")
        for name in _OF_THE_ROW:
            fields.pop(name, None)
        fields["roles"] = tuple(fields["roles"])
        fields["status"] = ApprovalStatus(fields["status"])
        self.value = Approval(**fields, votes=tuple(votes))


class ApprovalsRepository:
    """Reads and writes approvals of one tenant at a time."""

    def insert(
        self,
        tenant: str,
        project: str,
        asked: Approval,
        *,
        arguments: JsonObject | None,
        arguments_schema: JsonObject | None,
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
            quorum=asked.quorum,
            counting=asked.counting,
            four_eyes=asked.four_eyes,
            asked_arguments=arguments,
            arguments_schema=arguments_schema,
        )

    async def get(
        self, tx: Transaction, tenant: str, approval_id: str, *, hold: bool = False
    ) -> ApprovalRow | None:
        """Return one approval with its votes.

        Args:
            tx: the transaction.
            tenant: whose.
            approval_id: which.
            hold: nobody else decides it until the transaction ends.
        """
        query = sqlalchemy.select(approval).where(
            approval.c.tenant_id == tenant, approval.c.id == approval_id
        )
        # On SQLite a writer is alone anyway; there the clause is left out.
        row = await tx.row(query.with_for_update() if hold else query)
        if row is None:
            return None
        votes = await self._votes(tx, tenant, [approval_id])
        return ApprovalRow(row, votes.get(approval_id, ()))

    async def page(
        self,
        tx: Transaction,
        tenant: str,
        *,
        status: ApprovalStatus | None,
        run_id: str | None,
        limit: int,
        after: tuple[datetime, str] | None = None,
    ) -> Sequence[ApprovalRow]:
        """Return approvals in the order they were asked, those after a place in it; without what was asked about."""
        columns = [column for column in approval.c if column.name not in _OF_THE_ROW[2:]]
        query = sqlalchemy.select(*columns).where(approval.c.tenant_id == tenant)
        if status is not None:
            query = query.where(approval.c.status == status.value)
        if run_id is not None:
            query = query.where(approval.c.run_id == run_id)
        if after is not None:
            place = sqlalchemy.tuple_(approval.c.requested_at, approval.c.id)
            query = query.where(
                place > sqlalchemy.tuple_(*after, types=[approval.c.requested_at.type, approval.c.id.type])
            )
        rows = await tx.rows(query.order_by(approval.c.requested_at, approval.c.id).limit(limit))
        votes = await self._votes(tx, tenant, [row["id"] for row in rows])
        return [ApprovalRow(row, votes.get(row["id"], ())) for row in rows]

    async def open_by_run(self, tx: Transaction, tenant: str) -> dict[str, list[str]]:
        """Return the ids of pending approvals by run, in the order they were asked."""
        query = sqlalchemy.select(approval.c.run_id, approval.c.id).where(
            approval.c.tenant_id == tenant, approval.c.status == ApprovalStatus.PENDING.value
        )
        found: dict[str, list[str]] = {}
        for row in await tx.rows(query.order_by(approval.c.requested_at, approval.c.id)):
            found.setdefault(row["run_id"], []).append(row["id"])
        return found

    async def _votes(
        self, tx: Transaction, tenant: str, approval_ids: Sequence[str]
    ) -> dict[str, list[Vote]]:
        found: dict[str, list[Vote]] = {}
        if not approval_ids:
            return found
        query = (
            sqlalchemy.select(approval_vote)
            .where(
                approval_vote.c.tenant_id == tenant,
                approval_vote.c.approval_id.in_(approval_ids),
            )
            .order_by(approval_vote.c.voted_at, approval_vote.c.actor)
        )
        for row in await tx.rows(query):
            fields = dict(row)
            fields.pop("tenant_id")
            found.setdefault(fields.pop("approval_id"), []).append(Vote(**fields))
        return found

    async def vote(self, tx: Transaction, tenant: str, approval_id: str, vote: Vote) -> None:
        """Store someone's vote in place of an earlier one; whoever calls holds the approval."""
        theirs = (
            approval_vote.c.tenant_id == tenant,
            approval_vote.c.approval_id == approval_id,
            approval_vote.c.actor == vote.actor,
        )
        await tx.execute(approval_vote.delete().where(*theirs))
        await tx.execute(
            approval_vote.insert().values(
                tenant_id=tenant,
                approval_id=approval_id,
                actor=vote.actor,
                approve=vote.approve,
                voted_at=vote.voted_at,
                note=vote.note,
                arguments=vote.arguments,
                answer=vote.answer,
                scope=vote.scope,
                pattern=vote.pattern,
            )
        )

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
        scope: ApprovalScope = "once",
        pattern: JsonObject | None = None,
        rule: str | None = None,
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
                scope=scope,
                pattern=pattern,
                rule=rule,
            )
        )
        return bool(result.rowcount)
