"""Every query on executions and cancellations.

Functions that take a `SyncTransaction` are units of a group commit and may run again; the others belong to a
caller's transaction.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    RowMapping,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.engine.models import cancellation, execution, executor
from mosaic.engine.schemas import ExecutionInfo, ExecutionStatus
from mosaic.storage import DialectName, Prepared, SyncTransaction, Transaction, stored_time

__all__ = ["EngineRepository", "ExecutionRow", "OpenExecution", "deadline"]

_OPEN = (ExecutionStatus.QUEUED.value, ExecutionStatus.RUNNING.value)


@dataclass(slots=True)
class ExecutionRow:
    """An execution as it is stored."""

    id: str
    tenant_id: str
    project_id: str
    run_id: str
    path: str
    result_key: str
    handler: str
    input: JsonObject
    actor: str
    correlation: str | None
    causation: str | None
    queue: str | None
    priority: int
    status: str
    created_at: datetime
    deadline_at: datetime | None = None
    error_code: str | None = None
    generation: int = 0
    attempt: int = 0
    crashes: int = 0
    progress: int = 0
    parked: bool = False
    cancel_requested: bool = False
    node: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.status not in _OPEN

    @property
    def workflow_id(self) -> str:
        """What DBOS calls this start of it."""
        return _workflow_id(self.id, self.generation)

    def context(self) -> Context:
        """Return the context it runs in."""
        return Context(
            self.tenant_id,
            self.project_id,
            Actor.parse(self.actor),
            correlation=self.correlation or self.run_id,
            causation=self.causation,
        )

    def info(self) -> ExecutionInfo:
        """Return what others may see of it."""
        return ExecutionInfo(
            self.id, self.run_id, self.handler, self.path, self.queue, self.priority,
            ExecutionStatus(self.status), self.error_code, self.attempt, self.crashes, self.node,
            self.created_at, self.started_at, self.finished_at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenExecution:
    """An execution that has not ended, in short."""

    id: str
    generation: int
    node: str | None

    @property
    def workflow_id(self) -> str:
        """What DBOS calls this start of it."""
        return _workflow_id(self.id, self.generation)


def deadline(start: datetime, seconds: float | None) -> datetime | None:
    """Return the moment `seconds` after `start`; None when there is no limit."""
    return None if seconds is None else start + timedelta(seconds=seconds)


def _workflow_id(execution_id: str, generation: int) -> str:
    return f"{execution_id}~{generation}" if generation else execution_id


_COLUMNS = tuple(ExecutionRow.__dataclass_fields__)
_SELECT = select(*(execution.c[name] for name in _COLUMNS))


def _row(found: RowMapping | None) -> ExecutionRow | None:
    return ExecutionRow(**found) if found is not None else None


def _enter(upsert: Any) -> Any:
    """Return the statement that writes a new execution, cancelled when its run is."""
    cancelled = (
        select(cancellation.c.run_id)
        .where(
            cancellation.c.run_id == bindparam("run_id"), cancellation.c.tenant_id == bindparam("tenant_id")
        )
        .exists()
    )
    word: ColumnElement[str] = literal_column("'cancelled'")
    values = {name: bindparam(name, type_=execution.c[name].type) for name in _COLUMNS} | {
        "status": case((cancelled, word), else_=bindparam("status", type_=execution.c.status.type)),
        "error_code": case((cancelled, word)),
        "finished_at": case((cancelled, bindparam("created_at", type_=execution.c.created_at.type))),
    }
    return upsert(execution).values(values).on_conflict_do_nothing().returning(execution.c.status)


class EngineRepository:
    """The engine's statements for one dialect."""

    def __init__(self, dialect: DialectName) -> None:
        self._dialect = dialect
        self._insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._enter = _enter(self._insert)
        # Starting work is the hot path, and SQLAlchemy compiles an upsert anew each time.
        self._prepared_enter = Prepared(self._enter, dialect)

    # Executions

    def enter(self, tx: SyncTransaction, row: ExecutionRow) -> ExecutionRow:
        """Write a new execution, cancelled when its run is; return what is stored under its id."""
        values: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
        for name in ("created_at", "deadline_at", "started_at"):
            if values[name] is not None:
                values[name] = stored_time(values[name], self._dialect)
        values["input"] = json.dumps(row.input, allow_nan=False)
        written = tx.ask(self._prepared_enter, self._prepared_enter.row(values))
        if written and written[0][0] == row.status:
            return row
        return ExecutionRow(**(tx.row(_SELECT.where(execution.c.id == row.id)) or {}))

    async def enter_in(self, tx: Transaction, row: ExecutionRow) -> ExecutionRow:
        """Do the same in the caller's transaction."""
        await tx.execute(self._enter, {name: getattr(row, name) for name in _COLUMNS})
        return await self.get(tx, row.id) or row

    async def get(self, tx: Transaction, execution_id: str) -> ExecutionRow | None:
        """Return an execution of any tenant."""
        return _row(await tx.row(_SELECT.where(execution.c.id == execution_id)))

    async def of_run(self, tx: Transaction, tenant: str, run_id: str) -> list[ExecutionRow]:
        """Return a run's executions, oldest first."""
        query = _SELECT.where(execution.c.run_id == run_id, execution.c.tenant_id == tenant)
        found = await tx.rows(query.order_by(execution.c.created_at, execution.c.id))
        return [ExecutionRow(**row) for row in found]

    async def dead(self, tx: Transaction, tenant: str) -> list[ExecutionRow]:
        """Return a tenant's dead letters, oldest first."""
        query = _SELECT.where(execution.c.status == "dead", execution.c.tenant_id == tenant)
        found = await tx.rows(query.order_by(execution.c.finished_at, execution.c.id))
        return [ExecutionRow(**row) for row in found]

    async def dead_below(self, tx: Transaction, row: ExecutionRow) -> list[ExecutionRow]:
        """Return the dead letters of the same run below an execution, oldest first."""
        query = _SELECT.where(
            execution.c.status == "dead",
            execution.c.id != row.id,
            execution.c.run_id == row.run_id,
            execution.c.tenant_id == row.tenant_id,
        )
        if row.path:
            query = query.where(_below(row.path))
        found = await tx.rows(query.order_by(execution.c.created_at, execution.c.id))
        return [ExecutionRow(**item) for item in found]

    async def open_before(
        self, tx: Transaction, moment: datetime, *, after: str, limit: int
    ) -> list[OpenExecution]:
        """Return executions of all tenants that are not final and older than `moment`, by id from `after`."""
        query = (
            select(execution.c.id, execution.c.generation, execution.c.node)
            .where(execution.c.status.in_(_OPEN), execution.c.created_at < moment, execution.c.id > after)
            .order_by(execution.c.id)
            .limit(limit)
        )
        return [OpenExecution(**row) for row in await tx.rows(query)]

    def claim(
        self, tx: SyncTransaction, row: ExecutionRow, *, node: str, crashes: int, progress: int, now: datetime
    ) -> bool:
        """Take an execution for this node, if it still is as it was read and nobody cancelled it."""
        statement = (
            update(execution)
            .where(_unchanged(row), execution.c.cancel_requested.is_(False))
            .values(
                status="running",
                node=node,
                attempt=row.attempt + 1,
                crashes=crashes,
                progress=progress,
                parked=False,
                started_at=func.coalesce(execution.c.started_at, now),
            )
        )
        return tx.execute(statement).rowcount == 1

    def ended(self, row: ExecutionRow, *, status: str, error_code: str | None, now: datetime) -> Executable:
        """Return the write that ends an execution."""
        return (
            update(execution)
            .where(execution.c.id == row.id, execution.c.status.in_(_OPEN))
            .values(status=status, error_code=error_code, crashes=row.crashes, parked=False, finished_at=now)
        )

    async def living(self, tx: Transaction) -> set[str]:
        """Return the nodes that are not dead; on SQLite, where one process has the data, there are none."""
        return {row["id"] for row in await tx.rows(select(executor.c.id).where(~executor.c.dead))}

    def park(self, execution_id: str, *, parked: bool) -> Executable:
        """Return the write that says whether an execution only waits."""
        return update(execution).where(execution.c.id == execution_id).values(parked=parked)

    def release(self, node: str) -> Executable:
        """Return the write that hands a node's executions to whoever comes next."""
        mine = and_(execution.c.node == node, execution.c.status == "running")
        return update(execution).where(mine).values(status="queued", node=None, parked=False)

    async def renew(self, tx: Transaction, row: ExecutionRow, *, crashes: int) -> bool:
        """Queue an execution again under a new generation, if it still is as it was read."""
        statement = (
            update(execution)
            .where(_unchanged(row))
            .values(
                status="queued",
                error_code=None,
                generation=row.generation + 1,
                crashes=crashes,
                parked=False,
                cancel_requested=False,
                node=None,
                finished_at=None,
            )
        )
        return (await tx.execute(statement)).rowcount == 1

    # Cancellation

    async def request_cancel(
        self, tx: Transaction, ctx: Context, run_id: str, *, path: str | None, now: datetime
    ) -> list[ExecutionRow]:
        """Cancel what is queued and ask for the end of what runs; return what was queued.

        With a `path` only the executions at it and below; without, the whole run and for ever.
        """
        if path is None:
            row = {
                "tenant_id": ctx.tenant,
                "run_id": run_id,
                "requested_by": str(ctx.actor),
                "requested_at": now,
            }
            await tx.execute(self._insert(cancellation).values(row).on_conflict_do_nothing())
        scope: ColumnElement[bool] = and_(execution.c.run_id == run_id, execution.c.tenant_id == ctx.tenant)
        if path is not None:
            scope = and_(scope, or_(execution.c.path == path, _below(path)))
        queued = and_(scope, execution.c.status == "queued")
        found = await tx.rows(_SELECT.where(queued))
        await tx.execute(
            update(execution)
            .where(queued)
            .values(status="cancelled", error_code="cancelled", cancel_requested=True, finished_at=now)
        )
        await tx.execute(
            update(execution).where(scope, execution.c.status == "running").values(cancel_requested=True)
        )
        return [ExecutionRow(**row) for row in found]

    async def to_cancel(self, tx: Transaction, node: str) -> list[str]:
        """Return the executions that a node runs and should end."""
        query = select(execution.c.id).where(
            execution.c.status == "running", execution.c.node == node, execution.c.cancel_requested.is_(True)
        )
        return [row["id"] for row in await tx.rows(query)]


def _below(path: str) -> ColumnElement[bool]:
    # Not LIKE: SQLite's does not tell a from A.
    return func.substr(execution.c.path, 1, len(path) + 1) == f"{path}/"


def _unchanged(row: ExecutionRow) -> ColumnElement[bool]:
    return and_(
        execution.c.id == row.id,
        execution.c.status == row.status,
        execution.c.attempt == row.attempt,
        execution.c.generation == row.generation,
    )
