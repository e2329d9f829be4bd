"""Every query of the cost room. Tenant scope comes last in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, RowMapping, Select, func, insert, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.money import ZERO, Money
from mosaic.cost.models import budget, model_call, reservation
from mosaic.cost.schemas import ModelCall, Reservation, RunCost
from mosaic.providers import Usage
from mosaic.storage import Executable, SyncTransaction, Transaction, Write

__all__ = ["Asked", "CostRepository", "Refused"]

_COUNTERS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to set aside.

    Attributes:
        nanos: None where the price is not known.
        token: the same for every repetition of one write, another for another sending.
        forget_lost: an earlier sending that was never answered cost nothing, or not twice.
        refuse_unpriced: with a limit in dollars, an unknown price is refused.
    """

    tenant: str
    run_id: str
    key: str
    nanos: int | None
    tokens: int
    token: str
    at: datetime
    forget_lost: bool
    refuse_unpriced: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing was set aside: the budget as it stood."""

    root_run_id: str
    limit_nanos: int | None
    limit_tokens: int | None
    used_nanos: int
    used_tokens: int


class CostRepository:
    """The cost room's statements for one dialect."""

    def __init__(self, dialect: str) -> None:
        self._insert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def open_budget(
        self, tenant: str, run_id: str, *, root_run_id: str, nanos: int | None, tokens: int | None
    ) -> Executable:
        """Return the write of a run's budget; one that is open already stays as it is."""
        values = {
            "tenant_id": tenant, "run_id": run_id, "root_run_id": root_run_id, "limit_nanos": nanos,
            "limit_tokens": tokens, "spent_nanos": 0, "reserved_nanos": 0, "spent_tokens": 0, "reserved_tokens": 0,
        }  # fmt: skip
        return self._insert(budget).values(**values).on_conflict_do_nothing()

    def raise_limits(self, tenant: str, run_id: str, *, nanos: int | None, tokens: int | None) -> Executable:
        """Return the write that raises the limits of a run's family; a limit that is not set stays unset."""
        own = budget.alias("own")
        root = (
            select(own.c.root_run_id)
            .where(own.c.run_id == run_id, own.c.tenant_id == tenant)
            .scalar_subquery()
        )
        return (
            update(budget)
            .where(budget.c.run_id == root, budget.c.tenant_id == tenant)
            .values(
                limit_nanos=budget.c.limit_nanos + (nanos or 0),
                limit_tokens=budget.c.limit_tokens + (tokens or 0),
            )
        )

    def reserve(self, tx: SyncTransaction, asked: Asked) -> Reservation | Refused:
        """Set an amount aside, if the budget has room for it: one conditional update, so nobody can pass the limit."""
        root = self._root(tx, asked)
        query = _reservations(asked.tenant, asked.run_id, asked.key)
        before = tx.row(query.order_by(reservation.c.turn.desc()).limit(1))
        if before is not None and before["token"] == asked.token:
            return _reservation(before, repeated=int(before["turn"]) > 1)
        lost = _reservation(before) if before is not None and before["status"] == "open" else None
        if lost is not None and asked.forget_lost:
            self.release(tx, lost)
        if tx.execute(_take(asked, root)).rowcount != 1:
            return _refused(tx.row(_budget(asked.tenant, root)), root)
        if lost is not None:
            self.end(tx, lost, "unconfirmed")  # changes nothing when it was released
        turn = int(before["turn"]) + 1 if before is not None else 1
        tx.execute(
            insert(reservation).values(
                tenant_id=asked.tenant, run_id=asked.run_id, call_key=asked.key, turn=turn, token=asked.token,
                root_run_id=root, nanos=asked.nanos or 0, tokens=asked.tokens, status="open", reserved_at=asked.at,
            )
        )  # fmt: skip
        money = Money(asked.nanos or 0)
        return Reservation(
            asked.tenant, asked.run_id, asked.key, turn, root, money, asked.tokens, lost is not None
        )

    def _root(self, tx: SyncTransaction, asked: Asked) -> str:
        query = select(budget.c.root_run_id).where(
            budget.c.run_id == asked.run_id, budget.c.tenant_id == asked.tenant
        )
        found = tx.scalar(query)
        if found is None:
            tx.execute(
                self.open_budget(
                    asked.tenant, asked.run_id, root_run_id=asked.run_id, nanos=None, tokens=None
                )
            )
            found = tx.scalar(query)
        return str(found)

    def end(self, tx: SyncTransaction, held: Reservation, status: str) -> bool:
        """Give an open reservation its last status; say whether it was open."""
        return tx.execute(_end(held, status)).rowcount == 1

    def release(self, tx: SyncTransaction, held: Reservation) -> None:
        """Give back what was set aside; once, however often it is called."""
        if self.end(tx, held, "released"):
            tx.execute(_spend(held, nanos=0, tokens=0))

    def settle_now(self, tx: SyncTransaction, held: Reservation, call: ModelCall, ctx_project: str) -> None:
        """Spend an open reservation; once, however often it is called."""
        if self.end(tx, held, "settled"):
            nanos = call.money.nanos if call.money is not None else 0
            tx.execute(_spend(held, nanos=nanos, tokens=call.usage.total_tokens))
            tx.execute(self.entry(held, call, ctx_project))

    def settle(self, held: Reservation, call: ModelCall, project: str) -> tuple[Write, ...]:
        """Return the writes that spend a reservation and enter the call in the ledger."""
        nanos = call.money.nanos if call.money is not None else 0
        return (
            _spend(held, nanos=nanos, tokens=call.usage.total_tokens),
            _end(held, "settled"),
            self.entry(held, call, project),
        )

    def entry(self, held: Reservation, call: ModelCall, project: str) -> Write:
        """Return the write of one ledger row."""
        values = {name: getattr(call.usage, name) for name in _COUNTERS} | {
            "tenant_id": held.tenant, "run_id": held.run_id, "call_key": held.key, "turn": held.turn,
            "root_run_id": held.root_run_id, "project_id": project, "path": call.path, "agent": call.agent,
            "provider": call.provider, "model": call.model, "response_id": call.response_id,
            "estimated": call.estimated, "nanos": call.money.nanos if call.money is not None else None,
            "occurred_at": call.occurred_at,
        }  # fmt: skip
        return self._insert(model_call).values(**values).on_conflict_do_nothing()

    async def run_costs(self, tx: Transaction, tenant: str, run_ids: Sequence[str]) -> dict[str, RunCost]:
        """Return the sums of each of some runs and its children."""
        called = [
            func.count().label("calls"),
            func.coalesce(func.sum(model_call.c.nanos), 0).label("nanos"),
            func.count().filter(model_call.c.nanos.is_(None)).label("unpriced"),
            func.count().filter(model_call.c.provider == "scripted").label("scripted"),
            *(func.coalesce(func.sum(model_call.c[name]), 0).label(name) for name in _COUNTERS),
        ]
        sums = {row["family"]: row for row in await tx.rows(_by_family(model_call, tenant, run_ids, called))}
        held_nanos = func.coalesce(func.sum(reservation.c.nanos).filter(reservation.c.status == "open"), 0)
        lost = func.coalesce(func.sum(reservation.c.nanos).filter(reservation.c.status == "unconfirmed"), 0)
        wanted = [held_nanos.label("open"), lost.label("unconfirmed")]
        kept = reservation.c.status.in_(("open", "unconfirmed"))
        held = {
            row["family"]: row
            for row in await tx.rows(_by_family(reservation, tenant, run_ids, wanted, kept))
        }
        limits = {row["run_id"]: row for row in await tx.rows(_limits(tenant, run_ids))}
        return {
            run_id: _run_cost(sums.get(run_id), held.get(run_id), limits.get(run_id)) for run_id in run_ids
        }

    async def calls(self, tx: Transaction, tenant: str, run_id: str, limit: int) -> list[ModelCall]:
        """Return the ledger of a run and its children, oldest first."""
        family = union_all(*_families(model_call, tenant, [run_id], list(model_call.c))).subquery()
        query = select(family).order_by(family.c.occurred_at, family.c.call_key, family.c.turn).limit(limit)
        return [_model_call(row) for row in await tx.rows(query)]


