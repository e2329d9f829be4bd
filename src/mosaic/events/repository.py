"""Every query of the journal. Scope by tenant comes last in each, so nothing a caller passes widens it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    RowMapping,
    Select,
    Table,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.events.batches import EventBatches, PreparedBatch
from mosaic.events.models import effect, event, journal_head
from mosaic.events.schemas import Event, RecordedEffect
from mosaic.storage import (
    DialectName,
    Prepared,
    SyncTransaction,
    Transaction,
    stored_time,
)

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
    """An effect and the events of its commit; `result` and `error` are JSON text.

    `write_id` tells this write, repeated after a lost connection, from another write of the same effect.
    """

    tenant: str
    run_id: str
    key: str
    result: str | None
    error: str | None
    at: datetime
    write_id: str
    events: list[EventRow]


def _advance(upsert: Any) -> Any:
    new = upsert(journal_head).values(tenant_id=bindparam("tenant"), seq=bindparam("count"))
    return new.on_conflict_do_update(
        index_elements=[journal_head.c.tenant_id], set_={"seq": journal_head.c.seq + new.excluded.seq}
    )


def _place(back: str) -> Any:
    """Return the place `back` before the end of the tenant's journal, which this transaction holds."""
    end = select(journal_head.c.seq).where(journal_head.c.tenant_id == bindparam("tenant")).scalar_subquery()
    return end - bindparam(back, type_=BigInteger)


def _insert_event() -> Any:
    # Inline: nobody reads the place it got.
    return insert(event).inline().values(
        tenant_id=bindparam("tenant"), seq=_place("back"), id=bindparam("id"), type=bindparam("type"),
        schema_version=bindparam("version"), occurred_at=bindparam("at"), project_id=bindparam("project"),
        actor=bindparam("actor"), correlation=bindparam("correlation"), causation=bindparam("causation"),
        run_id=bindparam("run"), path=bindparam("path"), data=bindparam("data"),
    )  # fmt: skip


def _finish(upsert: Any) -> Any:
    place = func.coalesce(_place("back"), literal_column("0")) * bindparam("has_event", type_=BigInteger)
    new = upsert(effect).values(
        tenant_id=bindparam("tenant"), run_id=bindparam("run"), key=bindparam("key"), status=bindparam("status"),
        result=bindparam("result"), error=bindparam("error"), event_seq=place, finished_at=bindparam("at"),
        event_id=bindparam("event_id"),
    )  # fmt: skip
    return _only_started(new)


def _only_started(new: Any) -> Any:
    # Only a started effect may be finished. NULL where a status must be makes the database refuse the rest,
    # without another question to it first.
    status = case((effect.c.status == literal_column("'started'"), new.excluded.status), else_=null())
    kept = {name: new.excluded[name] for name in ("result", "error", "event_seq", "finished_at", "event_id")}
    return new.on_conflict_do_update(
        index_elements=[effect.c.tenant_id, effect.c.run_id, effect.c.key], set_={"status": status} | kept
    )


def _finish_alone(upsert: Any) -> Any:
    """Return the statement that does all of `finish` for one effect with one event: a third of the messages."""

    def given(table: Table, **names: str) -> dict[str, Any]:
        return {column: bindparam(name, type_=table.c[column].type) for column, name in names.items()}

    head = _advance(upsert).returning(journal_head.c.seq).cte("head")
    columns = given(
        event, tenant_id="tenant", id="id", type="type", schema_version="version", occurred_at="at",
        project_id="project", actor="actor", correlation="correlation", causation="causation",
        run_id="event_run", path="path", data="data",
    ) | {"seq": head.c.seq}  # fmt: skip
    written = insert(event).from_select(list(columns), select(*columns.values())).cte("written")
    columns = given(
        effect, tenant_id="tenant", run_id="run", key="key", status="status", result="result", error="error",
        finished_at="finished_at", event_id="event_id",
    ) | {"event_seq": head.c.seq}  # fmt: skip
    new = upsert(effect).from_select(list(columns), select(*columns.values())).add_cte(written)
    return _only_started(new)


def _begin() -> Any:
    return insert(effect).values(
        tenant_id=bindparam("tenant"), run_id=bindparam("run"), key=bindparam("key"),
        status=literal_column("'started'"), result=bindparam("result"), event_seq=literal_column("0"),
        started_at=bindparam("at"), event_id=bindparam("event_id"),
    )  # fmt: skip


def _event_row(row: EventRow) -> dict[str, Any]:
    return {
        "tenant_id": row.tenant, "seq": row.seq, "id": row.id, "type": row.type,
        "schema_version": row.schema_version, "occurred_at": row.occurred_at, "project_id": row.project,
        "actor": row.actor, "correlation": row.correlation, "causation": row.causation, "run_id": row.run_id,
        "path": row.path, "data": json.loads(row.data),
    }  # fmt: skip


