"""The values around one call of an effect."""

from dataclasses import dataclass
from enum import StrEnum

from mosaic.core.values import JsonValue
from mosaic.events import NewEvent
from mosaic.storage import Write

__all__ = ["EffectCall", "Outcome", "Safety"]


class Safety(StrEnum):
    """What may happen when a process dies between a call and the record of its result."""

    REPEATABLE = "repeatable"  # the call may simply run again
    KEYED = "keyed"  # it may run again, because the other side honours the idempotency key
    UNSAFE = "unsafe"  # it must not: the intent is journaled first, and a lost result is OutcomeUnknown


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to.

    Attributes:
        result: the JSON value that the effect returns, now and on every replay.
        events: what happened, journaled with the result.
        writes: rows to change in the same transaction.
    """

    result: JsonValue
    events: tuple[NewEvent, ...] = ()
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class EffectCall:
    """What a call may need to know.

    Attributes:
        idempotency_key: the same for every repetition of this effect; send it where it is understood.
        attempt: how often a node began to run the execution, from 1.
        replayed: always false: a recorded effect makes no call.
    """

    idempotency_key: str
    attempt: int
    replayed: bool = False
