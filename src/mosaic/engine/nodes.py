"""Every query on nodes. PostgreSQL only: on SQLite there is one process, and a lock file says which."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from psycopg.errors import InvalidTextRepresentation
from sqlalchemy import (
    Connection,
    Executable,
    Integer,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)

from mosaic.core.errors import Fenced
from mosaic.engine.models import executor
from mosaic.engine.schemas import NodeInfo
from mosaic.storage import Prepared, SyncTransaction, Transaction

__all__ = [
    "BEAT",
    "DEAD_AMONG",
    "DECLARE_DEAD",
    "ENTER",
    "check_batch_fence",
    "check_fence",
    "forget_old",
    "list_nodes",
    "resign",
    "session_limits",
    "session_name",
]

# For psycopg: the heartbeat must not depend on an engine or a pool.
ENTER = (
    "INSERT INTO executor (id, host, pid, app_version, started_at, beat, dead)"
    " VALUES (%(id)s, %(host)s, %(pid)s, %(app_version)s, now(), now(), false)"
)
BEAT = "UPDATE executor SET beat = now() WHERE id = %(id)s AND NOT dead RETURNING id"
# A node is dead when its lease is over; after half of it already when its session is gone too, as it is at once
# when a process is killed. A server that has just started has seen nobody's heartbeat.
# FOR UPDATE conflicts with the fence's lock: while a node commits something it cannot be declared dead, and
# afterwards it commits nothing. SKIP LOCKED: the next heartbeat comes back to it.
DECLARE_DEAD = """
UPDATE executor SET dead = true WHERE id IN (
    SELECT id FROM executor
    WHERE NOT dead AND id <> %(id)s
    AND pg_postmaster_start_time() < now() - make_interval(secs => %(ttl_s)s)
    AND (
        beat < now() - make_interval(secs => %(ttl_s)s)
        OR beat < now() - make_interval(secs => %(ttl_s)s / 2) AND NOT EXISTS (
            SELECT FROM pg_stat_activity AS session
            WHERE session.datname = current_database()
            AND session.application_name = 'mosaic ' || right(executor.id, 40)
        )
    )
    FOR UPDATE SKIP LOCKED
) RETURNING id
"""
# Those without a row died long ago.
DEAD_AMONG = (
    "SELECT owner.id FROM unnest(%(ids)s::text[]) AS owner (id)"
    " WHERE NOT EXISTS (SELECT FROM executor WHERE executor.id = owner.id AND NOT executor.dead)"
)


def session_name(node_id: str) -> str:
    """Return what a node calls the session of its heartbeat; `DECLARE_DEAD` looks for it."""
    return f"mosaic {node_id[-40:]}"


# A heartbeat (NO KEY UPDATE) does not wait for this lock, nor this lock for a heartbeat. The time limit ends
# the transaction of a process that was frozen in the middle of one, so that it can be declared dead.
_FENCE = (
    select(executor.c.dead, func.set_config(bindparam("setting"), bindparam("idle_ms"), true()))
    .where(executor.c.id == bindparam("node"))
    .with_for_update(read=True, key_share=True)
)
_SETTING = "idle_in_transaction_session_timeout"
_REFUSED = "mosaic: this node was declared dead"
# The same lock for a batch that travels in one message: there is no time to read the answer, so the database itself
# must refuse. Text that is no number makes it, with our words in its error.
_BATCH_FENCE = select(
    cast(
        func.coalesce(
            select(case((executor.c.dead, literal_column(f"'{_REFUSED}'")), else_=literal_column("'1'")))
            .where(executor.c.id == bindparam("node"))
            .with_for_update(read=True, key_share=True)
            .scalar_subquery(),
            literal_column(f"'{_REFUSED}'"),
        ),
        Integer,
    )
)
_PREPARED_FENCE = Prepared(_BATCH_FENCE, "postgresql")


def session_limits(*, idle_ms: int) -> dict[str, str]:
    """Return the settings for a session that `check_batch_fence` guards: they end it when it idles."""
    return {_SETTING: f"{idle_ms}ms"}


def check_fence(connection: Connection, node_id: str, *, idle_ms: int) -> None:
    """Hold this node alive until the transaction ends.

    Raises:
        Fenced: if it was declared dead.
    """
    values = {"node": node_id, "setting": _SETTING, "idle_ms": str(idle_ms)}
    _require_alive(connection.execute(_FENCE, values).first(), node_id)


def check_batch_fence(tx: SyncTransaction, node_id: str) -> None:
    """Hold this node alive until the batch is committed; one of a dead node fails with `Fenced`, now or then."""

    def explanation(error: BaseException) -> Fenced | None:
        refused = isinstance(error, InvalidTextRepresentation) and _REFUSED in str(error)
        return _fenced(node_id) if refused else None

    tx.explain(explanation)
    tx.run(_PREPARED_FENCE, [_PREPARED_FENCE.row({"node": node_id})])


def _require_alive(row: Sequence[Any] | None, node_id: str) -> None:
    if row is None or row[0]:
        raise _fenced(node_id)


def _fenced(node_id: str) -> Fenced:
    return Fenced(
        f"Node {node_id} lost its lease: it was declared dead and another node has its work.", node=node_id
    )


async def resign(tx: Transaction, node_id: str) -> None:
    """Declare a node dead in its own transaction, once no other transaction of it is open."""
    await tx.execute(select(executor.c.id).where(executor.c.id == node_id).with_for_update())
    await tx.execute(update(executor).where(executor.c.id == node_id).values(dead=True))


async def list_nodes(tx: Transaction, *, self_id: str | None) -> list[NodeInfo]:
    """Return the nodes that live, and those that died within a day."""
    age = func.extract("epoch", func.now() - executor.c.beat).label("beat_age_s")
    recent = executor.c.beat > func.now() - timedelta(days=1)
    rows = await tx.rows(select(executor, age).where(recent).order_by(executor.c.started_at))
    return [
        NodeInfo(
            row["id"], row["host"], row["pid"], row["app_version"], row["started_at"],
            float(row["beat_age_s"]), row["dead"], row["id"] == self_id,
        )
        for row in rows
    ]  # fmt: skip


def forget_old(*, days: int = 7) -> Executable:
    """Return the write that deletes nodes which died long ago."""
    return delete(executor).where(executor.c.dead, executor.c.beat < func.now() - timedelta(days=days))
