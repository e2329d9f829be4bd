"""Rows of the ledger on their way into the database: many in one statement, each with its event."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.cost.models import model_call
from mosaic.cost.payer import Payer
from mosaic.events import Journal, PreparedEvent
from mosaic.providers import Usage
from mosaic.storage import DialectName, Prepared, SyncTransaction

__all__ = ["EntryWriter", "LedgerEntry", "stored_now"]

_SOURCE = "gateway"
_NAMES = [column.name for column in model_call.c]
_UNSTORABLE = {0: "\N{REPLACEMENT CHARACTER}"} | dict.fromkeys(
    range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}"
)


@dataclass(slots=True)
class LedgerEntry:
    """One call of a model from outside, answered or not.

    Attributes:
        call_key: the request's id, unique in the tenant.
        operation: what was asked, such as ``openai.chat``.
        nanos: what it cost, in billionths of a dollar; None where nobody knows the price.
        estimated: the provider did not say what was used.
        cached: answered from our cache.
        outcome: ``ok``, ``cancelled``, or the code of the error it ended with.
        data: what else the event tells.
        at: when, in seconds since 1970; now, unless given.
    """

    payer: Payer
    call_key: str
    operation: str
    route: str | None
    provider: str
    model: str
    usage: Usage
    nanos: int | None
    estimated: bool = False
    response_id: str | None = None
    latency_ms: int | None = None
    cached: bool = False
    outcome: str = "ok"
    data: JsonObject = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    is_cleaned: bool = False

    def cleaned(self) -> "LedgerEntry":
        """Return the entry with its texts made storable: what an upstream says may hold anything."""
        payer = [text.translate(_UNSTORABLE) if text is not None else None for text in self.payer]
        return replace(
            self,
            payer=Payer(payer[0] or "", payer[1] or "", *payer[2:]),
            call_key=self.call_key.translate(_UNSTORABLE),
            operation=self.operation.translate(_UNSTORABLE),
            route=self.route.translate(_UNSTORABLE) if self.route is not None else None,
            provider=self.provider.translate(_UNSTORABLE),
            model=self.model.translate(_UNSTORABLE),
            response_id=self.response_id.translate(_UNSTORABLE) if self.response_id is not None else None,
            outcome=self.outcome.translate(_UNSTORABLE),
            data=_storable(self.data),
            is_cleaned=True,
        )


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_UNSTORABLE)
    if isinstance(value, dict):
        return {str(key).translate(_UNSTORABLE): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).translate(_UNSTORABLE)


class _Moments:
    """Writes times as both databases store and compare them; the date is worked out once a second."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
            self._prefix, self._second = moment.isoformat(timespec="seconds"), second
        return f"{self._prefix}.{int((at - second) * 1_000_000):06d}Z"


def stored_now() -> str:
    """Return the time as `_Moments` writes it."""
    return _Moments().text(time.time())


def _insert(dialect: DialectName, rows: int) -> Any:
    """Return the statement that writes `rows` ledger rows at once."""
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    values = [
        {name: bindparam(f"{name}_{row}", type_=model_call.c[name].type) for name in _NAMES}
        for row in range(rows)
    ]
    return insert(model_call).values(values).on_conflict_do_nothing()


class EntryWriter:
    """Writes ledger rows and their events in a batch's transaction."""

    def __init__(self, dialect: DialectName, journal: Journal) -> None:
        self._journal = journal
        # One statement for many rows: a step of the database for each row would hand the interpreter's lock to and
        # fro between this thread and a busy event loop.
        self._many = [(rows, Prepared(_insert(dialect, rows), dialect)) for rows in (64, 8, 1)]
        self._encode = msgspec.json.Encoder().encode
        for rows, prepared in self._many:
            names = [f"{name}_{row}" for row in range(rows) for name in _NAMES]
            if list(prepared.row({name: name for name in names})) != names:
                raise AssertionError("the parameters do not stand in the order of the columns")

    def write(self, tx: SyncTransaction, entries: list[LedgerEntry]) -> None:
        """Write rows and events.

        Raises:
            InvalidInput: if an entry's data has no JSON form.
        """
        if not entries:
            return
        moments = _Moments()
        events: list[PreparedEvent] = []
        cells: list[Any] = []
        try:
            for entry in entries:
                at = moments.text(entry.at)
                cells.extend(_row(entry, at))
                events.append(self._event(entry, at))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"A ledger row cannot be stored: {error}.") from error
        width, start, left = len(_NAMES), 0, len(entries)
        for rows, prepared in self._many:
            chunks = []
            while left >= rows:
                chunks.append(cells[start : start + rows * width])
                start += rows * width
                left -= rows
            if chunks:
                tx.run(prepared, chunks)
        self._journal.append_in(tx, events)

    def _event(self, entry: LedgerEntry, at: str) -> PreparedEvent:
        payer, usage, nanos = entry.payer, entry.usage, entry.nanos
        told = {
            **entry.data,
            "model": f"{entry.provider}:{entry.model}",
            "agent": payer.agent,
            "call": entry.call_key,
            "source": _SOURCE,
            "operation": entry.operation,
            "key": payer.key_id,
            "route": entry.route,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "usage_estimated": entry.estimated,
            "usd": nanos / 1_000_000_000 if nanos is not None else None,
            "scripted": entry.provider == "scripted",
            "cached": entry.cached,
            "latency_ms": entry.latency_ms,
            "outcome": entry.outcome,
        }
        if usage.cached_input_tokens or usage.cache_write_tokens or usage.reasoning_tokens:
            told["usage"] = usage.to_json()
        kind = "model.called" if entry.outcome in ("ok", "cancelled") else "model.failed"
        actor = f"webhook:{payer.key_id}" if payer.key_id is not None else "user:owner"
        return PreparedEvent(
            payer.tenant,
            payer.project,
            actor,
            kind,
            self._encode(told).decode(),
            at,
            payer.run_id,
            entry.call_key,
        )


def _row(entry: LedgerEntry, at: str) -> tuple[Any, ...]:
    """Return the cells of a row in the order of the table's columns."""
    payer, usage = entry.payer, entry.usage
    run_id = payer.run_id or ""
    return (
        payer.tenant, run_id, entry.call_key, 1, run_id, payer.project, "", payer.agent, entry.provider, entry.model,
        entry.response_id, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens,
        usage.cache_write_tokens, usage.reasoning_tokens, entry.estimated, entry.nanos, at, _SOURCE, entry.operation,
        payer.key_id, entry.route, entry.cached, entry.latency_ms, entry.outcome,
    )  # fmt: skip