def _families(
    table: Any, tenant: str, run_ids: Sequence[str], columns: Sequence[Any], *conditions: Any
) -> tuple[Select[Any], Select[Any]]:
    """Return what reads the rows of families by their root, and those of children by their own run.

    Apart, since with an OR between them SQLite reads every row of the tenant.
    """
    of_root = select(table.c.root_run_id.label("family"), *columns).where(table.c.root_run_id.in_(run_ids))
    of_child = select(table.c.run_id.label("family"), *columns).where(
        table.c.run_id.in_(run_ids), table.c.root_run_id != table.c.run_id
    )
    scope = (*conditions, table.c.tenant_id == tenant)
    return of_root.where(*scope), of_child.where(*scope)


def _by_family(
    table: Any, tenant: str, run_ids: Sequence[str], columns: Sequence[Any], *conditions: Any
) -> CompoundSelect[Any]:
    of_root, of_child = _families(table, tenant, run_ids, columns, *conditions)
    return union_all(of_root.group_by(table.c.root_run_id), of_child.group_by(table.c.run_id))


def _limits(tenant: str, run_ids: Sequence[str]) -> Select[Any]:
    own, root = budget.alias("own"), budget.alias("root")
    return (
        select(own.c.run_id, root.c.limit_nanos, root.c.limit_tokens)
        .join(root, (root.c.run_id == own.c.root_run_id) & (root.c.tenant_id == own.c.tenant_id))
        .where(own.c.run_id.in_(run_ids), own.c.tenant_id == tenant)
    )


