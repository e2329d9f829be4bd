"""Every query of the journal. Scope by tenant comes last in each, so nothing a caller passes widens it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, case, insert, literal, null, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from mosaic.core.values import JsonObject
from mosaic.events.models import effect, event, journal_head
from mosaic.events.schemas import Event, RecordedEffect
from mosaic.storage import Executable, SyncTransaction, Transaction

__all__ = ["EffectRow", "EventRow", "JournalRepository"]

_CHUNK = 500


@dataclass(slots=True)
class EventRow:
    """An event on its way into the journal; `data` is JSON text. `seq` is set when it gets its place."""

    tenant: str
    id: str
    type: str
    schema_version: int
    occurred_at: datetime
    project: str
    actor: str
    correlation: str | None
    causation: str | None
    run_id: str | None
    path: str | None
    data: str
    seq: int = 0

    def event(self) -> Event:
        """Return the event as it was stored."""
        return Event(
            self.tenant, self.seq, self.id, self.type, self.schema_version, self.occurred_at, self.project,
            self.actor, self.correlation, self.causation, self.run_id, self.path, json.loads(self.data),
        )  # fmt: skip


@dataclass(slots=True)
class EffectRow:
    """A finished effect and the events of its commit; `result` and `error` are JSON text."""

    tenant: str
    run_id: str
    key: str
    result: str | None
    error: str | None
    finished_at: datetime
    write_id: str
    events: list[EventRow]


def _event_values(row: EventRow) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant, "seq": row.seq, "id": row.id, "type": row.type,
        "schema_version": row.schema_version, "occurred_at": row.occurred_at, "project_id": row.project,
        "actor": row.actor, "correlation": row.correlation, "causation": row.causation, "run_id": row.run_id,
        "path": row.path, "data": json.loads(row.data),
    }  # fmt: skip


class JournalRepository:
    """The journal's statements for one dialect."""

    def __init__(self, dialect: str) -> None:
        self._upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def _advance(self, tenant: str, count: int) -> Executable:
        statement = self._upsert(journal_head).values(tenant_id=tenant, seq=count)
        return statement.on_conflict_do_update(
            index_elements=[journal_head.c.tenant_id], set_={"seq": journal_head.c.seq + count}
        ).returning(journal_head.c.seq)

    async def append(self, tx: Transaction, tenant: str, rows: Sequence[EventRow]) -> None:
        """Give `rows` their places at the end of the tenant's journal and write them."""
        last = int(await tx.scalar(self._advance(tenant, len(rows))))
        for offset, row in enumerate(rows):
            row.seq = last - len(rows) + 1 + offset
        await tx.execute(insert(event), [_event_values(row) for row in rows])

    async def read(
        self,
        tx: Transaction,
        tenant: str,
        *,
        after: int,
        run_id: str | None,
        types: Sequence[str] | None,
        limit: int,
    ) -> list[Event]:
        """Return events in order."""
        query = select(event).where(event.c.seq > after)
        if run_id is not None:
            query = query.where(event.c.run_id == run_id)
        if types is not None:
            query = query.where(event.c.type.in_(types))
        query = query.where(event.c.tenant_id == tenant).order_by(event.c.seq).limit(limit)
        return [_event(row) for row in await tx.rows(query)]

    async def head(self, tx: Transaction, tenant: str) -> int:
        """Return the last sequence number; 0 for an empty journal."""
        found = await tx.scalar(select(journal_head.c.seq).where(journal_head.c.tenant_id == tenant))
        return int(found or 0)

    async def recorded(self, tx: Transaction, tenant: str, run_id: str, prefix: str) -> list[RecordedEffect]:
        """Return the effects of a run whose keys start with `prefix`."""
        query = self._effects(tenant, run_id)
        if prefix:
            query = query.where(effect.c.key.startswith(prefix, autoescape=True))
        # Again in Python: SQLite's LIKE does not tell a from A.
        return [_effect(row) for row in await tx.rows(query) if row["key"].startswith(prefix)]

    async def write_id(
        self, tx: Transaction, tenant: str, run_id: str, key: str
    ) -> tuple[str, str | None] | None:
        """Return the status and write id of an effect; None when there is none."""
        row = await tx.row(self._effects(tenant, run_id).where(effect.c.key == key))
        return (row["status"], row["event_id"]) if row else None

    def _effects(self, tenant: str, run_id: str) -> Select[Any]:
        return select(effect).where(effect.c.tenant_id == tenant, effect.c.run_id == run_id)

    def begin(
        self, tenant: str, run_id: str, key: str, started_at: datetime, intent: JsonObject
    ) -> Executable:
        """Return the write of an intent."""
        return insert(effect).values(
            tenant_id=tenant,
            run_id=run_id,
            key=key,
            status="started",
            event_seq=0,
            started_at=started_at,
            result=intent,
        )

    def finish(self, tx: SyncTransaction, rows: list[EffectRow]) -> None:
        """Write finished effects with their events: a few statements for the whole batch."""
        by_tenant: dict[str, list[EventRow]] = {}
        for row in rows:
            if row.events:
                by_tenant.setdefault(row.tenant, []).extend(row.events)
        for tenant in sorted(by_tenant):
            events = by_tenant[tenant]
            last = int(tx.scalar(self._advance(tenant, len(events))))
            for offset, entry in enumerate(events):
                entry.seq = last - len(events) + 1 + offset
            tx.execute(insert(event), [_event_values(entry) for entry in events])
        tx.execute(self._finish(), [_effect_values(row) for row in rows])

    def _finish(self) -> Executable:
        statement = self._upsert(effect)
        new = statement.excluded
        # Only a started effect may be finished. NULL where a status must be makes the database refuse the rest,
        # without another question to it first.
        status = case((effect.c.status == "started", new.status), else_=null())
        changes = {"status": status} | {
            name: new[name] for name in ("result", "error", "event_seq", "finished_at", "event_id")
        }
        return statement.on_conflict_do_update(
            index_elements=[effect.c.tenant_id, effect.c.run_id, effect.c.key], set_=changes
        )

    async def copy(
        self, tx: Transaction, tenant: str, from_run: str, to_run: str, keys: Sequence[str]
    ) -> int:
        """Copy finished effects to another run; return how many."""
        names = [column.name for column in effect.c]
        copied = 0
        for start in range(0, len(keys), _CHUNK):
            source = select(
                *(literal(to_run).label(c.name) if c.name == "run_id" else c for c in effect.c)
            ).where(
                effect.c.key.in_(keys[start : start + _CHUNK]),
                effect.c.status != "started",
                effect.c.run_id == from_run,
                effect.c.tenant_id == tenant,
            )
            copied += (await tx.execute(insert(effect).from_select(names, source))).rowcount
        return copied

    def is_duplicate(self, error: Exception) -> bool:
        """Say whether a write failed because its row is there already."""
        return isinstance(error, IntegrityError)


def _effect_values(row: EffectRow) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant, "run_id": row.run_id, "key": row.key,
        "status": "failed" if row.error is not None else "done",
        "result": json.loads(row.result) if row.result is not None else None,
        "error": json.loads(row.error) if row.error is not None else None,
        "event_seq": row.events[-1].seq if row.events else 0,
        "finished_at": row.finished_at, "event_id": row.write_id,
    }  # fmt: skip


def _event(row: RowMapping) -> Event:
    return Event(
        tenant=row["tenant_id"], seq=row["seq"], id=row["id"], type=row["type"],
        schema_version=row["schema_version"], occurred_at=row["occurred_at"], project=row["project_id"],
        actor=row["actor"], correlation=row["correlation"], causation=row["causation"], run_id=row["run_id"],
        path=row["path"], data=row["data"],
    )  # fmt: skip


def _effect(row: RowMapping) -> RecordedEffect:
    return RecordedEffect(
        key=row["key"], result=row["result"], error=row["error"], started_only=row["status"] == "started",
        event_seq=row["event_seq"],
    )  # fmt: skip
