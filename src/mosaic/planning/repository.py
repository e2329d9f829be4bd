"""Every query on plans and their items. The tenant is applied here, last, on all of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.money import Money
from mosaic.planning.models import (
    plan,
    plan_change,
    plan_links,
    work_dependency,
    work_item,
    work_item_run,
)
from mosaic.planning.schemas import ChangeSet, Criterion, Dependency, Estimate, Item, ItemChange, Plan
from mosaic.storage import DialectName, Transaction

__all__ = ["PlanRepository"]

_CHUNK = 500
_COLUMNS = (
    "parent_id", "kind", "number", "key", "title", "description", "status", "reason", "priority", "phase",
    "target_version", "estimate_hours", "estimate_tokens", "estimate_nanos", "assignee", "labels", "acceptance",
    "brief", "rank", "last_child", "updated_at",
)  # fmt: skip


class PlanRepository:
    """Rows of plans, items, dependencies and changes, scoped by tenant."""

    def __init__(self, dialect: DialectName) -> None:
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def hold_links(self, tx: Transaction, tenant: str) -> None:
        """Hold what waits for what in this tenant until the transaction ends: no two changes close a circle together."""
        new = self._insert(plan_links).values(tenant_id=tenant, revision=1)
        await tx.execute(
            new.on_conflict_do_update(
                index_elements=[plan_links.c.tenant_id], set_={"revision": plan_links.c.revision + 1}
            )
        )

    # Plans

    async def add(self, tx: Transaction, new: Plan) -> None:
        """Write a new plan."""
        await tx.execute(
            insert(plan).values(
                tenant_id=new.tenant, id=new.id, project_id=new.project, name=new.name, version=new.version,
                description=new.description, last_child=new.last_child, created_at=new.created_at,
                created_by=new.created_by, updated_at=new.updated_at,
            )
        )  # fmt: skip

    async def get(self, tx: Transaction, tenant: str, plan_id: str) -> Plan | None:
        """Return one plan."""
        row = await tx.row(select(plan).where(plan.c.id == plan_id, plan.c.tenant_id == tenant))
        return _plan(row) if row is not None else None

    async def page(
        self,
        tx: Transaction,
        tenant: str,
        *,
        project: str | None,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Plan]:
        """Return plans, newest first, from a place on."""
        query = select(plan).order_by(plan.c.created_at.desc(), plan.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(plan.c.project_id == project)
        if before is not None:
            moment, plan_id = before
            query = query.where(
                or_(plan.c.created_at < moment, and_(plan.c.created_at == moment, plan.c.id < plan_id))
            )
        return [_plan(row) for row in await tx.rows(query.where(plan.c.tenant_id == tenant))]

    async def counts(self, tx: Transaction, tenant: str) -> dict[str, int]:
        """Return how many plans each project has."""
        query = select(plan.c.project_id, func.count().label("plans")).where(plan.c.tenant_id == tenant)
        return {
            row["project_id"]: int(row["plans"]) for row in await tx.rows(query.group_by(plan.c.project_id))
        }

    async def count_up(self, tx: Transaction, tenant: str, plan_id: str, *, at: datetime) -> Plan | None:
        """Count a plan's version up, and hold the plan until the transaction ends; None when there is none."""
        counted = (
            update(plan)
            .values(version=plan.c.version + 1, updated_at=at)
            .where(plan.c.id == plan_id, plan.c.tenant_id == tenant)
            .returning(*plan.c)
        )
        row = await tx.row(counted)
        return _plan(row) if row is not None else None

    async def save(self, tx: Transaction, changed: Plan) -> None:
        """Write a plan's own fields."""
        await tx.execute(
            update(plan)
            .values(name=changed.name, description=changed.description, last_child=changed.last_child)
            .where(plan.c.id == changed.id, plan.c.tenant_id == changed.tenant)
        )

    async def remove(self, tx: Transaction, tenant: str, plan_id: str) -> None:
        """Remove a plan with everything of it."""
        for table in (work_item_run, plan_change, work_dependency, work_item):
            await tx.execute(delete(table).where(table.c.plan_id == plan_id, table.c.tenant_id == tenant))
        await tx.execute(delete(plan).where(plan.c.id == plan_id, plan.c.tenant_id == tenant))

    # Items

    async def connected(self, tx: Transaction, tenant: str, plan_ids: Iterable[str]) -> set[str]:
        """Return these plans and all that hang together with them by what waits for what."""
        found, new = set(plan_ids), set(plan_ids)
        here, there = work_dependency.c.plan_id, work_dependency.c.depends_on_plan_id
        while new:
            query = (
                select(here, there)
                .distinct()
                .where(
                    here != there, or_(here.in_(new), there.in_(new)), work_dependency.c.tenant_id == tenant
                )
            )
            rows = await tx.rows(query)
            new = {row[name] for row in rows for name in ("plan_id", "depends_on_plan_id")} - found
            found |= new
        return found

    async def groups(self, tx: Transaction, tenant: str, plan_ids: Sequence[str]) -> dict[str, set[str]]:
        """Return for each of these plans the plans that hang together with it, itself among them."""
        every = await self.connected(tx, tenant, plan_ids)
        group = {plan_id: {plan_id} for plan_id in every}
        here, there = work_dependency.c.plan_id, work_dependency.c.depends_on_plan_id
        query = select(here, there).distinct().where(here != there, here.in_(every))
        for row in await tx.rows(query.where(work_dependency.c.tenant_id == tenant)):
            joined = group[row["plan_id"]] | group[row["depends_on_plan_id"]]
            group |= dict.fromkeys(joined, joined)
        return {plan_id: group[plan_id] for plan_id in plan_ids}

    async def plans_of(self, tx: Transaction, tenant: str, item_ids: Collection[str]) -> set[str]:
        """Return the plans of items."""
        found: set[str] = set()
        for ids in _chunks(item_ids):
            query = select(work_item.c.plan_id).distinct().where(work_item.c.id.in_(ids))
            found |= {row["plan_id"] for row in await tx.rows(query.where(work_item.c.tenant_id == tenant))}
        return found

    async def items(self, tx: Transaction, tenant: str, plan_ids: Collection[str]) -> list[Item]:
        """Return every item of plans, with what it waits for."""
        waits: dict[str, list[str]] = {}
        found: list[Item] = []
        for ids in _chunks(plan_ids):
            links = (
                select(work_dependency.c.item_id, work_dependency.c.depends_on_id)
                .where(work_dependency.c.plan_id.in_(ids), work_dependency.c.tenant_id == tenant)
                .order_by(work_dependency.c.place)
            )
            for row in await tx.rows(links):
                waits.setdefault(row["item_id"], []).append(row["depends_on_id"])
            query = select(work_item).where(work_item.c.plan_id.in_(ids), work_item.c.tenant_id == tenant)
            found += [_item(row, waits.get(row["id"], ())) for row in await tx.rows(query)]
        return found

    async def waiting_elsewhere(self, tx: Transaction, tenant: str, plan_id: str) -> list[Dependency]:
        """Return how items of other plans wait for items of this one."""
        links = work_dependency.c
        query = select(work_dependency).where(
            links.depends_on_plan_id == plan_id, links.plan_id != plan_id, links.tenant_id == tenant
        )
        return [
            Dependency(row["plan_id"], row["item_id"], row["depends_on_plan_id"], row["depends_on_id"])
            for row in await tx.rows(query)
        ]

    async def write(
        self,
        tx: Transaction,
        tenant: str,
        before: Mapping[str, Item],
        after: Mapping[str, Item],
        *,
        at: datetime,
    ) -> None:
        """Write what differs between two states of a plan's items."""
        gone = [item_id for item_id in before if item_id not in after]
        added = [item for item_id, item in after.items() if item_id not in before]
        changed = [
            item for item_id, item in after.items() if item_id in before and item is not before[item_id]
        ]
        for ids in _chunks(gone):
            await tx.execute(
                delete(work_item).where(work_item.c.id.in_(ids), work_item.c.tenant_id == tenant)
            )
        own = and_(work_item.c.id == bindparam("item"), work_item.c.tenant_id == bindparam("tenant"))
        if moved := [item for item in changed if item.key != before[item.id].key]:
            # Keys are unique at every moment, and one item may take the key that another one leaves.
            free = update(work_item).values(key=bindparam("free")).where(own)
            await tx.execute(free, [{"item": item.id, "tenant": tenant, "free": item.id} for item in moved])
        if changed:
            new = update(work_item).values({name: bindparam(f"new_{name}") for name in _COLUMNS}).where(own)
            await tx.execute(new, [_new_values(item, tenant, at) for item in changed])
        if added:
            await tx.execute(insert(work_item), [_row(item, tenant, at) for item in added])

    async def write_links(
        self,
        tx: Transaction,
        tenant: str,
        before: Mapping[str, Item],
        after: Mapping[str, Item],
        *,
        plans: Mapping[str, str],
    ) -> None:
        """Write what waits for what, where it differs.

        Args:
            tx: the transaction.
            tenant: whose.
            before: items as they were.
            after: items as they become.
            plans: the plan of every item that is waited for.
        """
        touched = [
            item_id
            for item_id in {**before, **after}
            if _waits(before.get(item_id)) != _waits(after.get(item_id))
        ]
        links = work_dependency.c
        for ids in _chunks(touched):
            await tx.execute(delete(work_dependency).where(links.item_id.in_(ids), links.tenant_id == tenant))
        rows = [
            {
                "tenant_id": tenant, "item_id": item_id, "depends_on_id": other, "plan_id": after[item_id].plan,
                "depends_on_plan_id": plans[other], "place": place,
            }
            for item_id in touched
            if item_id in after
            for place, other in enumerate(after[item_id].depends_on)
        ]  # fmt: skip
        if rows:
            await tx.execute(insert(work_dependency), rows)

    # Changes

    async def add_change(self, tx: Transaction, tenant: str, change: ChangeSet) -> None:
        """Write a change set."""
        await tx.execute(
            insert(plan_change).values(
                tenant_id=tenant, id=change.id, plan_id=change.plan, base_version=change.base_version,
                version=change.version, note=change.note, diff=[one.to_json() for one in change.diff],
                consequences=change.consequences, created_at=change.created_at, created_by=change.created_by,
                undoes=change.undoes,
            )
        )  # fmt: skip

    async def change(self, tx: Transaction, tenant: str, plan_id: str, change_id: str) -> ChangeSet | None:
        """Return one change set of a plan."""
        query = select(plan_change).where(plan_change.c.id == change_id, plan_change.c.plan_id == plan_id)
        row = await tx.row(query.where(plan_change.c.tenant_id == tenant))
        return _change(row) if row is not None else None

    async def changes(
        self, tx: Transaction, tenant: str, plan_id: str, *, before: int | None, limit: int
    ) -> list[ChangeSet]:
        """Return change sets of a plan, newest first, those of versions below `before`."""
        query = select(plan_change).where(plan_change.c.plan_id == plan_id)
        if before is not None:
            query = query.where(plan_change.c.version < before)
        query = query.where(plan_change.c.tenant_id == tenant)
        return [
            _change(row) for row in await tx.rows(query.order_by(plan_change.c.version.desc()).limit(limit))
        ]

    async def mark_undone(self, tx: Transaction, tenant: str, change_id: str, *, by: str | None) -> None:
        """Note which change set took another one back; None when that one was taken back itself."""
        await tx.execute(
            update(plan_change)
            .values(undone_by=by)
            .where(plan_change.c.id == change_id, plan_change.c.tenant_id == tenant)
        )


