"""Every query on standing rules and versions of the policy."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.storage import Transaction
from mosaic.tools.models import approval, policy_version, tool_rule
from mosaic.tools.policies.schemas import PolicyVersion, StandingRule

__all__ = ["PolicyRepository"]

_MOST_LISTED = 1_000


class PolicyRepository:
    """Reads and writes the standing rules of one tenant at a time, and the installation's versions."""

    def __init__(self, dialect: Literal["sqlite", "postgresql"]) -> None:
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def insert(self, tx: Transaction, tenant: str, rule: StandingRule) -> None:
        """Store a new rule."""
        await tx.execute(
            tool_rule.insert().values(
                tenant_id=tenant,
                id=rule.id,
                project_id=rule.project,
                tool=rule.tool,
                arguments=rule.arguments,
                scope=rule.scope,
                run_id=rule.run_id,
                approval_id=rule.approval_id,
                roles=list(rule.roles),
                quorum=rule.quorum,
                created_at=rule.created_at,
                created_by=rule.created_by,
            )
        )

    async def asked(
        self, tx: Transaction, tenant: str, approval_id: str
    ) -> tuple[str, tuple[str, ...], int, str | None] | None:
        """Return an approval's project, roles, quorum, and what the installation knows its tool as; None for no approval."""
        row = await tx.row(
            select(approval.c.project_id, approval.c.roles, approval.c.quorum, approval.c.detail).where(
                approval.c.tenant_id == tenant, approval.c.id == approval_id
            )
        )
        if row is None:
            return None
        judged = (row["detail"] or {}).get("policy")
        known_as = judged.get("tool") if isinstance(judged, dict) else None
        return row["project_id"], tuple(row["roles"]), row["quorum"], known_as

    async def get(self, tx: Transaction, tenant: str, rule_id: str) -> StandingRule | None:
        """Return one rule."""
        row = await tx.row(
            select(tool_rule).where(tool_rule.c.tenant_id == tenant, tool_rule.c.id == rule_id)
        )
        return _rule(row) if row is not None else None

    async def list(
        self, tx: Transaction, tenant: str, *, project: str | None, run_id: str | None, revoked: bool
    ) -> Sequence[StandingRule]:
        """Return rules, the newest first, at most a thousand."""
        query = select(tool_rule).where(tool_rule.c.tenant_id == tenant)
        if project is not None:
            query = query.where(tool_rule.c.project_id == project)
        if run_id is not None:
            query = query.where(tool_rule.c.run_id == run_id)
        if not revoked:
            query = query.where(tool_rule.c.revoked_at.is_(None))
        rows = await tx.rows(
            query.order_by(tool_rule.c.created_at.desc(), tool_rule.c.id.desc()).limit(_MOST_LISTED)
        )
        return [_rule(row) for row in rows]

    async def for_call(
        self, tx: Transaction, tenant: str, *, project: str, tool: str, run_id: str
    ) -> Sequence[StandingRule]:
        """Return the rules in force that name a tool, for a project, and for a run or for all; the oldest first."""
        rows = await tx.rows(
            select(tool_rule)
            .where(
                tool_rule.c.tenant_id == tenant,
                tool_rule.c.tool == tool,
                tool_rule.c.project_id == project,
                tool_rule.c.revoked_at.is_(None),
                or_(tool_rule.c.scope == "always", tool_rule.c.run_id == run_id),
            )
            .order_by(tool_rule.c.created_at, tool_rule.c.id)
        )
        return [_rule(row) for row in rows]

    async def revoke(self, tx: Transaction, tenant: str, rule_id: str, *, by: str, moment: datetime) -> bool:
        """Revoke a rule; false when it is revoked already."""
        result = await tx.execute(
            tool_rule.update()
            .where(
                tool_rule.c.tenant_id == tenant, tool_rule.c.id == rule_id, tool_rule.c.revoked_at.is_(None)
            )
            .values(revoked_at=moment, revoked_by=by)
        )
        return bool(result.rowcount)

    async def keep_version(self, tx: Transaction, version: PolicyVersion) -> None:
        """Store a version; one that is stored stays as it is."""
        values = {
            "version": version.version,
            "files": list(version.files),
            "rules": version.rules,
            "first_used_at": version.first_used_at,
        }
        await tx.execute(self._insert(policy_version).values(values).on_conflict_do_nothing())

    async def versions(self, tx: Transaction, limit: int) -> Sequence[PolicyVersion]:
        """Return the versions that were in force, the newest first."""
        rows = await tx.rows(
            select(policy_version)
            .order_by(policy_version.c.first_used_at.desc(), policy_version.c.version)
            .limit(limit)
        )
        return [_version(row) for row in rows]

    async def version(self, tx: Transaction, version: str) -> PolicyVersion | None:
        """Return one version."""
        row = await tx.row(select(policy_version).where(policy_version.c.version == version))
        return _version(row) if row is not None else None


def _rule(row: RowMapping) -> StandingRule:
    fields: dict[str, Any] = dict(row)
    del fields["tenant_id"]
    fields["project"] = fields.pop("project_id")
    fields["roles"] = tuple(fields["roles"])
    return StandingRule(**fields)


def _version(row: RowMapping) -> PolicyVersion:
    return PolicyVersion(row["version"], tuple(row["files"]), row["rules"], row["first_used_at"])
