"""Many prepared events in one statement: what a writer of thousands a second needs."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, bindparam, insert, literal_column, null, select

from mosaic.core.ids import new_id
from mosaic.events.models import event, journal_head
from mosaic.events.schemas import PreparedEvent
from mosaic.storage import DialectName, Prepared, SyncTransaction

__all__ = ["EventBatches", "PreparedBatch"]

# Halves, so that a handful of statements writes any number: each is a step in which the interpreter's lock is handed to
# a busy event loop, and has to be waited for.
_SIZES = (64, 32, 16, 8, 4, 2, 1)
_CELLS = ("tenant", "back", "id", "type", "at", "project", "actor", "correlation", "run", "data")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_COUNTED = 4  # characters of an id that tell the events of one batch apart


class PreparedBatch:
    """Events that one unit of the group committer writes, with their ids: the same however often it runs.

    Attributes:
        texts: each event's data with secrets masked, which is what is written.
    """

    __slots__ = ("events", "ids", "texts")

    def __init__(self, events: Sequence[PreparedEvent], mask: Callable[[str], str]) -> None:
        self.events = events
        self.texts = [mask(event.data) for event in events]
        self.ids = list(_ids(len(events)))


def _ids(count: int) -> Iterator[str]:
    """Return ids that share their time and most of their random part, and so sort in the order of the events."""
    stem = new_id("evt")[:-_COUNTED]
    for number in range(count):
        yield f"{stem}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"


def _insert(rows: int) -> Any:
    values = []
    for row in range(rows):
        tenant: Any = bindparam(f"tenant_{row}")
        end = select(journal_head.c.seq).where(journal_head.c.tenant_id == tenant).scalar_subquery()
        values.append(
            {
                "tenant_id": tenant, "seq": end - bindparam(f"back_{row}", type_=BigInteger),
                "id": bindparam(f"id_{row}"), "type": bindparam(f"type_{row}"),
                "schema_version": literal_column("1"),
                "occurred_at": bindparam(f"at_{row}", type_=event.c.occurred_at.type),
                "project_id": bindparam(f"project_{row}"), "actor": bindparam(f"actor_{row}"),
                "correlation": bindparam(f"correlation_{row}"), "causation": null(),
                "run_id": bindparam(f"run_{row}"), "path": null(),
                "data": bindparam(f"data_{row}", type_=event.c.data.type),
            }
        )  # fmt: skip
    return insert(event).values(values)


@cache
def _statements(
    dialect: DialectName,
) -> list[tuple[int, Prepared, Callable[[Sequence[Any]], Sequence[Any]]]]:
    """Return for each size its statement and the order of its parameters; compiled once for the process."""
    statements: list[tuple[int, Prepared, Callable[[Sequence[Any]], Sequence[Any]]]] = []
    for rows in _SIZES:
        prepared = Prepared(_insert(rows), dialect)
        names = [f"{name}_{row}" for row in range(rows) for name in _CELLS]
        places = prepared.row({name: place for place, name in enumerate(names)})
        statements.append((rows, prepared, itemgetter(*places)))
    return statements


class EventBatches:
    """The statements that write prepared events, for one dialect."""

    def __init__(self, dialect: DialectName) -> None:
        self._statements = _statements(dialect)

    def write(self, tx: SyncTransaction, batches: Sequence[PreparedBatch], counts: dict[str, int]) -> None:
        """Write events at the places that `counts` says are still free before each tenant's end; count them down."""
        cells: list[Any] = []
        total = 0
        for batch in batches:
            total += len(batch.events)
            for made, event_id, text in zip(batch.events, batch.ids, batch.texts, strict=True):
                tenant, project, actor, kind, _, at, run_id, correlation = made
                counts[tenant] = back = counts[tenant] - 1
                cells += (tenant, back, event_id, kind, at, project, actor, correlation, run_id, text)
        width, start = len(_CELLS), 0
        for rows, prepared, arrange in self._statements:
            chunks = []
            while total >= rows:
                chunks.append(arrange(cells[start : start + rows * width]))
                start += rows * width
                total -= rows
            if chunks:
                tx.run(prepared, chunks)