def _chunks(ids: Collection[str]) -> Iterable[Sequence[str]]:
    listed = sorted(ids)
    return (listed[start : start + _CHUNK] for start in range(0, len(listed), _CHUNK))


def _waits(item: Item | None) -> tuple[str, ...]:
    return item.depends_on if item is not None else ()


def _row(item: Item, tenant: str, at: datetime) -> dict[str, Any]:
    usd = item.estimate.usd
    return {
        "tenant_id": tenant, "id": item.id, "plan_id": item.plan, "parent_id": item.parent, "kind": item.kind,
        "number": item.number, "key": item.key, "title": item.title, "description": item.description,
        "status": item.status, "reason": item.reason, "priority": item.priority, "phase": item.phase,
        "target_version": item.target_version, "estimate_hours": item.estimate.hours,
        "estimate_tokens": item.estimate.tokens, "estimate_nanos": Money.usd(usd).nanos if usd is not None else None,
        "assignee": item.assignee, "labels": list(item.labels),
        "acceptance": [criterion.to_json() for criterion in item.acceptance], "brief": item.brief,
        "rank": item.rank, "last_child": item.last_child, "created_at": at, "updated_at": at,
    }  # fmt: skip


def _new_values(item: Item, tenant: str, at: datetime) -> dict[str, Any]:
    row = _row(item, tenant, at)
    return {"item": item.id, "tenant": tenant, **{f"new_{name}": row[name] for name in _COLUMNS}}


