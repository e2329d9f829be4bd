"""The statements with which processes lease and spend budgets: prepared once, run in batches.

Scope by tenant comes last in each. A process writes its own holder's row first in every batch: that row proves that
nobody has declared it dead, and says which batch it wrote last, so that a batch repeated after a lost connection
changes nothing.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, String, bindparam, delete, func, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.cost.accounts import Account, Change, Room
from mosaic.cost.models import spend_holder, spend_lease, spend_limit, spend_period
from mosaic.storage import DialectName, Prepared, SyncTransaction

__all__ = ["HolderLost", "Spending"]


class HolderLost(Exception):
    """This process was taken for dead and its leases were reconciled: it has none any more."""


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _text(name: str) -> Any:
    return bindparam(name, type_=String)


def _is_period() -> tuple[Any, ...]:
    return (
        spend_period.c.period == _text("period"),
        spend_period.c.limit_id == _text("limit"),
        spend_period.c.tenant_id == _text("tenant"),
    )


def _open() -> Any:
    """Make the period's row from its limit, which is held so that a change of it waits for us or we for it."""
    zero: Any = literal_column("0")
    source = select(
        spend_limit.c.tenant_id, spend_limit.c.id, _text("period"), spend_limit.c.limit_nanos,
        spend_limit.c.limit_tokens, zero, zero, zero, zero, zero, zero,
    ).where(spend_limit.c.id == _text("limit"), spend_limit.c.tenant_id == _text("tenant"))  # fmt: skip
    return [column.name for column in spend_period.c], source.with_for_update(read=True)


class Spending:
    """Leases and spends for one process."""

    def __init__(self, dialect: DialectName) -> None:
        upsert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._prepare_holder(upsert, dialect)
        self._prepare_counters(upsert, dialect)
        self._prepare_lease(upsert, dialect)

    def _prepare_holder(self, upsert: Any, dialect: DialectName) -> None:
        # The database's clock judges who lives, where several machines share it.
        moment: Any = bindparam("at") if dialect == "sqlite" else func.now()
        mine = spend_holder.c.id == _text("holder")
        new = upsert(spend_holder).values(
            id=_text("holder"), host=_text("host"), pid=_number("pid"), batch=_text("batch"), started_at=moment,
            beat_at=moment,
        )  # fmt: skip
        beat = update(spend_holder).values(batch=_text("batch"), beat_at=moment)
        self._enter = Prepared(new.on_conflict_do_nothing(), dialect)
        self._beat = Prepared(
            beat.where(spend_holder.c.batch == _text("before"), mine).returning(spend_holder.c.id), dialect
        )
        self._last = Prepared(select(spend_holder.c.batch).where(mine), dialect)
        self._leave = Prepared(delete(spend_holder).where(mine), dialect)

    def _prepare_counters(self, upsert: Any, dialect: DialectName) -> None:
        names, source = _open()
        self._open = Prepared(
            upsert(spend_period).from_select(names, source).on_conflict_do_nothing(), dialect
        )
        read = select(
            spend_period.c.limit_nanos, spend_period.c.limit_tokens, spend_period.c.spent_nanos,
            spend_period.c.spent_tokens, spend_period.c.leased_nanos, spend_period.c.leased_tokens,
        )  # fmt: skip
        self._read = Prepared(read.where(*_is_period()).with_for_update(), dialect)
        counters = {
            "spent_nanos": "spent", "spent_tokens": "spent_t", "leased_nanos": "leased",
            "leased_tokens": "leased_t", "unconfirmed_nanos": "lost",
        }  # fmt: skip
        added = {name: spend_period.c[name] + _number(short) for name, short in counters.items()}
        self._count = Prepared(update(spend_period).values(added).where(*_is_period()), dialect)

    def _prepare_lease(self, upsert: Any, dialect: DialectName) -> None:
        new = upsert(spend_lease).values(
            tenant_id=_text("tenant"), limit_id=_text("limit"), period=_text("period"), holder=_text("holder"),
            nanos=_number("nanos"), tokens=_number("tokens"),
        )  # fmt: skip
        amounts = {"nanos": new.excluded.nanos, "tokens": new.excluded.tokens}
        mine = (
            spend_lease.c.holder == _text("holder"),
            spend_lease.c.period == _text("period"),
            spend_lease.c.limit_id == _text("limit"),
            spend_lease.c.tenant_id == _text("tenant"),
        )
        self._lease = Prepared(
            new.on_conflict_do_update(index_elements=list(spend_lease.primary_key), set_=amounts), dialect
        )
        self._leased = Prepared(select(spend_lease.c.nanos, spend_lease.c.tokens).where(*mine), dialect)
        self._drop = Prepared(delete(spend_lease).where(*mine), dialect)

    def enter(self, tx: SyncTransaction, holder: str, *, host: str, pid: int, at: str) -> None:
        """Write this process's row."""
        values = {"holder": holder, "host": host, "pid": pid, "batch": "", "at": at}
        tx.run(self._enter, [self._enter.row(values)])

    def leave(self, tx: SyncTransaction, holder: str) -> None:
        """Remove this process's row, once it has no lease any more."""
        tx.run(self._leave, [self._leave.row({"holder": holder})])

    def begin(self, tx: SyncTransaction, holder: str, *, batch: str, before: str, at: str) -> bool:
        """Begin a batch; False when it was written already.

        Raises:
            HolderLost: if this process was taken for dead.
        """
        values = {"holder": holder, "batch": batch, "before": before, "at": at}
        if tx.ask(self._beat, self._beat.row(values)):
            return True
        last = tx.ask(self._last, self._last.row({"holder": holder}))
        if last and last[0][0] == batch:
            return False
        raise HolderLost(holder)

    def write(self, tx: SyncTransaction, holder: str, changes: Sequence[Change]) -> None:
        """Write the changes, in one order everywhere so that two processes cannot wait for each other."""
        for change in sorted(changes, key=lambda change: change.account.key):
            values: dict[str, Any] = {**_place(change.account), "holder": holder}
            if not change.account.opened:
                tx.run(self._open, [self._open.row(values)])
            change.begin()
            if change.wants:
                found = tx.ask(self._read, self._read.row(values))
                if found:
                    _grant(change, found[0])
            leased = change.granted_nanos - change.covered_nanos - change.given_nanos
            leased_tokens = change.granted_tokens - change.covered_tokens - change.given_tokens
            if (
                change.spent_nanos
                or change.spent_tokens
                or leased
                or leased_tokens
                or change.unconfirmed_nanos
            ):
                added = {
                    "spent": change.spent_nanos, "spent_t": change.spent_tokens, "leased": leased,
                    "leased_t": leased_tokens, "lost": change.unconfirmed_nanos,
                }  # fmt: skip
                tx.run(self._count, [self._count.row(values | added)])
            if leased or leased_tokens:
                self._write_lease(tx, change, values)

    def _write_lease(self, tx: SyncTransaction, change: Change, values: dict[str, Any]) -> None:
        amounts = {"nanos": change.leased_nanos_after, "tokens": change.leased_tokens_after}
        if any(amounts.values()):
            tx.run(self._lease, [self._lease.row(values | amounts)])
        else:
            tx.run(self._drop, [self._drop.row(values)])

    def reread(self, tx: SyncTransaction, holder: str, changes: Sequence[Change]) -> None:
        """Find out what a batch that was written already has granted."""
        for change in changes:
            change.begin()
            if change.wants:
                values = {**_place(change.account), "holder": holder}
                found = tx.ask(self._leased, self._leased.row(values))
                nanos, tokens = (int(found[0][0]), int(found[0][1])) if found else (0, 0)
                change.granted_nanos = nanos - change.leased_nanos_after
                change.granted_tokens = tokens - change.leased_tokens_after
                change.room = change.account.room


