"""Sums of the ledger, of which those of past days are kept: the ledger only grows, and only at its end.

A report of a month reads the ledger of the day it is asked on, and of the days before once in a process.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mosaic.core.clock import Clock
from mosaic.cost.usage_repository import UsageRepository
from mosaic.storage import Database, Transaction

__all__ = ["UsageSums"]

_DAY = timedelta(days=1)
# A day's last calls are in the ledger by then: they are written when they end, and none takes so long.
_SETTLED = timedelta(hours=2)
# Should a call reach the ledger later all the same, a report is behind for so long.
_KEPT_FOR = timedelta(minutes=10)
_MOST_DAYS = 4_000
_MOST_KEPT_ROWS = 200  # of one day: what tells thousands of things apart is not asked for again and again
_ADDED = (
    "calls", "failed", "from_cache", "unpriced", "nanos", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "timed",
)  # fmt: skip

Row = Any
_Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...], datetime]


class UsageSums:
    """Adds up the ledger of a tenant by dimensions."""

    def __init__(self, database: Database, rows: UsageRepository, *, clock: Clock) -> None:
        self._database = database
        self._rows = rows
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[datetime, list[Row]]] = OrderedDict()

    async def of(
        self,
        tenant: str,
        *,
        by: Sequence[str],
        since: datetime,
        until: datetime,
        where: Mapping[str, str],
    ) -> list[Row]:
        """Return the sums between two times, dearest first; without dimensions, one row."""
        first, last = _whole_days(since, min(until, self._clock() - _SETTLED))
        key = (tenant, tuple(by), tuple(sorted(where.items())))
        async with self._database.transaction(read_only=True) as tx:
            if last - first < _DAY or "run" in by:
                return list(await self._rows.sums(tx, tenant, by=by, since=since, until=until, where=where))
            parts = await self._days(tx, key, first, last)
            for start, end in ((since, first), (last, until)):
                if start < end:
                    parts += await self._rows.sums(tx, tenant, by=by, since=start, until=end, where=where)
        return _added(parts, by)

    async def _days(
        self, tx: Transaction, key: tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]], first: datetime,
        last: datetime,
    ) -> list[Row]:  # fmt: skip
        """Return the rows of whole days; those that are not known are read together."""
        days = [first + _DAY * number for number in range((last - first) // _DAY)]
        found: list[Row] = []
        missing: list[datetime] = []
        for day in days:
            kept = self._kept.get((*key, day))
            if kept is None or self._clock() - kept[0] > _KEPT_FOR:
                missing.append(day)
            else:
                self._kept.move_to_end((*key, day))
                found += kept[1]
        if not missing:
            return found
        tenant, by, where = key
        # Together, also with known ones between them: one look at the ledger is cheaper than many.
        wanted = set(missing)
        rows = await self._rows.sums(
            tx, tenant, by=(*by, "day") if "day" not in by else by, since=missing[0], until=missing[-1] + _DAY,
            where=dict(where),
        )  # fmt: skip
        by_day: dict[datetime, list[Row]] = {day: [] for day in missing}
        for row in rows:
            day = datetime.fromisoformat(str(row["day"])).replace(tzinfo=UTC)
            if day in wanted:
                by_day[day].append(row)
        for day, of_day in by_day.items():
            found += of_day
            if len(of_day) <= _MOST_KEPT_ROWS:
                self._kept[(*key, day)] = (self._clock(), of_day)
        while len(self._kept) > _MOST_DAYS:
            self._kept.popitem(last=False)
        return found


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the first whole day in UTC of a span, and the end of the last one; the same when there is none."""
    start, end = since.astimezone(UTC), until.astimezone(UTC)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if first < start:
        first += _DAY
    last = end.replace(hour=0, minute=0, second=0, microsecond=0)
    return (first, last) if first < last else (first, first)


def _added(parts: Iterable[Row], by: Sequence[str]) -> list[Row]:
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in parts:
        place = tuple(row[name] for name in by)
        known = sums.get(place)
        if known is None:
            known = sums[place] = (
                dict(zip(by, place, strict=True)) | dict.fromkeys(_ADDED, 0) | {"waited": 0.0}
            )
        for name in _ADDED:
            known[name] += int(row[name])
        known["waited"] += float(row["latency_ms"] or 0.0) * int(row["timed"])
    if not by and not sums:
        sums[()] = dict.fromkeys(_ADDED, 0) | {"waited": 0.0}
    for known in sums.values():
        known["latency_ms"] = known["waited"] / known["timed"] if known["timed"] else None
    return sorted(sums.values(), key=lambda row: (-row["nanos"], *(str(row[name] or "") for name in by)))