def _plan(row: RowMapping) -> Plan:
    return Plan(
        id=row["id"],
        tenant=row["tenant_id"],
        project=row["project_id"],
        name=row["name"],
        description=row["description"],
        version=int(row["version"]),
        last_child=row["last_child"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        updated_at=row["updated_at"],
    )


def _item(row: RowMapping, waits: Iterable[str]) -> Item:
    nanos = row["estimate_nanos"]
    return Item(
        id=row["id"],
        plan=row["plan_id"],
        parent=row["parent_id"],
        kind=row["kind"],
        number=row["number"],
        key=row["key"],
        title=row["title"],
        rank=int(row["rank"]),
        description=row["description"],
        status=row["status"],
        reason=row["reason"],
        priority=row["priority"],
        phase=row["phase"],
        target_version=row["target_version"],
        estimate=Estimate(
            row["estimate_hours"], row["estimate_tokens"], int(nanos) / 1e9 if nanos is not None else None
        ),
        assignee=row["assignee"],
        labels=tuple(row["labels"]),
        acceptance=tuple(Criterion(one["text"], one["met"]) for one in row["acceptance"]),
        brief=row["brief"],
        depends_on=tuple(waits),
        last_child=row["last_child"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _change(row: RowMapping) -> ChangeSet:
    return ChangeSet(
        id=row["id"],
        plan=row["plan_id"],
        base_version=int(row["base_version"]),
        version=int(row["version"]),
        note=row["note"],
        diff=tuple(ItemChange.from_json(one) for one in row["diff"]),
        consequences=row["consequences"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        undoes=row["undoes"],
        undone_by=row["undone_by"],
    )
