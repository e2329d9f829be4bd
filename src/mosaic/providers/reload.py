"""What a reload changed, why one was refused, and how replaced providers leave."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.providers.snapshot import Instance, Seat, Snapshot

__all__ = ["ReloadReport", "refusal", "retire"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload did.

    Attributes:
        number: of the snapshot that is in force now.
        added, changed, removed: names of instances.
        unfinished: how many calls were still running on replaced providers when those were closed.
    """

    number: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unfinished: int = 0

    @classmethod
    def of(cls, old: Snapshot, new: Snapshot) -> "ReloadReport":
        """Return how two snapshots differ."""
        both = old.instances.keys() & new.instances.keys()
        return cls(
            number=new.number,
            added=tuple(sorted(new.instances.keys() - old.instances.keys())),
            changed=tuple(
                sorted(name for name in both if _differs(old.instances[name], new.instances[name]))
            ),
            removed=tuple(sorted(old.instances.keys() - new.instances.keys())),
        )

    def closed(self, unfinished: int) -> "ReloadReport":
        """Return the report after the replaced providers were closed."""
        return replace(self, unfinished=unfinished)

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object."""
        return {
            "snapshot": self.number,
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "unfinished": self.unfinished,
        }


def _differs(old: Instance, new: Instance) -> bool:
    """Say whether an instance is another one now: other settings, other code, or a provider made anew."""
    if old.settings != new.settings or (old.error is None) != (new.error is None):
        return True
    if [seat.signature for seat in old.seats] != [seat.signature for seat in new.seats]:
        return True
    return any(seat.provider is not None and seat not in new.seats for seat in old.seats)


def refusal(reasons: Mapping[str, str]) -> InvalidInput:
    """Return the error of a reload that was not done."""
    return InvalidInput(
        f"The providers were not reloaded: {', '.join(sorted(reasons))} would not work. The old ones go on.",
        problems=[Problem(reason, path=name) for name, reason in sorted(reasons.items())],
        hint="Mend what is named and reload again.",
    )


async def retire(seats: Sequence[Seat], *, drain_s: float, forget: Callable[[Seat], None]) -> int:
    """Close replaced providers, each when its last lease ends or the time is over; returns how many leases were left."""
    return sum(await asyncio.gather(*(_retire(seat, drain_s, forget) for seat in seats)))


async def _retire(seat: Seat, drain_s: float, forget: Callable[[Seat], None]) -> int:
    left = await seat.drain(drain_s)
    if left:
        _log.warning("closing a replaced provider of %s with %d calls still running", seat.source.id, left)
    try:
        await seat.close()
    except Exception:  # noqa: BLE001  # a plugin is anyone's code, and the others must be closed too
        _log.exception("a replaced provider of %s could not be closed", seat.source.id)
    forget(seat)
    return left
