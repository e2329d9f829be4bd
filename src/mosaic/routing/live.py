"""What is known of each target right now: open requests, latency, errors. In memory, of this process."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mosaic.core.values import JsonObject
from mosaic.routing.schemas import Outcome

__all__ = ["LiveStats", "LiveTarget"]

_DECAY_S = 10.0
"""Seconds in which an old latency loses two thirds of its weight."""
_ERROR_DECAY_S = 30.0
_TREND_S = 5.0
"""Seconds over which open requests are compared with what they were."""
_TAKES_NO_TIME_S = 0.000_001
_UNTRIED_S = 1_000.0
"""The wait at a target that never answered while it is being tried: one request at a time finds out."""
# The target answered, and what it said was the caller's fault or the caller's limit: nothing against its health.
_NOT_ITS_FAULT = frozenset({"invalid_input", "budget_exceeded", "cancelled", "model_refused", "not_found"})
_MEMORY = 20_000
"""Targets whose figures are kept."""
_NOBODY: Mapping[str, str] = {}


@dataclass(slots=True, eq=False)
class LiveTarget:
    """The figures of one target.

    Attributes:
        active: requests that are open.
        usual_active: how many were open over the last seconds.
        latency_s: peak EWMA: jumps up at once, comes down slowly; 0 before the first answer.
        first_byte_s: the same for the first piece.
        error_rate: share of failures, recent ones first; 0 to 1.
        finished, failed: counted since the start.
        retry_at: when the target said it can be asked again; on the clock of `LiveStats`.
        load_s: the expected wait for one more request; failures make it longer.
        expected_s: the same if open requests go on growing as they do.
    """

    id: str
    active: int = 0
    usual_active: float = 0.0
    latency_s: float = 0.0
    first_byte_s: float = 0.0
    error_rate: float = 0.0
    finished: int = 0
    failed: int = 0
    retry_at: float = 0.0
    updated: float = 0.0
    counted: float = 0.0
    load_s: float = _TAKES_NO_TIME_S
    expected_s: float = _TAKES_NO_TIME_S

    def count(self, change: int, now: float) -> None:
        """Note that a request began (1) or ended (-1); `weigh` it then."""
        active, counted = self.active, self.counted
        if now > counted:
            keep = math.exp((counted - now) / _TREND_S)
            self.usual_active = self.usual_active * keep + active * (1.0 - keep)
        self.counted = now
        self.active = max(0, active + change)

    def weigh(self) -> None:
        """Work out the loads anew."""
        active = self.active
        each = self.latency_s or (_UNTRIED_S if active else _TAKES_NO_TIME_S)
        if self.error_rate:
            each /= max(1.0 - self.error_rate, 0.05)
        self.load_s = load_s = each * (active + 1.0)
        more = active - self.usual_active
        self.expected_s = load_s + each * more if more > 0.0 else load_s

    def figures(self) -> tuple[float, float, float, float]:
        """Return what strategies look at: open requests, usually open ones, latency, error rate."""
        return self.active, self.usual_active, self.latency_s, self.error_rate

    def to_json(self) -> JsonObject:
        """Return the figures as a JSON object."""
        return {
            "active": self.active,
            "latency_s": round(self.latency_s, 6),
            "first_byte_s": round(self.first_byte_s, 6),
            "error_rate": round(self.error_rate, 4),
            "finished": self.finished,
            "failed": self.failed,
        }


class LiveStats:
    """Figures of every target that was ever used. Not for several threads: it belongs to one event loop."""

    def __init__(
        self,
        *,
        is_open: Callable[[str], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with no figures.

        Args:
            is_open: says whether a target's breaker is open, so that it gets no request.
            clock: seconds, monotonic.
        """
        self.is_open = is_open
        self.clock = clock
        self._targets: dict[str, LiveTarget] = {}
        self._asked_until = 0.0
        self.generation = 0
        """Goes up when figures were forgotten: who holds a `LiveTarget` asks for it again."""

    def of(self, target_id: str) -> LiveTarget:
        """Return the figures of a target; the same object for as long as this lives."""
        found = self._targets.get(target_id)
        if found is None:
            if len(self._targets) >= _MEMORY:
                self._forget()
            found = self._targets[target_id] = LiveTarget(target_id, counted=self.clock())
        return found

    def _forget(self) -> None:
        """Drop targets that are idle and were longest not used: callers may name models that there are not."""
        idle = sorted(
            (live for live in self._targets.values() if not live.active), key=lambda live: live.counted
        )
        for live in idle[: _MEMORY // 2]:
            del self._targets[live.id]
        self.generation += 1

    def put(self, target_id: str, figures: Sequence[float]) -> None:
        """Take the figures of a target from a decision record (`LiveTarget.figures`)."""
        live = self.of(target_id)
        live.active, live.usual_active = int(figures[0]), float(figures[1])
        live.latency_s, live.error_rate = float(figures[2]), float(figures[3])
        live.weigh()

    def begin(self, target_id: str) -> None:
        """Count a request as open. Every `begin` needs its `end`."""
        live = self._targets.get(target_id) or self.of(target_id)
        live.count(1, self.clock())
        live.weigh()

    def end(self, target_id: str, outcome: Outcome) -> None:
        """Count a request as done and learn from how it ended."""
        live = self._targets.get(target_id) or self.of(target_id)
        now = self.clock()
        live.count(-1, now)
        live.finished += 1
        if outcome.error_code in _NOT_ITS_FAULT or (not outcome.ok and outcome.error_code is None):
            live.weigh()
            return
        elapsed = now - live.updated if now > live.updated else 0.0
        live.updated = now
        failed = 0.0 if outcome.ok else 1.0
        if failed or live.error_rate:
            keep = min(math.exp(-elapsed / _ERROR_DECAY_S), 0.9)
            live.error_rate = live.error_rate * keep + failed * (1.0 - keep)
        if outcome.retry_at is not None:
            live.retry_at = outcome.retry_at
            self._asked_until = max(self._asked_until, outcome.retry_at)
        if failed:  # a refusal is quick; it must not make a target look fast
            live.failed += 1
        else:
            keep = math.exp(-elapsed / _DECAY_S)
            live.latency_s = _peak(live.latency_s, outcome.latency_s, keep)
            if outcome.first_byte_s is not None:
                live.first_byte_s = _peak(live.first_byte_s, outcome.first_byte_s, keep)
        live.weigh()

    def is_awake(self, live: LiveTarget) -> bool:
        """Say whether a target takes requests now: whether `resting` would leave it out."""
        is_open = self.is_open
        if is_open is not None and is_open(live.id):
            return False
        return not self._asked_until or live.retry_at <= self.clock()

    def resting(self, ids: Sequence[str], live: Sequence[LiveTarget]) -> Mapping[str, str]:
        """Return which of these targets take no requests now, and why."""
        is_open = self.is_open
        found: dict[str, str] = {}
        if is_open is not None:
            found = dict.fromkeys(
                [name for name in ids if is_open(name)], "its breaker is open after failures"
            )
        if self._asked_until:
            now = self.clock()
            if now >= self._asked_until:
                self._asked_until = 0.0
                return found
            for figures in live:
                if figures.retry_at > now:
                    found[figures.id] = f"it asked to wait {figures.retry_at - now:.0f} s more"
        return found or _NOBODY

    def to_json(self) -> JsonObject:
        """Return the figures by target."""
        return {name: live.to_json() for name, live in sorted(self._targets.items())}


def _peak(known: float, seen: float, keep: float) -> float:
    if not known or seen >= known:
        return max(seen, _TAKES_NO_TIME_S)
    return known * keep + seen * (1.0 - keep)
