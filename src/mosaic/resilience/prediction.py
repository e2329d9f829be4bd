"""Seeing trouble come: errors and latency of the last seconds against those of the last minutes."""

from dataclasses import dataclass

from mosaic.core.values import JsonObject
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["Outlook", "PredictiveHealth"]

_FORGOTTEN = 1e-9


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a target.

    Attributes:
        risk: 0 for none; from 1 on the target is about to fail, and traffic should go elsewhere.
        reason: one sentence when the risk is at least 1.
        error_rate: expected soon.
        latency_ratio: expected latency over the usual one.
    """

    risk: float
    reason: str
    error_rate: float
    latency_ratio: float

    def to_json(self) -> JsonObject:
        """Return the outlook as a JSON object."""
        return {
            "risk": round(self.risk, 3),
            "reason": self.reason,
            "error_rate": round(self.error_rate, 4),
            "latency_ratio": round(self.latency_ratio, 3),
        }


class _Trend:
    """Two averages of the same values that forget at different speeds: what is recent, and what is usual.

    Attributes:
        recent_weight: about how many values the recent one stands on.
    """

    __slots__ = ("_at", "_by_recent", "_by_usual", "_recent", "_usual", "_usual_weight", "recent_weight")

    def __init__(self, recent_s: float, usual_s: float, now: float) -> None:
        self._by_recent = -1.0 / recent_s
        self._by_usual = -1.0 / usual_s
        self._at = now
        self._recent = self._usual = 0.0
        self.recent_weight = self._usual_weight = 0.0

    def add(self, value: float, now: float) -> None:
        """Count a value."""
        since, self._at = now - self._at, now
        keep = 2.0 ** (since * self._by_recent)
        self._recent = self._recent * keep + value
        self.recent_weight = self.recent_weight * keep + 1.0
        keep = 2.0 ** (since * self._by_usual)
        self._usual = self._usual * keep + value
        self._usual_weight = self._usual_weight * keep + 1.0

    @property
    def recent(self) -> float:
        """The recent average; 0 when there is none."""
        return self._recent / self.recent_weight if self.recent_weight > _FORGOTTEN else 0.0

    @property
    def usual(self) -> float:
        """The usual average; 0 when there is none."""
        return self._usual / self._usual_weight if self._usual_weight > _FORGOTTEN else 0.0


class PredictiveHealth:
    """Follows the trend of one target and carries it on a little way, so that traffic leaves before a breaker opens."""

    __slots__ = ("_clock", "_errors", "_latency", "_latency_at_most", "_least", "_tolerated")

    def __init__(
        self,
        *,
        tolerated: float = 0.15,
        latency_at_most: float = 2.5,
        recent_s: float = 10.0,
        usual_s: float = 180.0,
        least_calls: float = 5.0,
        clock: MonotonicClock = monotonic,
    ) -> None:
        """Make one that expects nothing bad.

        Args:
            tolerated: an expected error rate that makes the risk 1.
            latency_at_most: an expected latency, in usual ones, that makes the risk 1.
            recent_s: half-life of what counts as recent.
            usual_s: half-life of what counts as usual.
            least_calls: recent ones to know before anything is predicted.
            clock: seconds.
        """
        self._tolerated = tolerated
        self._latency_at_most = latency_at_most
        self._least = least_calls
        self._clock = clock
        self._errors = _Trend(recent_s, usual_s, clock())
        self._latency = _Trend(recent_s, usual_s, clock())

    def record(self, ok: bool, latency_s: float) -> None:
        """Count one call that says something about the target."""
        now = self._clock()
        self._errors.add(0.0 if ok else 1.0, now)
        if ok:  # a refusal is quick, and would look like a recovery
            self._latency.add(latency_s, now)

    def outlook(self) -> Outlook:
        """Return what to expect if things go on as they do."""
        if self._errors.recent_weight < self._least:
            return Outlook(0.0, "", 0.0, 1.0)
        recent, usual = self._errors.recent, self._errors.usual
        # The same step again: what rose from `usual` to `recent` goes on rising.
        errors = min(1.0, max(0.0, 2 * recent - usual))
        slow = self._latency.usual
        ratio = self._latency.recent / slow if slow > 0 else 1.0
        ratio = max(0.0, 2 * ratio - 1)
        from_errors = errors / self._tolerated
        from_latency = max(0.0, ratio - 1) / (self._latency_at_most - 1)
        reason = ""
        if max(from_errors, from_latency) >= 1:
            reason = (
                f"{recent:.0%} of the recent calls failed, {usual:.0%} usually do, and it is getting worse."
                if from_errors >= from_latency
                else f"Answers take {self._latency.recent / slow:.1f} times as long as usual."
            )
        return Outlook(max(from_errors, from_latency), reason, errors, ratio)
