"""Every query on limits, their counters and their leases. Tenant scope comes last in each.

`every_limit`, `living` and `of_holders` read for the whole process or installation; what they find carries its tenant.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.money import Money
from mosaic.cost.limits import Budget, BudgetState, Lease, period_name
from mosaic.cost.models import cost_revision, spend_holder, spend_lease, spend_limit, spend_period
from mosaic.storage import DialectName, Transaction

__all__ = ["BudgetRepository"]

_NAME = "limits"


class BudgetRepository:
    """The statements on budgets that are not on the path of a call."""

    def __init__(self, dialect: DialectName) -> None:
        self._is_sqlite = dialect == "sqlite"
        upsert: Any = sqlite.insert if self._is_sqlite else postgresql.insert
        self._count_up = (
            upsert(cost_revision)
            .values(name=bindparam("n"), revision=1)
            .on_conflict_do_update(
                index_elements=[cost_revision.c.name], set_={"revision": cost_revision.c.revision + 1}
            )
        )

    async def changed(self, tx: Transaction) -> None:
        """Count the revision up, so that every process reads again. Its row orders those who change limits."""
        await tx.execute(self._count_up, {"n": _NAME})

    async def revision(self, tx: Transaction) -> int:
        """Return the revision; 0 before the first change."""
        found = await tx.scalar(select(cost_revision.c.revision).where(cost_revision.c.name == _NAME))
        return int(found or 0)

    async def every_limit(self, tx: Transaction) -> list[Budget]:
        """Return the limits of all tenants."""
        return [_budget(row) for row in await tx.rows(select(spend_limit))]

    async def same(
        self, tx: Transaction, tenant: str, scope: str, subject: str, period: str
    ) -> Budget | None:
        """Return the limit of a scope, subject and period."""
        row = await tx.row(
            select(spend_limit).where(
                spend_limit.c.scope == scope,
                spend_limit.c.subject == subject,
                spend_limit.c.period == period,
                spend_limit.c.tenant_id == tenant,
            )
        )
        return _budget(row) if row is not None else None

    async def get(self, tx: Transaction, tenant: str, budget_id: str) -> Budget | None:
        """Return one limit."""
        row = await tx.row(select(spend_limit).where(_limit(tenant, budget_id)))
        return _budget(row) if row is not None else None

    async def add(self, tx: Transaction, budget: Budget) -> None:
        """Write a new limit."""
        await tx.execute(
            insert(spend_limit).values(
                tenant_id=budget.tenant, id=budget.id, scope=budget.scope, subject=budget.subject,
                period=budget.period, limit_nanos=budget.nanos, limit_tokens=budget.tokens,
                alert_at=list(budget.alert_at), created_at=budget.created_at, created_by=budget.created_by,
            )
        )  # fmt: skip

    async def change(self, tx: Transaction, budget: Budget) -> None:
        """Write other amounts, in the limit first and then in the rows that calls look at."""
        amounts = {"limit_nanos": budget.nanos, "limit_tokens": budget.tokens}
        await tx.execute(
            update(spend_limit)
            .values(**amounts, alert_at=list(budget.alert_at))
            .where(_limit(budget.tenant, budget.id))
        )
        await tx.execute(
            update(spend_period)
            .values(**amounts, alerted_percent=0)
            .where(spend_period.c.limit_id == budget.id, spend_period.c.tenant_id == budget.tenant)
        )

    async def remove(self, tx: Transaction, tenant: str, budget_id: str) -> None:
        """Delete a limit, its counters and its leases."""
        await tx.execute(delete(spend_limit).where(_limit(tenant, budget_id)))
        for table in (spend_period, spend_lease):
            await tx.execute(delete(table).where(table.c.limit_id == budget_id, table.c.tenant_id == tenant))

    async def states(
        self, tx: Transaction, tenant: str, moment: datetime, *, scope: str | None, subject: str | None
    ) -> list[BudgetState]:
        """Return the limits of a tenant with the counters of their present periods, widest scope first."""
        query = select(spend_limit)
        if scope is not None:
            query = query.where(spend_limit.c.scope == scope)
        if subject is not None:
            query = query.where(spend_limit.c.subject == subject)
        query = query.where(spend_limit.c.tenant_id == tenant)
        budgets = [
            _budget(row) for row in await tx.rows(query.order_by(spend_limit.c.created_at, spend_limit.c.id))
        ]
        names = {budget.id: period_name(budget.period, moment) for budget in budgets}
        counters = {
            (row["limit_id"], row["period"]): row
            for row in await tx.rows(
                select(spend_period).where(
                    spend_period.c.period.in_(sorted(set(names.values()))), spend_period.c.tenant_id == tenant
                )
            )
        }
        return [
            _state(budget, names[budget.id], counters.get((budget.id, names[budget.id])))
            for budget in budgets
        ]

    async def counters(self, tx: Transaction, places: Sequence[tuple[str, str, str]]) -> list[RowMapping]:
        """Return the counters of some budgets' periods, each by tenant, limit and period."""
        keys = tuple_(spend_period.c.limit_id, spend_period.c.period, spend_period.c.tenant_id)
        wanted = [(limit, period, tenant) for tenant, limit, period in places]
        found: list[RowMapping] = []
        for start in range(0, len(wanted), 200):
            found += await tx.rows(select(spend_period).where(keys.in_(wanted[start : start + 200])))
        return found

    async def alerted(self, tx: Transaction, tenant: str, budget_id: str, period: str, percent: int) -> bool:
        """Note that an alert was given; False when somebody has done it already."""
        done = await tx.execute(
            update(spend_period)
            .values(alerted_percent=percent)
            .where(
                spend_period.c.alerted_percent < percent,
                spend_period.c.period == period,
                spend_period.c.limit_id == budget_id,
                spend_period.c.tenant_id == tenant,
            )
        )
        return done.rowcount == 1

    async def nodes(self, tx: Transaction, moment: datetime, ttl_s: float) -> int:
        """Return how many processes hold leases and live."""
        return int(await tx.scalar(select(func.count()).where(self._lives(moment, ttl_s))) or 0)

    def _lives(self, moment: datetime, ttl_s: float) -> Any:
        # Where several machines share the database, its clock judges.
        present: Any = moment if self._is_sqlite else func.now()
        return spend_holder.c.beat_at > present - timedelta(seconds=ttl_s)

    async def lost_leases(
        self, tx: Transaction, tenant: str, moment: datetime, ttl_s: float, *, besides: str | None
    ) -> list[Lease]:
        """Return the leases of a tenant whose process is gone; `besides` lives, whatever its row says."""
        seen = spend_holder.alias("seen")
        alive = exists().where(spend_holder.c.id == spend_lease.c.holder, self._lives(moment, ttl_s))
        query = (
            select(spend_lease, spend_limit.c.scope, spend_limit.c.subject, seen.c.beat_at)
            .join(
                spend_limit,
                and_(
                    spend_limit.c.tenant_id == spend_lease.c.tenant_id,
                    spend_limit.c.id == spend_lease.c.limit_id,
                ),
            )
            .outerjoin(seen, seen.c.id == spend_lease.c.holder)
            .where(~alive, spend_lease.c.holder != (besides or ""), spend_lease.c.tenant_id == tenant)
            .order_by(spend_lease.c.limit_id, spend_lease.c.period, spend_lease.c.holder)
        )
        return [
            Lease(
                row["limit_id"], row["scope"], row["subject"], row["period"], row["holder"], int(row["nanos"]),
                int(row["tokens"]), row["beat_at"],
            )
            for row in await tx.rows(query)
        ]  # fmt: skip

    async def end_holder(self, tx: Transaction, holder: str, moment: datetime, ttl_s: float) -> None:
        """Take a process's row away, so that whatever it still tries to write is refused; not if it lives."""
        await tx.execute(delete(spend_holder).where(~self._lives(moment, ttl_s), spend_holder.c.id == holder))

    async def holder_lives(self, tx: Transaction, holder: str) -> bool:
        """Say whether a process still has its row."""
        return bool(await tx.scalar(select(func.count()).where(spend_holder.c.id == holder)))

    async def settle_lease(self, tx: Transaction, tenant: str, lease: Lease, *, as_spent: bool) -> bool:
        """End a lease: count it as spent, or give it back. False when somebody else has ended it."""
        place = (
            spend_lease.c.holder == lease.holder,
            spend_lease.c.period == lease.period_name,
            spend_lease.c.limit_id == lease.budget_id,
            spend_lease.c.tenant_id == tenant,
        )
        if (await tx.execute(delete(spend_lease).where(*place))).rowcount != 1:
            return False
        added = {
            "leased_nanos": spend_period.c.leased_nanos - lease.nanos,
            "leased_tokens": spend_period.c.leased_tokens - lease.tokens,
        }
        if as_spent:
            added |= {
                "spent_nanos": spend_period.c.spent_nanos + lease.nanos,
                "spent_tokens": spend_period.c.spent_tokens + lease.tokens,
                "unconfirmed_nanos": spend_period.c.unconfirmed_nanos + lease.nanos,
            }
        await tx.execute(
            update(spend_period)
            .values(**added)
            .where(
                spend_period.c.period == lease.period_name,
                spend_period.c.limit_id == lease.budget_id,
                spend_period.c.tenant_id == tenant,
            )
        )
        return True


def _limit(tenant: str, budget_id: str) -> Any:
    return and_(spend_limit.c.id == budget_id, spend_limit.c.tenant_id == tenant)


def _budget(row: RowMapping) -> Budget:
    return Budget(
        row["id"], row["tenant_id"], row["scope"], row["subject"], row["period"],
        int(row["limit_nanos"]) if row["limit_nanos"] is not None else None,
        int(row["limit_tokens"]) if row["limit_tokens"] is not None else None,
        tuple(row["alert_at"]), row["created_at"], row["created_by"],
    )  # fmt: skip


def _state(budget: Budget, period: str, row: RowMapping | None) -> BudgetState:
    if row is None:
        return BudgetState(budget, period, Money(0), Money(0), Money(0), 0, 0)
    return BudgetState(
        budget, period, Money(int(row["spent_nanos"])), Money(int(row["leased_nanos"])),
        Money(int(row["unconfirmed_nanos"])), int(row["spent_tokens"]), int(row["leased_tokens"]),
    )  # fmt: skip
