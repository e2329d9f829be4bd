"""Rows of the ledger on their way into the database: many in one statement, each with its event."""

import time
from datetime import UTC, datetime
from functools import cache
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


class LedgerEntry(msgspec.Struct):
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
    data: JsonObject = {}
    at: float = msgspec.field(default_factory=time.time)
    is_cleaned: bool = False

    def cleaned(self) -> "LedgerEntry":
        """Return the entry with its texts made storable: what an upstream says may hold anything."""
        payer = [text.translate(_UNSTORABLE) if text is not None else None for text in self.payer]
        return msgspec.structs.replace(
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


@cache
def _statements(dialect: DialectName) -> list[tuple[int, Prepared]]:
    """Return how many rows each statement writes, most first; compiled once for the process."""
    many = [(rows, Prepared(_insert(dialect, rows), dialect)) for rows in (64, 32, 16, 8, 4, 2, 1)]
    for rows, prepared in many:
        names = [f"{name}_{row}" for row in range(rows) for name in _NAMES]
        if list(prepared.row({name: name for name in names})) != names:
            raise AssertionError("the parameters do not stand in the order of the columns")
    return many


class EntryWriter:
    """Writes ledger rows and their events in a batch's transaction."""

    def __init__(self, dialect: DialectName, journal: Journal) -> None:
        self._journal = journal
        # One statement for many rows: a step of the database for each row would hand the interpreter's lock to and
        # fro between this thread and a busy event loop. Halves, so that a handful writes any number.
        self._many = _statements(dialect)
        self._encode = msgspec.json.Encoder().encode

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
                self._add(entry, moments.text(entry.at), cells, events)
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

    def _add(self, entry: LedgerEntry, at: str, cells: list[Any], events: list[PreparedEvent]) -> None:
        """Add a row's cells, in the order of the table's columns, and its event."""
        tenant, project, run, agent, key = entry.payer
        usage, nanos = entry.usage, entry.nanos
        read, written = usage.input_tokens, usage.output_tokens
        cached_read, cached_write = usage.cached_input_tokens, usage.cache_write_tokens
        reasoning = usage.reasoning_tokens
        call, operation, route = entry.call_key, entry.operation, entry.route
        provider, model, outcome = entry.provider, entry.model, entry.outcome
        estimated, cached, latency_ms = entry.estimated, entry.cached, entry.latency_ms
        run_id = run or ""
        cells += (
            tenant, run_id, call, 1, run_id, project, "", agent, provider, model, entry.response_id, read, written,
            cached_read, cached_write, reasoning, estimated, nanos, at, _SOURCE, operation, key, route, cached,
            latency_ms, outcome,
        )  # fmt: skip
        told = {
            **entry.data,
            "model": f"{provider}:{model}",
            "agent": agent,
            "call": call,
            "source": _SOURCE,
            "operation": operation,
            "key": key,
            "route": route,
            "input_tokens": read,
            "output_tokens": written,
            "usage_estimated": estimated,
            "usd": nanos / 1_000_000_000 if nanos is not None else None,
            "scripted": provider == "scripted",
            "cached": cached,
            "latency_ms": latency_ms,
            "outcome": outcome,
        }
        if cached_read or cached_write or reasoning:
            told["usage"] = usage.to_json()
        kind = "model.called" if outcome == "ok" or outcome == "cancelled" else "model.failed"
        actor = f"webhook:{key}" if key is not None else "user:owner"
        text = self._encode(told).decode()
        events.append(PreparedEvent(tenant, project, actor, kind, text, at, run, call))
