"""Events and recorded effects: what the journal gives to other rooms."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["Event", "NewEvent", "PreparedEvent", "RecordedEffect"]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, before the journal has given it a place.

    Attributes:
        type: what happened, ``<noun>.<past verb>``.
        data: what a reader needs to know about it.
        run_id: the run it belongs to.
        path: the step in that run.
        schema_version: the version of `data`'s form.
    """

    type: str
    data: JsonObject = field(default_factory=dict)
    run_id: str | None = None
    path: str | None = None
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as the journal keeps it.

    Attributes:
        seq: its place in the tenant's journal, from 1 and without gaps, in the order of commits.
        id: its identifier, the same in every copy.
        actor: who did it, ``<kind>:<id>``.
        correlation: the chain it belongs to, usually the run id.
        causation: the id of the event that caused it.
        data: what happened; large values are references, see `Journal.resolve`.
    """

    tenant: str
    seq: int
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
    data: JsonObject

    def to_json(self) -> JsonObject:
        """Return the event as clients see it."""
        return {
            "seq": self.seq,
            "id": self.id,
            "type": self.type,
            "schema_version": self.schema_version,
            "occurred_at": self.occurred_at.isoformat().replace("+00:00", "Z"),
            "tenant": self.tenant,
            "project": self.project,
            "actor": self.actor,
            "correlation": self.correlation,
            "causation": self.causation,
            "run_id": self.run_id,
            "path": self.path,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """What the journal knows of an effect.

    Attributes:
        key: ``<step path>#<name>``.
        result: what it returned, as recorded.
        error: the error it ended with, as `MosaicError.to_json` writes it.
        started_only: it was begun and no answer is known.
        event_seq: the last event written with it; 0 when there was none.
        intent: what `Journal.begin_effect` was told, while no answer is known.
    """

    key: str
    result: JsonValue
    error: JsonObject | None
    started_only: bool
    event_seq: int
    intent: JsonObject | None = None


class PreparedEvent(NamedTuple):
    """An event of a batch of many, ready to be written: see `Journal.append_in`.

    Attributes:
        data: JSON text, small.
        occurred_at: ISO 8601 in UTC with microseconds and ``Z``, as SQLite keeps it.
        correlation: the chain it belongs to.
    """

    tenant: str
    project: str
    actor: str
    type: str
    data: str
    occurred_at: str
    run_id: str | None = None
    correlation: str | None = None
