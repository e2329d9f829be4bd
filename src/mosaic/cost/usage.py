"""What was used and what it cost: by whom, with which model, on which day; until the end of the month; for a bill."""

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, Problem, TenantViolation
from mosaic.core.values import JsonObject
from mosaic.cost.limits import BudgetPeriod, period_end, period_start
from mosaic.cost.usage_repository import UsageRepository
from mosaic.cost.usage_sums import UsageSums
from mosaic.storage import Database

__all__ = ["DIMENSIONS", "BillPage", "Forecast", "UsageReports", "UsageRow"]

DIMENSIONS = ("project", "agent", "model", "provider", "key", "route", "operation", "source", "run", "day")
"""What usage can be told apart by, and filtered."""

_NANOS = 1_000_000_000
_MOST_ROWS = 10_000
_BILL_COLUMNS = (
    "occurred_at", "project", "source", "operation", "run", "call", "agent", "key", "route", "provider", "model",
    "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "estimated",
    "cached", "outcome", "latency_ms", "usd",
)  # fmt: skip
_HISTORY_DAYS = 28
_SUMS = (
    "calls", "failed", "from_cache", "unpriced", "nanos", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage of one value of each dimension asked for.

    Attributes:
        of: dimension -> value; None where calls had none.
        nanos: what the priced calls cost.
        unpriced: calls whose price nobody knows; `nanos` does not hold them.
        latency_ms: on average, of the `timed` calls.
        timed: calls whose latency is known.
    """

    of: Mapping[str, str | None]
    calls: int
    failed: int
    from_cache: int
    unpriced: int
    nanos: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    latency_ms: float | None
    timed: int = 0

    def to_json(self) -> JsonObject:
        """Return the row as a JSON object."""
        return {
            **self.of,
            "calls": self.calls,
            "failed": self.failed,
            "from_cache": self.from_cache,
            "unpriced": self.unpriced,
            "usd": self.nanos / _NANOS,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "latency_ms": round(self.latency_ms, 1) if self.latency_ms is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a period will have cost at its end.

    Attributes:
        spent_nanos: up to now.
        expected_nanos: at the end, if the rest is like the days before.
        low_nanos: where days differ as much as they did, most likely not less than this.
        high_nanos: most likely not more.
        days_seen: how many whole days before now the rest is judged by.
    """

    period: BudgetPeriod
    ends_at: datetime
    spent_nanos: int
    expected_nanos: int
    low_nanos: int
    high_nanos: int
    days_seen: int

    def to_json(self) -> JsonObject:
        """Return the forecast as a JSON object."""
        return {
            "period": self.period,
            "ends_at": self.ends_at.isoformat().replace("+00:00", "Z"),
            "spent_usd": self.spent_nanos / _NANOS,
            "expected_usd": self.expected_nanos / _NANOS,
            "low_usd": self.low_nanos / _NANOS,
            "high_usd": self.high_nanos / _NANOS,
            "days_seen": self.days_seen,
        }


@dataclass(frozen=True, slots=True)
class BillPage:
    """A part of a bill.

    Attributes:
        text: whole lines; a CSV's first page begins with its header.
        next_cursor: continues it; None at the end.
    """

    text: str
    next_cursor: str | None


class UsageReports:
    """Reads the ledger of a tenant."""

    def __init__(self, database: Database, *, clock: Clock = now) -> None:
        self._database = database
        self._clock = clock
        self._rows = UsageRepository(database.dialect)
        self._sums = UsageSums(database, self._rows, clock=clock)

    async def usage(
        self,
        ctx: Context,
        *,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str] | None = None,
    ) -> list[UsageRow]:
        """Return usage by some of `DIMENSIONS`, dearest first; without any, one row with the whole.

        Args:
            ctx: the tenant, which no filter can change.
            by: what to tell apart.
            since: from then on; by default the beginning of the month.
            until: before then; by default now.
            where: dimension -> the one value to count.

        Raises:
            InvalidInput: if a dimension is not one.
            TenantViolation: if a filter names another tenant.
        """
        wanted = _checked(ctx, by, where or {})
        start, end = self._span(since, until)
        rows = await self._sums.of(ctx.tenant, by=by, since=start, until=end, where=wanted)
        return [
            UsageRow(
                {name: row[name] for name in by}, int(row["calls"]), int(row["failed"]), int(row["from_cache"]),
                int(row["unpriced"]), int(row["nanos"]), int(row["input_tokens"]), int(row["output_tokens"]),
                int(row["cached_input_tokens"]), int(row["cache_write_tokens"]),
                float(row["latency_ms"]) if row["latency_ms"] is not None else None, int(row["timed"]),
            )
            for row in rows[:_MOST_ROWS]
        ]  # fmt: skip

    async def usage_and_total(
        self,
        ctx: Context,
        *,
        by: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str] | None = None,
    ) -> tuple[list[UsageRow], UsageRow]:
        """Return what `usage` does, and the sum of all, which is of the same moment: the ledger is read once.

        Raises:
            InvalidInput: if a dimension is not one.
            TenantViolation: if a filter names another tenant.
        """
        rows = await self.usage(ctx, by=by, since=since, until=until, where=where)
        if not by:
            return rows, rows[0]
        if len(rows) >= _MOST_ROWS:  # there are more
            return rows, (await self.usage(ctx, since=since, until=until, where=where))[0]
        return rows, _total(rows)

    async def forecast(
        self, ctx: Context, *, period: BudgetPeriod = "month", where: Mapping[str, str] | None = None
    ) -> Forecast:
        """Return what the present day or month will have cost at its end, judged by the four weeks before.

        Weekdays are judged by weekdays of their kind once there are two weeks to look at.

        Raises:
            InvalidInput: if the period has no end, or a filter is not a dimension.
        """
        moment = self._clock()
        start, end = period_start(period, moment), period_end(period, moment)
        if start is None or end is None:
            raise InvalidInput("Only a day or a month has an end to look forward to.")
        today = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spent = await self.usage(ctx, since=start, where=where)
        before = await self.usage(
            ctx, by=("day",), since=today - timedelta(days=_HISTORY_DAYS), until=today, where=where
        )
        history = _history({str(row.of["day"]): row.nanos for row in before}, today)
        so_far = spent[0].nanos if spent else 0
        rest, spread = _rest(history, moment, today, end, so_far, start)
        expected = so_far + round(rest)
        low, high = max(so_far, expected - round(spread)), expected + round(spread)
        return Forecast(period, end, so_far, expected, low, high, len(history))

    async def bill(
        self,
        ctx: Context,
        *,
        style: str,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, str] | None = None,
        cursor: str | None = None,
        limit: int = 1_000,
    ) -> BillPage:
        """Return rows of the ledger as ``csv`` or ``jsonl`` lines, in the order of time, `limit` at most.

        Raises:
            InvalidInput: if the style, a filter or the cursor is wrong.
        """
        if style not in ("csv", "jsonl"):
            raise InvalidInput(f"There is no format {style!r}.", hint="Formats: csv, jsonl.")
        wanted = _checked(ctx, (), where or {})
        start, end = self._span(since, until)
        async with self._database.transaction(read_only=True) as tx:
            rows = await self._rows.rows(
                tx, ctx.tenant, since=start, until=end, where=wanted, after=_place(cursor), limit=limit
            )
        lines = [_line(dict(row)) for row in rows]
        text = _csv(lines, header=cursor is None) if style == "csv" else "".join(map(_json_line, lines))
        last = dict(rows[-1]) if len(rows) == limit else None
        return BillPage(text, _cursor(last) if last is not None else None)

    def _span(self, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
        moment = self._clock()
        start = since or period_start("month", moment) or moment
        end = until or moment + timedelta(seconds=1)
        for name, value in (("since", start), ("until", end)):
            if value.tzinfo is None:
                raise InvalidInput(
                    "A time needs its zone.", problems=[Problem("has no time zone", path=name)]
                )
        return start, end


def _total(rows: Sequence[UsageRow]) -> UsageRow:
    timed = sum(row.timed for row in rows)
    latency_ms = sum((row.latency_ms or 0.0) * row.timed for row in rows)
    return UsageRow(
        of={},
        **{name: sum(getattr(row, name) for row in rows) for name in _SUMS},
        latency_ms=latency_ms / timed if timed else None,
        timed=timed,
    )


def _checked(ctx: Context, by: Sequence[str], where: Mapping[str, str]) -> Mapping[str, str]:
    """Return the filters without a tenant: that is the caller's, and none of what a caller may choose."""
    for name in ("tenant", "tenant_id"):
        if where.get(name, ctx.tenant) != ctx.tenant:
            raise TenantViolation("Usage of another tenant is not yours to see.")
    wanted = {name: value for name, value in where.items() if name not in ("tenant", "tenant_id")}
    problems = [
        Problem(f"there is no dimension {name!r}", path=name, suggestion=f"known: {', '.join(DIMENSIONS)}")
        for name in (*by, *wanted)
        if name not in DIMENSIONS
    ]
    if len(set(by)) != len(by):
        problems.append(Problem("names a dimension twice", path="by"))
    if problems:
        raise InvalidInput("Usage cannot be told apart so.", problems=problems)
    return wanted


def _history(days: Mapping[str, int], today: datetime) -> dict[datetime, int]:
    """Return the cost of every whole day since the first one with calls; days without calls cost nothing."""
    if not days:
        return {}
    first = datetime.fromisoformat(min(days)).replace(tzinfo=UTC)
    count = (today - first).days
    listed = [first + timedelta(days=number) for number in range(count)]
    return {day: days.get(day.date().isoformat(), 0) for day in listed}


def _rest(
    history: Mapping[datetime, int],
    moment: datetime,
    today: datetime,
    end: datetime,
    so_far: int,
    start: datetime,
) -> tuple[float, float]:
    """Return what the rest of a period will cost, and how far that may be off."""
    if not history:
        gone = max((moment - start).total_seconds(), 1.0)
        left = (end - moment).total_seconds()
        rest = so_far * left / gone
        return rest, rest
    costs = list(history.values())
    average, spread = statistics.fmean(costs), statistics.pstdev(costs)
    weekly = len(history) >= 14
    rest, day = 0.0, today
    days = 0.0
    while day < end:
        alike = (
            [cost for known, cost in history.items() if known.weekday() == day.weekday()] if weekly else []
        )
        share = 1.0 if day > today else (today + timedelta(days=1) - moment).total_seconds() / 86_400
        rest += share * (statistics.fmean(alike) if alike else average)
        days += share
        day += timedelta(days=1)
    # Days are taken to differ independently: their spread adds up as its root.
    return rest, 2 * spread * days**0.5


def _line(row: Mapping[str, object]) -> JsonObject:
    moment, nanos = row["occurred_at"], row["nanos"]
    shown: JsonObject = {
        "occurred_at": moment.isoformat().replace("+00:00", "Z") if isinstance(moment, datetime) else moment,
        "project": row["project_id"],
        "run": row["run_id"] or None,
        "call": row["call_key"],
        "key": row["key_id"],
        "usd": nanos / _NANOS if isinstance(nanos, int) else None,
    }
    return {name: shown[name] if name in shown else row[name] for name in _BILL_COLUMNS}


def _csv(lines: Sequence[JsonObject], *, header: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(_BILL_COLUMNS)
    for line in lines:
        writer.writerow([_cell(line[name]) for name in _BILL_COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    if isinstance(value, float):
        return f"{value:.9f}"
    return value


def _json_line(line: JsonObject) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _cursor(row: Mapping[str, object]) -> str:
    moment = row["occurred_at"]
    when = moment.isoformat() if isinstance(moment, datetime) else str(moment)
    return json.dumps([when, row["run_id"], row["call_key"], row["turn"]])


def _place(cursor: str | None) -> tuple[datetime, str, str, int] | None:
    if cursor is None:
        return None
    try:
        when, run_id, call_key, turn = json.loads(cursor)
        return datetime.fromisoformat(when), str(run_id), str(call_key), int(turn)
    except (ValueError, TypeError):
        raise InvalidInput("The cursor is not one of ours.") from None
