"""A decision record, read back: what was asked, and what the router saw at that moment."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.routing.live import LiveStats, LiveTarget
from mosaic.routing.schemas import Decision, RouteRequest

__all__ = ["Recorded"]

_FAR = (1e9, 1e9, 1e9, 1.0)
"""The figures of a target that stood behind every candidate, so that it stays there."""


class Recorded:
    """The parts of a decision record that a repetition needs.

    Raises:
        InvalidInput: if it is no decision record.
    """

    def __init__(self, record: JsonObject) -> None:
        try:
            self.request = RouteRequest.from_json(record["request"])
            self.at = datetime.fromisoformat(record["at"])
            self.seed = int(record["seed"])
            self.sticky = bool(record["sticky"])
            self.target = str(record["target"])
            self.basis: Mapping[str, float] = dict(record.get("basis", {}))
            self.candidates = [str(entry["target"]) for entry in record["candidates"]]
            self._figures = {
                str(entry["target"]): entry.get("live") or _FAR for entry in record["candidates"]
            }
            self._resting = frozenset(
                str(entry["target"]) for entry in record["rejected"] if entry["constraint"] == "resting"
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"This is not a decision record: {error!r}.") from None

    def live(self) -> LiveStats:
        """Return the figures of that moment, as far as the record has them."""
        return _Past(self._figures, self._resting)

    def in_learned_order(self, decision: Decision) -> Decision:
        """Return a decision with its candidates as the learned model had them."""
        place = {name: number for number, name in enumerate(self.candidates)}
        order = sorted(decision.candidates, key=lambda entry: place.get(entry.target.id, len(place)))
        return msgspec.structs.replace(decision, candidates=tuple(order), learned=self.target)


class _Past(LiveStats):
    def __init__(self, figures: Mapping[str, tuple[float, ...]], resting: frozenset[str]) -> None:
        super().__init__(is_open=resting.__contains__, clock=lambda: 0.0)
        self._figures = figures
        for name in figures:
            self.put(name, figures[name])

    def of(self, target_id: str) -> LiveTarget:
        known = target_id in self._targets
        live = super().of(target_id)
        if not known and target_id not in self._figures:
            self.put(target_id, _FAR)
        return live