def _place(account: Account) -> dict[str, str]:
    tenant, limit, period = account.key
    return {"tenant": tenant, "limit": limit, "period": period}


def _grant(change: Change, row: Sequence[Any]) -> None:
    """Decide how much of what is left this process gets: what it is short of, and a part of the rest."""
    limit, limit_tokens, spent, spent_tokens, leased, leased_tokens = row
    account = change.account
    room = Room(
        spent_nanos=int(spent) + change.spent_nanos, spent_tokens=int(spent_tokens) + change.spent_tokens
    )
    change.granted_nanos, room.left_nanos, room.elsewhere_nanos = _share(
        limit,
        used=room.spent_nanos + int(leased) - change.covered_nanos - change.given_nanos,
        own=change.leased_nanos,
        leased=int(leased),
        short=change.short_nanos,
        chunk=account.chunk_nanos,
    )
    change.granted_tokens, room.left_tokens, room.elsewhere_tokens = _share(
        limit_tokens,
        used=room.spent_tokens + int(leased_tokens) - change.covered_tokens - change.given_tokens,
        own=change.leased_tokens,
        leased=int(leased_tokens),
        short=change.short_tokens,
        chunk=account.chunk_tokens,
    )
    change.room = room


def _share(
    limit: int | None, *, used: int, own: int, leased: int, short: int, chunk: int
) -> tuple[int, int | None, int]:
    """Return what is granted, what is left after it, and what other processes have."""
    if limit is None:
        return 0, None, 0
    left = max(int(limit) - used, 0)
    # A small part of what is left: the last of a budget must not lie idle with one process.
    granted = min(left, short + min(chunk, left // 8))
    return granted, left - granted, max(leased - own, 0)