def _reservations(tenant: str, run_id: str, key: str) -> Select[Any]:
    return select(reservation).where(
        reservation.c.call_key == key, reservation.c.run_id == run_id, reservation.c.tenant_id == tenant
    )


def _budget(tenant: str, root: str) -> Select[Any]:
    return select(budget).where(budget.c.run_id == root, budget.c.tenant_id == tenant)


def _take(asked: Asked, root: str) -> Executable:
    nanos = asked.nanos or 0
    used_nanos = budget.c.spent_nanos + budget.c.reserved_nanos
    used_tokens = budget.c.spent_tokens + budget.c.reserved_tokens
    priced = [budget.c.limit_nanos.is_(None)] if asked.nanos is None and asked.refuse_unpriced else []
    return (
        update(budget)
        .values(
            reserved_nanos=budget.c.reserved_nanos + nanos,
            reserved_tokens=budget.c.reserved_tokens + asked.tokens,
        )
        .where(
            or_(budget.c.limit_nanos.is_(None), used_nanos + nanos <= budget.c.limit_nanos),
            or_(budget.c.limit_tokens.is_(None), used_tokens + asked.tokens <= budget.c.limit_tokens),
            *priced,
            budget.c.run_id == root,
            budget.c.tenant_id == asked.tenant,
        )
    )


def _spend(held: Reservation, *, nanos: int, tokens: int) -> Executable:
    return (
        update(budget)
        .values(
            reserved_nanos=budget.c.reserved_nanos - held.money.nanos,
            reserved_tokens=budget.c.reserved_tokens - held.tokens,
            spent_nanos=budget.c.spent_nanos + nanos,
            spent_tokens=budget.c.spent_tokens + tokens,
        )
        .where(budget.c.run_id == held.root_run_id, budget.c.tenant_id == held.tenant)
    )


def _end(held: Reservation, status: str) -> Executable:
    return (
        update(reservation)
        .values(status=status)
        .where(
            reservation.c.status == "open",
            reservation.c.turn == held.turn,
            reservation.c.call_key == held.key,
            reservation.c.run_id == held.run_id,
            reservation.c.tenant_id == held.tenant,
        )
    )


def _reservation(row: RowMapping, *, repeated: bool = False) -> Reservation:
    return Reservation(
        row["tenant_id"], row["run_id"], row["call_key"], int(row["turn"]), row["root_run_id"],
        Money(int(row["nanos"])), int(row["tokens"]), repeated,
    )  # fmt: skip


def _refused(row: RowMapping | None, root: str) -> Refused:
    if row is None:
        raise LookupError(f"the budget of {root} is gone")
    return Refused(
        root_run_id=root,
        limit_nanos=row["limit_nanos"],
        limit_tokens=row["limit_tokens"],
        used_nanos=row["spent_nanos"] + row["reserved_nanos"],
        used_tokens=row["spent_tokens"] + row["reserved_tokens"],
    )


def _run_cost(sums: RowMapping | None, held: RowMapping | None, limits: RowMapping | None) -> RunCost:
    limit_nanos = limits["limit_nanos"] if limits is not None else None
    return RunCost(
        money=Money(int(sums["nanos"])) if sums is not None else ZERO,
        usage=Usage(**{name: int(sums[name]) if sums is not None else 0 for name in _COUNTERS}),
        calls=int(sums["calls"]) if sums is not None else 0,
        unpriced_calls=int(sums["unpriced"]) if sums is not None else 0,
        scripted=sums is not None and bool(sums["scripted"]),
        reserved=Money(int(held["open"])) if held is not None else ZERO,
        unconfirmed=Money(int(held["unconfirmed"])) if held is not None else ZERO,
        limit=Money(int(limit_nanos)) if limit_nanos is not None else None,
        limit_tokens=limits["limit_tokens"] if limits is not None else None,
    )


def _model_call(row: RowMapping) -> ModelCall:
    return ModelCall(
        path=row["path"],
        agent=row["agent"],
        provider=row["provider"],
        model=row["model"],
        usage=Usage(**{name: int(row[name]) for name in _COUNTERS}),
        money=Money(int(row["nanos"])) if row["nanos"] is not None else None,
        response_id=row["response_id"],
        estimated=row["estimated"],
        occurred_at=row["occurred_at"],
    )
