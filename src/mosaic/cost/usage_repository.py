"""Every query that reads the ledger for people. Tenant scope comes last in each, after what the caller filters by."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, or_, select

from mosaic.cost.models import model_call
from mosaic.storage import DialectName, Transaction

__all__ = ["UsageRepository"]

_COLUMNS = {
    "project": model_call.c.project_id,
    "agent": model_call.c.agent,
    "provider": model_call.c.provider,
    "model": model_call.c.model,
    "key": model_call.c.key_id,
    "route": model_call.c.route,
    "operation": model_call.c.operation,
    "source": model_call.c.source,
    "run": model_call.c.root_run_id,
}


class UsageRepository:
    """Sums of the ledger, and its rows."""

    def __init__(self, dialect: DialectName) -> None:
        moment = model_call.c.occurred_at
        day: Any = (
            func.substr(moment, 1, 10, type_=model_call.c.model.type)
            if dialect == "sqlite"
            else func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD")
        )
        self._dimensions: dict[str, Any] = {**_COLUMNS, "day": day}

    async def sums(
        self,
        tx: Transaction,
        tenant: str,
        *,
        by: Sequence[str],
        since: datetime,
        until: datetime,
        where: Mapping[str, str],
    ) -> list[RowMapping]:
        """Return sums by some dimensions, dearest first."""
        columns = [self._dimensions[name].label(name) for name in by]
        nanos = func.coalesce(func.sum(model_call.c.nanos), 0)
        query: Select[Any] = select(
            *columns,
            func.count().label("calls"),
            func.count().filter(model_call.c.outcome.notin_(("ok", "cancelled"))).label("failed"),
            func.count().filter(model_call.c.cached).label("from_cache"),
            func.count().filter(model_call.c.nanos.is_(None)).label("unpriced"),
            nanos.label("nanos"),
            *(
                func.coalesce(func.sum(model_call.c[name]), 0).label(name)
                for name in ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens")
            ),
            func.avg(model_call.c.latency_ms).label("latency_ms"),
            func.count(model_call.c.latency_ms).label("timed"),
        )
        query = self._bounded(query, tenant, since, until, where)
        if columns:
            query = query.group_by(*columns).order_by(nanos.desc(), *columns)
        return await tx.rows(query)

    async def rows(
        self,
        tx: Transaction,
        tenant: str,
        *,
        since: datetime,
        until: datetime,
        where: Mapping[str, str],
        after: tuple[datetime, str, str, int] | None,
        limit: int,
    ) -> list[RowMapping]:
        """Return rows of the ledger in the order of time, those after a place."""
        order = (model_call.c.occurred_at, model_call.c.run_id, model_call.c.call_key, model_call.c.turn)
        query = select(model_call)
        if after is not None:
            query = query.where(_beyond(order, after))
        query = self._bounded(query, tenant, since, until, where)
        return await tx.rows(query.order_by(*order).limit(limit))

    def _bounded(
        self, query: Select[Any], tenant: str, since: datetime, until: datetime, where: Mapping[str, str]
    ) -> Select[Any]:
        wanted = [self._dimensions[name] == value for name, value in where.items()]
        moment = model_call.c.occurred_at
        return query.where(*wanted, moment >= since, moment < until, model_call.c.tenant_id == tenant)


def _beyond(order: Sequence[Any], place: Sequence[Any]) -> Any:
    """Return the condition that a row stands after a place, column by column."""
    conditions = []
    for number, column in enumerate(order):
        same = [before == value for before, value in zip(order[:number], place[:number], strict=True)]
        conditions.append(and_(*same, column > place[number]))
    return or_(*conditions)