class JournalRepository:
    """The journal's statements for one dialect."""

    def __init__(self, dialect: DialectName) -> None:
        self._dialect = dialect
        upsert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._advance_head = _advance(upsert)
        self._advance = Prepared(self._advance_head, dialect)
        self._insert_event = Prepared(_insert_event(), dialect)
        self._begin = Prepared(_begin(), dialect)
        self._finish = Prepared(_finish(upsert), dialect)
        # SQLite has no such statement, and no messages either.
        self._finish_alone = Prepared(_finish_alone(upsert), dialect) if dialect == "postgresql" else None
        self._batches = EventBatches(dialect)

    async def append(self, tx: Transaction, tenant: str, rows: Sequence[EventRow]) -> None:
        """Give `rows` their places at the end of the tenant's journal and write them."""
        advance = self._advance_head.returning(journal_head.c.seq)
        last = int(await tx.scalar(advance, {"tenant": tenant, "count": len(rows)}))
        for place, row in enumerate(rows, last - len(rows) + 1):
            row.seq = place
        await tx.execute(insert(event), [_event_row(row) for row in rows])

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

    async def read_runs(
        self,
        tx: Transaction,
        tenant: str,
        run_ids: Sequence[str],
        *,
        after: int,
        types: Sequence[str],
        limit: int,
    ) -> list[Event]:
        """Return events of some runs in order."""
        query = select(event).where(
            event.c.run_id.in_(run_ids),
            event.c.type.in_(types),
            event.c.seq > after,
            event.c.tenant_id == tenant,
        )
        return [_event(row) for row in await tx.rows(query.order_by(event.c.seq).limit(limit))]

    async def read_back(
        self,
        tx: Transaction,
        tenant: str,
        *,
        after: int,
        before: int,
        beginnings: Sequence[str],
        actor: str | None,
        limit: int,
    ) -> list[Event]:
        """Return events between two places whose types begin so, newest first."""
        kinds = [func.substr(event.c.type, 1, len(text)) == text for text in beginnings]
        query = select(event).where(event.c.seq > after, event.c.seq < before)
        if kinds:
            query = query.where(or_(*kinds))
        if actor is not None:
            query = query.where(event.c.actor == actor)
        query = query.where(event.c.tenant_id == tenant).order_by(event.c.seq.desc()).limit(limit)
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

    def begin(self, tx: SyncTransaction, row: EffectRow) -> None:
        """Write an intent; `row.result` holds what is intended, `at` when."""
        tx.run(self._begin, [self._begin.row(self._effect_values(row, back=0))])

    def finish(self, tx: SyncTransaction, items: list[EffectRow | PreparedBatch]) -> None:
        """Write finished effects with their events, and batches of events: a few prepared statements for all."""
        alone = items[0]
        if self._finish_alone and len(items) == 1 and isinstance(alone, EffectRow) and len(alone.events) == 1:
            tx.run(self._finish_alone, [self._finish_alone.row(self._values_alone(alone))])
        else:
            self._finish_many(tx, items)

    def _finish_many(self, tx: SyncTransaction, items: list[EffectRow | PreparedBatch]) -> None:
        rows = [item for item in items if isinstance(item, EffectRow)]
        batches = [item for item in items if isinstance(item, PreparedBatch)]
        counts: dict[str, int] = {}
        for row in rows:
            if row.events:
                counts[row.tenant] = counts.get(row.tenant, 0) + len(row.events)
        for batch in batches:
            for made in batch.events:
                counts[made.tenant] = counts.get(made.tenant, 0) + 1
        if counts:
            # In one order everywhere, so that two nodes cannot wait for each other.
            heads = [
                self._advance.row({"tenant": tenant, "count": counts[tenant]}) for tenant in sorted(counts)
            ]
            tx.run(self._advance, heads)
        events, effects = [], []
        for row in rows:
            for entry in row.events:
                counts[row.tenant] -= 1
                events.append(self._insert_event.row(self._event_values(entry, back=counts[row.tenant])))
            effects.append(self._finish.row(self._effect_values(row, back=counts.get(row.tenant, 0))))
        if events:
            tx.run(self._insert_event, events)
        if effects:
            tx.run(self._finish, effects)
        self._batches.write(tx, batches, counts)

    def _event_values(self, row: EventRow, *, back: int) -> dict[str, Any]:
        return {
            "tenant": row.tenant, "back": back, "id": row.id, "type": row.type, "version": row.schema_version,
            "at": stored_time(row.occurred_at, self._dialect), "project": row.project, "actor": row.actor,
            "correlation": row.correlation, "causation": row.causation, "run": row.run_id, "path": row.path,
            "data": row.data,
        }  # fmt: skip

    def _effect_values(self, row: EffectRow, *, back: int) -> dict[str, Any]:
        return {
            "tenant": row.tenant, "run": row.run_id, "key": row.key,
            "status": "failed" if row.error is not None else "done", "result": row.result, "error": row.error,
            "has_event": int(bool(row.events)), "back": back,
            "at": stored_time(row.at, self._dialect), "event_id": row.write_id,
        }  # fmt: skip

    def _values_alone(self, row: EffectRow) -> dict[str, Any]:
        entry = row.events[0]
        effect_values = self._effect_values(row, back=0)
        event_values = self._event_values(entry, back=0)
        own = {"count": 1, "event_run": event_values.pop("run"), "finished_at": effect_values.pop("at")}
        return {**effect_values, **event_values, **own}

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
            statement = insert(effect).from_select(names, source)
            copied += (await tx.execute(statement.execution_options(preserve_rowcount=True))).rowcount
        return copied


def _event(row: RowMapping) -> Event:
    return Event(
        tenant=row["tenant_id"], seq=row["seq"], id=row["id"], type=row["type"],
        schema_version=row["schema_version"], occurred_at=row["occurred_at"], project=row["project_id"],
        actor=row["actor"], correlation=row["correlation"], causation=row["causation"], run_id=row["run_id"],
        path=row["path"], data=row["data"],
    )  # fmt: skip


def _effect(row: RowMapping) -> RecordedEffect:
    started = row["status"] == "started"
    return RecordedEffect(
        key=row["key"], result=None if started else row["result"], error=row["error"], started_only=started,
        event_seq=row["event_seq"], intent=row["result"] if started else None,
    )  # fmt: skip
